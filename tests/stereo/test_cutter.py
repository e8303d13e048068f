"""Windows cut with kept tables and memory are those that are cut anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsb_pose_ros.stereo import StereoCrop, WindowCutter
from rsb_pose_ros.stereo.cutter import KEPT_WINDOWS
from tests.stereo.rigs import fisheye, parallel, verged

RIG = verged(size=(320, 240), focal=300.0)
LEFT, RIGHT = np.random.default_rng(0).integers(0, 255, (2, 240, 320, 3)).astype(np.uint8)


def crops_of(cutter: WindowCutter, crop: StereoCrop, left=LEFT, right=RIGHT) -> np.ndarray:
    out = np.full((2, crop.size, crop.size, 3), 77, np.uint8)
    cutter.cut(left, right, crop, out)
    return out


@pytest.mark.parametrize("make", [parallel, verged, fisheye])
@pytest.mark.parametrize("side", [90.0, 320.0, 700.0])
def test_kept_tables_cut_what_new_ones_cut(make, side):
    rig = make()
    cutter = WindowCutter(rig)
    width, height = rig.cameras[0].size
    left, right = np.random.default_rng(1).integers(0, 255, (2, height, width, 3)).astype(np.uint8)
    crop = StereoCrop.centred(np.array([200.0, 260.0]), side, 12.0, 64)
    for _ in range(2):
        np.testing.assert_array_equal(crops_of(cutter, crop, left, right), rig.cut(left, right, crop))
    np.testing.assert_array_equal(cutter.projections(crop), crop.projections(rig.projections))


@settings(max_examples=40, deadline=None)
@given(st.floats(-900, 1200), st.floats(-700, 900), st.floats(150, 2500), st.sampled_from([64, 33]))
def test_averaging_only_what_a_window_shows_gives_what_averaging_everything_gives(x, y, side, size):
    """Against the plain way: the whole raw image is averaged, then sampled."""
    import cv2

    crop = StereoCrop.centred(np.array([x, y]), side, 8.0, size)
    found = crops_of(WindowCutter(RIG), crop)
    for image, camera, projection, view in zip((LEFT, RIGHT), RIG.cameras, crop.projections(RIG.projections), found):
        factor = int(crop.scale * camera.matrix[0, 0] / RIG.focal_length)
        if factor >= 2:
            camera = camera.downscaled(factor)
            area = image[: camera.size[1] * factor, : camera.size[0] * factor]
            image = cv2.resize(area, camera.size, interpolation=cv2.INTER_AREA)
        tables = camera.remap_tables(projection[:, :3], (size, size))
        expected = cv2.remap(image, *tables, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        np.testing.assert_array_equal(view, expected)


def test_grey_pictures_become_colour():
    crop = StereoCrop.centred(np.array([150.0, 120.0]), 200, 10, 64)
    found = crops_of(WindowCutter(RIG), crop, LEFT[..., 0].copy(), RIGHT[..., 0].copy())
    expected = RIG.cut(LEFT[..., 0].copy(), RIGHT[..., 0].copy(), crop)
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, axis=-1))


def test_many_windows_do_not_fill_the_memory():
    cutter = WindowCutter(RIG)
    crops = [StereoCrop.centred(np.array([x, 100.0]), 100, 5, 32) for x in range(3 * KEPT_WINDOWS)]
    first = crops_of(cutter, crops[0])
    for crop in crops:
        crops_of(cutter, crop)
    assert len(cutter._kept) == KEPT_WINDOWS
    np.testing.assert_array_equal(crops_of(cutter, crops[0]), first)
