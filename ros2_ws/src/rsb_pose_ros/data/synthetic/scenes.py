"""Rooms: a textured box seen from inside, furniture and occluders with real depth, cast ray by ray.

Frame of a scene: gravity-aligned optical axes (x right, y down, z forward), metres, origin at the left camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from rsb_pose_ros.data.synthetic.textures import TextureLibrary, photograph, pyramid, sample_photo, sample_tile, tile

BACKGROUND, OBJECT, PERSON = 0, 1, 2
"""What a pixel shows."""


@dataclass(frozen=True)
class Scene:
    """room: (yaw, x0, x1, y0, y1, z0, z1); objects: (K, 8) centre xyz, half sizes xyz, yaw, roundness (1: a cylinder).

    surfaces: (5 + K, 3) tile index (−1: the photograph), repeats per metre, brightness; the room's are left, right,
    ceiling, floor, far and near (= far) wall. levels, photo: pictures; lights: (L, 6) direction towards the light, BGR.
    """

    room: np.ndarray
    objects: np.ndarray
    surfaces: np.ndarray
    levels: np.ndarray
    photo: np.ndarray
    ambient: np.ndarray
    lights: np.ndarray
    shadow: np.ndarray


def sample_lights(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(ambient BGR (3,), lights (L, 6)): one to four lights from above or the side, tinted; total near 1."""
    ambient = generator.uniform(0.25, 0.6) * (1 + generator.normal(0, 0.05, 3))
    count = generator.integers(1, 5)
    lights = np.empty((count, 6), np.float32)
    shares = generator.dirichlet(np.ones(count)) * generator.uniform(0.45, 0.9)
    for light, share in zip(lights, shares, strict=True):
        direction = np.array([generator.normal(0, 1), generator.uniform(-1.5, 0.1), generator.normal(-0.3, 1)])
        light[:3] = direction / np.linalg.norm(direction)
        light[3:] = share * (1 + generator.normal(0, 0.08, 3))
    return ambient.astype(np.float32), lights


def sample_scene(
    generator: np.random.Generator, library: TextureLibrary, floor: float, person: np.ndarray, occluder_share: float
) -> Scene:
    """A room around a person at `person` (3,) whose feet touch y = floor; occluders stand before it with that chance."""
    objects = _furniture(generator, floor, person)
    if generator.random() < occluder_share:
        objects += [_occluder(generator, floor, person) for _ in range(generator.integers(1, 3))]
    array = np.array(objects, np.float32).reshape(-1, 8)
    count = 6 + len(array)
    chosen = [tile(library.tiles[i]) for i in generator.integers(len(library.tiles), size=count)]
    surfaces = np.zeros((count, 3), np.float32)
    surfaces[:, 0] = np.arange(count)
    surfaces[:, 1] = np.exp(generator.uniform(np.log(0.3), np.log(3), count))
    surfaces[:, 2] = generator.uniform(0.5, 1.2, count)
    photographed = generator.random()
    if photographed < 0.75:  # walls that are photographs; in most scenes all of them, so that they look like a place
        surfaces[[0, 1, 4, 5] if photographed < 0.55 else [4], 0] = -1
        if photographed < 0.3:
            surfaces[2, 0] = -1
    ambient, lights = sample_lights(generator)
    photo = photograph(library.scenes[generator.integers(len(library.scenes))])
    shadow = np.array([person[0], person[2], generator.uniform(0.2, 0.45), generator.uniform(0.1, 0.6)], np.float32)
    return Scene(_room(generator, floor, person), array, surfaces, pyramid(chosen), photo, ambient, lights, shadow)


def _room(generator: np.random.Generator, floor: float, person: np.ndarray) -> np.ndarray:
    """A room that holds the cameras (at the origin) and the person, whichever way it is turned."""
    size = np.exp(generator.uniform(np.log(1.0), np.log(5.0)))
    yaw = generator.normal(0, 0.35)
    c, s = np.cos(yaw), np.sin(yaw)
    x, z = c * person[0] - s * person[2], s * person[0] + c * person[2]
    top = min(floor - 2.3, person[1] - 1.1, -0.5)
    return np.array(
        [
            yaw,
            min(-1.2, x - 1.0) - size * generator.uniform(0.2, 1.2),
            max(1.2, x + 1.0) + size * generator.uniform(0.2, 1.2),
            top - generator.uniform(0, 0.3 + size),
            floor,
            min(-4.0, z - 1.0),
            max(z, 0.5) + 1.0 + size * generator.uniform(0.1, 1.5),
        ],
        np.float32,
    )


