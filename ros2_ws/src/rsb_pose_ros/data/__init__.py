"""Training data: synthetic stereo people, motion capture."""
