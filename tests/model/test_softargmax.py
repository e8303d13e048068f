"""Soft-argmax: a one-hot co-heatmap returns its own (u, v, d), and the spread is the spread."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsb_pose_ros.model.softargmax import read_volume, soft_argmax, views_of


@settings(deadline=None, max_examples=40)
@given(u=st.integers(0, 15), v=st.integers(0, 11), d=st.integers(-7, 8), joint=st.integers(0, 16))
def test_one_hot_returns_itself(u: int, v: int, d: int, joint: int) -> None:
    logits = torch.full((1, 17, 16, 12, 16), -1e4)
    logits[0, :, 0, 0, 0] = 0
    logits[0, joint, 0, 0, 0] = -1e4
    logits[0, joint, d + 7, v, u] = 0
    keypoints = soft_argmax(read_volume(logits), range(-7, 9))
    expected = torch.tensor([4 * u + 1.5, 4 * v + 1.5, 4.0 * d])
    torch.testing.assert_close(keypoints.uvd[0, joint], expected)
    assert keypoints.variance[0, joint].max() < 1e-6
    views = views_of(keypoints.uvd)[0, :, joint]
    assert views[0, 0] - views[1, 0] == 4 * d and views[0, 1] == views[1, 1]


def test_two_equal_peaks_average_and_spread() -> None:
    logits = torch.full((1, 17, 4, 8, 8), -1e4)
    logits[..., 1, 2, 2] = logits[..., 1, 2, 6] = 0
    keypoints = soft_argmax(read_volume(logits), range(-1, 3))
    torch.testing.assert_close(keypoints.uvd[0, 0], torch.tensor([4 * 4 + 1.5, 4 * 2 + 1.5, 0.0]))
    torch.testing.assert_close(keypoints.variance[0, 0], torch.tensor([64.0, 0.0, 0.0]))


@pytest.mark.parametrize("stride", [4, 8])
def test_wider_cells_keep_their_place_in_the_picture(stride: int) -> None:
    logits = torch.full((1, 17, 16, 6, 8), -1e4)
    logits[..., 9, 3, 5] = 0
    keypoints = soft_argmax(read_volume(logits), range(-7, 9), stride)
    middle = torch.tensor([5, 3]) * stride + (stride - 1) / 2
    torch.testing.assert_close(keypoints.uvd[0, 0], torch.tensor([*middle, 8.0]))