def _furniture(generator: np.random.Generator, floor: float, person: np.ndarray) -> list[list[float]]:
    objects = []
    for _ in range(generator.integers(0, 7)):
        half = np.exp(generator.uniform(np.log([0.08, 0.15, 0.08]), np.log([0.6, 1.0, 0.6])))
        x = person[0] + generator.choice([-1, 1]) * generator.uniform(0.6, 3)
        z = max(0.8, person[2] + generator.uniform(-1.0, 3.0))
        on_floor = floor - half[1] if generator.random() < 0.8 else floor - generator.uniform(0.8, 2.2)
        objects.append([x, on_floor, z, *half, generator.uniform(0, np.pi), float(generator.random() < 0.3)])
    return objects


def _occluder(generator: np.random.Generator, floor: float, person: np.ndarray) -> list[float]:
    """Something between camera and person that hides a part of the person: a post, a table, a hanging thing."""
    share = generator.uniform(0.45, 0.85)
    x = person[0] * share + generator.normal(0, 0.35) * share
    z = max(person[2] * share, 0.4)
    kind = generator.integers(3)
    height = generator.uniform(0.3, 1.0)
    if kind == 0:
        half, y = np.array([generator.uniform(0.03, 0.12), 1.5, generator.uniform(0.03, 0.12)]), floor - 1.5
    elif kind == 1:
        half, y = np.array([generator.uniform(0.2, 0.7), height / 2, generator.uniform(0.1, 0.4)]), floor - height / 2
    else:
        half, y = generator.uniform(0.05, 0.25, 3), floor - generator.uniform(0.4, 1.8)
    return [x, y, z, *half, generator.uniform(0, np.pi), float(generator.random() < 0.4)]


