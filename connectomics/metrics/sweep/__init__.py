"""The scores of all masks of a sweep over thresholds and minimum sizes at once."""
