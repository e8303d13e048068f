"""The 17 joints as data: names, parents, mirror pairs, colours.

Order: Human3.6M-17 as used by Iskakov et al. (learnable triangulation, ICCV 2019) and by
RSB-Pose (arXiv 2311.14242). Every other file refers to joints by name through this one.
"""

from __future__ import annotations

from typing import Final

JOINT_NAMES: Final[tuple[str, ...]] = (
    "r_ankle",
    "r_knee",
    "r_hip",
    "l_hip",
    "l_knee",
    "l_ankle",
    "pelvis",
    "thorax",
    "neck",
    "head_top",
    "r_wrist",
    "r_elbow",
    "r_shoulder",
    "l_shoulder",
    "l_elbow",
    "l_wrist",
    "nose",
)
JOINT_COUNT: Final = len(JOINT_NAMES)
INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(JOINT_NAMES)}

ROOT: Final = INDEX["pelvis"]

PARENT_NAMES: Final[dict[str, str | None]] = {
    "r_ankle": "r_knee",
    "r_knee": "r_hip",
    "r_hip": "pelvis",
    "l_hip": "pelvis",
    "l_knee": "l_hip",
    "l_ankle": "l_knee",
    "pelvis": None,
    "thorax": "pelvis",
    "neck": "thorax",
    "head_top": "nose",
    "r_wrist": "r_elbow",
    "r_elbow": "r_shoulder",
    "r_shoulder": "neck",
    "l_shoulder": "neck",
    "l_elbow": "l_shoulder",
    "l_wrist": "l_elbow",
    "nose": "neck",
}

BONES: Final[tuple[tuple[int, int], ...]] = tuple(
    (INDEX[parent], INDEX[child]) for child, parent in PARENT_NAMES.items() if parent is not None
)
"""(parent, child) index pairs, one per bone: 16 bones."""

MIRROR: Final[tuple[int, ...]] = tuple(
    INDEX[{"r_": "l_", "l_": "r_"}.get(name[:2], name[:2]) + name[2:]] for name in JOINT_NAMES
)
"""MIRROR[i] is the joint that i becomes when the picture is flipped left to right."""

END_EFFECTORS: Final[tuple[int, ...]] = tuple(
    INDEX[name] for name in ("r_ankle", "l_ankle", "head_top", "r_wrist", "l_wrist")
)
"""Joints which the authors leave as triangulated (paper, implementation details)."""

RIGHT_RGB: Final = (0.96, 0.49, 0.16)
LEFT_RGB: Final = (0.13, 0.59, 0.95)
MIDDLE_RGB: Final = (0.93, 0.93, 0.93)


def joint_rgb(joint: int) -> tuple[float, float, float]:
    """Colour of a joint, RGB in 0…1: the body's right orange, its left blue, the middle light grey."""
    side = JOINT_NAMES[joint][:2]
    return {"r_": RIGHT_RGB, "l_": LEFT_RGB}.get(side, MIDDLE_RGB)


def bone_rgb(bone: tuple[int, int]) -> tuple[float, float, float]:
    """Colour of a bone, RGB in 0…1: that of the end farther from the trunk."""
    return joint_rgb(bone[1])
