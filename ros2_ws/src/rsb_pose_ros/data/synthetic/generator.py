"""One stereo pair from one seed: a person in a place, seen by a rig, cut out as the estimator cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.sample import OUTSIDE, VISIBLE, StereoSample
from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.camera_effects import expose, sample_exposure
from rsb_pose_ros.data.synthetic.clothes import BodyRegions
from rsb_pose_ros.data.synthetic.composition import (
    View,
    person_windows,
    plausible,
    sample_place,
    sample_rig,
    search_windows,
    turn,
)
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.kernels import to_camera
from rsb_pose_ros.data.synthetic.lighting import Lighting, light_scene
from rsb_pose_ros.data.synthetic.person import Mesh, pose_body
from rsb_pose_ros.data.synthetic.plan import Composition, Eye, Plan
from rsb_pose_ros.data.synthetic.plants import plant
from rsb_pose_ros.data.synthetic.raster import draw
from rsb_pose_ros.data.synthetic.retarget import Retarget
from rsb_pose_ros.data.synthetic.scenes import OBJECT, PERSON, Scene, cast, sample_scene
from rsb_pose_ros.data.synthetic.textures import TextureLibrary
from rsb_pose_ros.data.synthetic.visibility import joint_visibility
from rsb_pose_ros.data.synthetic.wardrobe import dress
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT, ROOT
from rsb_pose_ros.stereo import project

ATTEMPTS = 40


@dataclass(frozen=True)
class Rendering:
    """images: (2, S, S, 3) float32 BGR 0…255; depths: (2, S, S) metres; kinds: (2, S, S) BACKGROUND, OBJECT, PERSON."""

    images: np.ndarray
    depths: np.ndarray
    kinds: np.ndarray


def check_sources(shared: Path, pack: Path, split: str) -> None:
    """Raise FileNotFoundError for what SyntheticPairs would miss."""
    BodyPack.load(pack)
    Motions.load(shared / "mocap" / f"{split}.npz")
    TextureLibrary(shared / "backgrounds", split)


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
        self.bodies = self.pack.of_split(split)
        self._regions = lru_cache(maxsize=None)(lambda body: BodyRegions(self.pack, body))

    def sample(self, seed: int) -> StereoSample:
        """The pair of one seed."""
        generator = np.random.default_rng(seed)
        for attempt in range(ATTEMPTS):
            plan = self.plan(generator)
            sample = self.labelled(plan, self.render(plan))
            seen = (sample.visibility == VISIBLE).sum(1).max()
            if attempt == ATTEMPTS - 1 or seen >= plan.fewest_visible:
                return sample
        raise AssertionError("unreachable")

    def plan(self, generator: np.random.Generator) -> Plan:
        """All of a pair that chance decides; what follows is arithmetic, on whatever device."""
        what = self.compose(generator)
        eyes = self._eyes(generator, what)
        size = (self.config.size,) * 2
        return Plan(what, eyes, sample_exposure(generator, size, 1 / what.crop.scale, self.config))

    def compose(self, generator: np.random.Generator) -> Composition:
        """Draw rig, people, windows and room."""
        config = self.config
        kind = generator.random()
        present = kind >= config.empty_share
        coarse = kind < config.empty_share + config.coarse_share if present else kind < config.empty_share / 2
        view, mesh = self._rig_and_person(generator)
        joints = mesh.joints @ view.rotation.T
        crop = (search_windows if coarse else person_windows)(generator, config, view, joints)
        floor, place = mesh.floor, mesh.joints[ROOT]
        scene = sample_scene(generator, self.library, floor, place, config)
        people = [mesh] if present else []
        if present and generator.random() < config.second_person_share:
            people.append(self._second_person(generator, mesh, view, farther=coarse))
        things = self._plants(generator, floor, place)
        scene = _with_seat(generator, scene, mesh, config.seat_share) if present else scene
        lighting = self._lighting(generator, scene, [*people, *things], place)
        return Composition(view, people, things, crop, scene, lighting, present, coarse)

    def render(self, plan: Plan) -> Rendering:
        """Both windows."""
        size = (self.config.size,) * 2
        views = [
            render_view(plan.what, *eye, size, window) for eye, window in zip(plan.eyes, plan.windows, strict=True)
        ]
        images, depths, kinds = zip(*views, strict=True)
        return Rendering(np.stack(images), np.stack(depths), np.stack(kinds))

    def labelled(self, plan: Plan, rendering: Rendering) -> StereoSample:
        """The finished pair: exposed as cameras do, and everything that is known about the person."""
        what, edges = plan.what, plan.edges
        cameras = plan.projections
        crops = expose(rendering.images, plan.exposure, edges[0])
        # Beyond a raw picture's edge cv2.remap leaves black.
        crops[~_within(edges, self.config.size)] = 0
        if not what.present:
            return _nobody(crops, cameras, what.search)
        person = what.people[0]
        joints = plan.joints
        keypoints = project(joints, cameras)
        inside = plan.inside(keypoints, self.config.size)
        visibility = joint_visibility(joints[:, 2], keypoints, rendering.depths, rendering.kinds, inside)
        return StereoSample(
            crops,
            cameras.astype(np.float32),
            joints.astype(np.float32),
            keypoints.astype(np.float32),
            visibility,
            True,
            _boxes(person, cameras, what.view.rotation),
            (rendering.kinds == PERSON) & _within(edges, self.config.size),
            what.search,
        )

    def _eyes(self, generator: np.random.Generator, what: Composition) -> tuple[Eye, Eye]:
        """The true cameras, which differ a little from the nominal ones, as after every calibration."""
        config = self.config
        cameras = what.crop.projections(what.view.projections)
        baseline = -cameras[1, 0, 3] / cameras[1, 0, 0]
        eyes = []
        for side, camera in enumerate(cameras):
            # Errors of vergence are kept smaller: no image shows them, they only blur the labels' disparity.
            error = np.radians(generator.normal(0, config.rotation_error_deg, 3)) * side * [1, 0.25, 1]
            rotation = turn(error[0], 0) @ turn(error[1], 1) @ turn(error[2], 2) @ what.view.rotation
            shift = generator.normal(0, config.vertical_error_px) * side / what.crop.scale
            intrinsics = np.array([camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2] + shift], np.float32)
            origin = (what.view.rotation.T @ np.array([baseline * side, 0, 0])).astype(np.float32)
            eyes.append(Eye(intrinsics, origin, rotation.astype(np.float32)))
        return eyes[0], eyes[1]

    def _rig_and_person(self, generator: np.random.Generator) -> tuple[View, Mesh]:
        """A rig and a person whom it can see; most draws fit at once."""
        mesh = self._person(generator)
        for _ in range(ATTEMPTS):
            view = sample_rig(generator, self.config)
            placed = mesh.moved(sample_place(generator, self.config, view))
            if plausible(self.config, view, placed.joints, placed.floor):
                return view, placed
        raise ValueError(
            f"no place for a person in {ATTEMPTS} draws; widen distance, pitch or field_of_view in the configuration"
        )

    def _plants(self, generator: np.random.Generator, floor: float, place: np.ndarray) -> list[Mesh]:
        """Mostly none; else one or two around a person at `place` (3,), now and then before them."""
        plants, share = [], self.config.plant_share
        for _ in range(int(generator.choice(3, p=[1 - share, share * 13 / 18, share * 5 / 18]))):
            if generator.random() < self.config.plant_before_share:
                x, z = place[[0, 2]] * generator.uniform(0.5, 0.85) + generator.normal(0, 0.3, 2) * [1, 0]
            else:
                x = place[0] + generator.choice([-1, 1]) * generator.uniform(0.5, 2.5)
                z = place[2] + generator.uniform(-0.5, 2.0)
            if z > 0.5:
                plants.append(plant(generator, self.library, np.array([x, z]), floor))
        return plants

    def _lighting(
        self, generator: np.random.Generator, scene: Scene, meshes: list[Mesh], place: np.ndarray
    ) -> Lighting:
        """Soft light of the sky; up to two lights with shadows, hard ones and soft ones."""
        none, two = self.config.unshadowed_share, self.config.two_shadows_share
        shadows = int(min(generator.choice(3, p=[none, 1 - none - two, two]), len(scene.lights)))
        low, high = np.log(self.config.shadow_softness)
        softness = np.array([generator.uniform(4, 8), *np.exp(generator.uniform(low, high, 2))])
        return light_scene(
            scene.ambient, scene.lights, scene.lamp, place, [m.vertices for m in meshes], scene.objects, shadows,
            softness[: 1 + shadows],
        )  # fmt: skip

    def _person(self, generator: np.random.Generator) -> Mesh:
        """A dressed body of random shape, pose and heading, its pelvis at the origin of the gravity frame."""
        body = int(generator.choice(self.bodies))
        pose = int(generator.integers(len(self.motions)))
        rotations = self.retarget(self.motions.rotations[pose], int(self.motions.subject[pose]), body)
        outfit = dress(generator, self._regions(body), self.library, self.config)
        heading, size = generator.uniform(0, 2 * np.pi), np.exp(generator.normal(0, self.config.size_std))
        return pose_body(self.pack, body, rotations, outfit, heading, np.zeros(3), size)

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


def render_view(
    what: Composition,
    camera: np.ndarray,
    origin: np.ndarray,
    rotation: np.ndarray,
    size: tuple[int, int],
    window: np.ndarray | None = None,
    person: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image (H, W, 3) float32, depth (H, W), kind (H, W)) of one camera; arguments as those of scenes.cast.

    person: whose pixels are of kind PERSON; other people are things that hide.
    """
    image, depth, kind = cast(what.scene, what.lighting, camera, origin, rotation, size, window)
    for k, mesh in enumerate([*what.people, *what.things]):
        label = PERSON if k == person and what.present else OBJECT
        draw(image, depth, kind, label, mesh, what.lighting, camera, origin, rotation)
    return image, depth, kind


