"""Human3.6M (its own licence: research only, on application) as stereo samples of two cameras.

The folder is what the official archives unpack to:

    metadata.xml                                          cameras, from the code archive (Release-v1.1)
    S1/Videos/Directions 1.54138969.mp4                   or frames: S1/Images/Directions 1.54138969/000001.jpg
    S1/MyPoseFeatures/D3_Positions/Directions 1.cdf       32 joints of the world, millimetres
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rsb_pose_ros.data.recorded import CalibratedCamera, CameraPair, DatasetError, require, sample_window
from rsb_pose_ros.data.sample import StereoSample
from rsb_pose_ros.skeleton import JOINT_COUNT

ORIGIN = "the archives of vision.imar.ro/human3.6m"
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
PAIRS = (("60457274", "55011271"), ("54138969", "58860488"))
"""The two cameras at either end of the studio, 3.8 and 3.7 m apart; all other pairs look at each other."""
LEAST_COSINE = 0.5
"""Of the angle between the axes of a pair; wider ones leave nothing of the pictures when they are rectified."""
SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
ALL_SUBJECTS = 11
CORRUPT = {(11, "Directions")}
"""Subject and action whose video is damaged."""
SIZES = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}
JOINTS = (3, 2, 1, 6, 7, 8, 0, 12, 13, 15, 27, 26, 25, 17, 18, 19, 14)
"""Of the 32 joints those of skeleton.py, in its order."""
MISSING_FRAMES = 5
"""Videos may end that much earlier than the poses, and more pictures than poses do no harm."""


@dataclass(frozen=True)
class Clip:
    """subject: number; action: as the files are called, "Directions 1"."""

    subject: int
    action: str

    def __str__(self) -> str:
        return f"S{self.subject} {self.action}"


class Human36M:
    """The data set in a folder, as seen by one pair of cameras."""

    def __init__(self, root: str | Path, pair: tuple[str, str] = PAIRS[0]) -> None:
        """Raises DatasetError naming what is missing."""
        self.root, self._names = Path(root), pair
        unknown = sorted(set(pair) - set(CAMERAS))
        if unknown:
            raise DatasetError(f"camera {', '.join(unknown)}; expected two of {', '.join(CAMERAS)}")
        if len(set(pair)) != 2:
            raise DatasetError(f"camera {pair[0]} twice; expected two of {', '.join(CAMERAS)}")
        self._numbers = _read_numbers(require(self.root / "metadata.xml", "the cameras (w0)", ORIGIN))

    def clips(self, split: str) -> list[Clip]:
        """The clips of "train" or "test" that are in the folder. Raises DatasetError if there is none."""
        found = []
        for subject in SUBJECTS[split]:
            folder = self.root / f"S{subject}/MyPoseFeatures/D3_Positions"
            clips = [Clip(subject, path.stem) for path in sorted(folder.glob("*.cdf"))]
            found += [clip for clip in clips if (clip.subject, clip.action) not in CORRUPT]
        if not found:
            raise DatasetError(
                f"{self.root}: no poses of the {split} subjects; expected S{SUBJECTS[split][0]}/MyPoseFeatures/"
                f"D3_Positions/*.cdf, from {ORIGIN} (Poses_D3_Positions_S*.tgz)"
            )
        return found

    def joints(self, clip: Clip) -> np.ndarray:
        """(T, 17, 3) metres, the studio's world."""
        path = self.root / f"S{clip.subject}/MyPoseFeatures/D3_Positions/{clip.action}.cdf"
        pose = _read_cdf(require(path, "3D positions", f"{ORIGIN} (Poses_D3_Positions_S{clip.subject}.tgz)"))
        if pose.ndim != 2 or pose.shape[1] != 96:
            raise DatasetError(f"{path}: Pose is {pose.shape}; expected (frames, 96)")
        return pose.reshape(len(pose), 32, 3)[:, JOINTS] / 1000

    def pair(self, subject: int) -> CameraPair:
        """The rig as it stood for a subject. Raises DatasetError for cameras that are no stereo pair."""
        first, second = (self._camera(subject, name) for name in self._names)
        axes = first.rotation[2] @ second.rotation[2]
        if axes < LEAST_COSINE:
            pairs = " or ".join(" and ".join(pair) for pair in PAIRS)
            raise DatasetError(
                f"cameras {' and '.join(self._names)}: their axes are {np.degrees(np.arccos(axes)):.0f}° apart, pictures of "
                f"both cannot be rectified; expected a pair at one end of the studio: {pairs}"
            )
        return CameraPair.of(first, second)

    def samples(
        self, clip: Clip, size: int, every: int = 1, windows: np.random.Generator | None = None
    ) -> Iterator[StereoSample]:
        """Every so many frames of a clip; windows: draws misplaced windows (see CameraPair.sample)."""
        joints, pair = self.joints(clip), self.pair(clip.subject)
        assert joints.shape[1] == JOINT_COUNT
        first, second = (self._frames(clip, name, every) for name in self._names)
        poses, count = joints[::every], 0
        for pose, left, right in zip(poses, first, second):
            yield pair.sample(left, right, pose, size, sample_window(windows))
            count += 1
        if (len(poses) - count) * every > MISSING_FRAMES + every:
            raise DatasetError(
                f"{self.root}: {clip}: {count} pictures of each camera for {len(poses)} poses; expected all frames of "
                "the video, pictures extracted without leaving any out"
            )

    def _frames(self, clip: Clip, camera: str, every: int) -> Iterator[np.ndarray]:
        """Every so many pictures of a clip, (H, W, 3) uint8 BGR."""
        name = f"{clip.action}.{camera}"
        folder, video = self.root / f"S{clip.subject}/Images/{name}", self.root / f"S{clip.subject}/Videos/{name}.mp4"
        if folder.is_dir():
            for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".png"))[::every]:
                picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
                if picture is None:
                    raise DatasetError(f"{path}: not readable; expected a frame of the video as JPEG or PNG")
                yield picture
            return
        require(video, f"a video (or a folder {folder} of its frames)", f"{ORIGIN} (Videos_S{clip.subject}.tgz)")
        capture = cv2.VideoCapture(str(video))
        number = 0
        while capture.grab():
            if number % every == 0:
                yield capture.retrieve()[1]
            number += 1
        capture.release()
        if not number:
            raise DatasetError(f"{video}: holds no frame that OpenCV can decode; expected an MP4 video")

    def _camera(self, subject: int, name: str) -> CalibratedCamera:
        """From the vector w0: 6 numbers for each camera and subject (angles, centre in mm), then 9 for each camera."""
        index = CAMERAS.index(name)
        place = self._numbers[6 * (index * ALL_SUBJECTS + subject - 1) :][:6]
        fx, fy, cx, cy, k1, k2, k3, p1, p2 = self._numbers[6 * len(CAMERAS) * ALL_SUBJECTS + 9 * index :][:9]
        rotation = _turn(place[:3])
        return CalibratedCamera(
            np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
            np.array([k1, k2, p1, p2, k3]),
            rotation,
            -rotation @ place[3:] / 1000,
            SIZES[name],
        )


