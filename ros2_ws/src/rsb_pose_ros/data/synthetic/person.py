"""A posed and dressed body as a mesh in a scene (gravity-aligned optical axes: x right, y down, z forward, metres)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.clothes import Outfit
from rsb_pose_ros.data.synthetic.posing import anatomical_joints, bone_positions, skin, vertex_normals
from rsb_pose_ros.skeleton import ROOT

# Anny's z up, facing −y, left +x; seen by a camera that it faces: its left is on the picture's right.
Z_UP_TO_OPTICAL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


@dataclass(frozen=True)
class Mesh:
    """vertices, normals: (V, 3) float32; faces: (F, 3); joints: (17, 3); floor: y of the lowest point."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    floor: float
    outfit: Outfit

    def moved(self, by: np.ndarray) -> Mesh:
        """The same mesh elsewhere; by: (3,) metres."""
        by = np.asarray(by, np.float64)
        return replace(
            self,
            vertices=(self.vertices + by).astype(np.float32),
            joints=self.joints + by,
            floor=self.floor + float(by[1]),
        )


def pose_body(
    pack: BodyPack, body: int, rotations: np.ndarray, outfit: Outfit, heading: float, place: np.ndarray
) -> Mesh:
    """The body with bone rotations (B, 3, 3), turned by `heading` about the vertical, its pelvis at `place` (3,)."""
    heads = bone_positions(pack, body, rotations)
    vertices = skin(
        pack.vertices[body], pack.heads[body], heads.astype(np.float32), rotations, pack.bones, pack.weights
    )
    joints = anatomical_joints(pack, body, rotations, heads)
    normals = vertex_normals(vertices, pack.faces)
    vertices = vertices + normals * outfit.offset[:, None]
    c, s = np.cos(heading), np.sin(heading)
    to_scene = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ Z_UP_TO_OPTICAL
    origin = np.asarray(place) - to_scene @ joints[ROOT]
    placed = (vertices @ to_scene.T + origin).astype(np.float32)
    return Mesh(
        placed,
        vertex_normals(placed, pack.faces),
        pack.faces,
        joints @ to_scene.T + origin,
        float(placed[:, 1].max()),
        outfit,
    )
