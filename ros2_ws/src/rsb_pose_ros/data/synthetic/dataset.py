"""Synthetic pairs for PyTorch: an endless stream that renders on the fly in DataLoader workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.generator import StereoSample, SyntheticPairs


def to_tensors(sample: StereoSample) -> dict[str, Tensor]:
    """The sample's arrays as tensors of the same names; crops stay uint8."""
    arrays = {
        k: torch.from_numpy(getattr(sample, k)) for k in ("crops", "projections", "joints", "keypoints", "visibility")
    }
    return arrays | {"present": torch.tensor(sample.present)}


class SyntheticPairsDataset(IterableDataset):
    """Seeds seed, seed + 1, …, dealt to the workers in turn."""

    def __init__(self, config: Path, shared: Path, pack: Path, split: str = "train", seed: int = 0) -> None:
        self.arguments = (SyntheticConfig.from_yaml(config), shared, pack, split)
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        cv2.setNumThreads(1)
        pairs = SyntheticPairs(*self.arguments)
        worker = get_worker_info()
        seed, step = (self.seed, 1) if worker is None else (self.seed + worker.id, worker.num_workers)
        while True:
            yield to_tensors(pairs.sample(seed))
            seed += step
