"""Crops: what is cut, and where a crop pixel lies in the rectified view."""

import cv2
import numpy as np
import pytest

from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import StereoCrop, StereoRig, project, triangulate
from tests.inference.blob_scene import raw_pixels, standing_at
from tests.stereo.rigs import fisheye, parallel, verged

RIGS = {
    "parallel": parallel,
    "verged with barrel distortion": verged,
    "fisheye": fisheye,
    "wide baseline": lambda: verged(size=(800, 600), focal=620.0, baseline=0.5, vergence=0.15),
    "large picture": lambda: verged(size=(1920, 1080), focal=1400.0),
}


def dot(size: tuple[int, int], centre: np.ndarray, sigma: float) -> np.ndarray:
    """A picture (H, W) with one Gaussian dot at a sub-pixel place."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return (255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))).round().astype(np.uint8)


def centroid(crop: np.ndarray) -> np.ndarray:
    weight = np.clip(crop.astype(np.float64) - 8, 0, None)
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("name", RIGS)
@pytest.mark.parametrize("side_m", [0.7, 3.0])
def test_a_dot_in_the_raw_images_is_found_where_geometry_says(name: str, side_m: float):
    rig: StereoRig = RIGS[name]()
    point = np.array([[0.22, -0.17, 2.1]])
    expected = project(point, rig.projections)
    side = side_m / point[0, 2] * rig.focal_length
    disparity = float(expected[0, 0, 0] - expected[1, 0, 0])
    crop = StereoCrop.centred(expected[0, 0] + [31.3, -12.7], side, disparity - 6.4, 256)
    raw = [
        dot(camera.size, raw_pixels(camera, point - [[view * rig.baseline, 0, 0]])[0], 2.5 * max(1.0, crop.scale))
        for view, camera in enumerate(rig.cameras)
    ]
    views = rig.cut(raw[0], raw[1], crop)
    found = crop.to_rectified(np.stack([centroid(view) for view in views])[:, None])
    assert np.abs(found - expected).max() < 0.1 * max(1.0, crop.scale)


@pytest.mark.parametrize("name", RIGS)
def test_crop_cameras_see_what_the_crop_shows(name: str):
    rig: StereoRig = RIGS[name]()
    joints = standing_at(0.1, -0.1, 2.6).astype(np.float64)
    crop = StereoCrop.around(joints, rig.projections, 256)
    in_crop = project(joints, crop.projections(rig.projections))
    np.testing.assert_allclose(crop.to_rectified(in_crop), project(joints, rig.projections), atol=1e-6)
    np.testing.assert_allclose(triangulate(in_crop, crop.projections(rig.projections)), joints, atol=1e-6)


def test_a_person_fills_its_window_and_its_pelvis_has_no_disparity():
    rig = verged()
    joints = standing_at(0.3, 0.0, 2.5)
    crop = StereoCrop.around(joints, rig.projections, 256)
    in_crop = project(joints.astype(np.float64), crop.projections(rig.projections))
    assert in_crop.min() > 0
    assert in_crop.max() < 255
    assert np.ptp(in_crop[0], axis=0).max() == pytest.approx(256 / 1.3, abs=1)
    assert in_crop[0, ROOT, 0] - in_crop[1, ROOT, 0] == pytest.approx(0, abs=1e-3)


def test_unknown_joints_do_not_move_the_window():
    rig = parallel()
    joints = standing_at(0, 0, 2.0)
    inside = joints.copy()
    inside[16] = np.nan
    behind = joints.copy()
    behind[16] = (50, 50, -1)
    assert StereoCrop.around(inside, rig.projections, 256) == StereoCrop.around(behind, rig.projections, 256)
    with pytest.raises(ValueError, match="no joint lies in front"):
        StereoCrop.around(np.full((17, 3), np.nan), rig.projections, 256)


@pytest.mark.parametrize("name", RIGS)
def test_the_whole_view_holds_the_whole_raw_picture(name: str):
    rig: StereoRig = RIGS[name]()
    crop = StereoCrop.whole_view(rig.view_bounds(), rig.projections, 256)
    width, height = rig.cameras[0].size
    corners = np.array([(x, y) for x in (0, width - 1) for y in (0, height - 1)], np.float64)
    in_crop = rig.cameras[0].rays(corners) @ crop.projections(rig.projections)[0, :, :3].T
    assert in_crop[:, :2].min() > -0.51
    assert in_crop[:, :2].max() < 255.51
    white = np.full((height, width), 255, np.uint8)
    left, _ = rig.cut(white, white, crop)
    assert left[128, 128] == 255
    assert not left[0].any(), "a view wider than high leaves a bar above"


def test_disparity_of_a_whole_view_runs_from_minus_the_shift():
    rig = verged()
    crop = StereoCrop.whole_view(rig.view_bounds(), rig.projections, 256)
    far = project(np.array([[0.0, 0.0, 1e6]]), crop.projections(rig.projections))
    assert far[0, 0, 0] - far[1, 0, 0] == pytest.approx(-24, abs=0.01)


def test_colour_and_grey_are_cut_alike():
    rig = verged()
    grey = np.random.default_rng(0).integers(0, 255, (480, 640)).astype(np.uint8)
    grey = cv2.GaussianBlur(grey, (0, 0), 3)
    crop = StereoCrop.centred(np.array([300, 200]), 300, 20, 128)
    colour = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(rig.cut(colour, colour, crop)[..., 1], rig.cut(grey, grey, crop))


def test_cutting_from_a_view_with_padded_rows_needs_no_copy():
    rig = parallel()
    padded = np.random.default_rng(0).integers(0, 255, (480, 704, 3)).astype(np.uint8)
    view = padded[:, :640]
    crop = StereoCrop.centred(np.array([300, 200]), 300, 20, 128)
    np.testing.assert_array_equal(rig.cut(view, view, crop), rig.cut(view.copy(), view.copy(), crop))
