"""Other people, other cameras, other ideas of where a joint is: random variations of motion-capture poses.

All of it acts on the truth, so that a network which learns from it keeps each data set's own skeleton instead of
snapping everything onto one. Poses are (B, 17, 3), metres, optical axes (y down); mirror pairs stay symmetric, because
symmetry is what tells a clean pose from a noisy one.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor

from rsb_pose_ros.skeleton import BONES, INDEX, JOINT_COUNT, MIRROR, ROOT

T = TypeVar("T")

SIZE_SPREAD = 0.1
"""Standard deviation of a body's size, natural logarithm: children's and small rigs' skeletons among them."""

BONE_SPREAD = {"hip": 0.15, "shoulder": 0.15, "neck": 0.08, "nose": 0.2, "head_top": 0.12}
"""Standard deviation of a bone's length (its far joint's name), natural logarithm; others DEFAULT_SPREAD."""
DEFAULT_SPREAD = 0.07

OFFSET_SPREAD = {
    "hip": (0.0, 0.015, 0.015),
    "pelvis": (0.0, 0.0, 0.004),
    "thorax": (0.0, 0.03, 0.02),
    "neck": (0.0, 0.04, 0.02),
    "shoulder": (0.02, 0.03, 0.02),
    "head_top": (0.0, 0.03, 0.03),
}
"""Metres by which data sets place a joint elsewhere: standard deviations to the left, down and backward. Hips take the
pelvis along, which everybody puts between them or above that point, never to its side."""

PELVIS_UP = 0.05
"""Metres that animation skeletons put the pelvis up the spine at most; half of the poses have it between the hips."""

HEAD_POINT_SHARE = 0.5
"""Share of poses whose 'nose' is a point inside the head, as skeletons without a face have it."""

LIMBS = {
    "neck": ("shoulder", "elbow", "wrist"),
    "shoulder": ("elbow", "wrist"),
    "elbow": ("wrist",),
    "hip": ("knee", "ankle"),
    "knee": ("ankle",),
}
"""Joint: those that turn with it."""
LIMB_TURN = 0.2
"""Radians, standard deviation of a limb's extra turn: poses that nobody recorded."""


def augment(poses: Tensor) -> Tensor:
    """Pelvis-centred variations of poses: another body, other joint definitions, bent limbs, mirrored, seen from
    another side by a camera that looks up or down."""
    poses = bend_limbs(mirror(poses))
    poses = redefine_joints(vary_bones(poses))
    poses = turn(poses)
    return poses - poses[:, ROOT : ROOT + 1]


def mirror(poses: Tensor) -> Tensor:
    """Half of the poses, left and right exchanged."""
    flipped = poses[:, list(MIRROR)] * poses.new_tensor([-1.0, 1.0, 1.0])
    chosen = torch.rand(len(poses), 1, 1, device=poses.device) < 0.5
    return torch.where(chosen, flipped, poses)


def turn(poses: Tensor, pitch: float = 0.25, roll: float = 0.08) -> Tensor:
    """Any heading; the camera's pitch and roll in radians, standard deviations."""
    batch, device = len(poses), poses.device
    heading = torch.rand(batch, device=device) * 2 * math.pi
    tilt = rotation(torch.randn(batch, device=device) * roll, 2) @ rotation(
        torch.randn(batch, device=device) * pitch, 0
    )
    return torch.einsum("bij,bnj->bni", tilt @ rotation(heading, 1), poses)


def vary_bones(poses: Tensor) -> Tensor:
    """Another size and other proportions; both sides of the body alike."""
    spread = poses.new_tensor([_by_kind(BONE_SPREAD, child, DEFAULT_SPREAD) for _, child in BONES])
    own = _symmetric(torch.randn(len(poses), JOINT_COUNT, 1, device=poses.device), 1.0)
    size = torch.randn(len(poses), 1, device=poses.device) * SIZE_SPREAD
    factor = (own[:, [child for _, child in BONES], 0] * spread + size).exp()
    scaled = [poses[:, ROOT]] * JOINT_COUNT
    for bone, (parent, child) in sorted(enumerate(BONES), key=lambda item: _depth(item[1][1])):
        scaled[child] = scaled[parent] + factor[:, bone, None] * (poses[:, child] - poses[:, parent])
    return torch.stack(scaled, 1)


