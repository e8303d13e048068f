"""One view on a GPU: the same arithmetic of pixels as on the CPU (kernels.py), a thread for each pixel, vertex or face.

Needs a CUDA device and numba's CUDA target; with NUMBA_ENABLE_CUDASIM=1 and NUMBA_DISABLE_JIT=1 it runs in numba's
simulator, slowly. It has run there alone so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda as numba_cuda

from rsb_pose_ros.data.synthetic.kernels import (
    FAR_AWAY,
    cast_pixel,
    face_box,
    face_depth,
    project_vertex,
    shade_pixel,
)
from rsb_pose_ros.data.synthetic.lighting import Lighting
from rsb_pose_ros.data.synthetic.scenes import Scene
from rsb_pose_ros.data.synthetic.textures import FOLDS

cuda: Any = numba_cuda
"""Of no type: numba's annotations of its intrinsics are wrong."""
TILE = (16, 16)
THREADS = 128
STEPS_PER_M = 1 << 20
FACES = 1 << 24
"""A candidate for a pixel is one number, depth in micrometres and then the face: an atomic minimum picks the nearest."""
NOBODY = np.int64(2**62)


def available() -> bool:
    """Whether there is a CUDA device, or the simulator."""
    return bool(cuda.is_available())


def render_view(
    scene: Scene,
    lighting: Lighting,
    meshes: list[tuple[Any, int]],
    camera: np.ndarray,
    origin: np.ndarray,
    rotation: np.ndarray,
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image (H, W, 3) float32, depth (H, W), kind (H, W)) as scenes.cast and raster.draw give them.

    meshes: (person.Mesh, kind of its pixels); the other arguments as for scenes.cast.
    """
    width, height = size
    image = cuda.device_array((height, width, 3), np.float32)
    depth = cuda.device_array((height, width), np.float32)
    kind = cuda.device_array((height, width), np.uint8)
    light = tuple(
        cuda.to_device(np.ascontiguousarray(a))
        for a in (lighting.ambient, lighting.lights, lighting.lamp, lighting.maps, lighting.bases)
    )
    view = tuple(cuda.to_device(np.ascontiguousarray(a)) for a in (camera, origin, rotation))
    blocks = (-(-width // TILE[0]), -(-height // TILE[1]))
    yaws = np.append(scene.objects[:, 6], scene.room[0])
    turns = np.stack([np.cos(yaws), np.sin(yaws)], 1).astype(np.float32)
    place = (scene.room, scene.objects, turns, np.arange(len(scene.objects), dtype=np.int32), scene.surfaces)
    pictures = (scene.levels, scene.photos, scene.projector, scene.skirting)
    on_device = tuple(cuda.to_device(np.ascontiguousarray(a)) for a in (*place, *pictures))
    _cast[blocks, TILE](*on_device, *light, *view, image, depth, kind)
    folds = cuda.to_device(FOLDS)
    for mesh, label in meshes:
        outfit = mesh.outfit
        vertices, normals, faces, albedo, texture, fields, materials, levels = (
            cuda.to_device(np.ascontiguousarray(a))
            for a in (
                mesh.vertices,
                mesh.normals,
                mesh.faces,
                outfit.albedo,
                outfit.texture,
                outfit.fields,
                outfit.materials,
                outfit.levels,
            )
        )
        pixels = cuda.device_array((len(mesh.vertices), 3), np.float32)
        nearest = cuda.to_device(np.full((height, width), NOBODY, np.int64))
        _project[-(-len(mesh.vertices) // THREADS), THREADS](vertices, view[1], view[2], view[0], pixels)
        _find[-(-len(mesh.faces) // THREADS), THREADS](pixels, faces, nearest)
        _shade[blocks, TILE](
            nearest, label, pixels, vertices, normals, faces, albedo, texture, fields, materials, levels, folds,
            view[0], *light, image, depth, kind,
        )  # fmt: skip
    return image.copy_to_host(), depth.copy_to_host(), kind.copy_to_host()


@cuda.jit(fastmath=True)
def _cast(  # type: ignore[no-untyped-def]
    room, objects, turns, here, surfaces, levels, photos, projector, skirting, ambient, lights, lamp, maps, bases,
    camera, origin, rotation, image, depth, kind,
):  # fmt: skip
    column, row = cuda.grid(2)
    if row < depth.shape[0] and column < depth.shape[1]:
        t, surface, b, g, r = cast_pixel(
            column, row, room, objects, turns, here, len(objects), surfaces, levels, photos, projector, skirting,
            ambient, lights, lamp, maps, bases, camera, origin, rotation,
        )  # fmt: skip
        depth[row, column] = t
        kind[row, column] = 1 if surface >= 6 else 0
        image[row, column, 0], image[row, column, 1], image[row, column, 2] = b, g, r


@cuda.jit(fastmath=True)
def _project(vertices, origin, rotation, camera, pixels):  # type: ignore[no-untyped-def]
    i = cuda.grid(1)
    if i < len(vertices):
        pixels[i, 0], pixels[i, 1], pixels[i, 2] = project_vertex(i, vertices, origin, rotation, camera)


@cuda.jit(fastmath=True)
def _find(pixels, faces, nearest):  # type: ignore[no-untyped-def]
    f = cuda.grid(1)
    if f < len(faces):
        left, right, top, bottom = face_box(f, pixels, faces, nearest.shape[1], nearest.shape[0])
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                z = face_depth(x, y, f, pixels, faces)
                if z < FAR_AWAY:
                    cuda.atomic.min(nearest, (y, x), np.int64(z * STEPS_PER_M) * FACES + f)


@cuda.jit(fastmath=True)
def _shade(  # type: ignore[no-untyped-def]
    nearest, label, pixels, vertices, normals, faces, albedo, texture, fields, materials, levels, folds, camera,
    ambient, lights, lamp, maps, bases, image, depth, kind,
):  # fmt: skip
    x, y = cuda.grid(2)
    if y < depth.shape[0] and x < depth.shape[1] and nearest[y, x] < NOBODY:
        f = int(nearest[y, x] % FACES)
        z = face_depth(x, y, f, pixels, faces)
        if z < depth[y, x]:
            b, g, r = shade_pixel(
                np.float32(x), np.float32(y), f, pixels, vertices, normals, faces, albedo, texture, fields, materials,
                levels, folds, camera[0], ambient, lights, lamp, maps, bases,
            )  # fmt: skip
            depth[y, x] = z
            kind[y, x] = label
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = b, g, r
