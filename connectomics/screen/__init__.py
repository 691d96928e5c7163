"""Floor 1: what a run says on the screen: lines, durations, progress of a prediction."""
