"""Plans of pairs as a few large arrays that go to the device in one piece each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rsb_pose_ros.data.synthetic.kernels import BLOCK, seen_from
from rsb_pose_ros.data.synthetic.lighting import MAP_TEXELS
from rsb_pose_ros.data.synthetic.plan import Plan
from rsb_pose_ros.data.synthetic.scenes import OBJECT, PERSON
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.stereo import project

MAPS, MOTION = 3, 11
"""Shadow maps of a pair and side of a motion kernel, at most; fewer and smaller ones are padded with zeros."""
ROOM_SURFACES = 6
NO_FIELD = -1.0
Packed = dict[str, Tensor]
"""B pairs, O objects and M meshes of all of them together, V vertices, F faces, T tiles.

- The true cameras: cameras (B, 2, 4), origins (B, 2, 3), rotations (B, 2, 3, 3); windows, edges (B, 2, 4) of the crops.
- Light: ambient (B, 3), lights (B, L, 6), lamp (B, 5), maps (B, 3, N, N, 2), bases (B, 3, 3, 4).
- Rooms: room (B, 7), walls (B, 6, 5), photos (B, 2, H, W, 3), projector (B, 3, 4), skirting (B, 2), tiles
  (T, 128, 128, 3); objects (O, 8), object_surfaces (O, 5), object_pair (O,), object_rects (2, O, 4): first and last
  column, first and last row that may show it.
- Meshes: vertices, normals, albedo (V, 3), texture (V, 2), fields (V, K), faces (F, 3); mesh_vertices, mesh_faces: how
  many of them, mesh_pair, mesh_kind (M,), materials (M, K, 8); people (B, 2): first and last + 1 vertex of the labelled
  person.
- Labels: projections (B, 2, 3, 4), joints (B, 17, 3), keypoints (B, 2, 17, 2), inside (B, 2, 17), present, search,
  fewest (B,), view_rotations (B, 3, 3).
