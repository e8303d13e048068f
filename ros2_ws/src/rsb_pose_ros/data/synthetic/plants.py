"""Plants: a pot and bent leaves of real depth, as meshes that the rasteriser draws."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.synthetic.outfit import MATERIAL_VALUES, Outfit
from rsb_pose_ros.data.synthetic.parts import blob
from rsb_pose_ros.data.synthetic.person import Mesh
from rsb_pose_ros.data.synthetic.posing import vertex_normals
from rsb_pose_ros.data.synthetic.textures import TILE, TextureLibrary, pyramid, tile


def plant(generator: np.random.Generator, library: TextureLibrary, place: np.ndarray, floor: float) -> Mesh:
    """A potted plant at scene (x, z) `place` on y = floor."""
    height, reach = generator.uniform(0.4, 1.6), generator.uniform(0.2, 0.55)
    pot, soil = generator.uniform(0.08, 0.2), generator.uniform(0.2, 0.4)
    vertices, faces, texture = blob(
        np.array([0, 0, soil / 2]), np.array([pot, pot, soil / 2]), generator.uniform(0.3, 0.9)
    )
    leaves = [_leaf(generator, soil, height, reach) for _ in range(int(generator.integers(14, 50)))]
    parts, all_faces, all_texture, first = [vertices], [faces], [texture], len(vertices)
    for points in leaves:
        strip = np.arange(len(points) // 2 - 1)[:, None] * 2
        front = np.concatenate([strip + np.array([0, 1, 2]), strip + np.array([1, 3, 2])])
        count = len(points)
        parts += [points, points]
        all_faces += [front + first, front[:, ::-1] + first + count]
        along = np.repeat(np.linspace(0, 0.3, count // 2), 2)
        both = np.stack([np.tile([0, 0.05], count // 2), along], 1)
        all_texture += [both, both]
        first += 2 * count
    # z up → y down.
    stood = np.concatenate(parts)[:, [0, 2, 1]] * [1, -1, 1] + [place[0], floor, place[1]]
    ordered = np.concatenate(all_faces)[:, ::-1].astype(np.int32)
    stood = stood.astype(np.float32)
    fields = np.full((len(stood), 2), -1.0, np.float32)
    fields[len(vertices) :, 1] = 1
    green = generator.uniform([0.1, 0.35, 0.1], [0.35, 0.75, 0.45]) * generator.uniform(0.5, 1.3)
    materials = np.zeros((2, MATERIAL_VALUES), np.float32)
    materials[0, :5] = [0, 1, *generator.uniform(0.1, 1.0, 3)]
    materials[1, :5] = [1, 3, *(green * 1.6)]
    tiles = [np.full((TILE, TILE, 3), 255, np.uint8), tile(library.leaves[generator.integers(len(library.leaves))])]
    cloth = np.concatenate(all_texture).astype(np.float32)
    outfit = Outfit(
        np.zeros((0, 3), np.float32), np.zeros(0, np.float32), [], fields, materials, pyramid(tiles),
        np.ones_like(stood), cloth,
    )  # fmt: skip
    return Mesh(stood, vertex_normals(stood, ordered), ordered, np.zeros((0, 3)), floor, outfit)


def _leaf(generator: np.random.Generator, soil: float, height: float, reach: float) -> np.ndarray:
    """(2 n, 3) points of a strip, left and right edge in turn, z up: rises, then bends outwards."""
    n = 6
    t = np.linspace(0, 1, n)
    angle, top = generator.uniform(0, 2 * np.pi), generator.uniform(0.3, 1.0) * height
    out = generator.uniform(0.3, 1.0) * reach * t**1.5
    up = soil + top * (t - generator.uniform(0.1, 0.5) * t**3)
    width = generator.uniform(0.015, 0.06) * np.sin(np.pi * np.clip(t * 0.9 + 0.08, 0, 1))
    direction, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    points = np.empty((n, 2, 3))
    for k, side in enumerate((-1, 1)):
        points[:, k, :2] = out[:, None] * direction + side * width[:, None] * across
        points[:, k, 2] = up
    return points.reshape(-1, 3)
