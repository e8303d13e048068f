"""The paper's stages of training: co-keypoints alone, the pose transformer alone, then both (PyTorch)."""
