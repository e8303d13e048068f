"""Light: from the sky or ceiling, from several directions with soft shadows, and brighter near a lamp.

A shadow map looks along a light's rays: it stores how much of a place is covered and how near to the light the cover is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsb_pose_ros.data.synthetic.kernels import EMPTY, cover_boxes, cover_points

MAP_TEXELS = 96
MAP_HALF_M = 1.6
"""A map covers this much around a person in all directions across the light."""
SKY = np.array([0.0, -1.0, 0.0], np.float32)


@dataclass(frozen=True)
class Lighting:
    """ambient: (3,) BGR of the sky; lights: (L, 6) direction towards the light, BGR; the first M − 1 of them cast shadows.

    lamp: (5,) xyz, reach in metres, strength 0…1 of a lamp around which all is brighter; maps: (M, N, N, 2) cover 0…1
    and its mean height along the light, the first one for the sky; bases: (M, 3, 4) scene → texel column, row, height.
    """

    ambient: np.ndarray
    lights: np.ndarray
    lamp: np.ndarray
    maps: np.ndarray
    bases: np.ndarray


def sample_lights(generator: np.random.Generator, number: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(ambient BGR (3,), lights (L, 6)): `number` (fewest, most) lights from above or the side, tinted,
    strongest first."""
    ambient = generator.uniform(0.35, 0.7) * (1 + generator.normal(0, 0.05, 3))
    count = generator.integers(number[0], number[1] + 1)
    lights = np.empty((count, 6), np.float32)
    shares = np.sort(generator.dirichlet(np.ones(count)))[::-1] * generator.uniform(0.4, 0.9)
    for light, share in zip(lights, shares, strict=True):
        direction = np.array([generator.normal(0, 1), generator.uniform(-1.8, -0.1), generator.normal(-0.3, 1)])
        light[:3] = direction / np.linalg.norm(direction)
        light[3:] = share * (1 + generator.normal(0, 0.08, 3))
    return ambient.astype(np.float32), lights


def light_scene(
    ambient: np.ndarray,
    lights: np.ndarray,
    lamp: np.ndarray,
    centre: np.ndarray,
    meshes: list[np.ndarray],
    objects: np.ndarray,
    shadows: int,
    softness: np.ndarray,
) -> Lighting:
    """Shadow maps of the sky and the first `shadows` lights around `centre` (3,).

    meshes: vertices (V, 3) dense enough to leave no hole in a grid of 3 cm; objects: (K, 8) as in Scene; softness:
    (1 + shadows,) standard deviations of the shadows' edges in texels.
    """
    directions = [SKY, *(light[:3] for light in lights[:shadows])]
    maps = np.empty((len(directions), MAP_TEXELS, MAP_TEXELS, 2), np.float32)
    bases = np.empty((len(directions), 3, 4), np.float32)
    scale = MAP_TEXELS / (2 * MAP_HALF_M)
    for k, (direction, blur) in enumerate(zip(directions, softness, strict=True)):
        rows = _basis(direction)
        rows[:2] *= scale
        bases[k, :, :3] = rows
        bases[k, :, 3] = [MAP_TEXELS / 2, MAP_TEXELS / 2, 0] - rows @ centre
        height = np.full((MAP_TEXELS, MAP_TEXELS), EMPTY, np.float32)
        for vertices in meshes:
            cover_points(height, vertices, bases[k])
        cover_boxes(height, objects, bases[k])
        covered = (height > EMPTY / 2).astype(np.float32)
        weighted = np.where(covered > 0, height, 0)
        maps[k, ..., 0] = cv2.GaussianBlur(covered, (0, 0), float(blur))
        maps[k, ..., 1] = cv2.GaussianBlur(weighted, (0, 0), float(blur)) / np.maximum(maps[k, ..., 0], 1e-3)
    return Lighting(ambient, lights, np.asarray(lamp, np.float32), maps, bases)


def _basis(direction: np.ndarray) -> np.ndarray:
    """(3, 3) rows: two axes across a direction, then itself."""
    helper = np.array([0.0, 0, 1]) if abs(direction[2]) < 0.9 else np.array([1.0, 0, 0])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(direction, across), direction])
