"""Posing a body: forward kinematics, linear blend skinning, anatomical joints, vertex normals."""

from __future__ import annotations

import numba
import numpy as np

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT

BONE_OF_JOINT = {
    "r_ankle": "RightFoot",
    "r_knee": "RightLeg",
    "r_hip": "RightUpLeg",
    "l_hip": "LeftUpLeg",
    "l_knee": "LeftLeg",
    "l_ankle": "LeftFoot",
    "neck": "Neck",
    "r_wrist": "RightHand",
    "r_elbow": "RightForeArm",
    "r_shoulder": "RightArm",
    "l_shoulder": "LeftArm",
    "l_elbow": "LeftForeArm",
    "l_wrist": "LeftHand",
}
"""Joints that are the heads of bones; the others are derived in `anatomical_joints`."""


def bone_positions(pack: BodyPack, body: int, rotations: np.ndarray) -> np.ndarray:
    """Posed bone heads (B, 3), metres, root head at its rest place; rotations: (B, 3, 3) world, away from rest."""
    rest = pack.heads[body]
    posed = rest.copy()
    for bone, parent in enumerate(pack.bone_parents):
        if parent >= 0:
            posed[bone] = posed[parent] + rotations[parent] @ (rest[bone] - rest[parent])
    return posed


def anatomical_joints(pack: BodyPack, heads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """The 17 joints (17, 3) of a posed body from its bone heads (B, 3) and vertices (V, 3), in their frame.

    pelvis: mid-hips (as MHAD and Human3.6M have it); thorax: half-way up the spine; head_top, nose: on the surface.
    """
    joints = np.empty((JOINT_COUNT, 3), np.float32)
    for name, bone in BONE_OF_JOINT.items():
        joints[INDEX[name]] = heads[pack.bone(bone)]
    joints[INDEX["pelvis"]] = (joints[INDEX["r_hip"]] + joints[INDEX["l_hip"]]) / 2
    joints[INDEX["thorax"]] = (heads[pack.bone("Spine")] + heads[pack.bone("Spine1")]) / 2
    joints[INDEX["head_top"]] = vertices[pack.head_top].mean(0)
    joints[INDEX["nose"]] = vertices[pack.nose]
    return joints


@numba.njit(cache=True, fastmath=True, nogil=True)
def skin(vertices, rest_heads, heads, rotations, bones, weights):  # type: ignore[no-untyped-def]
    """Posed vertices (V, 3) float32 by linear blend skinning."""
    out = np.empty_like(vertices)
    # v ↦ R v + (head − R rest_head) per bone
    shift = np.empty_like(heads)
    for b in range(len(heads)):
        for i in range(3):
            s = heads[b, i]
            for j in range(3):
                s -= rotations[b, i, j] * rest_heads[b, j]
            shift[b, i] = s
    for v in range(len(vertices)):
        x, y, z = vertices[v]
        ox = oy = oz = np.float32(0)
        for k in range(bones.shape[1]):
            w = weights[v, k]
            if w == 0:
                continue
            b = bones[v, k]
            r = rotations[b]
            ox += w * (r[0, 0] * x + r[0, 1] * y + r[0, 2] * z + shift[b, 0])
            oy += w * (r[1, 0] * x + r[1, 1] * y + r[1, 2] * z + shift[b, 1])
            oz += w * (r[2, 0] * x + r[2, 1] * y + r[2, 2] * z + shift[b, 2])
        out[v, 0], out[v, 1], out[v, 2] = ox, oy, oz
    return out


@numba.njit(cache=True, fastmath=True, nogil=True)
def vertex_normals(vertices, faces):  # type: ignore[no-untyped-def]
    """Area-weighted unit normals (V, 3) float32."""
    normals = np.zeros_like(vertices)
    for f in range(len(faces)):
        a, b, c = faces[f]
        ux, uy, uz = vertices[b] - vertices[a]
        wx, wy, wz = vertices[c] - vertices[a]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for v in range(len(normals)):
        n = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + np.float32(1e-12)
        normals[v] /= n
    return normals
