"""The paper's co-keypoint regressor: a V2V-style 3D encoder-decoder (Moon et al., CVPR 2018) over the stereo volume."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from rsb_pose_ros.skeleton import JOINT_COUNT

LEVELS = (32, 64, 128, 128, 128)


def convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3³ convolutions with a shortcut (1³ where the width changes)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, 3)
        self.second = nn.Sequential(nn.Conv3d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.second(self.first(x)) + self.shortcut(x))


class V2VRegressor(nn.Module):
    """Stereo volume (B, 2C, D, H, W) → co-heatmap logits (B, 17, D, H, W). D, H, W are multiples of 16."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(channels, 16, 7), Residual(16, LEVELS[0]))
        pairs = list(itertools.pairwise(LEVELS))
        self.pool = nn.MaxPool3d(2)
        self.encoders = nn.ModuleList(Residual(a, b) for a, b in pairs)
        self.skips = nn.ModuleList(Residual(a, a) for a, _ in pairs)
        self.middle = Residual(LEVELS[-1], LEVELS[-1])
        self.decoders = nn.ModuleList(Residual(b, b) for _, b in pairs)
        self.ups = nn.ModuleList(self._up(b, a) for a, b in pairs)
        self.head = nn.Conv3d(LEVELS[0], JOINT_COUNT, 1)

    @staticmethod
    def _up(inputs: int, outputs: int) -> nn.Sequential:
        deconvolution = nn.ConvTranspose3d(inputs, outputs, 2, 2, bias=False)
        return nn.Sequential(deconvolution, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))

    def forward(self, volume: Tensor) -> Tensor:
        x = self.stem(volume)
        skips = []
        for encode, skip in zip(self.encoders, self.skips, strict=True):
            skips.append(skip(x))
            x = encode(self.pool(x))
        x = self.middle(x)
        for decode, up, skip in zip(reversed(self.decoders), reversed(self.ups), reversed(skips), strict=True):
            x = up(decode(x)) + skip
        return self.head(x)
