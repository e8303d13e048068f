"""Berkeley MHAD (BSD-2 licence) as stereo samples: the four cameras of cluster 1, motion capture of the skeleton.

The folder is what the official archives unpack to:

    Calibration/camcfg_l01.yml                    K, Dist and PosRel of the cluster's cameras
    Calibration/RwTw_l01.txt                      where the cluster's first camera is in the world of the motion capture
    Camera/Cluster01/Cam01/S01/A01/R01/img_l01_c01_s01_a01_r01_00000.pgm
    Camera/Correspondences/corr_moc_img_s01_a01_r01.txt   image, its time, nearest frame of motion capture, its time
    Mocap/SkeletalData/skl_s01_a01_r01.bvh        joints, centimetres
    Mocap/Joints17/joints_s01_a01_r01.txt         optional: 17 × 3 numbers a frame, millimetres, in the order of skeleton.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rsb_pose_ros.data.bvh import read_bvh
from rsb_pose_ros.data.recorded import CalibratedCamera, CameraPair, DatasetError, read_table, require, sample_window
from rsb_pose_ros.data.sample import StereoSample
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT

ORIGIN = "the archives of tele-immersion.citris-uc.org/berkeley_mhad"
BASELINES = {"s": 2, "m": 3, "l": 4}
"""Camera that makes a pair with camera 1: about 0.11, 0.23, 0.33 m."""
SUBJECTS = {"train": (1, 2, 3, 4, 5, 6, 7, 9, 10, 12), "test": (8, 11)}
"""The paper's split."""
MISSING = {(4, 8, 5)}
"""Subject, action, repetition which the data set itself lacks."""
SIZE = (640, 480)
BVH_JOINTS = {
    "r_ankle": "RightFoot",
    "r_knee": "RightLeg",
    "r_hip": "RightUpLeg",
    "l_hip": "LeftUpLeg",
    "l_knee": "LeftLeg",
    "l_ankle": "LeftFoot",
    "thorax": "Spine1",
    "neck": "Neck",
    "head_top": "Head End",
    "r_wrist": "RightHand",
    "r_elbow": "RightForeArm",
    "r_shoulder": "RightArm",
    "l_shoulder": "LeftArm",
    "l_elbow": "LeftForeArm",
    "l_wrist": "LeftHand",
}
"""The skeleton's names; pelvis is the middle of its hips, the nose is not captured and stays unknown."""
BAYER = cv2.COLOR_BayerGB2BGR
"""Cluster 1 stores raw mosaics: green red / blue green, as the data set's own sample code reads them."""


@dataclass(frozen=True)
class Clip:
    """One repetition of an action: subject, action, repetition from 1."""

    subject: int
    action: int
    repetition: int

    def __str__(self) -> str:
        return f"s{self.subject:02d}_a{self.action:02d}_r{self.repetition:02d}"


