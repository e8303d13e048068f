"""Edge backbone: the encoder-decoder of BlazePose GHUM (Bazarevsky et al., arXiv 2006.10204) up to its heatmaps.

Its published weights (Google, Apache-2.0) have seen real people; tools/import_blazepose.py reads them from the
mediapipe wheel. Batch norms are folded into the convolutions there, so none appear here.
"""

from __future__ import annotations

from torch import Tensor, nn

FEATURES = 48
LANDMARKS = 39


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, depthwise: bool = False) -> nn.Conv2d:
    groups = inputs if depthwise else 1
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)


class Separable(nn.Module):
    """Depthwise convolution and 1×1 projection, ReLU6 after each (the last one optional)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, linear: bool = False) -> None:
        super().__init__()
        self.depthwise = conv(inputs, inputs, kernel, stride, depthwise=True)
        self.project = conv(inputs, outputs)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(nn.functional.relu6(self.depthwise(x)))
        return x if self.linear else nn.functional.relu6(x)


class Inverted(nn.Module):
    """Inverted residual (MobileNetV2): expand, depthwise, linear projection; added to the input where shapes allow."""

    def __init__(self, inputs: int, expanded: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.expand = conv(inputs, expanded)
        self.separable = Separable(expanded, outputs, kernel, stride, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.separable(nn.functional.relu6(self.expand(x)))
        return x + y if self.residual else y


def upsample(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class BlazePoseBackbone(nn.Module):
    """Images (N, 3, H, W), BGR in 0…1 → features (N, 48, H/4, W/4). H and W are multiples of 32.

    Stride-2 convolutions are padded symmetrically, as the PAD operators of the published graph are.
    """

    channels = FEATURES
    fine_channels = 16

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 24, 3, stride=2)
        self.stem_separable = Separable(24, 16, linear=True)
        self.stage4 = nn.Sequential(Inverted(16, 64, 24, 3, stride=2), Inverted(24, 144, 24, 3))
        self.stage8 = nn.Sequential(Inverted(24, 144, 32, 5, stride=2), Inverted(32, 192, 32, 5))
        self.stage16 = nn.Sequential(
            Inverted(32, 192, 64, 3, stride=2),
            Inverted(64, 384, 64, 3),
            Inverted(64, 384, 64, 3),
            Inverted(64, 384, 88, 5),
            Inverted(88, 528, 88, 5),
            Inverted(88, 528, 88, 5),
        )
        self.stage32 = nn.Sequential(
            Inverted(88, 528, 144, 5, stride=2),
            Inverted(144, 864, 144, 5),
            Inverted(144, 864, 144, 5),
            Inverted(144, 864, 144, 5),
        )
        self.top_expand = conv(144, 864)
        self.top_depthwise = conv(864, 864, 3, depthwise=True)
        self.top_separable = Separable(864, FEATURES)
        self.lateral16 = Separable(88, FEATURES)
        self.lateral8 = Separable(32, FEATURES)
        self.lateral4 = Separable(24, FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        return self.pyramid(images)[0]

    def pyramid(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The features, and those of stride 2 (N, 16, H/2, W/2) on the way to them."""
        relu6 = nn.functional.relu6
        x2 = self.stem_separable(relu6(self.stem(images)))
        x4 = self.stage4(x2)
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        x = relu6(self.top_depthwise(relu6(self.top_expand(self.stage32(x16)))))
        x = upsample(self.top_separable(x)) + self.lateral16(x16)
        x = upsample(x) + self.lateral8(x8)
        return upsample(x) + self.lateral4(x4), x2

    def convolutions_in_graph_order(self) -> list[nn.Conv2d]:
        """Convolutions in the order of the published graph (a block's successor expands before its lateral runs)."""
        stages: list[nn.Module] = [self.stem, self.stem_separable, self.stage4]
        laterals = (self.lateral4, self.lateral8, self.lateral16)
        for lateral, stage in zip(laterals, (self.stage8, self.stage16, self.stage32), strict=True):
            head = stage[0].expand
            stages += [head, lateral, *[m for m in stage.modules() if isinstance(m, nn.Conv2d) and m is not head]]
        stages += [self.top_expand, self.top_depthwise, self.top_separable]
        return [m for stage in stages for m in stage.modules() if isinstance(m, nn.Conv2d)]


class LandmarkHeatmaps(nn.Module):
    """The published 1×1 head: features → 39 landmark heatmaps (33 of MediaPipe's order, 6 auxiliary points).

    Kept beside the network during training to see whether fine-tuning forgets real people.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(FEATURES, LANDMARKS)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)
