"""Skeletons drawn into pictures (OpenCV).

Always into the *rectified* full-resolution views: keypoints live there, and rows of both views correspond.
"""

from __future__ import annotations

import cv2
import numpy as np

from rsb_pose_ros.skeleton import BONES, JOINT_COUNT, bone_rgb, joint_rgb
from rsb_pose_ros.stereo import StereoCrop, StereoRig

TRUTH_BGR = (90, 220, 90)
FAINTEST = 0.25
"""Joints less certain than this are not drawn."""


def rectified_views(rig: StereoRig, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(2, H, W, 3) BGR rectified views of a raw pair, at full resolution."""
    views = []
    for image, camera, projection in zip((left, right), rig.cameras, rig.projections):
        tables = camera.remap_tables(projection[:, :3], camera.size)
        view = cv2.remap(image, *tables, cv2.INTER_LINEAR)
        views.append(view if view.ndim == 3 else cv2.cvtColor(view, cv2.COLOR_GRAY2BGR))
    return np.stack(views)


def draw_skeleton(
    view: np.ndarray,
    keypoints: np.ndarray,
    confidence: np.ndarray | None = None,
    colour_bgr: tuple[int, int, int] | None = None,
) -> None:
    """Draw one person into `view` (H, W, 3) in place. keypoints: (17, 2) pixels, NaN is left out; confidence: (17,).

    Colours are the skeleton's (right orange, left blue), or one colour for all.
    """
    certain = np.ones(JOINT_COUNT, bool) if confidence is None else confidence >= FAINTEST
    drawable = np.isfinite(keypoints).all(-1) & certain & (np.abs(np.nan_to_num(keypoints)) < 1e4).all(-1)
    thickness = max(1, round(view.shape[0] / 240))
    shift = 3
    fixed = np.round(np.nan_to_num(keypoints) * 2**shift).astype(int)
    for a, b in BONES:
        if drawable[a] and drawable[b]:
            colour = colour_bgr or _bgr(bone_rgb((a, b)))
            cv2.line(view, tuple(fixed[a].tolist()), tuple(fixed[b].tolist()), colour, thickness, cv2.LINE_AA, shift)
    for joint in np.flatnonzero(drawable):
        colour = colour_bgr or _bgr(joint_rgb(int(joint)))
        radius = int((thickness + 1) * 2**shift)
        cv2.circle(view, tuple(fixed[joint].tolist()), radius, colour, -1, cv2.LINE_AA, shift)


def draw_crop(view: np.ndarray, crop: StereoCrop, side: int) -> None:
    """Draw the outline of a window into the left (side 0) or right (side 1) view in place."""
    x, y = (crop.left, crop.right)[side], crop.top
    corners = [(round(x), round(y)), (round(x + crop.side), round(y + crop.side))]
    cv2.rectangle(view, corners[0], corners[1], (200, 200, 200), 1, cv2.LINE_AA)


def _bgr(rgb: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * c) for c in rgb)
    return blue, green, red