def _turn(angles: np.ndarray) -> np.ndarray:
    """R = Rx Ry Rz (3, 3) of three angles in radians."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(angles), np.cos(angles)
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return x @ y @ z


def _read_numbers(path: Path) -> np.ndarray:
    """The vector w0 of metadata.xml: 300 numbers."""
    try:
        node = ElementTree.parse(path).getroot().find(".//w0")
        numbers = np.array((node.text or "").strip().strip("[]").split() if node is not None else [], np.float64)
    except (ElementTree.ParseError, ValueError) as error:
        raise DatasetError(f"{path}: {error}; expected XML whose w0 has 300 numbers") from error
    if numbers.size != 300:
        raise DatasetError(f"{path}: w0 has {numbers.size} numbers; expected 300 (4 cameras, 11 subjects)")
    return numbers


def _read_cdf(path: Path) -> np.ndarray:
    """The variable Pose (T, 96) of a CDF file."""
    try:
        import cdflib
    except ImportError as error:
        raise DatasetError(
            f"{path}: reading CDF files needs the package cdflib; install it: pip install cdflib"
        ) from error
    try:
        return np.asarray(cdflib.CDF(str(path)).varget("Pose"))[0]
    except Exception as error:  # cdflib has no error of its own: a cut file raises whatever its bytes lead to
        raise DatasetError(
            f"{path}: {error or type(error).__name__}; expected a CDF file with the variable Pose"
        ) from error
