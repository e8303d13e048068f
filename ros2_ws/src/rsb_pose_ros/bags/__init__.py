"""Stereo recordings (rosbag2) read without ROS: pairs of pictures, calibration, ground truth."""

from rsb_pose_ros.bags.reader import BagError, StereoBag, StereoPair
from rsb_pose_ros.bags.topics import StereoTopics

__all__ = ["BagError", "StereoBag", "StereoPair", "StereoTopics"]
