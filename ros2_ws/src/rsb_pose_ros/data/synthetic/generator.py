"""One stereo pair from one seed: a person in a place, seen by a rig, cut out as the estimator cuts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.sample import OUTSIDE, VISIBLE, StereoSample
from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.camera_effects import expose
from rsb_pose_ros.data.synthetic.clothes import BodyRegions, dress
from rsb_pose_ros.data.synthetic.composition import (
    View,
    outlines,
    person_windows,
    plausible,
    sample_place,
    sample_rig,
    search_windows,
    turn,
)
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.person import Mesh, pose_body
from rsb_pose_ros.data.synthetic.raster import draw, vertex_light
from rsb_pose_ros.data.synthetic.retarget import Retarget
from rsb_pose_ros.data.synthetic.scenes import OBJECT, PERSON, Scene, cast, sample_scene
from rsb_pose_ros.data.synthetic.textures import TextureLibrary
from rsb_pose_ros.data.synthetic.visibility import joint_visibility
from rsb_pose_ros.skeleton import JOINT_COUNT, ROOT
from rsb_pose_ros.stereo import StereoCrop, project

ATTEMPTS = 40
FEWEST_VISIBLE = 3


@dataclass(frozen=True)
class Composition:
    """What a pair is to show. people: the one of the labels first; cropped from `view` by `crop`; search: the crop is a
    window of the whole view."""

    view: View
    people: list[Mesh]
    crop: StereoCrop
    scene: Scene
    present: bool
    search: bool


@dataclass(frozen=True)
class Rendering:
    """images: (2, S, S, 3) float32 BGR 0…255; depths: (2, S, S) metres; kinds: (2, S, S) BACKGROUND, OBJECT, PERSON."""

    images: np.ndarray
    depths: np.ndarray
    kinds: np.ndarray


class SyntheticPairs:
    """sample(seed) is a pure function of (configuration, seed)."""

    def __init__(self, config: SyntheticConfig, shared: Path, pack: Path, split: str = "train") -> None:
        """shared: folder of mocap/ and backgrounds/; pack: bodies from `tools/synthesize.py bake`; split: train or val.

        Raises FileNotFoundError naming what is missing.
        """
        self.config = config
        self.pack = BodyPack.load(pack)
        self.motions = Motions.load(shared / "mocap" / f"{split}.npz")
        self.library = TextureLibrary(shared / "backgrounds", split)
        self.retarget = Retarget(self.motions, self.pack)
        # The last eighth of the bodies is kept for evaluation.
        held = len(self.pack) // 8
        self.bodies = range(len(self.pack) - held) if split == "train" else range(len(self.pack) - held, len(self.pack))
        self._regions = lru_cache(maxsize=None)(lambda body: BodyRegions(self.pack, body))

    def sample(self, seed: int) -> StereoSample:
        """The pair of one seed."""
        generator = np.random.default_rng(seed)
        for attempt in range(ATTEMPTS):
            composition = self.compose(generator)
            rendering = self.render(generator, composition)
            sample = self._labelled(generator, composition, rendering)
            # A person whom an object hides altogether is no person to learn from.
            seen = (sample.visibility == VISIBLE).sum(1).max() >= FEWEST_VISIBLE
            if seen or not sample.present or attempt == ATTEMPTS - 1:
                return sample
        raise AssertionError("unreachable")

    def compose(self, generator: np.random.Generator) -> Composition:
        """Draw rig, people, windows and room."""
        config = self.config
        kind = generator.random()
        present = kind >= config.empty_share
        coarse = kind < config.empty_share + config.coarse_share if present else kind < config.empty_share / 2
        view, mesh = self._rig_and_person(generator)
        joints = mesh.joints @ view.rotation.T
        crop = (search_windows if coarse else person_windows)(generator, config, view, joints)
        scene = sample_scene(generator, self.library, mesh.floor, mesh.joints[ROOT], config.occluder_share)
        people = [mesh] if present else []
        if present and generator.random() < config.second_person_share:
            people.append(self._second_person(generator, mesh, view, farther=coarse))
        return Composition(view, people, crop, scene, present, coarse)

    def render(self, generator: np.random.Generator, what: Composition) -> Rendering:
        """Both windows; the true cameras differ a little from the nominal ones, as after every calibration."""
        config, size = self.config, (self.config.size,) * 2
        cameras = what.crop.projections(what.view.projections)
        baseline = -cameras[1, 0, 3] / cameras[1, 0, 0]
        scene, lights = (
            what.scene,
            [vertex_light(m.normals, what.scene.ambient, what.scene.lights) * m.outfit.albedo for m in what.people],
        )
        images, depths, kinds = [], [], []
        for side, camera in enumerate(cameras):
            # Errors of vergence are kept smaller: no image shows them, they only blur the labels' disparity.
            error = np.radians(generator.normal(0, config.rotation_error_deg, 3)) * side * [1, 0.25, 1]
            rotation = (turn(error[0], 0) @ turn(error[1], 1) @ turn(error[2], 2) @ what.view.rotation).astype(
                np.float32
            )
            shift = generator.normal(0, config.vertical_error_px) * side / what.crop.scale
            intrinsics = np.array([camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2] + shift], np.float32)
            origin = (what.view.rotation.T @ np.array([baseline * side, 0, 0])).astype(np.float32)
            image, depth, kind = cast(
                scene.room, scene.objects, scene.surfaces, scene.levels, scene.photo, scene.ambient, scene.lights,
                scene.shadow, intrinsics, origin, rotation, size,
            )  # fmt: skip
            for label, mesh, light in zip((PERSON, OBJECT), what.people, lights):
                points = ((mesh.vertices - origin) @ rotation.T).astype(np.float32)
                outfit = mesh.outfit
                draw(
                    image, depth, kind, label, points, mesh.faces, light, outfit.texture, outfit.fields,
                    outfit.materials, outfit.levels, intrinsics,
                )  # fmt: skip
            images.append(image)
            depths.append(depth)
            kinds.append(kind)
        return Rendering(np.stack(images), np.stack(depths), np.stack(kinds))

    def _labelled(self, generator: np.random.Generator, what: Composition, rendering: Rendering) -> StereoSample:
        cameras = what.crop.projections(what.view.projections)
        crops = expose(generator, rendering.images, 1 / what.crop.scale)
        edges = outlines(what.crop, what.view)
        # Beyond a raw picture's edge cv2.remap leaves black.
        crops[~_within(edges, self.config.size)] = 0
        if not what.present:
            return _nobody(crops, cameras, what.search)
        person = what.people[0]
        joints = person.joints @ what.view.rotation.T
        keypoints = project(joints, cameras)
        low = np.maximum(edges[:, None, :2], 0)
        high = np.minimum(edges[:, None, 2:], self.config.size - 1)
        inside = ((keypoints >= low) & (keypoints <= high)).all(-1)
        visibility = joint_visibility(joints[:, 2], keypoints, rendering.depths, rendering.kinds, inside)
        outline = project(person.vertices @ what.view.rotation.T, cameras)
        return StereoSample(
            crops,
            cameras.astype(np.float32),
            joints.astype(np.float32),
            keypoints.astype(np.float32),
            visibility,
            True,
            np.concatenate([outline.min(1), outline.max(1)], 1).astype(np.float32),
            (rendering.kinds == PERSON) & _within(edges, self.config.size),
            what.search,
        )

    def _rig_and_person(self, generator: np.random.Generator) -> tuple[View, Mesh]:
        """A rig and a person whom it can see; most draws fit at once."""
        mesh = self._person(generator)
        for _ in range(ATTEMPTS):
            view = sample_rig(generator, self.config)
            placed = mesh.moved(sample_place(generator, self.config, view))
            if plausible(view, placed.joints, placed.floor):
                return view, placed
        raise ValueError(
            f"no place for a person in {ATTEMPTS} draws; widen distance, pitch or field_of_view in the configuration"
        )

    def _person(self, generator: np.random.Generator) -> Mesh:
        """A dressed body of random shape, pose and heading, its pelvis at the origin of the gravity frame."""
        body = int(generator.choice(self.bodies))
        pose = int(generator.integers(len(self.motions)))
        rotations = self.retarget(self.motions.rotations[pose], int(self.motions.subject[pose]), body)
        outfit = dress(generator, self._regions(body), self.library)
        return pose_body(self.pack, body, rotations, outfit, heading=generator.uniform(0, 2 * np.pi), place=np.zeros(3))

    def _second_person(self, generator: np.random.Generator, first: Mesh, view: View, farther: bool) -> Mesh:
        """Somebody else on the same floor, before, beside or (always when `farther`) well behind the first."""
        root = first.joints[ROOT]
        ratio = (
            generator.uniform(1.4, 2.0)
            if farther
            else generator.choice([generator.uniform(0.6, 0.85), generator.uniform(1.2, 2)])
        )
        place = root * ratio + [generator.choice([-1, 1]) * generator.uniform(0.15, 0.9) * ratio, 0, 0]
        mesh = self._person(generator)
        place[1] = first.floor - mesh.floor
        return mesh.moved(place)


def _nobody(crops: np.ndarray, cameras: np.ndarray, search: bool) -> StereoSample:
    """A pair that shows no person to be found."""
    return StereoSample(
        crops,
        cameras.astype(np.float32),
        np.full((JOINT_COUNT, 3), np.nan, np.float32),
        np.full((2, JOINT_COUNT, 2), np.nan, np.float32),
        np.full((2, JOINT_COUNT), OUTSIDE, np.uint8),
        False,
        np.full((2, 4), np.nan, np.float32),
        np.zeros(crops.shape[:3], bool),
        search,
    )


def _within(edges: np.ndarray, size: int) -> np.ndarray:
    """(2, S, S) bool: pixels inside the raw pictures; edges: (2, 4) from `outlines`."""
    place = np.arange(size)
    columns = (place >= edges[:, :1]) & (place < edges[:, 2:3])
    rows = (place >= edges[:, 1:2]) & (place < edges[:, 3:])
    return rows[:, :, None] & columns[:, None, :]
