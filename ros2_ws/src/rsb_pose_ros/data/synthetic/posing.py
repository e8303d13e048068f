"""Posing a body: forward kinematics, linear blend skinning, anatomical joints, vertex normals."""

from __future__ import annotations

import numba
import numpy as np

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT

BONE_OF_JOINT = {
    "r_ankle": "RightFoot",
    "r_knee": "RightLeg",
    "l_knee": "LeftLeg",
    "l_ankle": "LeftFoot",
    "r_wrist": "RightHand",
    "r_elbow": "RightForeArm",
    "r_shoulder": "RightArm",
    "l_shoulder": "LeftArm",
    "l_elbow": "LeftForeArm",
    "l_wrist": "LeftHand",
}
"""Joints that are the heads of bones; the others are derived in `anatomical_joints`."""

HIP_SPREAD = 0.82
"""The rig's thigh bones start 22 cm apart; the centres of human hip joints lie about 18 cm apart."""
NECK_HEIGHT = 0.6
"""The rig's neck bone starts at the chin's height; the base of the neck (C7) lies at this share from the shoulders to it."""
THORAX_SPINE = 0.75
"""Weight of the lower of the two spine bones between which the thorax point lies: 26 cm above the hips, mid-spine."""


def bone_positions(pack: BodyPack, body: int, rotations: np.ndarray) -> np.ndarray:
    """Posed bone heads (…, B, 3), metres, root head at its rest place; rotations: (…, B, 3, 3) world, away from rest."""
    rest = pack.heads[body]
    posed = np.empty((*rotations.shape[:-2], 3), rest.dtype)
    for bone, parent in enumerate(pack.bone_parents):
        if parent < 0:
            posed[..., bone, :] = rest[bone]
        else:
            posed[..., bone, :] = posed[..., parent, :] + rotations[..., parent, :, :] @ (rest[bone] - rest[parent])
    return posed


def anatomical_joints(pack: BodyPack, body: int, rotations: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """The 17 joints (…, 17, 3) of a posed body from its bones' rotations (…, B, 3, 3) and heads (…, B, 3), their frame.

    hips, knees, ankles, shoulders, elbows, wrists: centres of the joints; pelvis: mid-hips; thorax: half-way up the
    spine, 26 cm above the pelvis of an adult; neck: its base, between the shoulders and above them; head_top: on the
    scalp; nose: its tip.
    """
    joints = np.empty((*heads.shape[:-2], JOINT_COUNT, 3), np.float32)
    rest = pack.heads[body]

    def head(bone: str) -> np.ndarray:
        return heads[..., pack.bone(bone), :]

    def attached(bone: str, point: np.ndarray) -> np.ndarray:
        """A point of the body at rest (3,) that moves with a bone."""
        index = pack.bone(bone)
        return head(bone) + rotations[..., index, :, :] @ (point - rest[index])

    for name, bone in BONE_OF_JOINT.items():
        joints[..., INDEX[name], :] = head(bone)
    right, left = head("RightUpLeg"), head("LeftUpLeg")
    pelvis = (right + left) / 2
    joints[..., INDEX["pelvis"], :] = pelvis
    joints[..., INDEX["r_hip"], :] = pelvis + HIP_SPREAD * (right - pelvis)
    joints[..., INDEX["l_hip"], :] = pelvis + HIP_SPREAD * (left - pelvis)
    joints[..., INDEX["thorax"], :] = THORAX_SPINE * head("Spine") + (1 - THORAX_SPINE) * head("Spine1")
    shoulders = (rest[pack.bone("LeftArm")] + rest[pack.bone("RightArm")]) / 2
    neck = NECK_HEIGHT * rest[pack.bone("Neck")] + (1 - NECK_HEIGHT) * shoulders
    joints[..., INDEX["neck"], :] = attached("Spine1", neck)
    joints[..., INDEX["head_top"], :] = attached("Head", pack.vertices[body][pack.head_top].mean(0))
    joints[..., INDEX["nose"], :] = attached("Head", pack.vertices[body][pack.nose])
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
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
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
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x, y, z = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - x, vertices[b, 1] - y, vertices[b, 2] - z
        wx, wy, wz = vertices[c, 0] - x, vertices[c, 1] - y, vertices[c, 2] - z
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for v in range(len(normals)):
        n = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + np.float32(1e-12)
        for k in range(3):
            normals[v, k] /= n
    return normals
