"""A stereo pair's mirror image is a stereo pair, too: the views change places, and the body's right becomes its left.

Where pairs are rendered on the fly, it costs nothing, and looks like another person in another room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from rsb_pose_ros.skeleton import MIRROR

DELAY = 48
"""Pairs between one and its mirror image, so that no batch holds both."""
BATCHES_DELAY = 4
"""The same in batches, where whole batches are mirrored."""


class MirroredToo(IterableDataset):
    """Everything of another stream, and later its mirror image: pairs, dictionaries of StereoSample's arrays as tensors, or
    batches of them. delay: how many are between."""

    def __init__(self, pairs: Iterable[dict[str, Tensor]], delay: int = DELAY) -> None:
        self.pairs, self.delay = pairs, delay

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        waiting: deque[dict[str, Tensor]] = deque()
        for pair in self.pairs:
            waiting.append(pair)
            yield pair
            if len(waiting) > self.delay:
                yield mirrored(waiting.popleft())


def mirrored(pair: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mirror image of one pair, or of a batch of them: the right picture turned over is the left camera's.

    With the baseline b a point (x, y, z) of the left frame becomes (b − x, y, z), a pixel u becomes S − 1 − u.
    """
    side = pair["crops"].shape[-2]
    sides = list(MIRROR)
    left, right = pair["projections"].unbind(-3)
    baseline = -right[..., 0, 3] / right[..., 0, 0]
    x, y, z = pair["joints"][..., sides, :].unbind(-1)
    keypoints = pair["keypoints"].flip(-3)[..., sides, :]
    x0, y0, x1, y1 = pair["boxes"].flip(-2).unbind(-1)
    turned = {
        "crops": pair["crops"].flip(-4, -2),
        "projections": torch.stack([_turned(right, side, baseline), _turned(left, side, baseline)], -3),
        "joints": torch.stack([baseline[..., None] - x, y, z], -1),
        "keypoints": torch.stack([side - 1 - keypoints[..., 0], keypoints[..., 1]], -1),
        "visibility": pair["visibility"].flip(-2)[..., sides],
        "boxes": torch.stack([side - 1 - x1, y0, side - 1 - x0, y1], -1),
    }
    if "masks" in pair:
        turned["masks"] = pair["masks"].flip(-3, -1)
    return pair | turned


def _turned(camera: Tensor, side: int, baseline: Tensor) -> Tensor:
    """Projections (…, 3, 4) of the same cameras behind a mirror: F·P·M, F turning pixels over and M points."""
    pixels = torch.tensor([[-1.0, 0, side - 1], [0, 1, 0], [0, 0, 1]], device=camera.device)
    points = torch.diag(camera.new_tensor([-1.0, 1, 1, 1])).expand(*camera.shape[:-2], 4, 4).clone()
    points[..., 0, 3] = baseline
    return pixels @ camera @ points
