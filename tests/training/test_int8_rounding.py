"""Training against the rounding of an INT8 backbone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rsb_pose_ros.model import ModelConfig
from rsb_pose_ros.model.blazepose import BlazePoseBackbone
from rsb_pose_ros.training.co_keypoints import CoKeypointTrainer, Plan
from rsb_pose_ros.training.int8_rounding import CALIBRATION_BATCHES, LEVELS, Int8Rounding, rounded_weight

CONFIG = Path(__file__).resolve().parents[2] / "config" / "models" / "rsb_pose_edge.yaml"


def lively_backbone() -> BlazePoseBackbone:
    """Random, its activations filling ReLU6's range as the published weights' do."""
    torch.manual_seed(0)
    backbone = BlazePoseBackbone()
    for module in backbone.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return backbone


def test_rounding_changes_features_a_little_and_only_while_it_is_on() -> None:
    backbone = lively_backbone().requires_grad_(False)
    images = torch.rand(2, 3, 64, 64)
    exact, exact_fine = backbone.pyramid(images)
    weights = {k: v.clone() for k, v in backbone.state_dict().items()}
    rounding = Int8Rounding(backbone)
    for _ in range(CALIBRATION_BATCHES):
        with rounding:
            backbone(images)
    with rounding:
        rounded, rounded_fine = backbone.pyramid(images)
    error = (rounded - exact).abs().mean() / exact.abs().mean()
    assert 1e-4 < error < 0.1
    torch.testing.assert_close(rounded_fine, exact_fine, rtol=0, atol=0)  # what the second look compares stays exact
    torch.testing.assert_close(backbone.pyramid(images)[0], exact, rtol=0, atol=0)
    assert all(torch.equal(v, weights[k]) for k, v in backbone.state_dict().items())


def test_weights_have_one_step_per_channel() -> None:
    weight = torch.randn(5, 3, 3, 3) * torch.tensor([1e-3, 1.0, 5.0, 100.0, 0.0]).view(-1, 1, 1, 1)
    rounded = rounded_weight(weight)
    step = weight.abs().flatten(1).amax(1) / LEVELS
    assert ((rounded - weight).abs().flatten(1).amax(1) <= step / 2 * 1.001).all()
    levels = rounded[:4] / step[:4].view(-1, 1, 1, 1)
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)


def test_gradients_pass_the_rounding_as_if_it_were_not_there() -> None:
    backbone = lively_backbone()
    images = torch.rand(1, 3, 64, 64)
    exact = _gradients(backbone, images)
    rounding = Int8Rounding(backbone)
    for _ in range(CALIBRATION_BATCHES):
        with rounding:
            backbone(images)
    with rounding:
        rounded = _gradients(backbone, images)
    for name, gradient in exact.items():
        # Rounding without a straight-through gradient gives zeros; sixteen random stages amplify what it changes.
        assert torch.nn.functional.cosine_similarity(gradient, rounded[name], 0) > 0.4, name


def _gradients(backbone: BlazePoseBackbone, images: torch.Tensor) -> dict[str, torch.Tensor]:
    backbone.zero_grad()
    backbone(images).square().mean().backward()
    return {n: p.grad.flatten().clone() for n, p in backbone.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("backbone_rate", [0.0, 1e-4])
def test_training_rounds_a_backbone_frozen_or_not(tmp_path: Path, backbone_rate: float) -> None:
    plan = Plan(steps=1, int8_share=0.5, backbone_rate=backbone_rate)
    trainer = CoKeypointTrainer(replace(ModelConfig.from_yaml(CONFIG), image_size=64), plan, tmp_path)
    assert isinstance(trainer.rounding, Int8Rounding)


def test_only_blazepose_rounds(tmp_path: Path) -> None:
    config = ModelConfig.from_yaml(CONFIG.with_name("rsb_pose_r50.yaml"))
    with pytest.raises(ValueError, match="expected int8_share 0"):
        CoKeypointTrainer(replace(config, image_size=64), Plan(steps=1, int8_share=0.5), tmp_path)
