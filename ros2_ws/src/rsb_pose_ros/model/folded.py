"""The edge co-keypoint regressor: disparities folded into channels, aggregated by a 2D encoder-decoder.

The paper's 3D regressor needs about 37 GMAC at 16×64×64. Here the first 1³ convolution over the concatenated volume is
split in two, W·[left; right] = W_l·left + W_r·right, each computed once and only shifted per disparity; all further
layers are 2D and see the D·C channels of a position side by side.

Across the picture the volume's cells are two feature cells wide, along disparity one: depth hangs on the latter, and what
the former lose the expectation over cells and the second look restore. Left views are halved both ways, right views
along v alone, so that u − d is a column of theirs for every d.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.blazepose import Inverted, Separable, upsample
from rsb_pose_ros.model.stereo_volume import shifts_right
from rsb_pose_ros.skeleton import JOINT_COUNT

WIDTHS = (128, 160)

UNSEEN_LOGIT = -10.0
"""Heatmap logit of what lies outside the right crop: about that of background inside."""


def halve(inputs: int, outputs: int, columns: bool = True, groups: int = 1) -> nn.Conv2d:
    """Rows in pairs → one, and columns (every neighbouring two otherwise); fresh, the mean of what it covers."""
    conv = nn.Conv2d(inputs, outputs, 2, (2, 2 if columns else 1), groups=groups)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.mean((2, 3), keepdim=True).expand_as(conv.weight))
    return conv


class FoldedVolume(nn.Module):
    """Features (B, C, H, W) of both views → matching evidence (B, D·C, H/2, W/2), disparity by disparity."""

    def __init__(self, channels: int, disparities: range) -> None:
        super().__init__()
        self.left = halve(channels, channels * len(disparities))
        self.right = halve(channels, channels, columns=False)
        self.disparities = disparities

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        partners = torch.cat(shifts_right(self.right(right), self.disparities, step=2), dim=1)
        return nn.functional.relu6(self.left(left) + partners)


class HeatmapAgreement(nn.Module):
    """Heatmap logits (B, 17, H, W) of both views → (B, 17, D, H/2, W/2), fresh left(u, v) + right(u − d, v).

    The log of their product along the epipolar line: what both views say together.
    """

    def __init__(self, disparities: range) -> None:
        super().__init__()
        self.left = halve(JOINT_COUNT, JOINT_COUNT, groups=JOINT_COUNT)
        self.right = halve(JOINT_COUNT, JOINT_COUNT, columns=False, groups=JOINT_COUNT)
        for view, seen in ((self.left, UNSEEN_LOGIT), (self.right, -UNSEEN_LOGIT)):
            nn.init.constant_(view.weight, 1 / 4)
            nn.init.constant_(view.bias, seen)  # type: ignore[arg-type]
        self.disparities = disparities

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        partners = torch.stack(shifts_right(self.right(right), self.disparities, step=2), dim=2)
        return self.left(left).unsqueeze(2) + partners


class FoldedRegressor(nn.Module):
    """Reduced features (B, C, H, W) of both views and context (B, K, H, W) → logits (B, 17, D, H/2, W/2).

    Also returns the pooled coarsest features (B, 160), from which the confidence is read.
    """

    pooled_channels = WIDTHS[1]

    def __init__(self, channels: int, context: int, disparities: range) -> None:
        super().__init__()
        w2, w3 = WIDTHS
        self.depth = len(disparities)
        self.volume = FoldedVolume(channels, disparities)
        self.stem = nn.Conv2d(channels * self.depth, w2, 1)
        self.context = halve(context, w2)
        self.fine = Separable(w2, w2, 3, linear=True)
        self.level2 = Inverted(w2, w2 * 3, w2, 5)
        self.down3 = Separable(w2, w3, 5, stride=2, linear=True)
        self.level3 = nn.Sequential(*[Inverted(w3, w3 * 3, w3, 5) for _ in range(3)])
        self.up3 = nn.Conv2d(w3, w2, 1)
        self.merge2 = Inverted(w2, w2 * 3, w2, 5)
        self.last = Separable(w2, w2, 3)
        self.head = nn.Conv2d(w2, JOINT_COUNT * self.depth, 1)
        # A fresh regressor corrects nothing: the heatmaps' agreement stands.
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, left: Tensor, right: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        x2 = nn.functional.relu6(self.stem(self.volume(left, right)) + self.context(context))
        x2 = self.level2(self.fine(x2))
        x3 = self.level3(self.down3(x2))
        x2 = self.merge2(upsample(self.up3(x3)) + x2)
        logits = self.head(self.last(x2))
        return logits.unflatten(1, (JOINT_COUNT, self.depth)), x3.mean((2, 3))
