"""The refiner takes one pose or many, and leaves incomplete ones alone."""

import numpy as np
import pytest

from rsb_pose_ros.inference import PoseRefiner
from tests.inference.blob_model import write_blob_refiner
from tests.inference.blob_scene import standing_at

STEP = np.array([0.01, 0, 0], np.float32)


@pytest.fixture(scope="module")
def refiner(tmp_path_factory):
    return PoseRefiner(write_blob_refiner(tmp_path_factory.mktemp("model")), threads=1)


def test_one_pose_and_a_batch(refiner):
    pose = standing_at(0, 0, 3)
    np.testing.assert_allclose(refiner.refine(pose), pose + STEP)
    batch = np.stack([pose, pose * 2, pose * 3])
    refined = refiner.refine(batch.astype(np.float64))
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined, batch + STEP)
    assert refiner.refine(np.zeros((0, 17, 3))).shape == (0, 17, 3)


def test_incomplete_poses_come_back_as_they_are_and_are_counted(refiner):
    batch = np.stack([standing_at(0, 0, 3)] * 3)
    batch[1, 4, 2] = np.nan
    with pytest.warns(RuntimeWarning, match="1 of 3 poses lack joints"):
        refined = refiner.refine(batch)
    np.testing.assert_array_equal(refined[1], batch[1])
    np.testing.assert_allclose(refined[[0, 2]], batch[[0, 2]] + STEP)


@pytest.mark.parametrize("shape", [(17,), (16, 3), (2, 2, 17, 3), (17, 2)])
def test_other_shapes_are_refused(refiner, shape):
    with pytest.raises(ValueError, match=r"expected \(17, 3\) or \(N, 17, 3\)"):
        refiner.refine(np.zeros(shape))
