"""Search windows cover the view; a person's window holds the person."""

import numpy as np
import pytest

from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.windows import person_window, search_windows, searched_bounds, steady
from rsb_pose_ros.stereo import StereoCrop, project
from tests.inference.blob_scene import pinhole_rig, standing_at
from tests.stereo.rigs import fisheye, verged

RANGE = (-28.0, 32.0)
SURE = np.ones(17, np.float32)
RIG = pinhole_rig()


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 600), (480, 800), (480, 480)])
def test_tiles_cover_the_middle_line_of_the_longer_side_and_overlap(size):
    windows = search_windows(pinhole_rig(size, 500.0), 256, RANGE)
    whole, tiles = windows[0], windows[1:]
    assert whole.side == max(size)
    assert 2 <= len(tiles) <= 5
    along = 0 if size[0] >= size[1] else 1
    starts = sorted((t.left, t.top)[along] for t in tiles)
    side = tiles[0].side
    assert side < whole.side
    assert starts[0] == pytest.approx(-0.5, abs=0.51)
    assert starts[-1] + side == pytest.approx(max(size) - 0.5, abs=0.51)
    assert (np.diff(starts) <= 0.61 * side).all()


@pytest.mark.parametrize(("focal", "baseline", "width"), [(500, 0.06, 640), (700, 0.12, 1280), (1000, 0.4, 1280)])
def test_people_at_all_distances_fit_some_window_s_disparities(focal, baseline, width):
    rig = pinhole_rig((width, 480), focal, baseline)
    windows = search_windows(rig, 256, RANGE)
    for depth in np.geomspace(1.0, 30, 12):
        point = np.array([[0.0, 0.0, depth]])
        seen = []
        for window in windows:
            left, right = project(point, window.projections(rig.projections))[:, 0]
            seen.append(RANGE[0] <= left[0] - right[0] <= RANGE[1] and 0 <= left[0] < 256)
        assert any(seen), f"{depth:.2f} m"


def test_a_lens_of_more_than_a_half_circle_still_has_an_area_to_search():
    rig = verged(focal=110.0, distortion=np.zeros(4), model="equidistant")
    np.testing.assert_array_equal(searched_bounds(rig), [[0, 0, 639, 479]] * 2)
    bounds = searched_bounds(fisheye())
    assert (bounds[:, 2:] <= [640 * 1.25, 480 * 1.25]).all()


def keypoints(joints: np.ndarray) -> np.ndarray:
    return project(joints.astype(np.float64), RIG.projections)


def person(joints: np.ndarray, seen: np.ndarray | None = None, confidence: np.ndarray = SURE) -> Person:
    """Somebody whose refined joints are `joints`, and whose keypoints are `seen` (2, 17, 2), or where the joints are."""
    pixels = keypoints(joints) if seen is None else seen
    return Person(0, joints, joints, confidence, np.zeros((17, 3, 3)), pixels, StereoCrop(0, 0, 0, 400, 256))


def test_the_window_of_a_person_is_that_of_the_stereo_geometry():
    joints = standing_at(0.3, 0.1, 2.5)
    crop = person_window(person(joints), RIG, 256)
    expected = StereoCrop.around(joints, RIG.projections, 256)
    assert (crop.left, crop.top, crop.side) == pytest.approx((expected.left, expected.top, expected.side), abs=0.01)
    assert crop.right == pytest.approx(expected.right, abs=1)


def test_the_window_moves_with_the_person_and_grows_with_the_margin():
    somebody = person(standing_at(0.3, 0.1, 2.5))
    still = person_window(somebody, RIG, 256)
    moved = person_window(somebody, RIG, 256, shift=np.array([[30.0, -8.0], [25.0, -8.0]]))
    assert (moved.left, moved.right, moved.top) == pytest.approx((still.left + 30, still.right + 25, still.top - 8))
    wider = person_window(somebody, RIG, 256, margin=1.2)
    assert wider.side == pytest.approx(1.2 * still.side)
    assert wider.left + wider.side / 2 == pytest.approx(still.left + still.side / 2)


def test_uncertain_joints_do_not_pull_the_window_away():
    joints = standing_at(0, 0, 2.5)
    expected = person_window(person(joints), RIG, 256)
    confidence = SURE.copy()
    confidence[9] = 0.05
    wild = keypoints(joints)
    wild[:, 9] = [[900, -300], [200, -300]]
    window = person_window(person(joints, wild, confidence), RIG, 256)
    assert window.side == pytest.approx(expected.side, rel=0.02), "it counts where the transformer expects it"
    astray = joints.copy()
    astray[9] = [4.0, -3.0, 2.5]
    window = person_window(person(astray, wild, confidence), RIG, 256)
    assert window.side <= expected.side
    assert abs(window.left - expected.left) < 0.2 * expected.side
    assert window.left - window.right == pytest.approx(expected.left - expected.right, abs=1)


def test_legs_that_nobody_sees_stay_in_the_window():
    """Else it would shrink around the upper body, and nothing could be sure of the legs ever again."""
    joints = standing_at(0, 0, 2.5)
    confidence = SURE.copy()
    legs = [0, 1, 4, 5]
    confidence[legs] = 0.1
    seen = keypoints(joints)
    seen[:, legs] = seen[:, 6:7]
    window = person_window(person(joints, seen, confidence), RIG, 256)
    assert window.side == pytest.approx(person_window(person(joints), RIG, 256).side, rel=0.02)
    assert window.top + window.side > keypoints(joints)[0, legs, 1].max()


def test_a_few_joints_close_together_still_get_a_window_for_a_body():
    unknown, pixels = np.full((17, 3), np.nan), np.full((2, 17, 2), np.nan)
    assert person_window(person(unknown, pixels), RIG, 256) is None
    pixels[:, 12:14] = keypoints(standing_at(0, 0, 2.0))[:, 12:14]
    assert person_window(person(unknown, pixels), RIG, 256).side == pytest.approx(0.8 * 520 / 2)


def test_the_window_of_somebody_very_near_does_not_grow_beyond_the_picture():
    window = person_window(person(standing_at(0, 0, 0.4)), RIG, 256)
    assert window.side == pytest.approx(1.25 * 640)
    assert window.left + window.side / 2 == pytest.approx(320, abs=5)


def test_joints_behind_infinity_place_no_window():
    behind = keypoints(standing_at(0, 0, 2.0))[::-1].copy()
    assert person_window(person(standing_at(0, 0, 2.0), behind), RIG, 256) is None


@pytest.mark.parametrize(
    ("shift", "disparity", "side", "stays"),
    [
        ((5, -5), 0, 400, True),
        ((0, 0), 8, 400, True),
        ((0, 0), 0, 415, True),
        ((15, 0), 0, 400, False),
        ((0, -15), 0, 400, False),
        ((0, 0), 20, 400, False),
        ((0, 0), 0, 430, False),
    ],
)
def test_a_window_stays_while_it_would_move_little(shift, disparity, side, stays):
    before = StereoCrop.centred(np.array([300.0, 200.0]), 400.0, 10.0, 256)
    wanted = StereoCrop.centred(np.array([300.0, 200.0]) + shift, side, 10.0 + disparity, 256)
    assert steady(before, wanted) is (before if stays else wanted)
