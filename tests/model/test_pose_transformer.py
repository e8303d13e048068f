"""Masked joints are hidden, every joint is unmasked in the end, and the root's place does not matter."""

import pytest
import torch

from rsb_pose_ros.model import PoseTransformer
from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.model.pose_transformer import most_attended
from rsb_pose_ros.skeleton import END_EFFECTORS, ROOT


def trained(config: TransformerConfig) -> PoseTransformer:
    """A transformer whose head no longer is the zero that it starts from."""
    model = PoseTransformer(config).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    return model


@pytest.fixture(scope="module")
def transformer() -> PoseTransformer:
    torch.manual_seed(0)
    return trained(TransformerConfig(depth=3, width=32, heads=4, refine="all"))


def test_masked_joints_cannot_leak(transformer: PoseTransformer) -> None:
    pose = torch.randn(4, 17, 3)
    masked = torch.rand(4, 17) < 0.3
    masked[:, 3] = True
    changed = torch.where(masked[..., None], torch.randn(4, 17, 3) * 100, pose)
    torch.testing.assert_close(transformer.predict(pose, masked)[0], transformer.predict(changed, masked)[0])
    for first, second in zip(
        transformer.unmask_iteratively(pose, masked), transformer.unmask_iteratively(changed, masked), strict=True
    ):
        torch.testing.assert_close(first, second)


def test_unmasked_joints_do_matter(transformer: PoseTransformer) -> None:
    pose = torch.randn(1, 17, 3)
    other = pose.clone()
    other[:, 5] += 1
    assert (transformer.predict(pose)[0] - transformer.predict(other)[0]).abs().max() > 1e-4


def test_two_joints_are_unmasked_per_pass(transformer: PoseTransformer) -> None:
    masked = torch.zeros(2, 17, dtype=torch.bool)
    masked[0, :5] = masked[1, :2] = True
    assert len(transformer.unmask_iteratively(torch.randn(2, 17, 3), masked)) == 3


def test_the_most_attended_masked_joints_are_chosen() -> None:
    weights = torch.zeros(1, 2, 17, 17)
    weights[0, :, :, 4], weights[0, :, :, 9], weights[0, :, :, 2] = 0.5, 0.3, 0.9
    masked = torch.zeros(1, 17, dtype=torch.bool)
    masked[0, [4, 9, 12]] = True
    assert most_attended(weights, masked).nonzero()[:, 1].tolist() == [4, 9]


def test_output_moves_with_the_root(transformer: PoseTransformer) -> None:
    pose, shift = torch.randn(3, 17, 3), torch.tensor([1.0, -2.0, 4.0])
    torch.testing.assert_close(transformer(pose + shift), transformer(pose) + shift, atol=1e-5, rtol=1e-5)


def test_masked_joints_do_not_move_the_others_centre(transformer: PoseTransformer) -> None:
    pose, masked = torch.randn(3, 17, 3), torch.zeros(3, 17, dtype=torch.bool)
    masked[0, ROOT] = masked[1, 4] = True
    elsewhere = torch.where(masked[..., None], torch.tensor(50.0), pose)
    torch.testing.assert_close(
        transformer.refine(pose, masked), transformer.refine(elsewhere, masked), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(transformer.refine(pose[2:], masked[2:]), transformer(pose[2:]), atol=1e-5, rtol=0)


def test_covariance_is_optional_and_counts(transformer: PoseTransformer) -> None:
    pose = torch.randn(2, 17, 3)
    told = PoseTransformer(TransformerConfig(depth=1, width=32, heads=4, refine="all")).eval()
    for layer in (told.head, told.embed_uncertainty):
        torch.nn.init.normal_(layer.weight, std=0.1)
    sure, unsure = (torch.eye(3).expand(2, 17, 3, 3) * variance for variance in (1e-4, 1e-2))
    assert (told(pose, sure) - told(pose, unsure)).abs().max() > 1e-4
    # Beyond a metre nobody distinguishes any more.
    torch.testing.assert_close(told(pose, sure * 1e5), told(pose, sure * 1e8))
    degenerate = told(pose, -sure)
    assert torch.isfinite(degenerate).all()


def test_in_absolute_format_the_place_matters() -> None:
    absolute = trained(TransformerConfig(depth=1, width=32, heads=4, refine="all", relative=False))
    pose, shift = torch.randn(2, 17, 3), torch.tensor([0.5, 0.0, 2.0])
    assert (absolute(pose + shift) - absolute(pose) - shift).abs().max() > 1e-3


def test_end_effectors_stay_when_only_the_body_is_refined() -> None:
    body = trained(TransformerConfig(depth=1, width=32, heads=4, refine="body"))
    pose = torch.randn(2, 17, 3)
    moved = (body(pose) - pose).abs().amax((0, 2)) > 1e-6
    assert not moved[list(END_EFFECTORS)].any() and moved[ROOT]


def test_a_fresh_network_leaves_joints_where_they_are() -> None:
    pose = torch.randn(2, 17, 3)
    torch.testing.assert_close(PoseTransformer(TransformerConfig(depth=1)).eval()(pose), pose)


def test_end_effectors_are_found_when_they_are_masked() -> None:
    body = trained(TransformerConfig(depth=1, width=32, heads=4, refine="body"))
    masked = torch.zeros(1, 17, dtype=torch.bool)
    masked[0, END_EFFECTORS[0]] = True
    pose = torch.randn(1, 17, 3)
    pose[masked] = 1000.0
    assert body.refine(pose, masked).abs().max() < 20
