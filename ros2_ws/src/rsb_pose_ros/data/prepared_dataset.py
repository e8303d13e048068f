"""Recorded pairs for PyTorch: the shards of tools/prepare_dataset.py as endless streams, alone or among rendered pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from rsb_pose_ros.data.prepared import PreparedPairs
from rsb_pose_ros.data.synthetic.dataset import one_thread, to_tensors


class PreparedPairsDataset(IterableDataset):
    """Samples of folders of shards in random order, shard by shard, again and again; each worker in an order of its own."""

    def __init__(self, folders: Sequence[Path], size: int | None = None, seed: int = 0) -> None:
        """size: the side that crops must have, pixels. Raises DatasetError for a folder that has none such."""
        one_thread()
        self.sets = [PreparedPairs(folder) for folder in folders]
        for pairs in self.sets:
            pairs.check_size(size)
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        one_thread()
        worker = get_worker_info()
        generator = np.random.default_rng((self.seed, worker.id if worker else 0))
        shards = [(pairs, rows) for pairs in self.sets for rows in pairs.shards()]
        while True:
            for number in generator.permutation(len(shards)):
                pairs, rows = shards[number]
                for row in generator.permutation(np.asarray(rows)):
                    yield to_tensors(pairs[int(row)])


class MixedPairs(IterableDataset):
    """Pairs of one endless dataset, and with probability `share` of another."""

    def __init__(self, usual: IterableDataset, other: IterableDataset, share: float, seed: int = 0) -> None:
        """Raises ValueError for a share outside 0 to 1."""
        if not 0 <= share <= 1:
            raise ValueError(f"share {share}; expected 0 to 1")
        self.usual, self.other, self.share, self.seed = usual, other, share, seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        generator = np.random.default_rng((self.seed, worker.id if worker else 0, 1))
        # Opened when first asked: a share of 1 needs no bodies and no textures.
        usual, other = iter(self.usual), iter(self.other)
        while True:
            yield next(other if generator.random() < self.share else usual)
