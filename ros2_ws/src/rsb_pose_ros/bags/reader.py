"""Reading stereo pairs from a rosbag2 recording (mcap or sqlite3) with the rosbags package alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.bags.pairing import pair_stamps, tolerance_of
from rsb_pose_ros.bags.points import read_joints
from rsb_pose_ros.bags.topics import CAMERA_INFO, BagError, StereoTopics, find_topics, listing
from rsb_pose_ros.images import ImageError, to_array
from rsb_pose_ros.stereo import StereoRig

__all__ = ["BagError", "StereoBag", "StereoPair"]

STORAGE_SUFFIXES = (".mcap", ".db3")


@dataclass(frozen=True)
class StereoPair:
    """One raw stereo pair. left, right: (H, W, 3) BGR or (H, W) uint8; stamp: the left image's, seconds since epoch;
    stamp_ns: the same, nanoseconds; skew_s: right stamp − left stamp; frame_id: the left image's;
    truth: (17, 3) float32 metres, left rectified optical frame, or None."""

    left: np.ndarray
    right: np.ndarray
    stamp_ns: int
    skew_s: float
    frame_id: str
    truth: np.ndarray | None = None

    @property
    def stamp(self) -> float:
        """The left image's stamp in seconds."""
        return self.stamp_ns * 1e-9


class StereoBag:
    """A recording opened for reading; a context manager.

        with StereoBag("recording/") as bag:
            rig = bag.rig()
            for pair in bag.pairs():
                ...

    pair_count: how many pairs there are; left_count, right_count: pictures of each side; truth_count: ground truths.
    """

    def __init__(self, path: str | Path, *, tolerance_s: float | None = None, **topics: str) -> None:
        """path: a rosbag2 folder with or without metadata.yaml, or one .mcap or .db3 file.

        tolerance_s: how far the stamps of a pair may lie apart; None derives it from the frame rate.
        topics: left_image, right_image, left_info, right_info, ground_truth, where the names do not tell.
        Raises BagError: no recording, damaged, or without the topics; it lists what the recording has.
        """
        self.path = Path(path)
        self._stack = ExitStack()
        try:
            self._reader = self._stack.enter_context(_open(self.path))
            self._available = {name: info.msgtype or "mixed types" for name, info in self._reader.topics.items()}
            self.topics: StereoTopics = find_topics(self._available, topics, f"recording {self.path}")
            self._index(tolerance_s)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> StereoBag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the recording's files."""
        self._stack.close()

    def rig(self, rectified: bool | None = None) -> StereoRig:
        """The rig of the first camera_info of each side.

        rectified: whether the images are rectified already; None decides by the topic's name (image_rect).
        Raises CalibrationError; BagError where no camera_info was recorded.
        """
        if not (self.topics.left_info and self.topics.right_info):
            raise BagError(
                f"recording {self.path}: no {CAMERA_INFO} lies beside {self.topics.left_image} and "
                f"{self.topics.right_image}; expected the stereo calibration there: name the topics, or give "
                f"a calibration file. It has {listing(self._available)}"
            )
        left, right = (self._first(topic) for topic in (self.topics.left_info, self.topics.right_info))
        return StereoRig.from_camera_info(left, right, self.topics.rectified if rectified is None else rectified)

    @property
    def pair_count(self) -> int:
        """How many stereo pairs pairs() yields."""
        return len(self._partner)

    def pairs(self, limit: int | None = None) -> Iterator[StereoPair]:
        """Stereo pairs in the order of their stamps as recorded; `limit` takes that many, spread evenly over all.

        Raises BagError naming topic and stamp when a picture cannot be decoded.
        """
        wanted = dict(self._partner)
        if limit is not None and limit < len(wanted):
            stamps = list(wanted)
            chosen = np.linspace(0, len(stamps) - 1, max(limit, 0)).round().astype(int)
            wanted = {stamps[i]: wanted[stamps[i]] for i in chosen}
        sides = {self.topics.left_image: set(wanted), self.topics.right_image: set(wanted.values())}
        waiting: dict[tuple[str, int], Any] = {}
        ready = iter(wanted.items())
        following = next(ready, None)
        for topic, message in self._messages(*sides):
            stamp = stamp_ns(message)
            if stamp in sides[topic]:
                waiting.setdefault((topic, stamp), message)
            while following is not None:
                keys_of_pair = ((self.topics.left_image, following[0]), (self.topics.right_image, following[1]))
                if not all(key in waiting for key in keys_of_pair):
                    break
                yield self._pair(*(waiting.pop(key) for key in keys_of_pair))
                following = next(ready, None)

    def _pair(self, left: Any, right: Any) -> StereoPair:
        stamp = stamp_ns(left)
        return StereoPair(
            self._picture(left, self.topics.left_image),
            self._picture(right, self.topics.right_image),
            stamp,
            (stamp_ns(right) - stamp) * 1e-9,
            left.header.frame_id,
            self._truth.get(stamp),
        )

    def _picture(self, message: Any, topic: str) -> np.ndarray:
        try:
            return to_array(message)
        except ImageError as error:
            raise BagError(f"recording {self.path}: {topic} at {stamp_ns(message) * 1e-9:.3f} s: {error}") from error

    def _index(self, tolerance_s: float | None) -> None:
        """Read all stamps once and match them; read the ground truth."""
        stamps: dict[str, set[int]] = {self.topics.left_image: set(), self.topics.right_image: set()}
        self._truth: dict[int, np.ndarray] = {}
        names = [*stamps, *([self.topics.ground_truth] if self.topics.ground_truth else [])]
        for topic, message in self._messages(*names):
            if topic in stamps:
                stamps[topic].add(stamp_ns(message))
            else:
                self._truth[stamp_ns(message)] = read_joints(message, f"recording {self.path}: {topic}")
        left, right = (sorted(s) for s in stamps.values())
        tolerance = tolerance_of(left, right) if tolerance_s is None else int(tolerance_s * 1e9)
        self._partner = {left[i]: right[j] for i, j in pair_stamps(left, right, tolerance)}
        self.left_count, self.right_count, self.truth_count = len(left), len(right), len(self._truth)

    def _first(self, topic: str) -> Any:
        for _, message in self._messages(topic):
            return message
        raise BagError(f"recording {self.path}: {topic} holds no message; expected the camera's calibration")

    def _messages(self, *topics: str) -> Iterator[tuple[str, Any]]:
        from rosbags.highlevel import AnyReaderError
        from rosbags.rosbag2 import ReaderError

        connections = [c for c in self._reader.connections if c.topic in topics]
        try:
            for connection, _, data in self._reader.messages(connections=connections) if connections else ():
                yield connection.topic, self._reader.deserialize(data, connection.msgtype)
        except (AnyReaderError, ReaderError) as error:
            raise BagError(f"recording {self.path}: is damaged ({error}); expected a complete rosbag2") from error


