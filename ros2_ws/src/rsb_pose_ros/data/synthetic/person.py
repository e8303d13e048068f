"""A posed and dressed body as a mesh in a scene (gravity-aligned optical axes: x right, y down, z forward, metres)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.outfit import Outfit
from rsb_pose_ros.data.synthetic.parts import HANGING, push_out_of_legs
from rsb_pose_ros.data.synthetic.posing import anatomical_joints, bone_positions, skin, vertex_normals
from rsb_pose_ros.skeleton import ROOT

# Anny's z up, facing −y, left +x; seen by a camera that it faces: its left is on the picture's right.
Z_UP_TO_OPTICAL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


@dataclass(frozen=True)
class Mesh:
    """vertices, normals: (W, 3) float32; faces: (F, 3); joints: (17, 3); floor: y of the lowest point of the body."""

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
    pack: BodyPack,
    body: int,
    rotations: np.ndarray,
    outfit: Outfit,
    heading: float,
    place: np.ndarray,
    size: float = 1.0,
) -> Mesh:
    """The body with bone rotations (B, 3, 3), turned by `heading` about the vertical, its pelvis at `place` (3,).

    size: of the whole person over the pack's body.
    """
    heads = bone_positions(pack, body, rotations)
    vertices = skin(
        pack.vertices[body] + outfit.drape,
        pack.heads[body],
        heads.astype(np.float32),
        rotations,
        pack.bones,
        pack.weights,
    )
    joints = anatomical_joints(pack, body, rotations, heads)
    vertices = vertices + vertex_normals(vertices, pack.faces) * outfit.offset[:, None]
    vertices, faces = _with_parts(pack, body, rotations, heads, vertices, outfit)
    c, s = np.cos(heading), np.sin(heading)
    to_scene = size * np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ Z_UP_TO_OPTICAL
    origin = np.asarray(place) - to_scene @ joints[ROOT]
    placed = (vertices @ to_scene.T.astype(np.float32) + origin.astype(np.float32)).astype(np.float32)
    return Mesh(
        placed,
        vertex_normals(placed, faces),
        faces,
        joints @ to_scene.T + origin,
        float(placed[: len(pack.vertices[body]), 1].max()),
        outfit,
    )


def _with_parts(
    pack: BodyPack, body: int, rotations: np.ndarray, heads: np.ndarray, vertices: np.ndarray, outfit: Outfit
) -> tuple[np.ndarray, np.ndarray]:
    """(vertices, faces) of the body and the outfit's parts."""
    if not outfit.parts:
        return vertices, pack.faces
    hung = [pack.bone(name) for name in HANGING]
    # What hangs follows its bone's place and the body's heading, but no other turn.
    upright = np.tile(_heading_of(rotations[pack.bone("Hips")]), (len(hung), 1, 1)).astype(rotations.dtype)
    all_rotations = np.concatenate([rotations, upright])
    all_heads = np.concatenate([heads, heads[hung]]).astype(np.float32)
    rest = np.concatenate([pack.heads[body], pack.heads[body][hung]])
    all_vertices, all_faces, first = [vertices], [pack.faces], len(vertices)
    for part in outfit.parts:
        posed = skin(part.vertices, rest, all_heads, all_rotations, part.bones, part.weights)
        if part.clears_legs:
            posed = push_out_of_legs(posed, heads, pack, 1.0)
        all_vertices.append(posed)
        all_faces.append(part.faces + np.int32(first))
        first += len(posed)
    return np.concatenate(all_vertices), np.concatenate(all_faces)


def _heading_of(rotation: np.ndarray) -> np.ndarray:
    """The part (3, 3) of a rotation about the vertical z."""
    angle = np.arctan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
