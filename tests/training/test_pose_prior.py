"""Pre-training of the pose transformer: bodies stay bodies, noise is a stereo rig's, the loop learns and resumes."""

import json
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.inference.blob_scene import standing_at

from rsb_pose_ros.data.recorded_poses import RecordedPoses
from rsb_pose_ros.evaluation.metrics import bone_lengths, symmetry_errors
from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.skeleton import INDEX, MIRROR, ROOT
from rsb_pose_ros.training import checkpoint, pose_augmentation, stereo_noise
from rsb_pose_ros.training.pose_prior import Plan, PosePriorTrainer, few_masked, pose_error, random_mask
from rsb_pose_ros.training.pose_validation import measure
from rsb_pose_ros.training.recorded_errors import RecordedErrors

SMALL = TransformerConfig(depth=2, width=32, heads=4, refine="all")


def poses(count: int = 256, seed: int = 0) -> torch.Tensor:
    """A standing body, symmetric, pelvis at the origin, limbs bent at random."""
    body = torch.from_numpy(standing_at(0, 0, 0)).float()
    body = (body + body[list(MIRROR)] * torch.tensor([-1.0, 1.0, 1.0])) / 2
    body = body - body[ROOT]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return pose_augmentation.bend_limbs(body.repeat(count, 1, 1))


