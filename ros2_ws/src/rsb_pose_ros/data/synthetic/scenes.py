"""Rooms: a box seen from inside, furniture and occluders with real depth, cast ray by ray.

Frame of a scene: gravity-aligned optical axes (x right, y down, z forward), metres, origin at the left camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsb_pose_ros.data.synthetic.colours import wall_colour
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.furniture import PICTURE, furnish
from rsb_pose_ros.data.synthetic.kernels import (
    CEILING,
    FAR_AWAY,
    FLOOR,
    FRAMED,
    PROJECTED,
    STRETCHED,
    cast_room,
    seen_from,
)
from rsb_pose_ros.data.synthetic.lighting import Lighting, sample_lights
from rsb_pose_ros.data.synthetic.textures import TILE, TextureLibrary, photograph, pyramid, tile

BACKGROUND, OBJECT, PERSON = 0, 1, 2
"""What a pixel shows."""


@dataclass(frozen=True)
class Scene:
    """room: (yaw, x0, x1, y0, y1, z0, z1); objects: (K, 8) centre xyz, half sizes xyz, yaw, roundness (1: a cylinder).

    surfaces: (6 + K, 5) tile index (or STRETCHED, PROJECTED, FRAMED), repeats per metre, BGR factor; the room's are left,
    right, ceiling, floor, far and near wall. levels: tiles; photos: (2, 300, 400, 3) backdrop, pictures; projector:
    (3, 4) scene → backdrop, homogeneous, 0…1; skirting: height of a strip along the walls and its brightness.
    ambient, lights, lamp: as in Lighting.
    """

    room: np.ndarray
    objects: np.ndarray
    surfaces: np.ndarray
    levels: np.ndarray
    photos: np.ndarray
    projector: np.ndarray
    skirting: np.ndarray
    ambient: np.ndarray
    lights: np.ndarray
    lamp: np.ndarray


class _Surfaces:
    """Collects tiles and the surfaces that use them."""

    def __init__(self) -> None:
        self.tiles = [np.full((TILE, TILE, 3), 255, np.uint8)]

    def plain(self, colour: np.ndarray) -> list[float]:
        return [0, 1.0, *colour]

    def textured(self, generator: np.random.Generator, paths: list[Path], finest: float = 3.0) -> list[float]:
        """A random one of the tiles, tinted a little."""
        self.tiles.append(tile(paths[generator.integers(len(paths))]))
        tint = generator.uniform(0.6, 1.15) * (1 + generator.normal(0, 0.07, 3))
        return [len(self.tiles) - 1, float(np.exp(generator.uniform(np.log(0.3), np.log(finest)))), *tint]


def sample_scene(
    generator: np.random.Generator, library: TextureLibrary, floor: float, person: np.ndarray, config: SyntheticConfig
) -> Scene:
    """A room around a person at `person` (3,) whose feet touch y = floor, with occluders before it in some."""
    room = _room(generator, floor, person, config.room)
    kind = generator.random()
    in_front = int(generator.integers(1, 3)) if generator.random() < config.occluder_share else 0
    furnished = kind >= 1 - config.built_room_share
    pieces, on_walls = (
        (generator.integers(1, 7), generator.integers(0, 5)) if furnished else (generator.integers(0, 4), 0)
    )
    things = furnish(generator, room, person, int(pieces), int(on_walls), in_front)
    surfaces = _Surfaces()
    if furnished:
        walls = _built(generator, library, surfaces)
    else:
        walls = _photographed(generator, library, surfaces, projected=kind < config.projected_photo_share)
    rows = walls + _materials(generator, library, surfaces, things.materials)
    ambient, lights = sample_lights(generator, config.lights)
    backdrop, picture = (photograph(library.scenes[i]) for i in generator.integers(len(library.scenes), size=2))
    lamp = np.array(
        [*(person + generator.normal(0, [2, 0.5, 2])), generator.uniform(1.5, 5), generator.uniform(0, 0.5)]
    )
    skirting = (
        [generator.uniform(0.05, 0.12), generator.uniform(0.3, 1.4)]
        if furnished and generator.random() < 0.6
        else [0, 1]
    )
    return Scene(
        room,
        things.boxes,
        np.array(rows, np.float32),
        pyramid(surfaces.tiles),
        np.stack([backdrop, picture]),
        _projector(generator),
        np.array(skirting, np.float32),
        ambient,
        lights,
        lamp.astype(np.float32),
    )


def _built(generator: np.random.Generator, library: TextureLibrary, surfaces: _Surfaces) -> list[list[float]]:
    """Painted or papered walls, a floor of wood, carpet, tiles …"""
    style = generator.random()
    if style < 0.6:
        colour = wall_colour(generator)
        walls = [surfaces.plain(colour * generator.uniform(0.93, 1.0)) for _ in range(4)]
        if generator.random() < 0.25:  # one wall of another colour or material
            other = surfaces.textured(generator, library.walls) if generator.random() < 0.5 else None
            walls[int(generator.integers(4))] = other or surfaces.plain(wall_colour(generator))
    else:
        walls = [surfaces.textured(generator, library.walls if style < 0.8 else library.tiles)] * 4
    ceiling = surfaces.plain(generator.uniform(0.7, 1.0) * np.ones(3))
    floor = surfaces.textured(generator, library.floors if generator.random() < 0.8 else library.tiles)
    return [walls[0], walls[1], ceiling, floor, walls[2], walls[3]]


def _photographed(
    generator: np.random.Generator, library: TextureLibrary, surfaces: _Surfaces, projected: bool
) -> list[list[float]]:
    """A photograph all around, thrown from near the cameras or stretched over the walls, with or without its floor."""
    brightness = generator.uniform(0.8, 1.2)
    photo = [PROJECTED if projected else STRETCHED, 1.0, brightness, brightness, brightness]
    rows = [photo] * 6
    if not projected or generator.random() < 0.4:
        rows[FLOOR] = surfaces.textured(generator, library.floors if generator.random() < 0.7 else library.tiles)
    if not projected and generator.random() < 0.6:
        rows[CEILING] = surfaces.plain(generator.uniform(0.6, 1.0) * np.ones(3))
    return rows


def _materials(
    generator: np.random.Generator, library: TextureLibrary, surfaces: _Surfaces, materials: np.ndarray
) -> list[list[float]]:
    """A surface for each object; objects of one material look alike."""
    known: dict[int, list[float]] = {PICTURE: [FRAMED, 1.0, *(generator.uniform(0.7, 1.4) * np.ones(3))]}
    for number in map(int, materials):
        if number not in known:
            style = generator.random()
            if style < 0.35:
                known[number] = surfaces.plain(wall_colour(generator) * generator.uniform(0.1, 1.0))
            else:
                known[number] = surfaces.textured(generator, library.woods if style < 0.75 else library.tiles)
    return [known[int(number)] for number in materials]


def _projector(generator: np.random.Generator) -> np.ndarray:
    """A projector near the cameras that looks the way they do; its picture is mirrored beyond its edges."""
    yaw, pitch = generator.normal(0, 0.3), generator.normal(0, 0.06)
    c, s = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    rotation = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    focal = 0.5 / np.tan(np.radians(generator.uniform(55, 90)) / 2)
    if generator.random() < 0.5:
        rotation[0] *= -1  # the photograph mirrored
    intrinsics = np.array([[focal, 0, 0.5], [0, focal * 4 / 3, 0.5], [0, 0, 1]])
    origin = generator.normal(0, [0.15, 0.1, 0.2])
    return (intrinsics @ np.concatenate([rotation, -rotation @ origin[:, None]], 1)).astype(np.float32)


def _room(generator: np.random.Generator, floor: float, person: np.ndarray, beyond: tuple[float, float]) -> np.ndarray:
    """A room that holds the cameras (at the origin) and the person, whichever way it is turned."""
    size = np.exp(generator.uniform(*np.log(beyond)))
    yaw = generator.normal(0, 0.35)
    c, s = np.cos(yaw), np.sin(yaw)
    x, z = c * person[0] - s * person[2], s * person[0] + c * person[2]
    top = min(floor - 2.3, person[1] - 1.1, -0.5)
    return np.array(
        [
            yaw,
            min(-1.2, x - 1.0) - size * generator.uniform(0.2, 1.2),
            max(1.2, x + 1.0) + size * generator.uniform(0.2, 1.2),
            top - generator.uniform(0, 0.3 + 0.5 * size),
            floor,
            min(-4.0, z - 1.0),
            max(z, 0.5) + 0.8 + size * generator.uniform(0.1, 1.5),
        ],
        np.float32,
    )


def cast(  # type: ignore[no-untyped-def]
    scene: Scene, lighting: Lighting, camera, origin, rotation, size: tuple[int, int], window=None
):
    """(image (H, W, 3) float32 BGR, depth (H, W), kind (H, W)) of a scene without people.

    camera: (fx, fy, cx, cy); origin (3,): optical centre in the scene; rotation (3, 3): camera ← scene; float32 all;
    window: x0, y0, x1, y1 outside which nothing need be drawn (and most of it is not).
    """
    blocks = seen_from(scene.objects, origin, rotation, camera, size)
    bounds = (0.0, 0.0, float(size[0]), float(size[1])) if window is None else tuple(float(x) for x in window)
    width, height = size
    image, kind = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.uint8)
    depth = np.full((height, width), FAR_AWAY, np.float32)
    here, turns = np.empty(len(scene.objects), np.int32), np.empty((len(scene.objects) + 1, 2), np.float32)
    cast_room(
        image, depth, kind, here, turns, scene.room, scene.objects, blocks, scene.surfaces, scene.levels, scene.photos,
        scene.projector, scene.skirting, lighting.ambient, lighting.lights, lighting.lamp, lighting.maps, lighting.bases,
        camera, origin, rotation, bounds,
    )  # fmt: skip
    return image, depth, kind
