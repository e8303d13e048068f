"""The demonstration clip: one person walks through a room, gestures and walks away, seen by a calibrated raw pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.choreography import Performance, Segment, perform, stature
from rsb_pose_ros.data.synthetic.clothes import BodyRegions
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.furniture import MATERIALS_PER_PIECE, PICTURE, Part, picture, place, shelf, sofa, table
from rsb_pose_ros.data.synthetic.kernels import FRAMED
from rsb_pose_ros.data.synthetic.lenses import Lens
from rsb_pose_ros.data.synthetic.outfit import Outfit
from rsb_pose_ros.data.synthetic.person import Mesh, pose_body
from rsb_pose_ros.data.synthetic.plants import plant
from rsb_pose_ros.data.synthetic.retarget import Retarget
from rsb_pose_ros.data.synthetic.scenes import Scene
from rsb_pose_ros.data.synthetic.stage import Calibration, Frame, Stage
from rsb_pose_ros.data.synthetic.textures import TextureLibrary, photograph, pyramid, tile
from rsb_pose_ros.data.synthetic.wardrobe import dress

SIZE = (640, 480)
BASELINE = np.array([0.11994, 0.0027, -0.0024])
"""From the left camera to the right one, left camera's frame, metres; no bracket is quite straight."""
CAMERA_HEIGHT = 1.05
TILT = np.radians(-3.0)
"""Of the left camera; negative is up."""
LENSES = (
    Lens(
        np.array([[472.0, 0, 322.5], [0, 473.1, 236.8], [0, 0, 1]]),
        np.array([-0.21, 0.065, 0.0006, -0.0004, -0.008]),
        SIZE,
    ),
    Lens(
        np.array([[474.6, 0, 315.9], [0, 475.2, 243.4], [0, 0, 1]]),
        np.array([-0.205, 0.06, -0.0005, 0.0003, -0.006]),
        SIZE,
    ),
)
RELATIVE_ROTATION = np.array([0.007, -0.012, 0.009])
"""Rotation vector of the right camera: x_right = R x_left + T; about a degree, as a bracket holds two cameras."""
SEGMENTS = [
    Segment("49_01", 0.2, 3.8, (2.5, -1.65), walks=True),
    Segment("127_02", 0.8, 7.2, (-0.1, -1.0), walks=False),
    Segment("49_01", 0.3, 2.0, (0.4, 1.0), walks=True),
]
START = (-2.1, 3.9)
BODY, OUTFIT_SEED = -7, 106
FURNITURE_SEED = 4


def calibrate() -> Calibration:
    """Rectification of the clip's two cameras."""
    rotation = cv2.Rodrigues(RELATIVE_ROTATION)[0]
    translation = -rotation @ BASELINE[:, None]
    left, right = LENSES
    rectified = cv2.stereoRectify(
        left.matrix, left.distortion, right.matrix, right.distortion, SIZE, rotation, translation,
        flags=cv2.CALIB_ZERO_DISPARITY, alpha=0,
    )  # fmt: skip
    return Calibration(np.stack(rectified[:2]), np.stack(rectified[2:4]))


class DemoClip:
    """Frames of the clip, in order; the same on every computer but for rounding."""

    def __init__(self, shared: Path, pack: Path, rate: float) -> None:
        """shared: folder of mocap/ and backgrounds/; pack: baked bodies; rate: frames per second.

        Body, motions and textures are those which training never sees. Raises FileNotFoundError.
        """
        self._pack = BodyPack.load(pack)
        self._body = BODY % len(self._pack)
        motions = Motions.load(shared / "mocap" / "val.npz")
        subject = int(motions.subject[motions.takes[SEGMENTS[0].take][0]])
        scale = stature(motions, subject, self._pack, self._body)
        self._performance: Performance = perform(motions, SEGMENTS, START, rate, overlap=0.8, stature=scale)
        self._bones = Retarget(motions, self._pack)(self._performance.rotations, subject, self._body)
        library = TextureLibrary(shared / "backgrounds", "val")
        regions = BodyRegions(self._pack, self._body)
        self._outfit: Outfit = dress(np.random.default_rng(OUTFIT_SEED), regions, library, SyntheticConfig())
        plants = [plant(np.random.default_rng(3), library, np.array([0.15, 4.9]), CAMERA_HEIGHT)]
        self._stage = Stage(LENSES, calibrate(), TILT, living_room(library), plants)
        self.calibration = self._stage.calibration

    def __len__(self) -> int:
        return len(self._bones)

    def __iter__(self) -> Iterator[Frame]:
        noise = np.random.default_rng(0)
        for index in range(len(self)):
            yield self._stage.take(noise, self._person(index))

    def _person(self, index: int) -> Mesh:
        x, z = self._performance.places[index]
        mesh = pose_body(self._pack, self._body, self._bones[index], self._outfit, 0.0, np.array([x, 0, z]))
        return mesh.moved(np.array([0, CAMERA_HEIGHT - mesh.floor, 0]))