- Exposure: the values of camera_effects.Exposure."""


def pack(plans: Sequence[Plan], size: int) -> Packed:
    """size: side of the crops in pixels.

    Raises ValueError for crops so large that their sensor noise is not a stretch of the stored one.
    """
    arrays = _views(plans) | _light(plans) | _rooms(plans, size) | _meshes(plans) | _labels(plans, size)
    arrays |= _exposures(plans, size)
    # The lower levels are made from the first on the device: three quarters of the bytes of a pair are tiles.
    tiles = [t[:, 0] for p in plans for t in (p.what.scene.levels, *(m.outfit.levels for m in _drawn(p)))]
    arrays["tiles"] = np.concatenate(tiles)
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _drawn(plan: Plan) -> list:
    return [*plan.what.people, *plan.what.things]


def _views(plans: Sequence[Plan]) -> dict[str, np.ndarray]:
    return {
        "cameras": np.stack([[eye.intrinsics for eye in p.eyes] for p in plans]),
        "origins": np.stack([[eye.origin for eye in p.eyes] for p in plans]),
        "rotations": np.stack([[eye.rotation for eye in p.eyes] for p in plans]),
        "windows": np.stack([p.windows for p in plans]),
        "edges": np.stack([p.edges for p in plans]),
    }


def _light(plans: Sequence[Plan]) -> dict[str, np.ndarray]:
    lightings = [p.what.lighting for p in plans]
    lights = np.zeros((len(plans), max(len(light.lights) for light in lightings), 6), np.float32)
    maps = np.zeros((len(plans), MAPS, MAP_TEXELS, MAP_TEXELS, 2), np.float32)
    bases = np.zeros((len(plans), MAPS, 3, 4), np.float32)
    for k, light in enumerate(lightings):
        lights[k, : len(light.lights)] = light.lights
        maps[k, : len(light.maps)] = light.maps
        bases[k, : len(light.bases)] = light.bases
    return {
        "ambient": np.stack([light.ambient for light in lightings]),
        "lamp": np.stack([light.lamp for light in lightings]),
        "lights": lights,
        "maps": maps,
        "bases": bases,
    }


def _rooms(plans: Sequence[Plan], size: int) -> dict[str, np.ndarray]:
    scenes, first_tile = [p.what.scene for p in plans], 0
    surfaces, rects = [], []
    for plan, scene in zip(plans, scenes, strict=True):
        own = scene.surfaces.copy()
        own[own[:, 0] >= 0, 0] += first_tile
        surfaces.append(own)
        first_tile += len(scene.levels) + sum(len(m.outfit.levels) for m in _drawn(plan))
        blocks = [seen_from(scene.objects, e.origin, e.rotation, e.intrinsics, (size, size)) for e in plan.eyes]
        rects.append(np.stack(blocks) * BLOCK + [0, BLOCK - 1, 0, BLOCK - 1])
    counts = [len(s.objects) for s in scenes]
    return {
        "room": np.stack([s.room for s in scenes]),
        "walls": np.stack([s[:ROOM_SURFACES] for s in surfaces]),
        "photos": np.stack([s.photos for s in scenes]),
        "projector": np.stack([s.projector for s in scenes]),
        "skirting": np.stack([s.skirting for s in scenes]),
        "objects": np.concatenate([s.objects for s in scenes]),
        "object_pair": np.repeat(np.arange(len(plans)), counts),
        "object_rects": np.minimum(np.concatenate(rects, 1), size - 1).astype(np.int32),
        "object_surfaces": np.concatenate([s[ROOM_SURFACES:] for s in surfaces]),
    }


def _meshes(plans: Sequence[Plan]) -> dict[str, np.ndarray]:
    drawn = [(k, place, m) for k, p in enumerate(plans) for place, m in enumerate(_drawn(p))]
    meshes = [m for _, _, m in drawn]
    layers = max((m.outfit.fields.shape[1] for m in meshes), default=1)
    starts = np.concatenate([[0], np.cumsum([len(m.vertices) for m in meshes])]).astype(np.int32)
    people = np.zeros((len(plans), 2), np.int64)
    fields, materials, kinds = [np.empty((0, layers), np.float32)], [], []
    first_tile, tile_pair = 0, -1
    for (k, place, mesh), start in zip(drawn, starts, strict=False):
        for pair in range(tile_pair + 1, k + 1):  # the tiles of the pair's room come before its meshes'
            first_tile += len(plans[pair].what.scene.levels)
        tile_pair = k
        labelled = place == 0 and plans[k].what.present
        kinds.append(PERSON if labelled else OBJECT)
        if labelled:
            people[k] = start, start + len(mesh.vertices)
        outfit = mesh.outfit
        padding = ((0, 0), (0, layers - outfit.fields.shape[1]))
        fields.append(np.pad(outfit.fields, padding, constant_values=NO_FIELD))
        own = np.pad(outfit.materials, ((0, layers - len(outfit.materials)), (0, 0)))
        own[:, 0] += first_tile
        materials.append(own)
        first_tile += len(outfit.levels)
    counts, faces = [len(m.vertices) for m in meshes], [len(m.faces) for m in meshes]
    pairs = np.array([k for k, _, _ in drawn], np.int64)

    def joined(arrays: list, width: int, dtype: type = np.float32) -> np.ndarray:
        return np.concatenate([np.empty((0, width), dtype), *arrays])

    return {
        "vertices": joined([m.vertices for m in meshes], 3),
        "normals": joined([m.normals for m in meshes], 3),
        "albedo": joined([m.outfit.albedo for m in meshes], 3),
        "texture": joined([m.outfit.texture for m in meshes], 2),
        "fields": np.concatenate(fields),
        "faces": joined([m.faces + start for m, start in zip(meshes, starts, strict=False)], 3, np.int32),
        "mesh_vertices": np.array(counts, np.int64),
        "mesh_faces": np.array(faces, np.int64),
        "mesh_pair": pairs,
        "mesh_kind": np.array(kinds, np.uint8),
        "materials": np.stack(materials) if materials else np.zeros((0, layers, 8), np.float32),
        "people": people,
    }


def _labels(plans: Sequence[Plan], size: int) -> dict[str, np.ndarray]:
    count = len(plans)
    joints = np.full((count, JOINT_COUNT, 3), np.nan)
    keypoints, inside = np.full((count, 2, JOINT_COUNT, 2), np.nan), np.zeros((count, 2, JOINT_COUNT), bool)
    for k, plan in enumerate(plans):
        if plan.what.present:
            joints[k] = plan.joints
            keypoints[k] = project(plan.joints, plan.projections)
            inside[k] = plan.inside(keypoints[k], size)
    return {
        "projections": np.stack([p.projections for p in plans]).astype(np.float32),
        "joints": joints.astype(np.float32),
        "keypoints": keypoints.astype(np.float32),
        "inside": inside,
        "present": np.array([p.what.present for p in plans]),
        "search": np.array([p.what.search for p in plans]),
        "fewest": np.array([p.fewest_visible for p in plans]),
        "view_rotations": np.stack([p.what.view.rotation for p in plans]).astype(np.float32),
    }


def _exposures(plans: Sequence[Plan], size: int) -> dict[str, np.ndarray]:
    exposures = [p.exposure for p in plans]
    if min(min(e.grain_starts) for e in exposures) < 0:
        raise ValueError(
            f"crops of {size} pixels: their sensor noise is not stored; expected crops of at most 590 pixels"
        )
    motion = np.zeros((len(plans), MOTION, MOTION), np.float32)
    for kernel, exposure in zip(motion, exposures, strict=True):
        given = np.ones((1, 1)) if exposure.motion is None else exposure.motion
        first = MOTION // 2 - len(given) // 2  # so that OpenCV's anchor lies in the middle
        kernel[first : first + len(given), first : first + len(given)] = given
    values = {
        "gain": [e.gain for e in exposures],
        "curve": [e.curve for e in exposures],
        "noise": [e.noise for e in exposures],
        "vignette": [e.vignette for e in exposures],
        "sharpened": [e.sharpened for e in exposures],
        "sigmas": [e.sigmas for e in exposures],
        "gains": [e.gains for e in exposures],
        "tints": [e.tints for e in exposures],
    }
    return {name: np.array(value, np.float32) for name, value in values.items()} | {
        "motion": motion,
        "moved": np.array([e.motion is not None for e in exposures]),
        "grey": np.array([e.grey for e in exposures]),
        "grain_starts": np.array([e.grain_starts for e in exposures]),
        "grain_sizes": np.array([[g.shape[0] for g in e.grain] for e in exposures]),
        "qualities": np.array([e.qualities for e in exposures]),
    }
