"""The stereo volume against a naive float64 loop, and its cheap edge form against the 1³ convolution it replaces."""

import numpy as np
import pytest
import torch

from rsb_pose_ros.model.folded import UNSEEN_LOGIT, FoldedVolume, HeatmapAgreement
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


@pytest.mark.parametrize(("width", "step"), [(8, 1), (8, 2), (7, 2), (9, 3)])
@pytest.mark.parametrize("disparities", [range(-12, 13), range(-4, -1), range(3, 12), range(-7, 9)])
def test_shifts_move_content_to_the_right(disparities: range, width: int, step: int) -> None:
    x = torch.arange(1.0, width + 1).view(1, 1, 1, width)
    for disparity, shifted in zip(disparities, shifts_right(x, disparities, step), strict=True):
        expected = [
            x.flatten()[u - disparity].item() if 0 <= u - disparity < width else 0.0 for u in range(0, width, step)
        ]
        assert shifted.flatten().tolist() == expected


def test_folded_volume_is_the_concatenated_one_under_a_convolution() -> None:
    torch.manual_seed(0)
    folded = FoldedVolume(4, range(-2, 3)).double()
    one = torch.randn(4, 4, 2, 2, dtype=torch.float64)
    folded.left.weight.data.copy_(one.repeat(5, 1, 1, 1))
    folded.left.bias.data.copy_(folded.left.bias[:4].repeat(5))
    torch.nn.init.normal_(folded.right.weight)
    left, right = torch.randn(2, 1, 4, 6, 8, dtype=torch.float64)
    evidence = folded(left, right).view(1, 5, 4, 3, 4)
    weight = torch.cat([one, folded.right.weight], 1)[:, :, None]
    volume = stereo_volume(left, right, range(-2, 3))
    full = torch.nn.functional.conv3d(volume, weight, stride=(1, 2, 2)).transpose(1, 2)
    bias = folded.left.bias[:4] + folded.right.bias
    expected = torch.nn.functional.relu6(full + bias.view(1, 1, -1, 1, 1))
    # Equal wherever both views see all four cells; outside, the folded form keeps the left half.
    seen = (volume.abs().sum(1) > 0).double()
    inside = torch.nn.functional.avg_pool2d(seen, 2) == 1
    assert inside.float().mean() > 0.7
    difference = (evidence - expected).abs().amax(2)
    assert difference[inside].max() < 1e-12


def test_fresh_agreement_is_both_views_heatmaps_along_the_epipolar_line() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(0, 10, (2, 1, 17, 4, 8)).astype(np.float32)
    with torch.no_grad():
        found = HeatmapAgreement(range(-2, 3))(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    for k, d in enumerate(range(-2, 3)):
        for v, u in np.ndindex(2, 4):
            here = left[:, :, 2 * v : 2 * v + 2, 2 * u : 2 * u + 2].mean((2, 3))
            first = 2 * u - d
            there = right[:, :, 2 * v : 2 * v + 2, first : first + 2].mean((2, 3)) if 0 <= first < 7 else UNSEEN_LOGIT
            np.testing.assert_allclose(found[:, :, k, v, u], here + there, atol=1e-4)
