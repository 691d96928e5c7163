"""Floor 1: what a run says on the screen: lines, durations, how far a prediction is."""
