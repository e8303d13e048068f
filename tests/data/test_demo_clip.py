"""The committed demo recording: complete, rectifiable, and its true joints lie on the person it shows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from rsb_pose_ros.data.synthetic.choreography import _slerp
from rsb_pose_ros.data.synthetic.demo_clip import LENSES, SIZE, calibrate
from rsb_pose_ros.data.synthetic.lenses import BentView
from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import project
from tests.data.conftest import ROOT as REPOSITORY

BAG = REPOSITORY / "tests/fixtures/demo_bag"


def test_bending_agrees_with_the_lens_model():
    """A point drawn in the pinhole picture appears where cv2.projectPoints says."""
    lens = LENSES[0]
    point = np.array([[0.7, -0.45, 2.0]])

    def dot(camera: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        centre = camera[:2] * point[0, :2] / point[0, 2] + camera[2:]
        columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        spot = np.exp(-((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / 8)
        return np.repeat(spot[..., None], 3, 2).astype(np.float32)

    picture = BentView(lens).bend(dot)[..., 0].astype(np.float64)
    assert picture.shape == (SIZE[1], SIZE[0])
    rows, columns = np.indices(picture.shape)
    found = np.array([(picture * columns).sum(), (picture * rows).sum()]) / picture.sum()
    expected = cv2.projectPoints(point, np.zeros(3), np.zeros(3), lens.matrix, lens.distortion)[0].ravel()
    assert found == pytest.approx(expected, abs=0.05)


def test_ros2_bag_of_humble_can_read_the_recording():
    metadata = yaml.safe_load((BAG / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["version"] <= 8
    topics = [entry["topic_metadata"] for entry in metadata["topics_with_message_count"]]
    assert len(topics) == 5
    assert all(isinstance(topic["offered_qos_profiles"], str) for topic in topics)


def test_calibration_is_a_rectified_pair():
    P = calibrate().projections
    assert P[1, 0, 3] / P[1, 0, 0] == pytest.approx(-0.12, abs=1e-3)
    assert P[0, 1, 2] == P[1, 1, 2] and P[0, 0, 0] == P[1, 0, 0]


def test_slerp_ends_and_middle():
    a, b = np.array([[[1.0, 0, 0, 0]]]), np.array([[[0.0, 0, 0, 1.0]]])
    assert np.abs(_slerp(a, b, np.array([0.5]))[0, 0]) == pytest.approx([np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    assert np.abs((_slerp(a, b, np.array([1.0])) * b).sum()) == pytest.approx(1)


def test_recording_shows_the_person_where_the_truth_says():
    bags = pytest.importorskip("rsb_pose_ros.bags")
    with bags.StereoBag(BAG) as bag:
        rig = bag.rig()
        assert bag.pair_count >= 150  # ten seconds
        checked, hidden, distances = 0, 0, []
        for pair in bag.pairs(8):
            assert 0 <= pair.skew_s < 2e-3
            left, right = (_rectified(rig, side, image) for side, image in enumerate((pair.left, pair.right)))
            found = cv2.StereoSGBM_create(0, 64, 5, P1=200, P2=800).compute(left, right) / 16.0
            x, y = project(pair.truth[ROOT, None].astype(float), rig.projections)[0, 0].round().astype(int)
            patch = found[y - 4 : y + 5, x - 4 : x + 5]
            depth = rig.focal_length * rig.baseline / np.median(patch[patch > 0])
            # Skin and shirt lie in front of the pelvis; the pillar, which hides it once, farther still.
            distances.append(pair.truth[ROOT, 2])
            hidden += pair.truth[ROOT, 2] - depth > 0.4
            if pair.truth[ROOT, 2] - depth < 0.4:
                checked += 1
                assert pair.truth[ROOT, 2] - depth > -0.1
    assert checked >= 6
    assert min(distances) > 1.5 and max(distances) < 4.0
    assert 1 <= hidden <= 4


def _rectified(rig, side: int, image: np.ndarray) -> np.ndarray:
    camera = rig.cameras[side]
    maps = cv2.initUndistortRectifyMap(
        camera.matrix, camera.distortion, camera.rectification, rig.projections[side], camera.size, cv2.CV_32FC1
    )
    return cv2.cvtColor(cv2.remap(image, *maps, cv2.INTER_LINEAR), cv2.COLOR_BGR2GRAY)
