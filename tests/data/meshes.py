"""A textured ball and a bare room: scenes that need no data."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.synthetic.scenes import Scene
from rsb_pose_ros.data.synthetic.textures import TILE, pyramid


def noise_tiles(count: int) -> np.ndarray:
    """Mip levels of `count` tiles of blurred noise."""
    generator = np.random.default_rng(0)
    tiles = []
    for _ in range(count):
        coarse = generator.integers(0, 255, (TILE // 4, TILE // 4, 3), dtype=np.uint8)
        tiles.append(np.kron(coarse, np.ones((4, 4, 1), np.uint8)))
    return pyramid(tiles)


def ball(centre: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertices, faces counter-clockwise from outside, texture coordinates in metres) of a sphere."""
    rings, sectors = 40, 80
    theta, phi = np.meshgrid(np.linspace(0.02, np.pi - 0.02, rings), np.linspace(0, 2 * np.pi, sectors), indexing="ij")
    normal = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1).reshape(-1, 3)
    vertices = (centre + radius * normal).astype(np.float32)
    first = (np.arange(rings - 1)[:, None] * sectors + np.arange(sectors - 1)[None]).ravel()
    a, b, c, d = first, first + 1, first + sectors, first + sectors + 1
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)
    outward = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    assert ((outward * (vertices[faces[:, 0]] - centre)).sum(1) > 0).mean() > 0.99
    texture = (np.stack([phi, theta], -1).reshape(-1, 2) * radius).astype(np.float32)
    return vertices, faces, texture


def room(objects: np.ndarray | None = None) -> Scene:
    """A box from 2 m left to 2 m right, floor 1 m below, ceiling 1.5 m above, far wall at 5 m."""
    objects = np.zeros((0, 8), np.float32) if objects is None else objects
    count = 6 + len(objects)
    surfaces = np.stack([np.arange(count), np.full(count, 1.2), np.ones(count)], 1).astype(np.float32)
    return Scene(
        room=np.array([0, -2, 2, -1.5, 1, -2, 5], np.float32),
        objects=objects,
        surfaces=surfaces,
        levels=noise_tiles(count),
        photo=np.zeros((300, 400, 3), np.uint8),
        ambient=np.ones(3, np.float32),
        lights=np.zeros((1, 6), np.float32),
        shadow=np.array([0, 3, 0.3, 0.0], np.float32),
    )
