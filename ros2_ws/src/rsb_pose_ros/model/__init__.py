"""The network, one idea per file; reads like the paper (PyTorch; never imported by inference or the node)."""

from rsb_pose_ros.model.config import ModelConfig
from rsb_pose_ros.model.pose_transformer import PoseTransformer
from rsb_pose_ros.model.rsb_pose import RSBPose

__all__ = ["ModelConfig", "PoseTransformer", "RSBPose"]
