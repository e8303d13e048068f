"""The second look's own stage: it learns on remembered features and leaves the rest of the network alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_trainers import CONFIG, OnePair

from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.training.co_keypoints import load_weights
from rsb_pose_ros.training.exported_weights import load_start
from rsb_pose_ros.training.second_look import Plan, SecondLookTrainer, first_look, second_look_loss


def network() -> RSBPose:
    torch.manual_seed(0)
    return RSBPose(replace(ModelConfig.from_yaml(CONFIG), image_size=64))


def test_it_learns_and_the_rest_stays(tmp_path: Path) -> None:
    model = network()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    seen = first_look(model, OnePair(), pairs=4, workers=0)
    assert seen["fine"].shape == (4, 2, 16, 32, 32) and seen["context"].shape == (4, 48, 16, 16)
    with torch.no_grad():
        start = float(second_look_loss(model.second_look, seen, model.config))
    plan = Plan(pairs=4, steps=60, batch=4, warmup=2)
    SecondLookTrainer(model, plan, tmp_path, pairs_before=10).run(seen)
    with torch.no_grad():
        assert float(second_look_loss(model.second_look, seen, model.config)) < 0.7 * start
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(k.startswith("second_look.") for k in changed)
    # What other stages start from: the whole network, averaged.
    content = load_start(tmp_path / "last.pt")
    other = network()
    load_weights(other, content["average"])
    assert content["pairs"] == 14
    assert torch.equal(other.state_dict()["heatmaps.weight"], before["heatmaps.weight"])
    again = SecondLookTrainer(network(), plan, tmp_path)
    assert again.resume() and again.progress == 1


def test_a_network_without_second_look_is_refused(tmp_path: Path) -> None:
    model = RSBPose(replace(ModelConfig.from_yaml(CONFIG), image_size=64, second_look=False))
    with pytest.raises(ValueError, match="no second look"):
        SecondLookTrainer(model, Plan(), tmp_path)


def test_older_weights_load_without_what_other_stages_train() -> None:
    model = network()
    weights = {k: v + 1 for k, v in model.state_dict().items() if not k.startswith("second_look.")}
    weights["transformer.position"] = torch.zeros(1, 17, 7)
    load_weights(model, weights)
    assert torch.equal(model.state_dict()["heatmaps.weight"], weights["heatmaps.weight"])
    del weights["heatmaps.weight"]
    with pytest.raises(ValueError, match=r"heatmaps\.weight"):
        load_weights(model, weights)
