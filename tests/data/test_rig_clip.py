"""Clips for a given rig: what is written is what that rig would have recorded."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from rsb_pose_ros.data.synthetic.lenses import BentView, Lens
from rsb_pose_ros.data.synthetic.rig_clip import RigClip, plain_rig, with_baseline
from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import StereoRig, project
from tests.data.conftest import BODIES
from tests.data.conftest import ROOT as REPOSITORY

RIG = StereoRig.from_calibration(
    np.array([[300.0, 0, 161], [0, 301, 118], [0, 0, 1]]),
    np.array([-0.1, 0.05, 0.0004, -0.0002, -0.01]),
    np.array([[302.0, 0, 157], [0, 302, 121], [0, 0, 1]]),
    np.array([-0.11, 0.05, -0.0003, 0.0002, -0.01]),
    cv2.Rodrigues(np.array([0.005, 0.011, -0.004]))[0],
    np.array([-0.09, 0.0004, 0.001]),
    (320, 240),
)


@pytest.fixture(scope="module")
def clip(shared, pack) -> RigClip:
    return RigClip(RIG, shared, BODIES, seconds=1.5, rate=2, seed=2)


def test_a_clip_has_its_length_and_stays_at_its_distance(clip):
    assert len(clip) == 3
    assert (np.abs(clip.places[:, 2] - 2.8) < 1.5).all()


def test_the_truth_lies_on_the_person(clip, shared):
    """Disparities found by block matching on the rectified pictures are those of the labels."""
    frame = next(iter(clip))
    assert [image.shape for image in frame.images] == [(240, 320, 3)] * 2
    views = []
    for side, camera in enumerate(RIG.cameras):
        tables = camera.remap_tables(RIG.projections[side, :, :3], camera.size)
        views.append(cv2.cvtColor(cv2.remap(frame.images[side], *tables, cv2.INTER_LINEAR), cv2.COLOR_BGR2GRAY))
    offset = RIG.projections[0, 0, 2] - RIG.projections[1, 0, 2]
    first = int(np.floor(offset)) - 2
    found = cv2.StereoSGBM_create(first, 32, 5, P1=100, P2=400).compute(*views) / 16.0
    points = project(frame.joints.astype(float), RIG.projections)[0].round().astype(int)
    gaps = []
    for (x, y), depth in zip(points, frame.joints[:, 2]):
        if 4 <= x < 316 and 4 <= y < 236:
            patch = found[y - 2 : y + 3, x - 2 : x + 3]
            patch = patch[patch > first]
            if len(patch) > 10:
                gaps.append(depth - RIG.focal_length * RIG.baseline / (np.median(patch) - offset))
    # Joints lie under the surface; at this baseline a pixel is worth 30 cm at 2.8 m.
    assert len(gaps) > 8 and -0.15 < np.median(gaps) < 0.3


def test_the_same_seed_is_the_same_clip(clip, shared, pack):
    again = RigClip(RIG, shared, BODIES, seconds=1.5, rate=2, seed=2)
    first, second = next(iter(clip)), next(iter(again))
    assert np.array_equal(first.images[1], second.images[1]) and np.array_equal(first.joints, second.joints)
    other = RigClip(RIG, shared, BODIES, seconds=1.5, rate=2, seed=3)
    assert not np.array_equal(other.places, again.places)


def test_baselines_can_be_changed():
    assert with_baseline(RIG, 0.2).baseline == pytest.approx(0.2)
    assert plain_rig(0.1).baseline == pytest.approx(0.1)


def test_lenses_that_no_pinhole_can_replace_are_refused():
    with pytest.raises(ValueError, match="look more than 79° aside; expected less than 40%"):
        BentView(Lens(np.array([[9.0, 0, 160], [0, 9, 120], [0, 0, 1]]), np.zeros(5), (320, 240)))


def test_corners_beyond_a_fisheye_s_image_circle_stay_dark():
    """848 × 800 pixels and 163° across, as tracking cameras have."""
    lens = Lens(np.array([[285.0, 0, 424], [0, 285, 400], [0, 0, 1]]), np.zeros(4), (848, 800), "equidistant")
    raw = BentView(lens).bend(lambda camera, size: np.full((*size[::-1], 3), 200, np.float32))
    assert (
        raw[0, 0].max() == 0 and raw[400, 424].min() == pytest.approx(200) and raw[400, 60].min() == pytest.approx(200)
    )
    assert (raw[..., 0] == 0).mean() < 0.3


def test_the_tool_writes_a_recording_that_can_be_read(tmp_path, shared, pack):
    bags = pytest.importorskip("rsb_pose_ros.bags")
    output = tmp_path / "bag"
    command = [sys.executable, str(REPOSITORY / "tools/synthesize.py"), "bag", "--shared", str(shared)]
    command += ["--baseline", "0.15", "--seconds", "0.4", "--rate", "5", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with bags.StereoBag(output) as bag:
        rig, pairs = bag.rig(), list(bag.pairs())
    assert rig.baseline == pytest.approx(0.15) and len(pairs) == 2
    assert np.isfinite(pairs[0].truth).all() and pairs[0].truth[ROOT, 2] > 1
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2 and "exists already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bag", "--baseline", "0"], "--baseline 0; expected a number above 0"),
        (["bag", "--seconds", "nan"], "--seconds nan; expected"),
        (["sequence", "--seconds", "0.01"], "--seconds 0.01 --rate 15; expected at least one pair"),
        (["bag", "--quality", "101"], "--quality 101; expected 1 to 100"),
        (["bag", "--distance", "200"], "--distance 200; expected 0.8 to 20 m"),
        (["bag", "--baseline", "9"], "--baseline 9; expected at most 2 m"),
        (["sequence", "--rig-right", "right.yaml"], "--rig-right right.yaml without --rig"),
        (["bag", "--split", "train"], "unrecognized arguments: --split"),
        (["bake", "--count", "5"], "--count 5; expected 8 bodies or more"),
        (["preview", "--count", "0"], "--count 0; expected a number above 0"),
        (["preview", "--first", "-1"], "--first -1; expected 0 or more"),
        (["preview"], "expected a name that ends in .png or .jpg"),
    ],
)
def test_the_tool_refuses_numbers_that_make_no_sense(tmp_path, arguments, sentence):
    command = [sys.executable, str(REPOSITORY / "tools/synthesize.py"), *arguments, "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
