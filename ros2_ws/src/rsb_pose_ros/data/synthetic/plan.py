"""A pair before it is drawn: all that chance decides. What follows is arithmetic, on a CPU or a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rsb_pose_ros.data.synthetic.camera_effects import Exposure
from rsb_pose_ros.data.synthetic.composition import View, outlines
from rsb_pose_ros.data.synthetic.lighting import Lighting
from rsb_pose_ros.data.synthetic.person import Mesh
from rsb_pose_ros.data.synthetic.scenes import Scene
from rsb_pose_ros.stereo import StereoCrop

FEWEST_VISIBLE, FEWEST_IN_COMPANY = 4, 8
EDGE_PX = 8.0
"""So far beyond a raw picture's edge crops are drawn, for whatever blurs them; then they are blackened."""


@dataclass(frozen=True)
class Composition:
    """What a pair is to show. people: the one of the labels first; things: other meshes; cropped from `view` by `crop`;
    search: the crop is a window of the whole view."""

    view: View
    people: list[Mesh]
    things: list[Mesh]
    crop: StereoCrop
    scene: Scene
    lighting: Lighting
    present: bool
    search: bool


class Eye(NamedTuple):
    """A camera in the scene: intrinsics fx, fy, cx, cy in crop pixels; origin (3,) of its optical centre; rotation (3, 3)
    camera ← scene; float32."""

    intrinsics: np.ndarray
    origin: np.ndarray
    rotation: np.ndarray


@dataclass(frozen=True)
class Plan:
    """A pair before it is drawn: what it shows, the true cameras, and how they expose."""

    what: Composition
    eyes: tuple[Eye, Eye]
    exposure: Exposure

    @cached_property
    def projections(self) -> np.ndarray:
        """(2, 3, 4) of the crops' nominal cameras."""
        return self.what.crop.projections(self.what.view.projections)

    @cached_property
    def edges(self) -> np.ndarray:
        """(2, 4) x0, y0, x1, y1 of the raw pictures in crop pixels."""
        return outlines(self.what.crop, self.what.view)

    @property
    def windows(self) -> np.ndarray:
        """(2, 4) x0, y0, x1, y1 outside which nothing need be drawn."""
        return self.edges + EDGE_PX * np.array([-1, -1, 1, 1])

    @property
    def joints(self) -> np.ndarray:
        """(17, 3) of the first person, in the left camera's frame."""
        return self.what.people[0].joints @ self.what.view.rotation.T

    def inside(self, keypoints: np.ndarray, size: int) -> np.ndarray:
        """(2, 17) bool: which keypoints (2, 17, 2) lie in crop and raw picture."""
        low = np.maximum(self.edges[:, None, :2], 0)
        high = np.minimum(self.edges[:, None, 2:], size - 1)
        return ((keypoints >= low) & (keypoints <= high)).all(-1)

    @property
    def fewest_visible(self) -> int:
        """So many joints at least have to be seen in one view for the pair to be one to learn from; 0: nobody is there.

        A person whom an object hides altogether is no person to learn from; beside another one nobody could say which of
        the two is meant unless the first is seen well.
        """
        if not self.what.present:
            return 0
        return FEWEST_IN_COMPANY if len(self.what.people) > 1 else FEWEST_VISIBLE