def redefine_joints(poses: Tensor) -> Tensor:
    """Joints as another data set might place them: fixed offsets in the trunk's frame, and points inside the head."""
    axes = trunk_axes(poses)
    spread = poses.new_tensor([_by_kind(OFFSET_SPREAD, joint, (0.004,) * 3) for joint in range(JOINT_COUNT)])
    offsets = _symmetric(torch.randn(len(poses), JOINT_COUNT, 3, device=poses.device), -1.0) * spread
    hips = [INDEX["r_hip"], INDEX["l_hip"]]
    offsets[:, ROOT] += offsets[:, hips].mean(1)
    offsets[:, ROOT, 1] -= torch.relu(torch.rand(len(poses), device=poses.device) * 2 - 1) * PELVIS_UP
    poses = poses + torch.einsum("bij,bnj->bni", axes, offsets)
    share = torch.rand(len(poses), 2, device=poses.device)
    neck, top, nose = (poses[:, INDEX[name]] for name in ("neck", "head_top", "nose"))
    inside = neck + (0.15 + 0.6 * share[:, :1]) * (top - neck)
    poses = poses.clone()
    poses[:, INDEX["nose"]] = torch.where(share[:, 1:] < HEAD_POINT_SHARE, inside, nose)
    return poses


def bend_limbs(poses: Tensor) -> Tensor:
    """Arms and legs turned a little further, at shoulders, elbows, hips and knees."""
    poses = poses.clone()
    for side in ("r_", "l_"):
        for pivot, moved in LIMBS.items():
            centre = poses[:, INDEX[pivot if pivot in INDEX else side + pivot], None]
            joints = [INDEX[side + name] for name in moved]
            turns = small_rotation(torch.randn(len(poses), 3, device=poses.device) * LIMB_TURN)
            poses[:, joints] = centre + torch.einsum("bij,bnj->bni", turns, poses[:, joints] - centre)
    return poses


def trunk_axes(poses: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) with columns left, down, backward of the trunk."""
    left = poses[:, INDEX["l_hip"]] - poses[:, INDEX["r_hip"]]
    left = torch.nn.functional.normalize(left, dim=-1)
    down = poses[:, ROOT] - poses[:, INDEX["neck"]]
    down = torch.nn.functional.normalize(down - (down * left).sum(-1, keepdim=True) * left, dim=-1)
    return torch.stack([left, down, torch.linalg.cross(left, down)], dim=-1)


def rotation(angle: Tensor, axis: int) -> Tensor:
    """Rotation matrices (B, 3, 3) by angles (B,) about one axis."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = torch.eye(3, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, a, a] = matrix[:, b, b] = angle.cos()
    matrix[:, a, b], matrix[:, b, a] = -angle.sin(), angle.sin()
    return matrix


def small_rotation(vectors: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) from rotation vectors (B, 3) in radians."""
    return rotation(vectors[:, 0], 0) @ rotation(vectors[:, 1], 1) @ rotation(vectors[:, 2], 2)


def _symmetric(values: Tensor, lateral: float) -> Tensor:
    """Values (B, 17, C) made equal for mirror pairs; `lateral`: the factor on the first component of right joints.

    A middle joint has no lateral offset of its own (lateral = −1): it would not be in the middle.
    """
    sign = values.new_ones(values.shape[-1])
    sign[0] = lateral
    mirrored = values[:, list(MIRROR)] * sign
    # Unit variance again: a middle joint is added to itself.
    scale = values.new_tensor([2.0 if MIRROR[j] == j else math.sqrt(2) for j in range(JOINT_COUNT)])
    return (values + mirrored) / scale[:, None]


def _by_kind(table: dict[str, T], joint: int, default: T) -> T:
    name = next(n for n, i in INDEX.items() if i == joint)
    return table.get(name.removeprefix("r_").removeprefix("l_"), default)


def _depth(joint: int) -> int:
    """Bones between the root and a joint."""
    parents = {child: parent for parent, child in BONES}
    return 0 if joint == ROOT else 1 + _depth(parents[joint])
