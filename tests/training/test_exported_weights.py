"""Weights of an exported file go back into PyTorch: what ships can be trained further."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.inference.card import read_card
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.config import build
from rsb_pose_ros.quantization.windows import windows_of
from rsb_pose_ros.training import distributed
from rsb_pose_ros.training.co_keypoints import CoKeypointTrainer, Plan
from rsb_pose_ros.training.export import export_stereo_pose, parity_error
from rsb_pose_ros.training.exported_weights import load_start, read_exported, transformer_of

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "models/rsb_pose_edge.onnx"


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return ModelConfig.from_yaml(ROOT / "config/models/rsb_pose_edge.yaml")


def test_every_weight_comes_back_as_it_was(config, tmp_path):
    torch.manual_seed(3)
    model = RSBPose(config).eval()
    for value in model.state_dict().values():  # nothing may hide behind a start at zero
        value += 0.01 * torch.randn_like(value)
    record = {"licence": "", "training": {}, "measured": {}}
    export_stereo_pose(model, tmp_path / "network.onnx", record)
    read = read_exported(tmp_path / "network.onnx", RSBPose(config))
    for name, value in model.state_dict().items():
        assert torch.equal(read[name], value), name


def test_a_training_starts_from_the_shipped_network(config, tmp_path):
    trainer = CoKeypointTrainer(config, Plan(steps=1), tmp_path)
    trainer.start_from(SHIPPED)
    card = read_card(SHIPPED, "stereo_pose")
    assert trainer.pairs_before == card.training["pairs"] > 0
    transformer = transformer_of(SHIPPED)
    for name, value in trainer.model.transformer.state_dict().items():
        assert torch.equal(transformer[name], value)


@pytest.mark.parametrize("name", ["rsb_pose_edge_int8.onnx", "rsb_pose_edge_int8_cpu.onnx"])
def test_a_quantized_file_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}.*expected the float32 export of rsb_pose_edge"):
        load_start(ROOT / "models" / name)


def test_another_network_and_a_missing_file_are_refused(config, tmp_path):
    with pytest.raises(ValueError, match=r"rsb_pose_edge\.onnx.*expected the float32 export"):
        read_exported(SHIPPED, RSBPose(replace(config, volume_channels=8)))
    with pytest.raises(ValueError, match=r"none\.onnx"):
        load_start(tmp_path / "none.onnx")


def test_each_process_of_torchrun_takes_a_gpu_of_its_own(monkeypatch):
    assert distributed.own_device("cuda") == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert distributed.own_device("cuda") == "cuda:2"
    assert distributed.own_device("cuda:1") == "cuda:1"
    assert distributed.own_device("cpu") == "cpu"


def test_the_shipped_network_answers_in_pytorch_as_in_onnxruntime():
    """On what it sees of the shipped recording: in windows of the whole view and in closer looks."""
    with StereoBag(ROOT / "tests/fixtures/demo_bag") as bag:
        estimator = StereoPoseEstimator(SHIPPED, bag.rig(), threads=1, exact_model=True)
        feeds = windows_of(estimator, bag.pairs(limit=2)).feeds
    assert len(feeds) > 3
    weights = load_start(SHIPPED)
    model = RSBPose(build(ModelConfig, weights["config"], "card")).eval()
    model.load_state_dict(weights["average"])
    session = onnxruntime.InferenceSession(SHIPPED, providers=["CPUExecutionProvider"])
    for feed in feeds:
        found = session.run(["joints", "joints_initial", "confidence"], feed)
        with torch.no_grad():
            expected = model(*(torch.from_numpy(feed[name]) for name in ("crops", "projections")))
        near = torch.linalg.norm(expected.joints_initial, dim=-1).numpy() < 10  # farther: in parity_error's words
        for ours, theirs in zip((expected.joints, expected.joints_initial), found, strict=False):
            assert parity_error(theirs, ours.numpy(), found[1]) < 1e-4
            np.testing.assert_allclose(theirs[near], ours.numpy()[near], atol=1e-3)
        np.testing.assert_allclose(found[2], expected.confidence_logits.sigmoid().numpy(), atol=1e-4)
