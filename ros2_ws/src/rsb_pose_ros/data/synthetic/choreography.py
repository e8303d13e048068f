"""Motion-capture takes joined to one walk through a scene: who stands where, in which pose, at every frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.synthetic.bodies import BodyPack

# CMU's y-up axes → gravity-aligned optical axes at zero heading (x right, y down, z forward).
Y_UP_TO_OPTICAL = np.diag([1.0, -1.0, -1.0])
LIMB = ("LeftUpLeg", "LeftLeg", "LeftFoot")


@dataclass(frozen=True)
class Segment:
    """A stretch of a take. start, duration: seconds; towards: scene direction (x, z) in which it walks, or faces when
    `walks` is false."""

    take: str
    start: float
    duration: float
    towards: tuple[float, float]
    walks: bool


@dataclass(frozen=True)
class Performance:
    """rotations: (T, 31, 4) wxyz local, the root's world rotation turned to the scene; places: (T, 2) x, z metres."""

    rotations: np.ndarray
    places: np.ndarray


def perform(
    motions: Motions,
    segments: list[Segment],
    start: tuple[float, float],
    rate: float,
    overlap: float,
    stature: float = 1.0,
) -> Performance:
    """Play the segments one after the other, each fading into the next for `overlap` seconds.

    start: (x, z) of the first frame; stature: leg length of the body over the actor's (steps grow with it).
    """
    fade = round(overlap * rate)
    rotations, places = _placed(motions, segments[0], np.array(start), rate, stature)
    for segment in segments[1:]:
        new_rotations, new_places = _placed(motions, segment, places[-fade], rate, stature)
        share = (np.arange(fade) + 1) / (fade + 1)
        share = share * share * (3 - 2 * share)
        mixed = _slerp(rotations[-fade:], new_rotations[:fade], share)
        between = places[-fade:] * (1 - share[:, None]) + new_places[:fade] * share[:, None]
        # Where the old segment would have gone on, the new one starts from what the mixture reached.
        new_places = new_places + between[-1] - new_places[fade - 1]
        rotations = np.concatenate([rotations[:-fade], mixed, new_rotations[fade:]])
        places = np.concatenate([places[:-fade], between, new_places[fade:]])
    return Performance(rotations.astype(np.float32), places)


def stature(motions: Motions, subject: int, pack: BodyPack, body: int) -> float:
    """Leg length of a body over that of a motion's subject."""
    heads = [pack.heads[body][pack.bone(name)] for name in LIMB]
    ours = sum(np.linalg.norm(b - a) for a, b in pairwise(heads))
    theirs = sum(np.linalg.norm(motions.rest[subject][motions.names.index(name)]) for name in LIMB[1:])
    return float(ours / theirs)


def _placed(
    motions: Motions, segment: Segment, start: np.ndarray, rate: float, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    rotations, roots = motions.resampled(segment.take, rate)
    first, count = round(segment.start * rate), round(segment.duration * rate)
    if first + count > len(rotations):
        raise ValueError(
            f"take {segment.take}: lasts {len(rotations) / rate:.1f} s; expected {segment.start + segment.duration:.1f} s"
        )
    rotations, roots = rotations[first : first + count], roots[first : first + count]
    travelled = (roots @ Y_UP_TO_OPTICAL)[:, [0, 2]] * scale
    root = Rotation.from_quat(rotations[:, 0][:, [1, 2, 3, 0]])
    facing = (root[0].apply([0, 0, 1]) @ Y_UP_TO_OPTICAL)[[0, 2]]
    natural = travelled[-1] - travelled[0] if segment.walks else facing
    angle = _heading(np.array(segment.towards)) - _heading(natural)
    c, s = np.cos(angle), np.sin(angle)
    places = (travelled - travelled[0]) @ np.array([[c, -s], [s, c]]) + start
    # Headings are about the optical y, which points down: about CMU's y the turn is the opposite.
    turned = (Rotation.from_euler("y", -angle) * root).as_quat()[:, [3, 0, 1, 2]]
    return np.concatenate([turned[:, None], rotations[:, 1:]], axis=1), places


def _heading(direction: np.ndarray) -> float:
    """Angle about the optical y of a scene direction (x, z); 0 along z."""
    return float(np.arctan2(direction[0], direction[1]))


def _slerp(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Between quaternions (T, J, 4) wxyz; share: (T,) of b."""
    start = Rotation.from_quat(a[..., [1, 2, 3, 0]].reshape(-1, 4))
    end = Rotation.from_quat(b[..., [1, 2, 3, 0]].reshape(-1, 4))
    step = (start.inv() * end).as_rotvec() * np.repeat(share, a.shape[1])[:, None]
    mixed = (start * Rotation.from_rotvec(step)).as_quat()
    return mixed[:, [3, 0, 1, 2]].reshape(a.shape)
