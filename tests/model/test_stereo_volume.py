"""The stereo volume against a naive float64 loop, and its cheap edge form against the 1³ convolution it replaces."""

import numpy as np
import pytest
import torch

from rsb_pose_ros.model.folded import FoldedVolume
from rsb_pose_ros.model.stereo_volume import shifts_right, stereo_volume


def naive_volume(left: np.ndarray, right: np.ndarray, disparities: range) -> np.ndarray:
    batch, channels, height, width = left.shape
    volume = np.zeros((batch, 2 * channels, len(disparities), height, width))
    for k, d in enumerate(disparities):
        for u in range(width):
            if 0 <= u - d < width:
                volume[:, :channels, k, :, u] = left[:, :, :, u]
                volume[:, channels:, k, :, u] = right[:, :, :, u - d]
    return volume


@pytest.mark.parametrize("disparities", [range(-7, 9), range(-3, 0), range(0, 5), range(2, 3), range(-9, 12)])
def test_equals_a_naive_loop(disparities: range) -> None:
    generator = np.random.default_rng(1)
    left, right = generator.normal(size=(2, 2, 3, 4, 9))
    volume = stereo_volume(torch.from_numpy(left), torch.from_numpy(right), disparities)
    np.testing.assert_allclose(volume.numpy(), naive_volume(left, right, disparities), atol=1e-12)


@pytest.mark.parametrize("disparities", [range(-12, 13), range(-4, -1), range(3, 12)])
def test_shifts_move_content_to_the_right(disparities: range) -> None:
    x = torch.arange(1.0, 9.0).view(1, 1, 1, 8)
    for disparity, shifted in zip(disparities, shifts_right(x, disparities), strict=True):
        expected = [x.flatten()[u - disparity].item() if 0 <= u - disparity < 8 else 0.0 for u in range(8)]
        assert shifted.flatten().tolist() == expected


def test_folded_volume_is_the_concatenated_one_under_a_pointwise_convolution() -> None:
    torch.manual_seed(0)
    folded = FoldedVolume(4, range(-2, 3)).double()
    left, right = torch.randn(2, 1, 4, 3, 7, dtype=torch.float64)
    evidence = folded(left, right).view(1, 5, 4, 3, 7)
    weight = torch.cat([folded.left.weight, folded.right.weight], 1)[..., None]
    volume = stereo_volume(left, right, range(-2, 3))
    full = torch.nn.functional.conv3d(volume, weight).transpose(1, 2)
    bias = folded.left.bias + folded.right.bias
    expected = torch.nn.functional.relu6(full + bias.view(1, 1, -1, 1, 1))
    # Equal wherever both views see the cell; outside, the folded form keeps the left half.
    inside = volume.abs().sum(1) > 0
    difference = (evidence - expected).abs().amax(2)
    assert difference[inside].max() < 1e-12
