"""What is where in a pair: the rig, the place of a person in front of it, and the windows that are cut out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import StereoCrop, project
from rsb_pose_ros.stereo.crop import COARSE_SHIFT

NEAREST_JOINT_M = 0.4
NEAR_DISPARITY = 24.0
"""A pelvis of greater disparity (crop pixels, in a search window) may have limbs outside the network's volume."""
FEWEST_INSIDE = 6
"""A person of whom the left picture shows fewer joints is not labelled as one."""


@dataclass(frozen=True)
class View:
    """A rectified rig in a scene: P (2, 3, 4), rotation (3, 3) camera ← gravity frame, image size (width, height)."""

    projections: np.ndarray
    rotation: np.ndarray
    size: tuple[int, int]


def turn(angle: float, axis: int) -> np.ndarray:
    """Rotation matrix (3, 3) by an angle in radians about one axis."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def sample_rig(generator: np.random.Generator, config: SyntheticConfig) -> View:
    """A rig of random baseline, lens, resolution and tilt."""
    width = int(generator.choice(config.widths))
    height = int(width * generator.choice(config.aspects))
    focal = width / 2 / np.tan(np.radians(generator.uniform(*config.field_of_view)) / 2)
    wide = generator.random() < config.wide_share
    baseline = generator.uniform(*(config.baseline_wide if wide else config.baseline))
    projections = np.zeros((2, 3, 4))
    projections[:, [0, 1], [0, 1]] = focal
    projections[:, 0, 2] = width / 2 + generator.normal(0, config.principal_point_std_px, 2)
    projections[:, 1, 2] = height / 2 + generator.normal(0, config.principal_point_std_px)
    projections[:, 2, 2] = 1
    projections[1, 0, 3] = -focal * baseline
    pitch = np.radians(generator.uniform(*config.pitch))
    roll = np.radians(generator.normal(0, config.roll_std))
    return View(projections, turn(roll, 2) @ turn(pitch, 0), (width, height))


def sample_place(generator: np.random.Generator, config: SyntheticConfig, view: View) -> np.ndarray:
    """Where a pelvis is, gravity frame (3,): mostly near the middle of the left view, cut off by its border at times."""
    wide = generator.random() >= 1 - config.wide_distance_share
    distances = config.distance_wide if wide else config.distance
    depth = generator.uniform(*distances)
    width, height = view.size
    across, down = (generator.normal(middle, std) for middle, std in zip((0.5, 0.52), config.place_std, strict=True))
    pixel = np.array([np.clip(across, 0.02, 0.98) * width, np.clip(down, 0.15, 0.95) * height, 1.0])
    return view.rotation.T @ (np.linalg.inv(view.projections[0, :, :3]) @ pixel * depth)


def plausible(config: SyntheticConfig, view: View, joints: np.ndarray, floor: float) -> bool:
    """Whether a rig could see this: joints (17, 3) gravity frame; floor: height y of the ground below the left camera."""
    seen = joints @ view.rotation.T
    if seen[:, 2].min() < NEAREST_JOINT_M or not config.camera_height[0] < floor < config.camera_height[1]:
        return False
    pixels = project(seen, view.projections)[0]
    return bool(((pixels > 0) & (pixels < np.array(view.size) - 1)).all(-1).sum() >= FEWEST_INSIDE)


def person_windows(
    generator: np.random.Generator, config: SyntheticConfig, view: View, joints: np.ndarray
) -> StereoCrop:
    """Windows around joints (17, 3) of the left camera's frame, as misplaced as a tracker's are."""
    exact = StereoCrop.around(_followed(generator, config, view, joints), view.projections, config.size)
    side = exact.side * generator.uniform(*config.crop_scale)
    centre = np.array([exact.left, exact.top]) + exact.side / 2
    centre += generator.uniform(-config.crop_shift, config.crop_shift, 2) * side
    principal = _principal(view)
    disparity = (exact.left - exact.right - principal) * (1 + generator.uniform(-1, 1) * config.depth_error)
    return StereoCrop.centred(centre, side, disparity + principal, config.size)


def _followed(generator: np.random.Generator, config: SyntheticConfig, view: View, joints: np.ndarray) -> np.ndarray:
    """What a tracker knows of joints (17, 3) when it places the next window: those in the picture, or just outside it,
    each a little wrong; sometimes limbs are lost altogether (NaN)."""
    known = joints + generator.normal(0, config.follow_error_m, joints.shape) * [1, 1, 0]
    pixels = project(joints, view.projections)[0]
    margin = generator.uniform(0.0, 0.25) * np.array(view.size)
    lost = ((pixels < -margin) | (pixels > view.size + margin)).any(-1)
    if generator.random() < config.lost_share:
        lost[generator.integers(0, len(joints), int(generator.integers(1, 7)))] = True
    lost[ROOT] = False
    return np.where(lost[:, None] & (lost.sum() < len(joints) - 3), np.nan, known)


def search_windows(
    generator: np.random.Generator, config: SyntheticConfig, view: View, joints: np.ndarray
) -> StereoCrop:
    """Windows as the search uses them: the whole view, or a large square tile of it that holds most of the person."""
    width, height = view.size
    pixels = project(joints, view.projections)[0]
    if generator.random() < config.tile_share:
        side = min(height, 0.6 * width)
        centre = np.array([np.median(pixels[:, 0]) + generator.uniform(-0.25, 0.25) * side, height / 2])
        centre[0] = np.clip(centre[0], side / 2, width - side / 2)
    else:
        # Rectification of a real lens leaves margins, or cuts some of the picture away.
        side = width * generator.uniform(*config.whole_view)
        centre = np.array([width, height]) / 2 - 0.5
    scale = side / config.size
    shift = COARSE_SHIFT
    disparity = -view.projections[1, 0, 3] / joints[ROOT, 2] / scale
    if disparity - shift > NEAR_DISPARITY:
        # Too near for the ordinary shift; the estimator has such windows shifted farther.
        shift = disparity - generator.uniform(-15, NEAR_DISPARITY)
    return StereoCrop.centred(centre, side, shift * scale + _principal(view), config.size)


def outlines(crop: StereoCrop, view: View) -> np.ndarray:
    """(2, 4) x0, y0, x1, y1 of the pictures' outer edges in crop pixels: beyond them cv2.remap leaves black."""
    low = -np.array([[crop.left, crop.top], [crop.right, crop.top]]) / crop.scale - 0.5
    return np.concatenate([low, low + np.array(view.size) / crop.scale], axis=1)


def _principal(view: View) -> float:
    return float(view.projections[0, 0, 2] - view.projections[1, 0, 2])
