"""Ablations of the co-keypoints: remembered features are the network's own, and only what a variant says differs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_trainers import CONFIG, OnePair, trainer

from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.training import checkpoint
from rsb_pose_ros.training.co_keypoint_ablation import (
    VARIANTS,
    features_of,
    figures,
    remember,
    remembered,
    train_variant,
)
from rsb_pose_ros.training.co_keypoints import Plan

TOOL = Path(__file__).resolve().parents[2] / "tools/ablate_sce.py"


@pytest.fixture(scope="module")
def network() -> RSBPose:
    torch.manual_seed(0)
    return RSBPose(replace(ModelConfig.from_yaml(CONFIG), image_size=64)).eval()


@pytest.fixture(scope="module")
def features(network: RSBPose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    remember(network, OnePair(), pairs=10, folder=folder, workers=0)
    return folder


def test_remembered_features_give_what_the_whole_network_gives(network: RSBPose, features: Path) -> None:
    seen = remembered(features)
    assert len(seen["joints"]) == 16  # whole batches
    batch = {key: value[:2] for key, value in seen.items()}
    pair = next(iter(OnePair()))
    with torch.no_grad():
        ours = network.from_features(features_of(batch), batch["projections"])
        whole = network(pair["crops"][None], pair["projections"][None])
    torch.testing.assert_close(ours.co_heatmap[:1], whole.co_heatmap, atol=0.05, rtol=0.01)  # half precision
    with pytest.raises(FileNotFoundError, match=r"nowhere: not found; expected what `tools/ablate_sce.py features`"):
        remembered(features / "nowhere")


def test_a_variant_differs_in_what_it_says_and_is_judged(features: Path, tmp_path: Path) -> None:
    trainer(tmp_path / "start", 1).save()
    config = replace(ModelConfig.from_yaml(CONFIG), image_size=64)
    plan = Plan(steps=3, batch=2, warmup=1)
    seen = remembered(features)
    base, masked, looked, without = (
        next(v for v in VARIANTS if v.name == name)
        for name in ("base", "no attention mask", "no second look", "loss without metric")
    )
    models = {
        v.name: train_variant(v, config, plan, tmp_path, tmp_path / "start/last.pt", seen)
        for v in (base, masked, looked, without)
    }
    assert models["base"].second_look is not None and models["no second look"].second_look is None
    content = checkpoint.load(tmp_path / "no_attention_mask" / "last.pt")
    assert content["config"]["attention_mask"] is False and content["step"] == 3
    assert checkpoint.load(tmp_path / "loss_without_metric" / "last.pt")["plan"]["weights"]["metric"] == 0
    states = [model.state_dict()["co_keypoints.reduce.0.weight"] for model in models.values()]
    assert not torch.equal(states[0], states[1]) and not torch.equal(states[0], states[3])
    # The backbone is whose features these are.
    start = checkpoint.load(tmp_path / "start/last.pt")["average"]
    for name, value in models["base"].state_dict().items():
        assert not name.startswith("backbone.") or torch.equal(value, start[name]), name
    found = figures(models["base"], seen)
    assert all(np.isfinite(value) for value in found.values()) and 0 <= found["right"] <= 1
    again = train_variant(base, config, plan, tmp_path, tmp_path / "start/last.pt", seen)
    assert torch.equal(again.state_dict()["co_keypoints.reduce.0.weight"], states[0])


def test_the_tool_prints_what_there_is_and_names_what_it_does_not_know(tmp_path: Path) -> None:
    def run(*words: object) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, TOOL, *map(str, words)], capture_output=True, text=True, check=False)

    missing = run("table", "--output", tmp_path)
    assert missing.returncode == 2 and "holds no figures" in missing.stderr
    unknown = run("train", "--output", tmp_path, "--only", "nothing")
    assert unknown.returncode == 2 and "no variant nothing; known are base, no attention mask" in unknown.stderr
    row = dict.fromkeys(("right", "keypoint_median_px", "disparity_median_px", "disparity_mean_px"), 0.5)
    row |= {"triangulated_median_mm": 90, "triangulated_mean_mm": 120, "steps": 5, "batch": 2, "pairs": 8}
    (tmp_path / "no_attention_mask").mkdir()
    (tmp_path / "no_attention_mask/figures.json").write_text(json.dumps({**row, "held_out_pairs": 4}))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- ablate_sce -->\nold\n<!-- end -->\nafter\n")
    done = run("table", "--output", tmp_path, "--into", page)
    assert done.returncode == 0, done.stderr
    assert "| no attention mask | 50.0% | 0.50 | 0.50 | 0.50 | 90 | 120 |" in page.read_text()
    assert page.read_text().startswith("before") and "old" not in page.read_text()
