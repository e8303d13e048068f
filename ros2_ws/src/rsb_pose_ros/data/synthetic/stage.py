"""A scene with one person in it, taken frame by frame by a pair of raw cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.data.synthetic.composition import turn
from rsb_pose_ros.data.synthetic.lenses import BentView, Lens
from rsb_pose_ros.data.synthetic.lighting import Lighting, light_scene
from rsb_pose_ros.data.synthetic.person import Mesh
from rsb_pose_ros.data.synthetic.raster import draw
from rsb_pose_ros.data.synthetic.scenes import OBJECT, PERSON, Scene, cast
from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import Camera, StereoRig

SOFTNESS = np.array([6.0, 1.5])
"""Of the shadows' edges: the sky's, the first light's; texels of 3 cm."""
GAINS = (np.array([1.0, 1.0, 1.0]), np.array([0.97, 0.94, 0.92]))
"""BGR: no two cameras expose and balance alike."""
NOISE = 0.7


@dataclass(frozen=True)
class Calibration:
    """What the camera_infos say: rectifying rotations (2, 3, 3) and projections (2, 3, 4)."""

    rectifications: np.ndarray
    projections: np.ndarray


@dataclass(frozen=True)
class Frame:
    """images: two (H, W, 3) uint8 BGR raw pictures; joints: (17, 3) metres, left rectified optical frame."""

    images: tuple[np.ndarray, np.ndarray]
    joints: np.ndarray


class Stage:
    """Cameras of a rig in a scene; the left one at the origin, tilted down by `tilt` radians."""

    def __init__(
        self,
        lenses: tuple[Lens | Camera, Lens | Camera],
        calibration: Calibration,
        tilt: float,
        scene: Scene,
        things: list[Mesh],
    ) -> None:
        """The raw cameras' places follow from the calibration. things: meshes that stand in the scene, e.g. plants."""
        self.scene, self.calibration, self._things = scene, calibration, things
        self._views = [BentView(lens) for lens in lenses]
        first, second = calibration.rectifications
        # Of both cameras into the left raw camera's axes, and on into the scene's.
        self._rotations = [turn(tilt, 0), second.T @ first @ turn(tilt, 0)]
        baseline = -calibration.projections[1, 0, 3] / calibration.projections[1, 0, 0]
        self._origins = [np.zeros(3), turn(tilt, 0).T @ first.T @ np.array([baseline, 0, 0])]

    @classmethod
    def of(cls, rig: StereoRig, tilt: float, scene: Scene, things: list[Mesh]) -> Stage:
        """A stage for a calibrated rig."""
        rectifications = np.stack([camera.rectification for camera in rig.cameras])
        return cls(rig.cameras, Calibration(rectifications, rig.projections), tilt, scene, things)

    def joints(self, mesh: Mesh) -> np.ndarray:
        """The person's joints (17, 3) float32 metres in the left rectified optical frame."""
        return (mesh.joints @ (self.calibration.rectifications[0] @ self._rotations[0]).T).astype(np.float32)

    def take(self, noise: np.random.Generator, mesh: Mesh) -> Frame:
        """Both raw pictures of a moment, with the sensors' noise and slightly different exposure and colour."""
        scene = self.scene
        meshes = [mesh.vertices, *(thing.vertices for thing in self._things)]
        lighting = light_scene(
            scene.ambient, scene.lights, scene.lamp, mesh.joints[ROOT], meshes, scene.objects, 1, SOFTNESS
        )
        left, right = (self._picture(noise, mesh, lighting, side) for side in range(2))
        return Frame((left, right), self.joints(mesh))

    def _picture(self, noise: np.random.Generator, mesh: Mesh, lighting: Lighting, side: int) -> np.ndarray:
        origin, rotation = self._origins[side].astype(np.float32), self._rotations[side].astype(np.float32)

        def pinhole(camera: np.ndarray, size: tuple[int, int]) -> np.ndarray:
            image, depth, kind = cast(self.scene, lighting, camera, origin, rotation, size)
            draw(image, depth, kind, PERSON, mesh, lighting, camera, origin, rotation)
            for thing in self._things:
                draw(image, depth, kind, OBJECT, thing, lighting, camera, origin, rotation)
            return image

        picture = self._views[side].bend(pinhole) * GAINS[side]
        picture += noise.standard_normal(picture.shape, np.float32) * NOISE
        return np.clip(picture, 0, 255).astype(np.uint8)
