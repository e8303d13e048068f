"""Synthetic stereo people: bodies, motion, clothes, rooms and cameras, rendered as rectified pairs (NumPy and numba)."""