def test_it_learns_and_resumes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = Plan(steps=8, batch=32, warmup=2, pretraining=0.5, save_every=2, validate_every=4, picture_every=8)
    first = PosePriorTrainer(SMALL, plan, tmp_path, held_out=poses(50, seed=1))
    first.run(poses())
    assert (tmp_path / "best.pt").exists() and list((tmp_path / "tensorboard").glob("events.*"))
    picture = cv2.imread(str(tmp_path / "pictures" / "0000008.jpg"))
    assert picture.shape == (512, 1024, 3) and picture.max() > 200
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 8 and last["val_refined_abs_mm"] > 0
    resumed = PosePriorTrainer(SMALL, replace(plan, steps=10_000, rate=3e-3), tmp_path)
    assert resumed.resume() and resumed.step == 8 and resumed.best == first.best
    for a, b in zip(first.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    errors = [resumed.train_step(poses(64))["masked_mm"] for _ in range(200)]
    # Four at a time: the share of masked joints goes round in fours.
    assert np.mean(errors[-4:]) < 0.75 * np.mean(errors[:4])


def test_a_killed_run_goes_on_and_checkpoints_say_how_it_was_started(tmp_path: Path) -> None:
    plan = Plan(steps=8, batch=32, warmup=2, save_every=4)
    trainer = PosePriorTrainer(SMALL, plan, tmp_path)
    trainer.begun({"arguments": {"stage": "ppt"}})
    few = islice(trainer._batches(poses()), 6)
    with pytest.raises(StopIteration):  # as when the power goes
        trainer.run_batches(few)
    resumed = PosePriorTrainer(SMALL, plan, tmp_path)
    assert resumed.resume() and resumed.step == 4 and resumed.seen == 128
    resumed.begun({"arguments": {"stage": "ppt", "again": "yes"}})
    resumed.run(poses())
    content = checkpoint.load(tmp_path / "last.pt")
    assert content["step"] == 8 and content["config"]["depth"] == 2 and content["plan"]["batch"] == 32
    assert [(o["step"], len(o["arguments"])) for o in content["origin"]] == [(0, 1), (4, 2)]
    assert all(o["code_version"] for o in content["origin"])


def train_in_parallel(rank: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29534"}
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    trainer = PosePriorTrainer(SMALL, Plan(steps=3, batch=16), Path(folder))
    trainer.share_start()
    torch.manual_seed(rank)
    trainer.run(poses())
    torch.save(trainer.model.state_dict(), f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_take_the_same_steps(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(train_in_parallel, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert checkpoint.load(tmp_path / "last.pt")["seen"] == 3 * 16 * 2


def test_denoising_learns_a_batch_by_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    batch = stereo_noise.observe(poses(32), clean=0.0)
    monkeypatch.setattr(stereo_noise, "observe", lambda poses: batch)
    trainer = PosePriorTrainer(SMALL, Plan(steps=10_000, rate=5e-3, warmup=2, pretraining=0.0), tmp_path)
    terms = [trainer.train_step(poses(32)) for _ in range(200)]
    gain = [1 - t["denoised_mm"] / t["noisy_mm"] for t in terms]
    assert np.mean(gain[-10:]) > 0.2 > np.mean(gain[:3])


@pytest.mark.parametrize("vary", [pose_augmentation.vary_bones, pose_augmentation.redefine_joints])
def test_varied_bodies_stay_symmetric(vary) -> None:
    torch.manual_seed(0)
    body = poses(1).repeat(300, 1, 1)
    varied = vary(body)
    assert bone_lengths(varied.numpy()).std(0).max() > 0.003
    limbs = symmetry_errors(varied.numpy()) - symmetry_errors(body.numpy())
    # Hips and shoulders move as one; the limbs' own joints only by their few millimetres.
    assert np.abs(limbs).mean() < 0.012


def test_bent_limbs_keep_their_bones() -> None:
    torch.manual_seed(0)
    body = poses(50)
    bent = pose_augmentation.bend_limbs(body)
    np.testing.assert_allclose(bone_lengths(bent.numpy()), bone_lengths(body.numpy()), atol=1e-5)
    assert (bent - body).norm(dim=-1)[:, INDEX["r_wrist"]].mean() > 0.02


def test_augmented_poses_keep_the_pelvis_at_the_origin_and_their_size() -> None:
    torch.manual_seed(0)
    body = poses(512)
    augmented = pose_augmentation.augment(body)
    assert augmented[:, ROOT].abs().max() == 0
    assert 0.9 < augmented.norm(dim=-1).mean() / body.norm(dim=-1).mean() < 1.1


def test_rotations_are_rotations() -> None:
    for matrices in (
        pose_augmentation.rotation(torch.randn(5), 1),
        pose_augmentation.small_rotation(torch.randn(5, 3)),
    ):
        torch.testing.assert_close(matrices @ matrices.transpose(1, 2), torch.eye(3).repeat(5, 1, 1))
        torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(5))


def test_depth_noise_grows_with_distance_over_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    def depth_spread(distance: float, baseline: float) -> float:
        monkeypatch.setattr(stereo_noise, "DISTANCE", (distance, distance))
        monkeypatch.setattr(stereo_noise, "BASELINE", (baseline, baseline))
        torch.manual_seed(0)
        seen = stereo_noise.observe(poses(2000), clean=0.0)
        return float((seen.noisy - seen.truth)[..., 2].abs().median())

    # Sideways noise is that of a crop, so that of the disparity grows with Z and that of depth with Z · Z/B.
    near, far, wide = depth_spread(2.0, 0.2), depth_spread(4.0, 0.2), depth_spread(2.0, 0.4)
    assert far / near == pytest.approx(2, rel=0.15) and near / wide == pytest.approx(2, rel=0.15)


def test_stated_sigma_is_honest_for_most_joints_and_clean_poses_are_clean() -> None:
    torch.manual_seed(0)
    seen = stereo_noise.observe(poses(4000), clean=0.5)
    error = (seen.noisy - seen.truth).abs()
    clean = error.amax((1, 2)) == 0
    assert 0.45 < clean.float().mean() < 0.55
    assert seen.sigma[clean].max() <= 0.001 < seen.sigma[~clean].median()
    within = (error < seen.sigma)[~clean].float().mean()
    assert 0.55 < within < 0.75


def test_correlated_errors_have_unit_variance_and_follow_the_limbs() -> None:
    torch.manual_seed(0)
    error = stereo_noise.correlated(poses(1).repeat(20_000, 1, 1))
    torch.testing.assert_close(error.var(0), torch.ones(17, 3), atol=0.05, rtol=0)
    near = (error[:, INDEX["r_wrist"]] * error[:, INDEX["r_elbow"]]).mean()
    far = (error[:, INDEX["r_wrist"]] * error[:, INDEX["l_ankle"]]).mean()
    assert near > 0.2 > 0.1 > far


def test_masks_hide_as_many_as_they_should() -> None:
    torch.manual_seed(0)
    assert random_mask(500, 0.1, torch.device("cpu")).any(1).all()
    count = few_masked(4000, 0.25, torch.device("cpu")).sum(1)
    assert count.max() == 5 and 0.2 < (count > 0).float().mean() < 0.3


def test_a_displacement_of_the_whole_body_does_not_outweigh_the_rest() -> None:
    truth = poses(8)
    moved = truth + torch.tensor([0.0, 0.0, 0.1])
    torch.testing.assert_close(pose_error(moved, truth), torch.full((8, 17), 0.04))
    assert pose_error(truth, truth).max() < 1e-6


def test_measuring_keeps_the_random_state(tmp_path: Path) -> None:
    model = PosePriorTrainer(SMALL, Plan(steps=1), tmp_path).model
    torch.manual_seed(3)
    before = torch.get_rng_state()
    figures = measure(model, poses(40), count=40)
    assert torch.equal(before, torch.get_rng_state())
    # A fresh network moves nothing.
    assert figures["val_clean_moved_mm"] < 1e-3 and figures["val_noisy_abs_mm"] > 10
    assert figures["val_refined_abs_mm"] == pytest.approx(figures["val_noisy_abs_mm"])


def test_recorded_errors_keep_their_size() -> None:
    truth = poses(400).numpy() + np.float32([0, 0, 3])
    error = np.random.default_rng(0).normal(0, 0.02, truth.shape).astype(np.float32)
    recorded = RecordedPoses(truth + error, truth, np.zeros(400, int), np.arange(400))
    torch.manual_seed(0)
    seen = RecordedErrors(recorded).sample(500, torch.device("cpu"))
    assert float((seen.noisy - seen.truth).std()) == pytest.approx(0.02, rel=0.1)
    assert float(seen.truth[..., 2].mean()) == pytest.approx(3, abs=0.2)


def test_stated_uncertainty_stays_with_its_joint(tmp_path: Path) -> None:
    truth = poses(300).numpy() + np.float32([0, 0, 3])
    sigma = np.broadcast_to(np.arange(1, 18, dtype=np.float32)[:, None] * 0.01, truth.shape)
    error = np.random.default_rng(0).normal(0, 1, truth.shape).astype(np.float32) * sigma
    RecordedPoses(truth + error, truth, np.zeros(300, int), np.arange(300), sigma).save(tmp_path / "estimates.npz")
    torch.manual_seed(0)
    seen = RecordedErrors.load(tmp_path / "estimates.npz").sample(2000, torch.device("cpu"))
    ratio = ((seen.noisy - seen.truth) / seen.sigma).std((0, 2))
    torch.testing.assert_close(ratio, torch.ones(17), atol=0.15, rtol=0)


def test_several_recordings_are_drawn_from_alike(tmp_path: Path) -> None:
    """One stated its uncertainty, the other did not: there its mean error stands for it."""
    truth = poses(300).numpy() + np.float32([0, 0, 3])
    for name, off, sigma in (("a", 0.01, np.full_like(truth, 0.05)), ("b", 0.03, None)):
        wrong = truth + np.float32(off)
        RecordedPoses(wrong, truth, np.zeros(300, int), np.arange(300), sigma, sequence=False).save(tmp_path / name)
    torch.manual_seed(0)
    errors = RecordedErrors.load(tmp_path / "a", tmp_path / "b")
    assert len(errors.truth) == 540  # nine tenths of each
    seen = errors.sample(1000, torch.device("cpu"))
    size = (seen.noisy - seen.truth).norm(dim=-1).mean(1)
    stated = size < 0.03
    assert 0.4 < stated.float().mean() < 0.6
    torch.testing.assert_close(seen.sigma[stated], torch.full_like(seen.sigma[stated], 0.05))
    torch.testing.assert_close(seen.sigma[~stated], torch.full_like(seen.sigma[~stated], 0.03))
