"""Where to look: windows that search a view, and the window that follows a person."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.inference.medians import median
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT
from rsb_pose_ros.stereo import CalibrationError, StereoCrop, StereoRig, project
from rsb_pose_ros.stereo.crop import COARSE_SHIFT, PERSON_MARGIN

_TRUNK = np.zeros(JOINT_COUNT, bool)
_TRUNK[[INDEX[n] for n in ("pelvis", "r_hip", "l_hip", "thorax", "neck", "r_shoulder", "l_shoulder")]] = True

PLACING_CONFIDENCE = 0.3
"""A joint less certain than this does not place the window, while enough others do."""
PLACING_JOINTS = 5
"""So many joints place a window; with fewer trusted ones all of them are used."""
REACH_M = 1.3
"""A joint that is only expected, farther across the line of sight from the body's middle, does not place the window."""
BODY_MARGIN = 0.02
"""What is covered of somebody reaches so far beyond the joints, in shares of their extent: less than flesh and clothes do,
as whoever stands beside them must not be covered, too."""
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

STEADY_SHIFT = 0.03
"""A window that would move by less than this share of its side, in either view, stays: its tables need not be made again,
and a still person is sampled alike in every pair. Training knows windows that are off by three times as much."""
STEADY_SCALE = 0.05
"""The same for its side, which may differ by this share."""


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


def person_window(
    person: Person, rig: StereoRig, size: int, *, shift: np.ndarray | None = None, margin: float = 1.0
) -> StereoCrop | None:
    """Windows around a person, or None when no joint has a place.

    shift: (2, 2) pixels by which the person has moved in both views since it was seen; margin: on the usual side.
    Joints that the network is sure of place the window by their measured keypoints, and the trunk's give its disparity. The
    others count where the pose transformer expects them: a window around the sure ones alone would cut off what is hidden
    now, and nothing could be sure of it ever again.
    """
    shift = np.zeros((2, 2)) if shift is None else shift
    keypoints = person.keypoints + shift[:, None]
    principal = rig.projections[0, 0, 2] - rig.projections[1, 0, 2]
    disparity = keypoints[0, :, 0] - keypoints[1, :, 0]
    with np.errstate(invalid="ignore"):
        known = np.isfinite(keypoints).all((0, 2)) & (disparity - principal > 0)
    trusted = _trusted(known, person.confidence)
    if not trusted.any():
        return None
    trunk = trusted & _TRUNK
    offset = float(median(disparity[trunk if trunk.any() else trusted]))
    outline = _outline(person, rig, known, trusted)
    low, high = outline.min(0) + shift[0], outline.max(0) + shift[0]
    smallest = SMALLEST_WINDOW_M / rig.baseline * (offset - principal)
    largest = LARGEST_WINDOW * max(rig.cameras[0].size)
    side = min(max(margin * PERSON_MARGIN * float((high - low).max()), smallest), largest)
    return StereoCrop.centred((low + high) / 2, side, offset, size)


def _outline(person: Person, rig: StereoRig, known: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of the left view that a window should hold: sure joints where they were seen, others as expected."""
    sure = known & (person.confidence >= PLACING_CONFIDENCE)
    expected = person.valid & ~sure
    if not expected.any():
        return person.keypoints[0, trusted]
    pixels = project(person.joints[expected].astype(np.float64), rig.projections[:1])[0]
    middle = median(np.concatenate([person.keypoints[0, sure], pixels]))
    depth = float(median(person.joints[person.valid, 2]))
    reach = REACH_M * rig.focal_length / depth
    near = np.hypot(*(pixels - middle).T) <= reach
    outline = np.concatenate([person.keypoints[0, sure], pixels[near]])
    return outline if len(outline) else person.keypoints[0, trusted]


def _trusted(known: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    trusted = known & (confidence >= PLACING_CONFIDENCE)
    return trusted if trusted.sum() >= PLACING_JOINTS else known


def person_boxes(keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(2, 4) x_min, y_min, x_max, y_max around a person in both views, rectified pixels; NaN where no joint has a place.

    keypoints: (2, 17, 2) rectified pixels; confidence: (17,). The boxes reach BODY_MARGIN beyond the joints.
    """
    trusted = _trusted(np.isfinite(keypoints).all((0, 2)), confidence)
    if not trusted.any():
        return np.full((2, 4), np.nan)
    low, high = keypoints[:, trusted].min(1), keypoints[:, trusted].max(1)
    margin = BODY_MARGIN * (high - low).max()
    return np.concatenate([low - margin, high + margin], axis=1)


def steady(previous: StereoCrop, wanted: StereoCrop) -> StereoCrop:
    """The previous windows while they are nearly those that are wanted, else these."""
    side = previous.side
    centre = (wanted.side - side) / 2
    moved = (
        wanted.left - previous.left + centre,
        wanted.right - previous.right + centre,
        wanted.top - previous.top + centre,
    )
    same_size = previous.size == wanted.size and abs(wanted.side - side) <= STEADY_SCALE * side
    return previous if same_size and max(map(abs, moved)) <= STEADY_SHIFT * side else wanted
