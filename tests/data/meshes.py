"""A textured ball and a bare room: scenes that need no data."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.synthetic.lighting import Lighting, light_scene
from rsb_pose_ros.data.synthetic.outfit import MATERIAL_VALUES, Outfit
from rsb_pose_ros.data.synthetic.person import Mesh
from rsb_pose_ros.data.synthetic.posing import vertex_normals
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
    surfaces = np.concatenate([np.stack([np.arange(count), np.full(count, 1.2)], 1), np.ones((count, 3))], 1)
    return Scene(
        room=np.array([0, -2, 2, -1.5, 1, -2, 5], np.float32),
        objects=objects,
        surfaces=surfaces.astype(np.float32),
        levels=noise_tiles(count),
        photos=np.zeros((2, 300, 400, 3), np.uint8),
        projector=np.zeros((3, 4), np.float32),
        skirting=np.zeros(2, np.float32),
        ambient=np.ones(3, np.float32),
        lights=np.zeros((1, 6), np.float32),
        lamp=np.array([0, 0, 0, 1, 0], np.float32),
    )


def light(scene: Scene, *meshes: np.ndarray, shadows: int = 0) -> Lighting:
    """The scene's light with the shadows of vertices (V, 3), hard ones."""
    return light_scene(
        scene.ambient,
        scene.lights,
        scene.lamp,
        np.array([0, 0, 3.0]),
        list(meshes),
        scene.objects,
        shadows,
        np.full(1 + shadows, 0.5),
    )


def painted(
    vertices: np.ndarray,
    faces: np.ndarray,
    texture: np.ndarray,
    fields: np.ndarray,
    materials: np.ndarray,
    levels: np.ndarray,
) -> Mesh:
    """A mesh with its own normals; materials: (L, 5) tile, repeats, BGR."""
    stuff = np.zeros((len(materials), MATERIAL_VALUES), np.float32)
    stuff[:, :5] = materials
    outfit = Outfit(
        np.zeros((0, 3), np.float32),
        np.zeros(0, np.float32),
        [],
        fields,
        stuff,
        levels,
        np.ones_like(vertices),
        texture,
    )
    return Mesh(vertices, vertex_normals(vertices, faces), faces, np.zeros((0, 3)), float(vertices[:, 1].max()), outfit)
