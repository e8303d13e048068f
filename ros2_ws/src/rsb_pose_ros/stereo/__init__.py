"""Stereo geometry: the rig, crop windows cut straight from raw images, triangulation, covariance (NumPy + OpenCV)."""

from rsb_pose_ros.stereo.calibration import CalibrationError
from rsb_pose_ros.stereo.camera import Camera
from rsb_pose_ros.stereo.crop import StereoCrop
from rsb_pose_ros.stereo.cutter import WindowCutter
from rsb_pose_ros.stereo.rig import StereoRig
from rsb_pose_ros.stereo.triangulation import disparity_covariance_to_xyz, project, triangulate

__all__ = [
    "CalibrationError",
    "Camera",
    "StereoCrop",
    "StereoRig",
    "WindowCutter",
    "disparity_covariance_to_xyz",
    "project",
    "triangulate",
]