def _with_seat(generator: np.random.Generator, scene: Scene, mesh: Mesh, share: float) -> Scene:
    """The scene with a stool or box under somebody who sits: pelvis low, knees about as high as it."""
    pelvis, knees = mesh.joints[ROOT], mesh.joints[[INDEX["l_knee"], INDEX["r_knee"]]]
    height = mesh.floor - pelvis[1]
    sits = 0.35 < height < 0.75 and np.abs(knees[:, 1] - pelvis[1]).max() <= 0.2
    if not sits or generator.random() < 1 - share:
        return scene
    half, width = (height - 0.14) / 2, generator.uniform(0.15, 0.3)
    seat = [
        pelvis[0],
        mesh.floor - half,
        pelvis[2],
        width,
        half,
        width,
        generator.uniform(0, np.pi),
        float(generator.random() < 0.4),
    ]
    colour = generator.uniform(0.1, 1.0, 3)
    return replace(
        scene,
        objects=np.concatenate([scene.objects, np.array([seat], np.float32)]),
        surfaces=np.concatenate([scene.surfaces, np.array([[0, 1, *colour]], np.float32)]),
    )


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


def _boxes(person: Mesh, cameras: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(2, 4) float32 x0, y0, x1, y1 around a whole mesh in crop pixels."""
    boxes = []
    for camera in cameras.astype(np.float32):
        origin = rotation.T @ [-camera[0, 3] / camera[0, 0], 0, 0]
        intrinsics = np.array([camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2]], np.float32)
        pixels = to_camera(person.vertices, origin.astype(np.float32), rotation.astype(np.float32), intrinsics)
        boxes.append([*pixels[:, :2].min(0), *pixels[:, :2].max(0)])
    return np.array(boxes, np.float32)


def _within(edges: np.ndarray, size: int) -> np.ndarray:
    """(2, S, S) bool: pixels inside the raw pictures; edges: (2, 4) from `outlines`."""
    place = np.arange(size)
    columns = (place >= edges[:, :1]) & (place < edges[:, 2:3])
    rows = (place >= edges[:, 1:2]) & (place < edges[:, 3:])
    return rows[:, :, None] & columns[:, None, :]
