"""The refiner takes one pose or many, finds unknown joints, and says so where it cannot."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from rsb_pose_ros.inference import PoseRefiner
from rsb_pose_ros.skeleton import INDEX, MIRROR
from tests.inference.blob_model import write_blob_refiner
from tests.inference.blob_scene import standing_at

MODELS = Path(__file__).resolve().parents[2] / "models"
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


def test_a_model_that_cannot_complete_leaves_incomplete_poses(refiner):
    batch = np.stack([standing_at(0, 0, 3)] * 3)
    batch[1, 4, 2] = np.nan
    with pytest.warns(RuntimeWarning, match="1 of 3 poses lack joints .* needs 17 of 17"):
        refined = refiner.refine(batch)
    np.testing.assert_array_equal(refined[1], batch[1])
    np.testing.assert_allclose(refined[[0, 2]], batch[[0, 2]] + STEP)


@pytest.mark.parametrize("shape", [(17,), (16, 3), (2, 2, 17, 3), (17, 2)])
def test_other_shapes_are_refused(refiner, shape):
    with pytest.raises(ValueError, match=r"expected \(17, 3\) or \(N, 17, 3\)"):
        refiner.refine(np.zeros(shape))


@pytest.fixture(scope="module")
def shipped():
    return PoseRefiner(MODELS / "ppt.onnx", threads=1)


def test_the_shipped_model_finds_unknown_joints(shipped):
    pose = standing_at(0.2, 0.1, 3)
    batch = np.repeat(pose[None], 4, 0)
    batch[0, INDEX["r_knee"]] = batch[1, INDEX["pelvis"]] = np.nan
    batch[2, [INDEX["l_wrist"], INDEX["nose"]], 1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refined = shipped.refine(batch)
    assert np.isfinite(refined).all()
    errors = np.linalg.norm(refined - pose, axis=-1)
    assert errors[0, INDEX["r_knee"]] < 0.15 and errors[1, INDEX["pelvis"]] < 0.08
    # Where nothing is missing the answer does not depend on the other poses of the batch.
    np.testing.assert_allclose(refined[3], shipped.refine(pose), atol=1e-5)


def test_too_few_known_joints_are_left(shipped):
    batch = np.stack([standing_at(0, 0, 3)] * 2)
    batch[0, 3:] = np.nan
    with pytest.warns(RuntimeWarning, match="1 of 2 poses lack joints .* needs 4 of 17"):
        refined = shipped.refine(batch)
    np.testing.assert_array_equal(refined[0], batch[0])


def test_the_shipped_model_moves_with_the_body(shipped):
    pose, step = standing_at(0, 0, 2), np.float32([1, 0, 3])
    np.testing.assert_allclose(shipped.refine(pose + step), shipped.refine(pose) + step, atol=2e-5)


def test_mirrored_people_are_refined_alike(shipped):
    pose = standing_at(0, 0, 3)
    flipped = pose[list(MIRROR)] * [-1, 1, 1]
    back = shipped.refine(flipped)[list(MIRROR)] * [-1, 1, 1]
    assert np.linalg.norm(back - shipped.refine(pose), axis=-1).max() < 0.02


def test_millimetres_are_refused(refiner):
    pose = standing_at(0.2, 0.0, 2.5)
    with pytest.raises(ValueError, match="expected metres, at most 5: divide millimetres by 1000"):
        refiner.refine(np.stack([pose, pose]) * 1000)
    one_lost = np.stack([pose, pose, pose * 1000])
    assert refiner.refine(one_lost).shape == one_lost.shape, "a single pose that went wrong does not stop the others"
