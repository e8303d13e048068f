"""MediaPipe Pose's 33 landmarks as data: which of them, or the middle of which, stand for our 17 joints.

Twelve joints and the nose have a landmark of their own. Midpoints: pelvis (hips), neck (shoulders), thorax (hips and
shoulders). Nothing marks the top of the head: nose and eyes stand in for it, good enough to start a heatmap from, not to
be measured. COMPARED leaves out what is defined otherwise there: head_top, and thorax, which bends with the spine.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rsb_pose_ros.skeleton import JOINT_NAMES

LANDMARK_COUNT: Final = 33

LANDMARKS_OF_JOINTS: Final[dict[str, tuple[int, ...]]] = {
    "r_ankle": (28,),
    "r_knee": (26,),
    "r_hip": (24,),
    "l_hip": (23,),
    "l_knee": (25,),
    "l_ankle": (27,),
    "pelvis": (23, 24),
    "thorax": (11, 12, 23, 24),
    "neck": (11, 12),
    "head_top": (0, 2, 5),
    "r_wrist": (16,),
    "r_elbow": (14,),
    "r_shoulder": (12,),
    "l_shoulder": (11,),
    "l_elbow": (13,),
    "l_wrist": (15,),
    "nose": (0,),
}
"""Joint name → landmarks whose mean it is, in the order of skeleton.JOINT_NAMES."""

COMPARED: Final = np.array([name not in ("head_top", "thorax") for name in JOINT_NAMES])
"""(17,) bool: joints on which MediaPipe is measured."""

OWN_LANDMARK: Final = np.array([len(LANDMARKS_OF_JOINTS[name]) == 1 for name in JOINT_NAMES])
"""(17,) bool: joints that are one landmark, no midpoint."""


def joints_of_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Joints (..., 17, k) from landmarks (..., 33, k); midpoints are means."""
    if landmarks.shape[-2] != LANDMARK_COUNT:
        raise ValueError(f"landmarks have shape {landmarks.shape}; expected (..., {LANDMARK_COUNT}, k)")
    return np.stack([landmarks[..., list(chosen), :].mean(-2) for chosen in LANDMARKS_OF_JOINTS.values()], axis=-2)