def stamp_ns(message: Any) -> int:
    """The header's stamp in nanoseconds."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def _open(path: Path) -> Any:
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise BagError("reading recordings needs the rosbags package: pip install rosbags") from error
    if not path.exists():
        raise BagError(f"recording {path}: does not exist; expected a rosbag2 folder, .mcap or .db3 file")
    if path.is_dir() and not (path / "metadata.yaml").exists():
        files = sorted(f for f in path.iterdir() if f.suffix in STORAGE_SUFFIXES)
        if not files:
            raise BagError(f"recording {path}: holds no metadata.yaml, .mcap or .db3; expected a rosbag2 folder")
    elif path.is_file() and path.suffix not in STORAGE_SUFFIXES:
        raise BagError(f"recording {path}: is a {path.suffix or 'file'}; expected a rosbag2 folder, .mcap or .db3 file")
    else:
        files = [path]
    try:
        # Bags of Humble carry no message definitions in sqlite3; the sensor messages have not changed since.
        reader = AnyReader(files, default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except (AnyReaderError, OSError, AssertionError) as error:
        raise BagError(f"recording {path}: cannot be opened ({error}); expected a complete rosbag2") from error
    return _Closing(reader)


class _Closing:
    """An opened reader as a context manager (AnyReader's own opens once more)."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __enter__(self) -> Any:
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()
