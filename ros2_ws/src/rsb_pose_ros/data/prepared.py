"""Samples stored as shards: crops as JPEG, labels as arrays. What tools/prepare_dataset.py writes and training reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from rsb_pose_ros.data.recorded import DatasetError
from rsb_pose_ros.data.sample import StereoSample, stacked

SHARD = 256
LABELS = ("projections", "joints", "keypoints", "visibility", "present", "boxes", "search")


def write_shards(folder: Path, samples: Iterable[StereoSample], quality: int = 95, shard: int = SHARD) -> int:
    """Store samples as folder/00000.npz, …; returns how many. Raises FileExistsError when there are shards already."""
    if list(folder.glob("*.npz")):
        raise FileExistsError(f"{folder}: holds shards already; remove them or give another --output")
    folder.mkdir(parents=True, exist_ok=True)
    waiting: list[StereoSample] = []
    count = files = 0
    for sample in samples:
        waiting.append(sample)
        count += 1
        if len(waiting) == shard:
            _write(folder / f"{files:05d}.npz", waiting, quality)
            waiting, files = [], files + 1
    if waiting:
        _write(folder / f"{files:05d}.npz", waiting, quality)
    return count


def _write(path: Path, samples: list[StereoSample], quality: int) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    pictures = [cv2.imencode(".jpg", view, options)[1].ravel() for sample in samples for view in sample.crops]
    labels = {name: np.stack([getattr(sample, name) for sample in samples]) for name in LABELS}
    ends = np.cumsum([len(picture) for picture in pictures])
    part = path.with_suffix(".part")
    with part.open("wb") as file:  # an interrupted run leaves no half shard under a shard's name
        np.savez(file, pictures=np.concatenate(pictures), ends=ends, **labels)  # type: ignore[arg-type]
    part.rename(path)


class PreparedPairs:
    """The samples of a folder of shards, a sequence."""

    def __init__(self, folder: str | Path) -> None:
        """Raises DatasetError if the folder holds no shard."""
        self._paths = sorted(Path(folder).glob("*.npz"))
        if not self._paths:
            raise DatasetError(f"{folder}: no shard; make them with: python tools/prepare_dataset.py")
        self.folder = Path(folder)
        self._firsts = np.cumsum([0, *(self._count(path) for path in self._paths)])
        self._shard = lru_cache(maxsize=2)(self._load)

    @staticmethod
    def _count(path: Path) -> int:
        try:
            with np.load(path) as file:
                return len(file["present"])
        except (OSError, EOFError, ValueError, KeyError, AttributeError, BadZipFile) as error:
            raise DatasetError(f"{path}: is no shard; make it anew with: python tools/prepare_dataset.py") from error

    def __len__(self) -> int:
        return int(self._firsts[-1])

    @property
    def size(self) -> int:
        """Side of the crops, pixels."""
        return self[0].crops.shape[1]

    def check_size(self, size: int | None) -> None:
        """Raises DatasetError if the crops have another side than this; None accepts any."""
        if size is not None and self.size != size:
            raise DatasetError(
                f"{self.folder}: crops of {self.size} pixels; expected {size}: tools/prepare_dataset.py … --size {size}"
            )

    def shards(self) -> list[range]:
        """Numbers of the samples that are stored together: fast to read one after the other."""
        return [range(int(a), int(b)) for a, b in pairwise(self._firsts)]

    def batches(self, size: int, pairs: int | None = None) -> Iterator[dict[str, np.ndarray]]:
        """The first `pairs` (all, if None) in stacks of at most `size`: the arrays of StereoSample but masks, by name."""
        return stacked(self, size, pairs)

    def __iter__(self) -> Iterator[StereoSample]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> StereoSample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index}; expected 0 to {len(self) - 1}")
        number = int(np.searchsorted(self._firsts, index, side="right")) - 1
        shard, row = self._shard(number), index - int(self._firsts[number])
        starts = [0, *shard["ends"]]
        views = [shard["pictures"][starts[k] : starts[k + 1]] for k in (2 * row, 2 * row + 1)]
        labels = {name: shard[name][row] for name in LABELS}
        labels |= {"present": bool(labels["present"]), "search": bool(labels["search"])}
        return StereoSample(np.stack([cv2.imdecode(view, cv2.IMREAD_COLOR) for view in views]), **labels)

    def _load(self, number: int) -> dict[str, np.ndarray]:
        with np.load(self._paths[number]) as file:
            return {name: file[name] for name in file.files}