def living_room(library: TextureLibrary) -> Scene:
    """A room with a pillar that hides part of the walk, a sofa, a shelf, a table and pictures on the walls."""
    named = {path.stem: path for path in library.tiles}
    floor, draw_of = CAMERA_HEIGHT, np.random.default_rng(FURNITURE_SEED)
    pieces: list[tuple[list[Part], float, float, float]] = [  # parts, x, z, yaw
        ([(0, 1.35, 0, 0.1, 1.35, 0.1, 0, 0)], -0.55, 2.2, 0.2),
        (sofa(draw_of), -1.75, 4.6, 0.12),
        (shelf(draw_of), 1.0, 5.2, 0.12),
        (table(draw_of), 2.2, 3.6, -0.3),
        (picture(draw_of), -0.3, 5.42, 0.12),
        (picture(draw_of), 2.1, 5.15, 0.12),
    ]
    placed = [place(parts, x, floor, z, yaw, MATERIALS_PER_PIECE * k) for k, (parts, x, z, yaw) in enumerate(pieces)]
    materials = np.concatenate([p.materials for p in placed])
    walls = [  # texture, repeats per metre, brightness: left, right, ceiling, floor, far, near
        ("plaster_006", 0.5, 1.1), ("bricks_054", 0.6, 1.3), ("plaster_001", 0.3, 1.4), ("woodfloor_041", 0.35, 0.85),
        ("plaster_001", 0.4, 1.0), ("plaster_006", 0.45, 0.9),
    ]  # fmt: skip
    stuff = ("concrete_032", "wood_055", "wood_026", "fabric_004", "metal_045")
    tiles = [named.get(name, library.tiles[0]) for name in [*(name for name, _, _ in walls), *stuff]]
    surfaces = [[k, repeats, bright, bright, bright] for k, (_, repeats, bright) in enumerate(walls)]
    tint = draw_of.uniform(0.5, 1.1, (int(materials.max()) + 1, 3))
    for number in map(int, materials):
        material = 0 if number == 0 else 1 + number % (len(stuff) - 1)
        colour = tint[number] if number else np.ones(3)
        surfaces.append([FRAMED, 1, 1, 1, 1] if number == PICTURE else [len(walls) + material, 1.0, *colour])
    lights = np.array([[0.35, -0.8, -0.5, 0.5, 0.52, 0.55], [-0.7, -0.5, -0.3, 0.28, 0.25, 0.22]], np.float32)
    lights[:, :3] /= np.linalg.norm(lights[:, :3], axis=1, keepdims=True)
    return Scene(
        room=np.array([0.12, -2.9, 2.9, floor - 2.7, floor, -3.0, 5.6], np.float32),
        objects=np.concatenate([p.boxes for p in placed]),
        surfaces=np.array(surfaces, np.float32),
        levels=pyramid([tile(path) for path in tiles]),
        photos=np.stack([photograph(library.scenes[k]) for k in (0, len(library.scenes) // 2)]),
        projector=np.zeros((3, 4), np.float32),
        skirting=np.array([0.08, 0.6], np.float32),
        ambient=np.array([0.5, 0.48, 0.46], np.float32),
        lights=lights,
        lamp=np.array([0.5, floor - 2.4, 2.8, 3.5, 0.25], np.float32),
    )
