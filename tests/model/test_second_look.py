"""The second look: its look-ups against plain loops, its geometry, and what it leaves alone."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rsb_pose_ros.model.second_look import (
    FINE_STRIDE,
    PATCH,
    REACH,
    SPACING,
    SecondLook,
    pixels_per_metre,
    sample,
)
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.training.export import example_pair

FINE, CONTEXT = 16, 48


def network(seed: int = 0) -> SecondLook:
    torch.manual_seed(seed)
    return SecondLook(FINE, CONTEXT).eval()


def compare(look: SecondLook, left: Tensor, right: Tensor, u: Tensor, v: Tensor, d: Tensor | float) -> Tensor:
    """Similarities around (u, v, d) of features (1, C, H, W) as they are, neither filtered nor weighted."""
    both, of_left, of_right = torch.cat([left, right]).movedim(1, -1), torch.tensor([0]), torch.tensor([1])
    left_patches = sample(both, of_left, u, v, look.patch, look.patch, FINE_STRIDE)
    return look.compare(left_patches, sample(both, of_right, u - d, v, look.strip, look.patch, FINE_STRIDE))


def bilinear(features: np.ndarray, u: float, v: float, stride: int) -> np.ndarray:
    """features (C, H, W) at one crop pixel, border values outside; float64."""
    height, width = features.shape[1:]
    x = np.clip((u + 0.5) / stride - 0.5, 0, width - 1)
    y = np.clip((v + 0.5) / stride - 0.5, 0, height - 1)
    x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
    a, b = x - x0, y - y0
    f = features[:, y0 : y0 + 2, x0 : x0 + 2]
    return (1 - b) * ((1 - a) * f[:, 0, 0] + a * f[:, 0, 1]) + b * ((1 - a) * f[:, 1, 0] + a * f[:, 1, 1])


@given(u=st.floats(-300, 400), v=st.floats(-30, 90), stride=st.sampled_from([2, 4]))
@settings(max_examples=50, deadline=None)
def test_sampling_is_bilinear_with_pixel_centres_at_integers(u: float, v: float, stride: int) -> None:
    features = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    columns, rows = torch.arange(7) - 3, torch.tensor([-4, 0, 4])
    centre = torch.tensor([[[5.0, 6.0]], [[u, v]]])
    found = sample(features.movedim(1, -1), torch.arange(2), *centre.unbind(-1), columns, rows, stride)[1, 0]
    for i, j in ((0, 0), (0, 6), (1, 3), (2, 4)):
        expected = bilinear(features[1].double().numpy(), u + int(columns[j]), v + int(rows[i]), stride)
        np.testing.assert_allclose(found[i, j], expected, atol=1e-4)


@given(u=st.floats(-40, 90), v=st.floats(-30, 70), side=st.sampled_from([3, 7]))
@settings(max_examples=30, deadline=None)
def test_a_high_pass_is_what_is_there_less_the_mean_around_it(u: float, v: float, side: int) -> None:
    features = torch.randn(1, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wide = torch.nn.functional.pad(features, (side // 2 + 40,) * 4, mode="replicate")  # so far that its border is flat
    filtered = wide - torch.nn.functional.avg_pool2d(wide, side, 1, side // 2)
    columns, rows = torch.arange(7) - 3, torch.tensor([-4, 0, 4])
    centre = [torch.tensor([[value]], dtype=torch.float64) for value in (u, v)]
    found = sample(features.movedim(1, -1), torch.tensor([0]), *centre, columns, rows, 2, side)[0, 0]
    margin = 2 * (side // 2 + 40)
    for i, j in ((0, 0), (0, 6), (1, 3), (2, 4)):
        x, y = u + int(columns[j]) + margin, v + int(rows[i]) + margin
        np.testing.assert_allclose(found[i, j], bilinear(filtered[0].numpy(), x, y, 2), atol=1e-5)


def test_correlations_equal_a_plain_loop() -> None:
    look = network()
    left, right = torch.randn(2, 1, FINE, 64, 64)
    u, v, d = 61.3, 70.8, 4.6
    found = compare(look, left, right, torch.full((1, JOINT_COUNT), u), torch.full((1, JOINT_COUNT), v), d)
    assert found.shape == (1, JOINT_COUNT, 2 * REACH + 1, PATCH, PATCH)
    a, b = left[0].double().numpy(), right[0].double().numpy()
    for row, column, step in ((0, 0, 0), (PATCH - 1, 0, 2 * REACH), (3, 7, REACH + 2), (PATCH - 1, PATCH - 1, 0)):
        x, y = u + SPACING * (column - PATCH // 2), v + SPACING * (row - PATCH // 2)
        other = bilinear(b, x - d - (step - REACH), y, FINE_STRIDE)
        expected = bilinear(a, x, y, FINE_STRIDE) @ other
        np.testing.assert_allclose(float(found[0, 5, step, row, column]), expected, atol=1e-4)


@given(shift=st.integers(-3, 3))
@settings(max_examples=7, deadline=None)
def test_the_best_correlation_is_at_the_true_disparity(shift: int) -> None:
    look = network()
    left = torch.randn(1, FINE, 64, 64, generator=torch.Generator().manual_seed(2))
    right = torch.roll(left, -(3 + shift), 3)  # right(u − d) = left(u), d = 2 · (3 + shift) crop pixels
    first = torch.tensor([[[60.5, 64.5, 6.0]]]).repeat(1, JOINT_COUNT, 1)
    profile = compare(look, left, right, *first.unbind(-1)).mean((3, 4))[0, 0]
    assert int(profile.argmax()) - REACH == FINE_STRIDE * shift


def test_pixels_per_metre_are_the_derivatives_of_the_projection() -> None:
    projections = example_pair(256)[1]
    focal, baseline, depth = 1.3 * 256, 0.12, 2.0
    centres = float(projections[0, 0, 0, 2] - projections[0, 1, 0, 2])
    d = torch.full((1, JOINT_COUNT), focal * baseline / depth + centres)
    across, along = pixels_per_metre(d, projections)[0, 0]
    np.testing.assert_allclose([across, along], [focal / depth, focal * baseline / depth**2], rtol=1e-4)


def test_its_correction_keeps_within_reach_and_its_variance_is_positive() -> None:
    look = network()
    fine, context = torch.randn(2, FINE, 128, 128), torch.randn(1, CONTEXT, 64, 64)
    first = torch.rand(1, JOINT_COUNT, 3) * torch.tensor([256.0, 256.0, 20.0])
    refined, variance = look(fine, context, first, example_pair(256)[1])
    # A fresh network offers no offset inside the body, only a disparity among those compared.
    assert torch.equal(refined[..., :2], first[..., :2])
    assert ((refined - first)[..., 2].abs() <= REACH).all()
    assert (variance > 0).all()
