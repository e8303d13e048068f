"""From a raw stereo pair to people: ONNX session, search and follow, refinement, smoothing. No torch, no ROS."""

from rsb_pose_ros.inference.card import ModelCard, ModelError, read_card, write_card
from rsb_pose_ros.inference.engine import EngineSettings
from rsb_pose_ros.inference.estimator import StereoPoseEstimator
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.refiner import PoseRefiner
from rsb_pose_ros.inference.smoothing import OneEuroFilter, PersonSmoother

__all__ = [
    "EngineSettings",
    "ModelCard",
    "ModelError",
    "OneEuroFilter",
    "Person",
    "PersonSmoother",
    "PoseRefiner",
    "StereoPoseEstimator",
    "read_card",
    "write_card",
]
