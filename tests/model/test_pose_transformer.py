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


def test_end_effectors_stay_when_only_the_body_is_refined() -> None:
    body = trained(TransformerConfig(depth=1, width=32, heads=4, refine="body"))
    pose = torch.randn(2, 17, 3)
    moved = (body(pose) - pose).abs().amax((0, 2)) > 1e-6
    assert not moved[list(END_EFFECTORS)].any() and moved[ROOT]


def test_a_fresh_network_leaves_joints_where_they_are() -> None:
    pose = torch.randn(2, 17, 3)
    torch.testing.assert_close(PoseTransformer(TransformerConfig(depth=1)).eval()(pose), pose)
