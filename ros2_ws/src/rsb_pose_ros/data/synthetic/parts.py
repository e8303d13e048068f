"""Parts that stand off the body: skirts, coat tails, bags, brims, loose hair. Small meshes that move with bones.

Axes are those of a body at rest: x to its left, −y forward, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.data.synthetic.bodies import INFLUENCES, BodyPack

HANGING = ("LeftHand", "RightHand", "Hips")
"""Bones from whose heads things hang straight down: bones B, B + 1, B + 2 of a pack of B bones, which turn about the
vertical alone."""
ARM_PARTS = ("Arm", "Hand", "Finger", "Thumb", "Shoulder")


@dataclass(frozen=True)
class Part:
    """vertices: (E, 3) at rest; faces: (F, 3); texture: (E, 2) metres; bones, weights: (E, 4); clears_legs: its vertices
    are pushed out of the legs after posing."""

    vertices: np.ndarray
    faces: np.ndarray
    texture: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    clears_legs: bool = False


def grid(rings: np.ndarray, closed: bool, two_sided: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertices, faces, texture) of rings (R, N, 3) from top to bottom, counter-clockwise seen from above."""
    count, around = rings.shape[:2]
    row, column = np.meshgrid(np.arange(count - 1), np.arange(around if closed else around - 1), indexing="ij")
    a, b = row * around + column, row * around + (column + 1) % around
    c, d = a + around, b + around
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    vertices = rings.reshape(-1, 3)
    girth = np.linalg.norm(np.diff(rings, axis=1), axis=-1).sum(1).mean()
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(rings, axis=0), axis=-1).mean(1))])
    u, v = np.meshgrid(np.linspace(0, girth, around), along)
    texture = np.stack([u, v], -1).reshape(-1, 2)
    if two_sided:
        inner = vertices - 0.004 * _outward(rings)
        faces = np.concatenate([faces, faces[:, ::-1] + len(vertices)])
        vertices, texture = np.concatenate([vertices, inner]), np.tile(texture, (2, 1))
    return vertices, faces, texture


def _outward(rings: np.ndarray) -> np.ndarray:
    away = rings - rings.mean(1, keepdims=True)
    return (away / np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)).reshape(-1, 3)


def _part(mesh: tuple, bones: np.ndarray, weights: np.ndarray, clears_legs: bool = False) -> Part:
    """bones: (k,) used; weights: (E, k)."""
    vertices, faces, texture = mesh
    all_bones = np.zeros((len(vertices), INFLUENCES), np.int32)
    all_weights = np.zeros((len(vertices), INFLUENCES), np.float32)
    all_bones[:, : len(bones)] = bones
    all_weights[:, : len(bones)] = weights
    return Part(
        vertices.astype(np.float32),
        faces.astype(np.int32),
        texture.astype(np.float32),
        all_bones,
        all_weights,
        clears_legs,
    )


def rigid(mesh: tuple, bone: int) -> Part:
    """A part that moves with one bone."""
    return _part(mesh, np.array([bone]), np.ones((len(mesh[0]), 1)))


