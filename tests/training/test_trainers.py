"""Training loops: they learn, they go on after a kill exactly where they were, and they write what they did."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset

from rsb_pose_ros.model import ModelConfig
from rsb_pose_ros.training import checkpoint
from rsb_pose_ros.training.co_keypoints import CoKeypointTrainer, Plan
from rsb_pose_ros.training.ema import WeightAverage
from rsb_pose_ros.training.export import example_pair
from rsb_pose_ros.training.logbook import Logbook
from rsb_pose_ros.training.loop import MOST_SKIPPED, frozen_parts
from rsb_pose_ros.training.schedule import cosine

CONFIG = Path(__file__).resolve().parents[2] / "config" / "models" / "rsb_pose_edge.yaml"


class OnePair(IterableDataset):
    """The same random pair again and again: can the loop learn it by heart?"""

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        crops, projections = example_pair(64)
        generator = torch.Generator().manual_seed(1)
        left = torch.rand(17, 2, generator=generator) * 40 + 12
        keypoints = torch.stack([left, left - torch.tensor([4.0, 0.0])])
        joints = torch.rand(17, 3, generator=generator) + torch.tensor([0, 0, 2.5])
        while True:
            yield {
                "crops": crops[0],
                "projections": projections[0],
                "joints": joints,
                "keypoints": keypoints,
                "visibility": torch.full((2, 17), 3, dtype=torch.uint8),
                "present": torch.tensor(True),
            }


def trainer(folder: Path, steps: int) -> CoKeypointTrainer:
    torch.manual_seed(0)
    config = replace(ModelConfig.from_yaml(CONFIG), image_size=64)
    plan = Plan(steps=steps, batch=1, size=64, rate=2e-3, warmup=2, workers=0, save_every=5)
    return CoKeypointTrainer(config, plan, folder)


def test_co_keypoints_learn_and_resume(tmp_path: Path) -> None:
    first = trainer(tmp_path, 10)
    batch = {k: v[None] for k, v in next(iter(OnePair())).items()}
    before = first.train_step(dict(batch))["loss"]
    first.run(OnePair())
    resumed = trainer(tmp_path, 10)
    assert resumed.resume() and resumed.step == 10
    for a, b in zip(first.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    resumed.plan = replace(resumed.plan, steps=1000)
    for _ in range(30):
        after = resumed.train_step(dict(batch))["loss"]
    assert after < 0.8 * before
    content = checkpoint.load(tmp_path / "last.pt")
    assert content["config"]["name"] == "rsb_pose_edge" and content["plan"]["steps"] == 10 and content["pairs"] == 10
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 1


class Killed(IterableDataset):
    """The same, until the power goes."""

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        pairs = iter(OnePair())
        for _ in range(7):
            yield next(pairs)
        raise KeyboardInterrupt


def test_a_killed_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", 10)
    whole.run(OnePair())
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "killed", 10).run(Killed())
    torch.manual_seed(1)
    resumed = trainer(tmp_path / "killed", 10)
    assert resumed.resume() and resumed.step == resumed.seen == 5
    resumed.run(OnePair())
    ours, theirs = (checkpoint.load(tmp_path / name / "last.pt") for name in ("killed", "whole"))
    for key in ("model", "average"):
        assert all(torch.equal(ours[key][name], value) for name, value in theirs[key].items()), key
    for mine, other in zip(ours["optimiser"]["state"].values(), theirs["optimiser"]["state"].values(), strict=True):
        assert all(torch.equal(mine[name], value) for name, value in other.items())
    assert ours["pairs"] == theirs["pairs"] == 10


def test_what_a_killed_run_wrote_behind_its_checkpoint_is_written_once(tmp_path: Path) -> None:
    with Logbook(tmp_path) as log:
        for step in (10, 20):
            log.add({"loss": float(step)})
            log.numbers(step)
    with Logbook(tmp_path, step=10) as log:
        log.add({"loss": 7.0})
        log.numbers(20)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 10, "loss": 10.0}, {"step": 20, "loss": 7.0}]


def test_another_stage_s_run_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.pt", model={}, average={}, step=3)
    with pytest.raises(
        ValueError, match=r"last\.pt: holds no run of this stage and network .* another folder with --output"
    ):
        trainer(tmp_path, 10).resume()


def test_plans_of_nothing_are_refused() -> None:
    for wrong in ({"steps": 0}, {"steps": 1, "batch": 0}, {"steps": 1, "minutes": 0.0}):
        with pytest.raises(ValueError, match="expected more than 0 of each"):
            Plan(**wrong)


def test_parts_that_stay_keep_their_statistics() -> None:
    kept, trained = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    model = torch.nn.Sequential(kept.requires_grad_(False), trained)
    assert frozen_parts(model) == [kept]


def test_a_resumed_run_takes_the_new_plan_s_rates(tmp_path: Path) -> None:
    trainer(tmp_path, 10).save()
    one = trainer(tmp_path, 10)
    later = CoKeypointTrainer(one.config, replace(one.plan, rate=1e-5), tmp_path)
    assert later.resume()
    assert later.optimiser.param_groups[0]["base"] == 1e-5


def test_gradients_without_end_change_nothing_and_many_of_them_end_the_run(tmp_path: Path) -> None:
    one = trainer(tmp_path, 10)
    batch = {k: v[None] for k, v in next(iter(OnePair())).items()}
    one.model.heatmaps.weight.register_hook(lambda gradient: gradient * float("inf"))
    weights = {k: v.clone() for k, v in one.model.state_dict().items()}
    assert np.isnan(one.train_step(dict(batch))["loss"])
    assert all(torch.equal(v, weights[k]) for k, v in one.model.state_dict().items())
    assert all(torch.equal(v, weights[k]) for k, v in one.average.module.state_dict().items())
    one.skipped = MOST_SKIPPED - 1
    with pytest.raises(ValueError, match=r"no finite gradient in 50 steps.*last\.pt with a lower --rate"):
        one.train_step(dict(batch))


def test_the_average_runs_its_own_weights(tmp_path: Path) -> None:
    """The parts that compute in float32 under autocast, too."""
    one = trainer(tmp_path, 10)
    pair = example_pair(64)
    with torch.no_grad():
        before = one.average.module(*pair).heatmaps
        one.model.heatmaps.weight.add_(1.0)
        assert torch.equal(one.average.module(*pair).heatmaps, before)
        assert not torch.equal(one.model.eval()(*pair).heatmaps, before)


def test_parts_of_a_start_can_be_left_out(tmp_path: Path) -> None:
    earlier, later = trainer(tmp_path / "a", 1), trainer(tmp_path / "b", 1)
    earlier.save()
    own = {k: v.clone() for k, v in later.model.state_dict().items()}
    later.start_from(tmp_path / "a/last.pt", fresh=["second_look"])
    for name, value in later.model.state_dict().items():
        expected = own if name.startswith("second_look.") else earlier.average.module.state_dict()
        assert torch.equal(value, expected[name]), name
    with pytest.raises(ValueError, match="fresh: third_look; expected parts of the network: backbone, heatmaps"):
        later.start_from(tmp_path / "a/last.pt", fresh=["third_look"])


def test_the_log_holds_means_of_the_steps_since_its_last_line(tmp_path: Path) -> None:
    with Logbook(tmp_path) as log:
        for loss in (1.0, 3.0, float("nan")):
            log.add({"loss": loss})
        log.numbers(3)
        log.add({"loss": 7.0})
        log.numbers(4)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 3, "loss": 2.0}, {"step": 4, "loss": 7.0}]


def test_end_to_end_trains_the_transformer_too_and_stage_one_does_not(tmp_path: Path) -> None:
    batch = {k: v[None] for k, v in next(iter(OnePair())).items()}
    for joint in (False, True):
        one = trainer(tmp_path / str(joint), 10)
        one = CoKeypointTrainer(one.config, replace(one.plan, end_to_end=joint), tmp_path)
        before = [p.clone() for p in one.model.transformer.parameters()]
        terms = one.train_step(dict(batch))
        moved = any(not torch.equal(p, q) for p, q in zip(before, one.model.transformer.parameters(), strict=True))
        assert moved is joint and ("joints" in terms) is joint


def test_a_degenerate_batch_does_not_end_the_run(tmp_path: Path) -> None:
    one = trainer(tmp_path, 10)
    batch = {k: v[None] for k, v in next(iter(OnePair())).items()}
    batch["projections"] = batch["projections"] * float("nan")
    weights = {k: v.clone() for k, v in one.model.state_dict().items()}
    assert np.isnan(one.train_step(batch)["loss"])
    assert all(torch.equal(v, weights[k]) for k, v in one.model.state_dict().items())


def test_crops_of_another_size_are_refused(tmp_path: Path) -> None:
    one = trainer(tmp_path, 10)
    batch = {k: v[None] for k, v in next(iter(OnePair())).items()}
    batch["crops"] = batch["crops"][:, :, ::2, ::2]
    with pytest.raises(ValueError, match="crops of 32 pixels; expected 64"):
        one.train_step(batch)


def test_average_follows_and_keeps_buffers() -> None:
    module = torch.nn.BatchNorm1d(2)
    average = WeightAverage(module)
    with torch.no_grad():
        module.weight.fill_(5.0)
    module.num_batches_tracked += 7
    for _ in range(50):
        average.update(module)
    assert average.module.weight.mean() > 4 and average.module.num_batches_tracked == 7


def test_schedule_rises_and_falls() -> None:
    factors = [cosine(step, 100, 10) for step in range(101)]
    assert factors[0] == 0.1 and max(factors) == 1.0 and factors[100] == pytest.approx(0.01)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_a_missing_or_broken_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        checkpoint.load(tmp_path / "none.pt")
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad\.pt"):
        checkpoint.load(tmp_path / "bad.pt")


def test_a_run_leaves_a_picture_and_events_for_tensorboard(tmp_path: Path) -> None:
    one = trainer(tmp_path, 2)
    one.plan = replace(one.plan, picture_every=2)
    one.run(OnePair())
    picture = cv2.imread(str(tmp_path / "pictures" / "0000002.jpg"))
    assert picture.shape == (128, 64, 3)
    assert list((tmp_path / "tensorboard").glob("events.*"))


def train_in_parallel(rank: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    torch.set_num_threads(1)
    one = trainer(Path(folder), 2)
    if rank == 1:
        with torch.no_grad():  # as where each process starts from random numbers of its own
            one.model.second_look.joint.normal_()
        one.step = 7
    one.share_start()
    assert one.step == 0
    batch = {k: v[None] for k, v in next(iter(OnePair())).items()}
    if rank == 1:
        batch["joints"] = batch["joints"] + 0.1
        batch["keypoints"] = batch["keypoints"] + 3.0
    one.train_step(batch)
    torch.save(one.model.state_dict(), f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_take_the_same_step(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(train_in_parallel, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    # Statistics of batch norms are each process's own; weights are shared, though the processes saw different labels.
    weights = [name for name in first if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(first[name], second[name]) for name in weights)
    fresh = trainer(tmp_path / "fresh", 2).model.state_dict()
    assert any(not torch.equal(first[name], fresh[name]) for name in weights)