class Mhad:
    """The data set in a folder."""

    def __init__(self, root: str | Path, baseline: str = "m", mosaic: bool = True) -> None:
        """baseline: s, m or l; mosaic: images are raw Bayer mosaics. Raises DatasetError naming what is missing."""
        if baseline not in BASELINES:
            raise DatasetError(f"baseline {baseline!r}; expected one of {', '.join(BASELINES)}")
        self.root, self.baseline, self._mosaic = Path(root), baseline, mosaic
        self._cameras = (1, BASELINES[baseline])
        cameras = read_cameras(self.root)
        self.pair = CameraPair.of(*(cameras[c - 1] for c in self._cameras))

    def clips(self, split: str) -> list[Clip]:
        """The clips of "train" or "test" that are in the folder. Raises DatasetError if there is none."""
        folder = require(self.root / "Camera/Cluster01/Cam01", "images of camera 1, S01 to S12", ORIGIN)
        found = []
        for path in sorted(folder.glob("S??/A??/R??")):
            clip = Clip(*(int(part[1:]) for part in path.parts[-3:]))
            if clip.subject in SUBJECTS[split] and (clip.subject, clip.action, clip.repetition) not in MISSING:
                found.append(clip)
        if not found:
            raise DatasetError(f"{folder}: no clip of the {split} subjects {SUBJECTS[split]}; expected S01/A01/R01 …")
        return found

    def frames(self, clip: Clip) -> np.ndarray:
        """(N, 2) image number and frame of the motion capture."""
        path = self.root / "Camera/Correspondences" / f"corr_moc_img_{clip}.txt"
        require(path, "image and motion capture frames, 4 columns", ORIGIN)
        table = read_table(path, 3, "4 columns (image, time, motion capture frame, time)")
        return table[:, [0, 2]].astype(int)

    def joints(self, clip: Clip) -> np.ndarray:
        """(T, 17, 3) metres, the motion capture's world; NaN where the skeleton has no such joint."""
        given = self.root / "Mocap/Joints17" / f"joints_{clip}.txt"
        if given.exists():
            table = read_table(given, 3 * JOINT_COUNT, "17 × 3 numbers a frame, millimetres")
            return table[:, : 3 * JOINT_COUNT].reshape(-1, JOINT_COUNT, 3) / 1000
        path = self.root / "Mocap/SkeletalData" / f"skl_{clip}.bvh"
        motion = read_bvh(require(path, "the skeleton's motion", ORIGIN))
        joints = np.full((len(motion.positions), JOINT_COUNT, 3), np.nan)
        try:
            for name, bone in BVH_JOINTS.items():
                joints[:, INDEX[name]] = motion.of(bone)
        except KeyError as error:
            raise DatasetError(f"{path}: {error.args[0]}") from error
        joints[:, INDEX["pelvis"]] = (joints[:, INDEX["r_hip"]] + joints[:, INDEX["l_hip"]]) / 2
        return joints / 100

    def image(self, clip: Clip, camera: int, frame: int) -> np.ndarray:
        """(480, 640, 3) uint8 BGR, or (480, 640) when images are no mosaics."""
        folder = f"Cam{camera:02d}/S{clip.subject:02d}/A{clip.action:02d}/R{clip.repetition:02d}"
        path = self.root / "Camera/Cluster01" / folder / f"img_l01_c{camera:02d}_{clip}_{frame:05d}.pgm"
        image = cv2.imread(str(require(path, f"the image of camera {camera}", ORIGIN)), cv2.IMREAD_GRAYSCALE)
        if image is None or image.shape != SIZE[::-1]:
            raise DatasetError(
                f"{path}: {'not readable' if image is None else image.shape}; expected a PGM of 640 × 480"
            )
        return cv2.cvtColor(image, BAYER) if self._mosaic else image

    def samples(
        self, clip: Clip, size: int, every: int = 1, windows: np.random.Generator | None = None
    ) -> Iterator[StereoSample]:
        """Every so many frames of a clip; windows: draws misplaced windows (see CameraPair.sample)."""
        joints = self.joints(clip)
        for image, moment in self.frames(clip)[::every]:
            if not 0 <= moment < len(joints):
                raise DatasetError(f"clip {clip}: motion capture frame {moment}; it has only {len(joints)}")
            pictures = [self.image(clip, camera, int(image)) for camera in self._cameras]
            yield self.pair.sample(pictures[0], pictures[1], joints[moment], size, sample_window(windows))


def read_cameras(root: Path) -> list[CalibratedCamera]:
    """The cameras of cluster 1; the world is the motion capture's, metres."""
    path = require(root / "Calibration/camcfg_l01.yml", "the cameras of cluster 1", ORIGIN)
    world_rotation, world_translation = _read_world(
        require(root / "Calibration/RwTw_l01.txt", "rotation Rw and translation Tw of cluster 1", ORIGIN)
    )
    cameras = []
    for number in range(1, 5):
        matrix, distortion, place = _read_camera(path, number)
        rotation = cv2.Rodrigues(place.ravel()[3:])[0]
        cameras.append(
            CalibratedCamera(
                matrix,
                np.append(distortion.ravel()[:4], 0.0),
                rotation @ world_rotation,
                (rotation @ world_translation + place.ravel()[:3]) / 1000,
                SIZE,
            )
        )
    return cameras


def _read_camera(path: Path, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(matrix (3, 3), distortion, place (6,)) of a camera from 1."""
    try:
        file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)  # its nodes live no longer than it does
        node = file.getNode(f"Camera_{number}")
        matrices = [node.getNode(name).mat() if not node.empty() else None for name in ("K", "Dist", "PosRel")]
    except (cv2.error, SystemError) as error:  # the latter where OpenCV fails within its constructor
        raise DatasetError(
            f"{path}: is no YAML that OpenCV reads; expected four cameras' K, Dist and PosRel"
        ) from error
    matrix, distortion, place = (np.zeros(0) if m is None else np.asarray(m, np.float64) for m in matrices)
    if matrix.shape != (3, 3) or distortion.size < 4 or place.size != 6:
        raise DatasetError(
            f"{path}: Camera_{number} lacks K (3 × 3), Dist (4) or PosRel (6); expected four cameras with all three"
        )
    return matrix, distortion, place


def _read_world(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(rotation (3, 3), translation (3,) millimetres) from lines Rw=… and Tw=…"""
    try:
        found = {
            key: np.array(values.split(), np.float64)
            for key, values in re.findall(r"(Rw|Tw)\s*=\s*([^\n\r]+)", path.read_text())
        }
    except ValueError as error:
        raise DatasetError(f"{path}: {error}; expected Rw= with 9 numbers and Tw= with 3") from error
    if {k: v.size for k, v in found.items()} != {"Rw": 9, "Tw": 3}:
        raise DatasetError(f"{path}: {sorted(found)} found; expected Rw= with 9 numbers and Tw= with 3")
    return found["Rw"].reshape(3, 3), found["Tw"]
