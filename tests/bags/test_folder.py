"""Stereo stills in a folder."""

import cv2
import numpy as np
import pytest

from rsb_pose_ros.bags import BagError
from rsb_pose_ros.bags.folder import StereoFolder
from tests.quantization.conftest import RIG
from tests.quantization.test_quantize_tool import still_folder


def test_pairs_come_in_the_order_of_their_names(tmp_path):
    with StereoFolder(still_folder(tmp_path)) as folder:
        assert folder.pair_count == 3
        np.testing.assert_allclose(folder.rig().projections, RIG.projections)
        pairs = list(folder.pairs())
        assert [p.stamp_ns for p in pairs] == [0, 33_333_333, 66_666_666]
        np.testing.assert_array_equal(pairs[1].left, cv2.imread(str(tmp_path / "left/0001.png")))
        assert [p.stamp_ns for p in folder.pairs(limit=2)] == [0, 66_666_666]


def spoil(path, what):
    if what == "calibration":
        (path / "calibration.yaml").unlink()
    elif what == "partner":
        (path / "right/0001.png").unlink()
    elif what == "side":
        (path / "right").rename(path / "rechts")
    elif what == "pictures":
        for file in path.glob("*/*.png"):
            file.unlink()
    else:
        (path / "left/0000.png").write_bytes(b"nonsense")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("calibration", "has no calibration.yaml"),
        ("partner", "0001 lie on one side only"),
        ("side", "has no right/"),
        ("pictures", "hold no pictures"),
        ("data", r"0000\.png: cannot be decoded"),
    ],
)
def test_a_folder_that_is_no_stereo_folder_is_refused(tmp_path, what, sentence):
    spoil(still_folder(tmp_path), what)
    with pytest.raises(BagError, match=sentence):
        list(StereoFolder(tmp_path).pairs())
