"""Synthetic pairs for PyTorch, rendered on the fly by workers or on a GPU: endless streams, and the frozen test set."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from rsb_pose_ros.data.sample import StereoSample
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.generator import SyntheticPairs, check_sources
from rsb_pose_ros.data.synthetic.test_set import SyntheticTestSet


def one_thread() -> None:
    """OpenCV with one thread, in this process and those that it forks from now on: each worker renders on one core.

    Called before any fork: a child that inherits a pool of threads without the threads waits for them forever.
    """
    cv2.setNumThreads(1)


def to_tensors(sample: StereoSample) -> dict[str, Tensor]:
    """The sample's arrays as tensors of the same names; crops stay uint8. Masks stay behind: no loss needs them."""
    names = ("crops", "projections", "joints", "keypoints", "visibility", "boxes")
    arrays = {name: torch.from_numpy(getattr(sample, name)) for name in names}
    return arrays | {"present": torch.tensor(sample.present), "search": torch.tensor(sample.search)}


class SyntheticPairsDataset(IterableDataset):
    """Seeds seed, seed + 1, …, dealt to the workers in turn; size: side of the crops in pixels, None for the file's.

    Raises FileNotFoundError naming what is missing, before any worker does from somewhere inside.
    """

    def __init__(
        self, config: Path, shared: Path, pack: Path, size: int | None = None, split: str = "train", seed: int = 0
    ) -> None:
        one_thread()
        self.arguments = (SyntheticConfig.from_yaml(config, size), shared, pack, split)
        check_sources(shared, pack, split)
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        one_thread()
        pairs = SyntheticPairs(*self.arguments)
        worker = get_worker_info()
        seed, step = (self.seed, 1) if worker is None else (self.seed + worker.id, worker.num_workers)
        while True:
            yield to_tensors(pairs.sample(seed))
            seed += step


class DrawnOnDevice:
    """Endless batches of the pairs of seeds seed, seed + 1, …, planned by workers and drawn on a device, where they stay.

    Each batch is a dictionary as SyntheticPairsDataset's pairs are, stacked, with masks (B, 2, S, S).
    """

    def __init__(
        self, config: Path, shared: Path, pack: Path, size: int | None, batch: int, device: str, seed: int = 0,
        workers: int = 0, split: str = "train",
    ) -> None:  # fmt: skip
        self._plans = _Plans((SyntheticConfig.from_yaml(config, size), shared, pack, split), seed, batch)
        self.device, self.workers = device, workers

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        from rsb_pose_ros.data.synthetic.on_torch.pairs import finish

        pairs = SyntheticPairs(*self._plans.arguments)
        prefetch = 4 if self.workers else None
        loader = DataLoader(self._plans, batch_size=None, num_workers=self.workers, prefetch_factor=prefetch)
        for packed, generators in loader:
            yield finish(pairs, packed, generators, self.device)


class _Plans(IterableDataset):
    """Packed plans of `batch` seeds in a row, with the generators that go on where those end; dealt to workers in turn."""

    def __init__(self, arguments: tuple, seed: int, batch: int) -> None:
        one_thread()
        self.arguments, self.seed, self.batch = arguments, seed, batch

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], list[np.random.Generator]]]:
        from rsb_pose_ros.data.synthetic.on_torch.pairs import plan

        one_thread()
        pairs, worker = SyntheticPairs(*self.arguments), get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number in count(first, step):
            start = self.seed + number * self.batch
            yield plan(pairs, range(start, start + self.batch))


class SyntheticTestDataset(Dataset):
    """The frozen pairs of `synthetic-test`, or the first `pairs` of them, as the same dictionaries."""

    def __init__(self, definition: Path, shared: Path, pack: Path, pairs: int | None = None) -> None:
        one_thread()
        self._arguments = (definition, shared, pack)
        self._open: SyntheticTestSet | None = None
        self._length = len(self._test_set()) if pairs is None else pairs

    def _test_set(self) -> SyntheticTestSet:
        if self._open is None:
            one_thread()
            self._open = SyntheticTestSet(*self._arguments)
        return self._open

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return to_tensors(self._test_set()[index])

    def __getstate__(self) -> dict:
        # Each worker opens its own: textures and bodies are read faster than sent.
        return self.__dict__ | {"_open": None}
