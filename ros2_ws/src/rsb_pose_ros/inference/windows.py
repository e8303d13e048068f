"""Where to look: windows that search a view, and the window that follows a person."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import CalibrationError, StereoCrop, StereoRig
from rsb_pose_ros.stereo.crop import COARSE_SHIFT

PLACING_CONFIDENCE = 0.3
"""A joint less certain than this does not place the window, while enough others do."""
PLACING_JOINTS = 5
"""So many joints place a window; with fewer trusted ones all of them are used."""
SMALLEST_WINDOW_M = 0.8
"""Side of a person's window at the person's depth, metres: a crouching adult or a small child still fits."""
LARGEST_WINDOW = 1.25
"""Side of a person's window over the longer side of the picture, at most: of somebody very near only a part is seen."""
NEAREST_M = 1.0
"""Search windows see people from here on; where one disparity offset cannot, a second one is tried."""
TILE = 0.6
"""Side of a search tile over the longer side of the view."""
TILE_STEP = 0.6
"""Tiles start at most this share of their side apart, so that neighbours overlap."""
BOUNDS_MARGIN = 0.25
"""The searched area reaches so far beyond the rectified picture, in picture sizes: lens edges are stretched there."""


def search_windows(rig: StereoRig, size: int, disparity_range: tuple[float, float]) -> list[StereoCrop]:
    """Windows to search, in the order in which they are tried.

    The whole view first; then overlapping square tiles along the view's longer side, from the middle outwards, which
    show people larger; and, if people at NEAREST_M have a greater disparity than the whole view's volume holds, the
    whole view once more with its windows shifted for them.

    size: crop pixels; disparity_range: (lowest, highest) disparity in crop pixels that the network can see.
    """
    bounds = searched_bounds(rig)
    windows = [StereoCrop.whole_view(bounds, rig.projections, size)]
    windows += _tiles(bounds[0], rig, size)
    whole = windows[0]
    nearest = rig.focal_length * rig.baseline / NEAREST_M / whole.scale
    highest = disparity_range[1]
    if nearest - COARSE_SHIFT > highest:
        windows.append(StereoCrop.whole_view(bounds, rig.projections, size, shift=nearest - highest))
    return windows


def searched_bounds(rig: StereoRig) -> np.ndarray:
    """(2, 4) x_min, y_min, x_max, y_max of the area of each rectified view that is worth searching, pixels."""
    width, height = rig.cameras[0].size
    margin_x, margin_y = BOUNDS_MARGIN * width, BOUNDS_MARGIN * height
    picture = np.array([-margin_x, -margin_y, width - 1 + margin_x, height - 1 + margin_y])
    try:
        outline = rig.view_bounds()
    except CalibrationError:  # a lens of 180° or more: its edge has no place in a plane; the picture itself has
        return np.tile([0.0, 0.0, width - 1.0, height - 1.0], (2, 1))
    clipped = np.concatenate([np.maximum(outline[:, :2], picture[:2]), np.minimum(outline[:, 2:], picture[2:])], axis=1)
    return clipped if (clipped[:, 2:] > clipped[:, :2]).all() else outline


def _tiles(bounds: np.ndarray, rig: StereoRig, size: int) -> list[StereoCrop]:
    low, high = bounds[:2], bounds[2:]
    extent = high - low + 1
    along = int(np.argmax(extent))
    side = float(min(extent.min(), TILE * extent.max()))
    room = float(extent[along]) - side
    count = int(np.ceil(room / (TILE_STEP * side))) + 1
    principal = rig.projections[0, 0, 2] - rig.projections[1, 0, 2]
    tiles = []
    for start in sorted(np.linspace(0, room, count), key=lambda s: abs(s - room / 2)):
        centre = (low + high) / 2
        centre[along] = low[along] - 0.5 + start + side / 2
        tiles.append(StereoCrop.centred(centre, side, COARSE_SHIFT * side / size + principal, size))
    return tiles


def person_window(joints: np.ndarray, confidence: np.ndarray, rig: StereoRig, size: int) -> StereoCrop | None:
    """Windows around a person, or None when no joint has a place.

    joints: (17, 3) metres, NaN where unknown; confidence: (17,). Uncertain joints do not pull the window away.
    """
    known = np.isfinite(joints).all(-1) & (np.nan_to_num(joints[:, 2], nan=-1.0) > 0.1)
    trusted = known & (confidence >= PLACING_CONFIDENCE)
    if trusted.sum() < PLACING_JOINTS:
        trusted = known
    if not trusted.any():
        return None
    placing = np.where(trusted[:, None], joints, np.nan)
    crop = StereoCrop.around(placing, rig.projections, size)
    depth = placing[ROOT, 2] if trusted[ROOT] else np.nanmedian(placing[:, 2])
    smallest = SMALLEST_WINDOW_M * rig.focal_length / float(depth)
    largest = LARGEST_WINDOW * max(rig.cameras[0].size)
    side = min(max(crop.side, smallest), largest)
    return crop if side == crop.side else _resized(crop, side)


def _resized(crop: StereoCrop, side: float) -> StereoCrop:
    """The same centres with another side."""
    half = (side - crop.side) / 2
    return StereoCrop(crop.left - half, crop.right - half, crop.top - half, side, crop.size)
