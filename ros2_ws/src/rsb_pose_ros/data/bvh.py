"""Motion in Biovision's BVH text format: joint positions by forward kinematics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class BvhMotion:
    """names: J joints, end sites as "<parent> End"; positions: (T, J, 3) in the file's unit and axes."""

    names: tuple[str, ...]
    positions: np.ndarray
    frame_time_s: float

    def of(self, name: str) -> np.ndarray:
        """(T, 3) positions of a joint, whatever the case of its name. Raises KeyError with the names there are."""
        for k, known in enumerate(self.names):
            if known.lower() == name.lower():
                return self.positions[:, k]
        raise KeyError(f"no joint {name!r}; the file has {', '.join(self.names)}")


@dataclass
class _Joint:
    name: str
    parent: int
    offset: np.ndarray
    channels: tuple[str, ...]


def read_bvh(path: Path) -> BvhMotion:
    """Read a file. Raises ValueError naming the file and what is wrong with it."""
    try:
        return _read(path)
    except (IndexError, KeyError, StopIteration, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cut short or no BVH file ({type(error).__name__}: {error})") from error


def _read(path: Path) -> BvhMotion:
    header, _, motion = path.read_text().partition("MOTION")
    if not motion:
        raise ValueError(f"{path}: no MOTION section; expected a BVH file")
    joints = _hierarchy(header)
    lines = motion.split("\n", 3)
    if "Frame Time:" not in motion:
        raise ValueError(f"{path}: no Frame Time; expected a BVH file")
    try:
        values = np.array(motion[motion.index("Frame Time:") :].split("\n", 1)[1].split(), np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected numbers behind Frame Time") from error
    width = sum(len(joint.channels) for joint in joints)
    if not width or values.size % width:
        raise ValueError(f"{path}: {values.size} numbers in MOTION; expected a multiple of its {width} channels")
    rows = values.size // width
    announced = re.search(r"Frames:\s*(\d+)", motion)
    if announced is None or int(announced[1]) != rows:
        expected = "no Frames" if announced is None else f"Frames: {announced[1]}"
        raise ValueError(
            f"{path}: {rows} rows of motion, {expected} in its head; expected the same number, is it cut short?"
        )
    time = float(next(line for line in lines if "Frame Time:" in line).split(":")[1])
    return BvhMotion(tuple(j.name for j in joints), _positions(joints, values.reshape(-1, width)), time)


def _hierarchy(text: str) -> list[_Joint]:
    joints: list[_Joint] = []
    open_joints: list[int] = []
    tokens = iter(text.split())
    for token in tokens:
        if token in ("ROOT", "JOINT", "End"):
            name, parent = next(tokens), open_joints[-1] if open_joints else -1
            joints.append(_Joint(f"{joints[parent].name} End" if token == "End" else name, parent, np.zeros(3), ()))
        elif token == "{":
            open_joints.append(len(joints) - 1)
        elif token == "}":
            open_joints.pop()
        elif token == "OFFSET":
            joints[-1].offset = np.array([float(next(tokens)) for _ in range(3)])
        elif token == "CHANNELS":
            joints[-1].channels = tuple(next(tokens) for _ in range(int(next(tokens))))
    return joints


def _positions(joints: list[_Joint], values: np.ndarray) -> np.ndarray:
    """(T, J, 3): rotations are applied in the order of the channels, positions stand in the offset's place.

    The data set's own reader (bvh2xyz of 2013-05-29) takes the root's position so, whatever its OFFSET.
    """
    count = len(values)
    positions, column = np.empty((count, len(joints), 3)), 0
    rotations: list[Rotation] = []
    for k, joint in enumerate(joints):
        offset, turns = np.tile(joint.offset, (count, 1)), Rotation.identity(count)
        for channel in joint.channels:
            axis = "XYZ".index(channel[0].upper())
            if channel.lower().endswith("position"):
                offset[:, axis] = values[:, column]
            else:
                turns = turns * Rotation.from_euler("xyz"[axis], values[:, column : column + 1], degrees=True)
            column += 1
        if joint.parent < 0:
            positions[:, k], world = offset, turns
        else:
            before = rotations[joint.parent]
            positions[:, k], world = positions[:, joint.parent] + before.apply(offset), before * turns
        rotations.append(world)
    return positions
