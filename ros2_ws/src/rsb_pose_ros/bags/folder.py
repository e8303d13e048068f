"""Stereo pairs from a plain folder: calibration.yaml, left/*.png|jpg, right/* with the same names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from rsb_pose_ros.bags.reader import StereoPair
from rsb_pose_ros.bags.topics import BagError
from rsb_pose_ros.images import to_8_bit
from rsb_pose_ros.stereo import StereoRig

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
PERIOD_NS = 33_333_333


class StereoFolder:
    """Reads like a StereoBag, without ground truth; pairs are taken to be 1/30 s apart, in the order of their names.

    Raises BagError: no folder, no calibration.yaml, no pictures, a picture without its partner.
    """

    def __init__(self, path: str | Path) -> None:
        """path: folder with calibration.yaml (see StereoRig.from_yaml), left/ and right/."""
        self.path = Path(path)
        self._calibration = self.path / "calibration.yaml"
        if not self._calibration.is_file():
            raise BagError(f"folder {self.path}: has no calibration.yaml; expected it beside left/ and right/")
        sides = [self._pictures(side) for side in ("left", "right")]
        single = sorted(set(sides[0]) ^ set(sides[1]))
        if single:
            raise BagError(
                f"folder {self.path}: {', '.join(single[:3])}{' …' if len(single) > 3 else ''} lie on one side only; "
                "expected the same names in left/ and right/"
            )
        if not sides[0]:
            raise BagError(f"folder {self.path}: left/ and right/ hold no pictures; expected {', '.join(SUFFIXES)}")
        self._files = [(sides[0][name], sides[1][name]) for name in sorted(sides[0])]

    def __enter__(self) -> StereoFolder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def pair_count(self) -> int:
        """How many stereo pairs pairs() yields."""
        return len(self._files)

    def rig(self) -> StereoRig:
        """The rig of calibration.yaml. Raises CalibrationError."""
        return StereoRig.from_yaml(self._calibration)

    def pairs(self, limit: int | None = None) -> Iterator[StereoPair]:
        """Stereo pairs in the order of their names; `limit` takes that many, spread evenly over all."""
        count = len(self._files)
        indices = range(count)
        if limit is not None and limit < count:
            indices = np.linspace(0, count - 1, max(limit, 0)).round().astype(int).tolist()  # type: ignore[assignment]
        for i in indices:
            left, right = (self._read(file) for file in self._files[i])
            yield StereoPair(left, right, i * PERIOD_NS, 0.0, "left")

    def _pictures(self, side: str) -> dict[str, Path]:
        folder = self.path / side
        if not folder.is_dir():
            raise BagError(f"folder {self.path}: has no {side}/; expected left/ and right/ with pictures")
        return {file.stem: file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES}

    @staticmethod
    def _read(file: Path) -> np.ndarray:
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.dtype not in (np.uint8, np.uint16):
            raise BagError(f"picture {file}: cannot be decoded; expected PNG or JPEG of 8 or 16 bits")
        picture = to_8_bit(picture)
        return picture[..., :3].copy() if picture.ndim == 3 and picture.shape[2] == 4 else picture
