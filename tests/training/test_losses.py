"""The co-keypoint losses: least where prediction and label agree, silent about joints that the crops do not show."""

import math

import pytest
import torch

from rsb_pose_ros.model.rsb_pose import Estimate
from rsb_pose_ros.model.softargmax import read_volume, soft_argmax
from rsb_pose_ros.training.losses import (
    LossWeights,
    Targets,
    co_keypoint_loss,
    heatmap_cross_entropy,
    labelled,
    volume_cross_entropy,
)

DISPARITIES = range(-7, 9)
SIZE = 64


def sharp_logits(uvd: torch.Tensor) -> torch.Tensor:
    """Co-heatmaps (1, 17, 16, 16, 16) that are Gaussians around uvd (17, 3), crop pixels."""
    d, v, u = torch.meshgrid(torch.arange(-7.0, 9), torch.arange(16.0), torch.arange(16.0), indexing="ij")
    cells = torch.cat([(uvd[:, :2] + 0.5) / 4 - 0.5, uvd[:, 2:] / 4], -1)
    distance = [(axis[None] - cells[:, k, None, None, None]) ** 2 for k, axis in enumerate((u, v, d))]
    return -0.5 * (distance[0] / 2.25 + distance[1] / 2.25 + distance[2] / 0.5625)[None]


def targets(uvd: torch.Tensor, present: bool = True) -> Targets:
    left = uvd[:, :2]
    right = torch.stack([uvd[:, 0] - uvd[:, 2], uvd[:, 1]], -1)
    joints = torch.full((1, 17, 3), 2.0)
    visibility = torch.full((1, 2, 17), 3, dtype=torch.uint8)
    return Targets(joints, torch.stack([left, right])[None], visibility, torch.tensor([present]))


def estimate(logits: torch.Tensor, joints: torch.Tensor) -> Estimate:
    marginals = read_volume(logits)
    keypoints = soft_argmax(marginals, DISPARITIES)
    heatmaps = torch.zeros(1, 2, 17, 16, 16)
    return Estimate(
        joints,
        joints,
        keypoints,
        keypoints.uvd,
        keypoints.variance,
        torch.full((1, 17), 8.0),
        torch.zeros(1, 17, 3, 3),
        heatmaps,
        logits,
        marginals,
    )


def centres() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(17, 3, generator=generator) * torch.tensor([30.0, 30.0, 8.0]) + torch.tensor([16.0, 16.0, -4.0])


def test_volume_cross_entropy_is_least_at_the_label() -> None:
    uvd = centres()
    logits = sharp_logits(uvd)
    at_label = volume_cross_entropy(logits, uvd[None], DISPARITIES)
    for shift in ([8.0, 0, 0], [0, -8.0, 0], [0, 0, 4.0]):
        beside = volume_cross_entropy(logits, uvd[None] + torch.tensor(shift), DISPARITIES)
        assert (beside > at_label + 0.1).all()


def test_volume_cross_entropy_equals_the_sum_over_all_cells() -> None:
    torch.manual_seed(0)
    logits, uvd = torch.randn(1, 17, 16, 16, 16, dtype=torch.float64), centres()[None]
    weights = sharp_logits(uvd[0]).double().flatten(2).softmax(-1)
    direct = -(weights * logits.flatten(2).log_softmax(-1)).sum(-1)
    torch.testing.assert_close(volume_cross_entropy(logits, uvd, DISPARITIES).double(), direct, rtol=1e-4, atol=1e-4)


def test_heatmap_cross_entropy_of_a_flat_map_is_the_log_of_its_cells() -> None:
    keypoints = torch.rand(1, 2, 17, 2) * 60
    entropy = heatmap_cross_entropy(torch.zeros(1, 2, 17, 16, 16), keypoints)
    torch.testing.assert_close(entropy, torch.full((1, 2, 17), math.log(256)))


def test_a_perfect_prediction_is_right_and_cheap() -> None:
    on_cells = ((centres() - 1.5) / 4).round() * 4
    on_cells[:, :2] += 1.5
    uvd, truth = on_cells, targets(on_cells)
    logits = sharp_logits(uvd) * 40
    loss, terms = co_keypoint_loss(estimate(logits, truth.joints), truth, SIZE, DISPARITIES, LossWeights())
    assert terms["correct"] == 1.0 and terms["metric"] < 1e-3 and terms["pixel"] < 0.5
    assert torch.isfinite(loss)


@pytest.mark.parametrize("outside", [[-5.0, 20, 0], [20, 70.0, 0], [20, 20, 40.0], [20, 20, -30.0]])
def test_joints_outside_the_volume_are_not_labelled(outside: list[float]) -> None:
    uvd = centres()
    uvd[4] = torch.tensor(outside)
    seen = labelled(targets(uvd), SIZE, DISPARITIES)
    assert not seen[0, 4] and seen.sum() == 16


def test_an_empty_picture_teaches_confidence_alone() -> None:
    nothing = targets(torch.full((17, 3), float("nan")), present=False)
    logits = torch.randn(1, 17, 16, 16, 16, requires_grad=True)
    loss, terms = co_keypoint_loss(estimate(logits, nothing.joints), nothing, SIZE, DISPARITIES, LossWeights())
    loss_of_confidence = LossWeights().confidence * terms["confidence"]
    assert float(loss.detach()) == pytest.approx(loss_of_confidence) and terms["confidence"] > 1


def test_a_joint_that_nobody_annotated_teaches_nothing() -> None:
    uvd = centres()
    uvd[4] = float("nan")
    known = targets(uvd)
    known.joints[0, 4] = float("nan")
    logits = torch.randn(1, 17, 16, 16, 16)
    sure = estimate(logits, torch.zeros(1, 17, 3))
    confidence = sure.confidence_logits.clone().requires_grad_()
    sure.confidence_logits = confidence
    loss, terms = co_keypoint_loss(sure, known, SIZE, DISPARITIES, LossWeights())
    loss.backward()
    assert torch.isfinite(loss) and all(math.isfinite(value) for value in terms.values())
    assert confidence.grad is not None and confidence.grad[0, 4] == 0 and (confidence.grad[0, :4] != 0).all()


def test_weights_are_changed_by_name() -> None:
    changed = LossWeights().changed(["volume=0", "metric=1.5"])
    assert changed.volume == 0 and changed.metric == 1.5 and changed.pixel == LossWeights().pixel
    for setting in ("volumes=1", "volume", "volume=-1", "volume=nan", "volume=a"):
        with pytest.raises(ValueError, match=f"loss weight '{setting}'; expected name=number"):
            LossWeights().changed([setting])