@numba.njit(cache=True, fastmath=True, nogil=True)
def cast(scene_room, objects, surfaces, levels, photo, ambient, lights, shadow, camera, origin, rotation, size):  # type: ignore[no-untyped-def]
    """(image (H, W, 3) float32 BGR, depth (H, W), kind (H, W)) of a scene.

    camera: (fx, fy, cx, cy); origin (3,): optical centre in the scene; rotation (3, 3): camera ← scene.
    """
    width, height = size
    image = np.empty((height, width, 3), np.float32)
    depth = np.empty((height, width), np.float32)
    kind = np.zeros((height, width), np.uint8)
    d, n, colour = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    rc, rs = np.cos(scene_room[0]), np.sin(scene_room[0])
    for row in range(height):
        for column in range(width):
            cx, cy = (column - camera[2]) / camera[0], (row - camera[3]) / camera[1]
            for i in range(3):
                d[i] = rotation[0, i] * cx + rotation[1, i] * cy + rotation[2, i]
            best, surface, tu, tv = _room_exit(scene_room, origin, d, rc, rs, n)
            for k in range(len(objects)):
                t, u, v = _object_entry(objects[k], origin, d, best, n)
                if t < best:
                    best, surface, tu, tv = t, 6 + k, u, v
            depth[row, column] = best
            kind[row, column] = 1 if surface >= 6 else 0
            which, repeats, brightness = surfaces[surface]
            if which < 0:
                span_u = scene_room[2] - scene_room[1]
                sample_photo(photo, tu / span_u, tv / (scene_room[4] - scene_room[3]), colour)
            else:
                sample_tile(levels, int(which), tu * repeats, tv * repeats, best / camera[0] * repeats * 128, colour)
            shade = 1.0
            if surface == 3:
                gx, gz = origin[0] + best * d[0] - shadow[0], origin[2] + best * d[2] - shadow[1]
                shade -= shadow[3] * np.exp(-(gx * gx + gz * gz) / (2 * shadow[2] * shadow[2]))
            for c in range(3):
                light = ambient[c]
                for q in range(len(lights)):
                    cosine = n[0] * lights[q, 0] + n[1] * lights[q, 1] + n[2] * lights[q, 2]
                    light += lights[q, 3 + c] * max(cosine, 0.15)
                image[row, column, c] = colour[c] * light * brightness * shade
    return image, depth, kind


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def _room_exit(room, o, d, rc, rs, n):  # type: ignore[no-untyped-def]
    """(t, surface, u, v) where a ray leaves the room; n receives the inward normal."""
    ox, oz = rc * o[0] - rs * o[2], rs * o[0] + rc * o[2]
    dx, dz = rc * d[0] - rs * d[2], rs * d[0] + rc * d[2]
    tx = ((room[2] if dx > 0 else room[1]) - ox) / (dx if abs(dx) > 1e-9 else 1e-9)
    ty = ((room[4] if d[1] > 0 else room[3]) - o[1]) / (d[1] if abs(d[1]) > 1e-9 else 1e-9)
    tz = ((room[6] if dz > 0 else room[5]) - oz) / (dz if abs(dz) > 1e-9 else 1e-9)
    if tx < ty and tx < tz:
        t, surface = tx, 1 if dx > 0 else 0
        nx, nz, u, v = (-1.0 if dx > 0 else 1.0), 0.0, oz + tx * dz, o[1] + tx * d[1]
        n[1] = 0.0
    elif ty < tz:
        t, surface = ty, 3 if d[1] > 0 else 2
        nx, nz, u, v = 0.0, 0.0, ox + ty * dx, oz + ty * dz
        n[1] = -1.0 if d[1] > 0 else 1.0
    else:
        t, surface = tz, 4 if dz > 0 else 5
        nx, nz, u, v = 0.0, (-1.0 if dz > 0 else 1.0), ox + tz * dx, o[1] + tz * d[1]
        n[1] = 0.0
    n[0], n[2] = rc * nx + rs * nz, -rs * nx + rc * nz
    return t, surface, u, v


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def _object_entry(obj, o, d, limit, n):  # type: ignore[no-untyped-def]
    """(t, u, v) where a ray enters a box or vertical cylinder before `limit`, else (inf, 0, 0); n receives the normal."""
    far = np.float32(1e9)
    # Most rays miss: the bounding sphere is tested first.
    px, py, pz = obj[0] - o[0], obj[1] - o[1], obj[2] - o[2]
    along = (px * d[0] + py * d[1] + pz * d[2]) / (d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    mx, my, mz = px - along * d[0], py - along * d[1], pz - along * d[2]
    radius2 = obj[3] * obj[3] + obj[4] * obj[4] + obj[5] * obj[5]
    if mx * mx + my * my + mz * mz > radius2:
        return far, np.float32(0), np.float32(0)
    c, s = np.cos(obj[6]), np.sin(obj[6])
    ox, oy, oz = -(c * px - s * pz), -py, -(s * px + c * pz)
    dx, dy, dz = c * d[0] - s * d[2], d[1], s * d[0] + c * d[2]
    dy = dy if abs(dy) > 1e-9 else 1e-9
    ty0, ty1 = (-obj[4] - oy) / dy, (obj[4] - oy) / dy
    if ty0 > ty1:
        ty0, ty1 = ty1, ty0
    if obj[7] > 0.5:
        r = obj[3]
        a, b, e = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - r * r
        disc = b * b - a * e
        if disc < 0:
            return far, np.float32(0), np.float32(0)
        root = np.sqrt(disc)
        t0, t1, axis = (-b - root) / a, (-b + root) / a, 3
    else:
        dx = dx if abs(dx) > 1e-9 else 1e-9
        dz = dz if abs(dz) > 1e-9 else 1e-9
        tx0, tx1 = (-obj[3] - ox) / dx, (obj[3] - ox) / dx
        if tx0 > tx1:
            tx0, tx1 = tx1, tx0
        tz0, tz1 = (-obj[5] - oz) / dz, (obj[5] - oz) / dz
        if tz0 > tz1:
            tz0, tz1 = tz1, tz0
        t0, axis = (tx0, 0) if tx0 > tz0 else (tz0, 2)
        t1 = min(tx1, tz1)
    if ty0 > t0:
        t0, axis = ty0, 1
    t1 = min(t1, ty1)
    if t0 > t1 or t0 < 0.05 or t0 >= limit:
        return far, np.float32(0), np.float32(0)
    x, y, z = ox + t0 * dx, oy + t0 * dy, oz + t0 * dz
    lx, ly, lz = 0.0, 0.0, 0.0
    if axis == 0:
        lx, u, v = (-1.0 if dx > 0 else 1.0), z, y
    elif axis == 1:
        ly, u, v = (-1.0 if dy > 0 else 1.0), x, z
    elif axis == 2:
        lz, u, v = (-1.0 if dz > 0 else 1.0), x, y
    else:
        lx, lz = x / obj[3], z / obj[3]
        u, v = np.arctan2(z, x) * obj[3], y
    n[0], n[1], n[2] = c * lx + s * lz, ly, -s * lx + c * lz
    return t0, u, v
