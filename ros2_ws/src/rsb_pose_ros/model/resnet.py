"""The paper's backbone: Pose ResNet (Xiao et al., Simple Baselines, ECCV 2018), stride 4 after three deconvolutions.

Layers, names and shapes are torchvision's (`conv1`, `layer1.0.conv1`, …), so that its checkpoints load as they are;
torchvision itself is not needed: its wheels run only beside the CUDA builds of torch.
"""

from __future__ import annotations

from torch import Tensor, nn

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet152": (3, 8, 36, 3)}


class Bottleneck(nn.Module):
    """1×1, 3×3 (strided), 1×1 with a shortcut (He et al., CVPR 2016; stride on the 3×3 as torchvision has it)."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = width * 4
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + shortcut)


class PoseResNet(nn.Module):
    """Images (N, 3, H, W), BGR in 0…1 → features (N, 256, H/4, W/4)."""

    channels = 256

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for i, (blocks, width) in enumerate(zip(BLOCKS[kind], (64, 128, 256, 512), strict=True)):
            first = Bottleneck(inputs, width, stride=2 if i else 1)
            others = [Bottleneck(width * 4, width) for _ in range(blocks - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(first, *others))
            inputs = width * 4
        widths = (inputs, 256, 256)
        self.deconvolutions = nn.Sequential(*[m for width in widths for m in self._deconvolution(width)])

    @staticmethod
    def _deconvolution(inputs: int) -> list[nn.Module]:
        up = nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False)
        return [up, nn.BatchNorm2d(256), nn.ReLU(inplace=True)]

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.deconvolutions(x)
