"""Rigs, places and windows: what is drawn stays within the configuration and the network's range."""

from __future__ import annotations

import numpy as np
import pytest

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.composition import (
    View,
    outlines,
    person_windows,
    plausible,
    sample_place,
    sample_rig,
    search_windows,
    turn,
)
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.skeleton import JOINT_COUNT, ROOT
from rsb_pose_ros.stereo import StereoCrop, project

CONFIG = SyntheticConfig()


def standing(root: np.ndarray) -> np.ndarray:
    """17 joints within a person's size around a pelvis."""
    offsets = np.random.default_rng(3).uniform([-0.3, -0.8, -0.2], [0.3, 0.9, 0.2], (JOINT_COUNT, 3))
    offsets[ROOT] = 0
    return root + offsets


def draws(count: int = 200):
    for seed in range(count):
        generator = np.random.default_rng(seed)
        view = sample_rig(generator, CONFIG)
        place = sample_place(generator, CONFIG, view)
        yield generator, view, standing(place @ view.rotation.T)


def test_rigs_are_rectified_pairs_within_the_ranges():
    for _, view, joints in draws():
        P = view.projections
        assert P[0, 0, 0] == P[0, 1, 1] == P[1, 0, 0] == P[1, 1, 1] and P[0, 1, 2] == P[1, 1, 2]
        assert 0.05 <= -P[1, 0, 3] / P[1, 0, 0] <= 0.35
        assert CONFIG.distance_wide[0] <= joints[ROOT, 2] <= CONFIG.distance_wide[1]
        assert np.allclose(view.rotation @ view.rotation.T, np.eye(3)) and np.linalg.det(view.rotation) > 0


def test_disparities_of_person_windows_fit_the_volume():
    low, high = -28, 32
    inside = []
    for generator, view, joints in draws():
        cameras = person_windows(generator, CONFIG, view, joints).projections(view.projections)
        pixels = project(joints, cameras)
        disparity = pixels[0, :, 0] - pixels[1, :, 0]
        inside.append((disparity > low) & (disparity < high))
        assert pixels[0, :, 1] == pytest.approx(pixels[1, :, 1])
    assert np.mean(inside) > 0.97


def test_disparities_of_search_windows_fit_the_volume():
    for generator, view, joints in draws():
        cameras = search_windows(generator, CONFIG, view, joints).projections(view.projections)
        pixels = project(joints[ROOT, None], cameras)
        assert -28 < pixels[0, 0, 0] - pixels[1, 0, 0] < 32


def test_outlines_are_the_edges_of_the_raw_picture():
    view = sample_rig(np.random.default_rng(0), CONFIG)
    width, height = view.size
    crop = StereoCrop(left=-20.0, right=-50.0, top=-10.0, side=2.0 * 256, size=256)
    x0, y0, x1, y1 = outlines(crop, view)[0]
    # Half a pixel before the first centre: 20 raw pixels, 10 crop pixels from the crop's own edge at −0.5.
    assert (x0, y0) == (9.5, 4.5)
    assert (x1 - x0, y1 - y0) == (width / 2, height / 2)
    assert outlines(crop, view)[1, 0] == 24.5


def test_implausible_places_are_refused():
    view = View(sample_rig(np.random.default_rng(0), CONFIG).projections, np.eye(3), (640, 480))
    seen = standing(np.array([0, 0, 3.0]))
    assert plausible(SyntheticConfig(), view, seen, floor=1.2)
    assert not plausible(SyntheticConfig(), view, seen, floor=-0.5)  # the camera under the floor
    assert not plausible(SyntheticConfig(), view, seen - np.array([0, 0, 2.8]), floor=1.2)  # a joint at the lens
    assert not plausible(SyntheticConfig(), view, seen + np.array([9, 0, 0]), floor=1.2)  # out of the picture


def test_turn_is_right_handed():
    assert turn(np.pi / 2, 2) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert turn(np.pi / 2, 0) @ [0, 1, 0] == pytest.approx([0, 0, 1])
    assert turn(np.pi / 2, 1) @ [0, 0, 1] == pytest.approx([1, 0, 0])


def test_unknown_keys_of_the_configuration_are_named(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("size: 256\nbaseline_m: [0.1, 0.2]\n")
    with pytest.raises(ValueError, match=r"s\.yaml: unknown key baseline_m; known are .*baseline_wide"):
        SyntheticConfig.from_yaml(path)
    path.write_text("baseline: [0.1, 0.2]\n")
    assert SyntheticConfig.from_yaml(path).baseline == (0.1, 0.2)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("size: -3", "size: -3; expected a whole number from 32 to 2048"),
        ("size: abc", "size: 'abc'; expected a whole number"),
        ("baseline: [0.3, 0.1]", r"baseline: \(0.3, 0.1\); expected two numbers from 0.001 to 10, the lower first"),
        ("baseline: 0.2", "baseline: 0.2; expected two numbers"),
        ("baseline: [0.1, .nan]", "baseline: .* expected two numbers"),
        ("field_of_view: [0, 200]", "field_of_view: .* expected two numbers from 10 to 150"),
        ("distance: [a, b]", "distance: .* expected two numbers"),
        ("lights: [1.5, 2]", "lights: .* expected two whole numbers from 0 to 16"),
        (
            "coarse_share: 0.95",
            r"empty_share and coarse_share: 0.08 \+ 0.95; expected shares that are 1 together at most",
        ),
        ("hat_share: 1.2", "hat_share: 1.2; expected a number from 0 to 1"),
        ("place_std: [0.2]", "place_std: .* expected two numbers from 0 on"),
        ("widths: []", r"widths: \(\); expected a list of whole numbers"),
        ("- size", "holds a list; expected keys and values"),
        ("size: [", "is not YAML"),
    ],
)
def test_values_that_make_no_sense_are_refused(tmp_path, line, sentence):
    path = tmp_path / "s.yaml"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=rf"s\.yaml: {sentence}"):
        SyntheticConfig.from_yaml(path)


def test_another_file_is_no_pack_of_bodies(tmp_path):
    path = tmp_path / "bodies.npz"
    for content in (b"", b"no archive", b"PK\x03\x04 cut short"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bodies\.npz: holds no bodies; make it once"):
            BodyPack.load(path)
