"""A random person moving in a random room, as a given rig would record it: to try a set-up before it exists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.choreography import Performance, Segment, perform, stature
from rsb_pose_ros.data.synthetic.clothes import BodyRegions
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.person import Mesh, pose_body
from rsb_pose_ros.data.synthetic.retarget import Retarget
from rsb_pose_ros.data.synthetic.scenes import sample_scene
from rsb_pose_ros.data.synthetic.stage import Frame, Stage
from rsb_pose_ros.data.synthetic.textures import TextureLibrary
from rsb_pose_ros.data.synthetic.wardrobe import dress
from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import Camera, StereoRig

CAMERA_HEIGHT = 1.1
TILT = np.radians(4.0)
"""Of the left camera, down."""
LONGEST_SEGMENT_S = 8.0
FADE_S = 0.6
ATTEMPTS = 300


def plain_rig(baseline: float, size: tuple[int, int] = (640, 480), field_of_view: float = 75.0) -> StereoRig:
    """Two parallel pinhole cameras; baseline in metres, horizontal field of view in degrees."""
    focal = size[0] / 2 / np.tan(np.radians(field_of_view) / 2)
    matrix = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
    camera = Camera(matrix, np.zeros(5), np.eye(3), size)
    projections = np.zeros((2, 3, 4))
    projections[:, :, :3] = matrix
    projections[1, 0, 3] = -focal * baseline
    return StereoRig((camera, camera), projections)


def with_baseline(rig: StereoRig, baseline: float) -> StereoRig:
    """The same cameras farther apart or nearer together; metres."""
    projections = rig.projections.copy()
    projections[1, 0, 3] = -projections[1, 0, 0] * baseline
    return replace(rig, projections=projections)


class RigClip:
    """Frames of the clip, in order: a pure function of the rig and the seed."""

    def __init__(
        self,
        rig: StereoRig,
        shared: Path,
        pack: Path,
        seconds: float,
        rate: float,
        seed: int = 0,
        distance: float = 2.8,
    ) -> None:
        """distance: metres from the cameras around which the person stays. Raises FileNotFoundError, ValueError."""
        generator = np.random.default_rng(seed)
        self._pack, motions = BodyPack.load(pack), Motions.load(shared / "mocap" / "val.npz")
        library = TextureLibrary(shared / "backgrounds", "val")
        config = SyntheticConfig(occluder_share=0.4)
        self._body = int(generator.integers(len(self._pack) * 7 // 8, len(self._pack)))
        centre = np.array([0.0, distance])
        take = str(generator.choice(list(motions.takes)))
        subject = int(motions.subject[motions.takes[take][0]])
        scale = stature(motions, subject, self._pack, self._body)
        self._performance = _improvised(generator, motions, subject, centre, seconds, rate, scale)
        self._bones = Retarget(motions, self._pack)(self._performance.rotations, subject, self._body)
        self._outfit = dress(generator, BodyRegions(self._pack, self._body), library, config)
        middle = np.array([0, CAMERA_HEIGHT - 0.95, distance])
        scene = sample_scene(generator, library, CAMERA_HEIGHT, middle, config)
        self._stage = Stage.of(rig, TILT, scene, [])
        self.calibration = self._stage.calibration
        self._noise = seed

    def __len__(self) -> int:
        return len(self._bones)

    def __iter__(self) -> Iterator[Frame]:
        noise = np.random.default_rng(self._noise)
        return (self._stage.take(noise, self.person(index)) for index in range(len(self)))

    def person(self, index: int) -> Mesh:
        """The person at a frame, in the scene's frame."""
        x, z = self._performance.places[index]
        mesh = pose_body(self._pack, self._body, self._bones[index], self._outfit, 0.0, np.array([x, 0, z]))
        return mesh.moved(np.array([0, CAMERA_HEIGHT - mesh.floor, 0]))

    @property
    def places(self) -> np.ndarray:
        """(T, 3) pelvis in the left rectified optical frame, metres."""
        return np.stack([self._stage.joints(self.person(index))[ROOT] for index in range(len(self))])


def _improvised(
    generator: np.random.Generator,
    motions: Motions,
    subject: int,
    centre: np.ndarray,
    seconds: float,
    rate: float,
    scale: float,
) -> Performance:
    """Stretches of one subject's takes, joined, that stay within about a metre of `centre` (x, z)."""
    takes = [name for name, poses in motions.takes.items() if motions.subject[poses[0]] == subject]
    lengths = {name: _duration(motions, name) for name in takes}
    segments: list[Segment] = []
    best: Performance | None = None
    for _ in range(ATTEMPTS):
        name = str(generator.choice(takes))
        duration = min(lengths[name] - 0.3, LONGEST_SEGMENT_S, seconds + 2.0)
        if duration < 2 * FADE_S + 0.3:
            continue
        start = float(generator.uniform(0, lengths[name] - duration - 0.2))
        facing = (float(generator.normal(0, 0.6)), -1.0)
        wanted = [*segments, Segment(name, start, duration, facing, walks=False)]
        performance = perform(motions, wanted, (float(centre[0]), float(centre[1])), rate, FADE_S, scale)
        away = np.abs(performance.places - centre).max(0)
        if away[0] > 1.0 or away[1] > 1.2:
            continue
        segments, best = wanted, performance
        if len(best.places) >= round(seconds * rate):
            count = round(seconds * rate)
            return Performance(best.rotations[:count], best.places[:count])
    raise ValueError(
        f"no {seconds:g} s of motion that stay near {centre.tolist()} in {ATTEMPTS} attempts; try another --seed"
    )


def _duration(motions: Motions, take: str) -> float:
    poses = motions.takes[take]
    frames = motions.frame[poses]
    return float(frames[-1] - frames[0]) / float(motions.fps[motions.motion_ids.index(take)])
