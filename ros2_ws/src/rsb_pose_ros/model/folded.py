"""The edge co-keypoint regressor: disparities folded into channels, aggregated by a 2D encoder-decoder.

The paper's 3D regressor needs about 37 GMAC at 16×64×64. Here the first 1³ convolution over the concatenated volume is
split in two, W·[left; right] = W_l·left + W_r·right, each computed once and only shifted per disparity; all further
layers are 2D and see the D·C channels of a position side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.blazepose import Inverted, Separable, upsample
from rsb_pose_ros.model.stereo_volume import shifts_right
from rsb_pose_ros.skeleton import JOINT_COUNT

WIDTHS = (96, 128, 160)


class FoldedVolume(nn.Module):
    """Features (B, C, H, W) of both views → matching evidence (B, D·C, H, W), disparity by disparity."""

    def __init__(self, channels: int, disparities: range) -> None:
        super().__init__()
        self.left = nn.Conv2d(channels, channels, 1)
        self.right = nn.Conv2d(channels, channels, 1)
        self.disparities = disparities

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        left, right = self.left(left), self.right(right)
        slices = [nn.functional.relu6(left + shifted) for shifted in shifts_right(right, self.disparities)]
        return torch.cat(slices, dim=1)


class FoldedRegressor(nn.Module):
    """Reduced features (B, C, H, W) of both views and context (B, K, H, W) → logits (B, 17, D, H, W).

    Also returns the pooled coarsest features (B, 160), from which the confidence is read.
    """

    pooled_channels = WIDTHS[2]

    def __init__(self, channels: int, context: int, disparities: range) -> None:
        super().__init__()
        w1, w2, w3 = WIDTHS
        self.depth = len(disparities)
        self.volume = FoldedVolume(channels, disparities)
        self.stem = nn.Conv2d(channels * self.depth + context, w1, 1)
        self.fine = Separable(w1, w1, 3)
        self.down2 = Separable(w1, w2, 5, stride=2, linear=True)
        self.level2 = nn.Sequential(Inverted(w2, w2 * 3, w2, 5), Inverted(w2, w2 * 3, w2, 5))
        self.down3 = Separable(w2, w3, 5, stride=2, linear=True)
        self.level3 = nn.Sequential(*[Inverted(w3, w3 * 3, w3, 5) for _ in range(3)])
        self.up3 = nn.Conv2d(w3, w2, 1)
        self.merge2 = Inverted(w2, w2 * 3, w2, 5)
        self.up2 = nn.Conv2d(w2, w1, 1)
        self.merge1 = Separable(w1, w1, 3)
        self.head = nn.Conv2d(w1, JOINT_COUNT * self.depth, 1)
        # A fresh regressor corrects nothing: the heatmaps' agreement stands.
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def forward(self, left: Tensor, right: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        x1 = torch.cat([self.volume(left, right), context], dim=1)
        x1 = self.fine(nn.functional.relu6(self.stem(x1)))
        x2 = self.level2(self.down2(x1))
        x3 = self.level3(self.down3(x2))
        x2 = self.merge2(upsample(self.up3(x3)) + x2)
        x1 = self.merge1(upsample(self.up2(x2)) + x1)
        logits = self.head(x1)
        return logits.unflatten(1, (JOINT_COUNT, self.depth)), x3.mean((2, 3))