def blob(centre: np.ndarray, half: np.ndarray, squareness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rounded body (mesh as `grid` gives it): an ellipsoid at squareness 0, nearly a box at 1."""
    exponent = 1 - 0.75 * squareness
    polar, angle = np.meshgrid(
        np.linspace(0.02, np.pi - 0.02, 11), np.linspace(0, 2 * np.pi, 20, endpoint=False), indexing="ij"
    )

    def powered(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * np.abs(x) ** exponent

    unit = np.stack(
        [
            powered(np.sin(polar)) * powered(np.cos(angle)),
            powered(np.sin(polar)) * powered(np.sin(angle)),
            powered(np.cos(polar)),
        ],
        -1,
    )
    return grid(np.asarray(centre) + unit * half, closed=True, two_sided=False)


def skirt(
    generator: np.random.Generator, pack: BodyPack, body: int, top: float, hem: float, margin: float, flare: float
) -> Part:
    """A skirt, or a coat's tail, from height `top` to `hem`: as wide as the body, `margin` more, `flare` m wider a metre."""
    vertices = pack.vertices[body]
    arms = np.array([any(part in name for part in ARM_PARTS) for name in pack.bone_names])
    trunk = vertices[~arms[pack.bones[:, 0]]]
    heights = np.linspace(top, hem, 11)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    pleats = generator.integers(4, 12)
    swing = generator.uniform(0.0, 0.05) * np.cos(pleats * angle + generator.uniform(0, 6) + 0.6 * np.sin(2 * angle))
    rings = np.empty((len(heights), len(angle), 3))
    half = np.zeros(2)
    for k, height in enumerate(heights):
        near = trunk[np.abs(trunk[:, 2] - height) < 0.03]
        if len(near) and height > pack.heads[body][pack.bone("LeftLeg"), 2]:
            low, high = near.min(0), near.max(0)
            half = np.maximum(half, [np.abs(near[:, 0]).max(), (high[1] - low[1]) / 2])
            middle = (high[1] + low[1]) / 2
        drop = top - height
        radius = half[:, None] + margin + flare * drop + swing * drop * 1.5
        rings[k, :, 0] = radius[0] * np.cos(angle)
        rings[k, :, 1] = middle + radius[1] * np.sin(angle)
        rings[k, :, 2] = height
    mesh = grid(rings, closed=True, two_sided=True)
    hips = float(pack.heads[body][pack.bone("LeftUpLeg"), 2])
    # Cloth follows the thighs a little and gravity more; the legs then push it away (push_out_of_legs).
    legs = 0.4 * _smooth((hips + 0.06 - mesh[0][:, 2]) / 0.3)
    upright = 0.6 * _smooth((top - mesh[0][:, 2]) / 0.25)
    left = _smooth(mesh[0][:, 0] / 0.2 + 0.5)
    rest = 1 - legs
    weights = np.stack([rest * (1 - upright), rest * upright, legs * left, legs * (1 - left)], 1)
    upright_hips = len(pack.bone_names) + HANGING.index("Hips")
    bones = np.array([pack.bone("Hips"), upright_hips, pack.bone("LeftUpLeg"), pack.bone("RightUpLeg")])
    return _part(mesh, bones, weights, clears_legs=True)


def brim(pack: BodyPack, body: int, height: float, radius: float, width: float, visor: bool) -> Part:
    """A hat's brim all around, or a cap's visor in front, at a height around the head."""
    head = pack.heads[body][pack.bone("Head")]
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    reach = width * (np.clip(-np.sin(angle), 0, 1) ** 0.7 if visor else np.ones_like(angle))
    rings = np.empty((3, len(angle), 3))
    for k, (share, drop) in enumerate(((-0.3, 0.0), (0.5, 0.004), (1.0, 0.02))):
        r = radius + share * reach
        rings[k] = np.stack(
            [r * np.cos(angle), -0.055 + 1.15 * r * np.sin(angle), np.full_like(angle, height - drop)], 1
        )
    rings[..., 1] += head[1] * 0.3
    vertices, faces, texture = grid(rings, closed=True, two_sided=False)
    under = vertices - [0, 0, 0.006]
    faces = np.concatenate([faces, faces[:, ::-1] + len(vertices)])
    return rigid((np.concatenate([vertices, under]), faces, np.tile(texture, (2, 1))), pack.bone("Head"))


def loose_hair(pack: BodyPack, body: int, length: float, volume: float) -> Part:
    """Hair that falls from the back of the head to `length` metres below its top."""
    top = pack.vertices[body][pack.head_top].mean(0)
    angle = np.linspace(-0.25, np.pi + 0.25, 17)
    drops = np.linspace(0.06, length, 9)
    rings = np.empty((len(drops), len(angle), 3))
    for k, drop in enumerate(drops):
        spread = np.interp(drop, [0.05, 0.15, 0.3, 0.6], [0.075, 0.088, 0.1, 0.15]) + volume
        back = np.interp(drop, [0.05, 0.15, 0.28, 0.6], [0.09, 0.105, 0.09, 0.13]) + volume
        rings[k] = np.stack(
            [spread * np.cos(angle), top[1] * 0.6 + back * np.sin(angle), np.full_like(angle, top[2] - drop)], 1
        )
    mesh = grid(rings, closed=False, two_sided=True)
    chest = _smooth((top[2] - 0.2 - mesh[0][:, 2]) / 0.3) * 0.85
    bones = np.array([pack.bone("Head"), pack.bone("Spine1")])
    return _part(mesh, bones, np.stack([1 - chest, chest], 1))


def push_out_of_legs(vertices: np.ndarray, heads: np.ndarray, pack: BodyPack, size: float) -> np.ndarray:
    """Posed vertices (E, 3) moved to where they clear the posed legs; size: of the body over an adult's."""
    out = vertices
    for side in ("Left", "Right"):
        hip, knee, ankle = (heads[pack.bone(side + name)] for name in ("UpLeg", "Leg", "Foot"))
        for start, end, radii in ((hip, knee, (0.1, 0.075)), (knee, ankle, (0.07, 0.05))):
            axis = end - start
            along = np.clip((out - start) @ axis / (axis @ axis), 0, 1)[:, None]
            away = out - (start + along * axis)
            distance = np.linalg.norm(away, axis=1, keepdims=True)
            wanted = size * (radii[0] + along * (radii[1] - radii[0]))
            out = out + away / np.maximum(distance, 1e-6) * np.maximum(wanted - distance, 0)
    return out.astype(np.float32)


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
