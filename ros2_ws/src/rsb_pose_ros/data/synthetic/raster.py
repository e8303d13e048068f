"""Z-buffer rasteriser for bodies: perspective-correct texture and light, drawn into a scene that is already there."""

from __future__ import annotations

import numba
import numpy as np

from rsb_pose_ros.data.synthetic.textures import sample_tile

NEAR_M = 0.12


@numba.njit(cache=True, fastmath=True, nogil=True)
def draw(image, depth, kind, label, points, faces, light, texture, fields, materials, levels, camera):  # type: ignore[no-untyped-def]
    """Draw a mesh into image (H, W, 3), depth (H, W) and kind (H, W), in place.

    points: (V, 3) camera frame, metres; light: (V, 3) BGR factors; texture: (V, 2) metres on the cloth; fields: (V, L),
    the last layer whose field is positive shows; materials: (L, 5) its tile, repeats per metre, BGR tint; camera:
    (fx, fy, cx, cy). Faces that reach nearer than 12 cm are left out.
    """
    height, width = depth.shape
    projected = np.empty((len(points), 2), np.float32)
    for i in range(len(points)):
        z = max(points[i, 2], np.float32(1e-6))
        projected[i, 0] = camera[0] * points[i, 0] / z + camera[2]
        projected[i, 1] = camera[1] * points[i, 1] / z + camera[3]
    colour = np.empty(3, np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f]
        za, zb, zc = points[a, 2], points[b, 2], points[c, 2]
        if za < NEAR_M or zb < NEAR_M or zc < NEAR_M:
            continue
        xa, ya = projected[a]
        xb, yb = projected[b]
        xc, yc = projected[c]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if area >= -1e-9:  # faces turned away: counter-clockwise from outside is clockwise where y points down
            continue
        left, right = max(int(np.ceil(min(xa, xb, xc))), 0), min(int(np.floor(max(xa, xb, xc))), width - 1)
        top, bottom = max(int(np.ceil(min(ya, yb, yc))), 0), min(int(np.floor(max(ya, yb, yc))), height - 1)
        if left > right or top > bottom:
            continue
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                wa = ((xb - x) * (yc - y) - (xc - x) * (yb - y)) / area
                wb = ((xc - x) * (ya - y) - (xa - x) * (yc - y)) / area
                wc = 1 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                pa, pb, pc = wa / za, wb / zb, wc / zc
                z = 1 / (pa + pb + pc)
                if z >= depth[y, x]:
                    continue
                pa, pb, pc = pa * z, pb * z, pc * z
                depth[y, x] = z
                kind[y, x] = label
                layer = fields.shape[1] - 1
                while layer > 0 and pa * fields[a, layer] + pb * fields[b, layer] + pc * fields[c, layer] <= 0:
                    layer -= 1
                repeats = materials[layer, 1]
                u = pa * texture[a, 0] + pb * texture[b, 0] + pc * texture[c, 0]
                v = pa * texture[a, 1] + pb * texture[b, 1] + pc * texture[c, 1]
                sample_tile(
                    levels, int(materials[layer, 0]), u * repeats, v * repeats, z / camera[0] * repeats * 128, colour
                )
                for k in range(3):
                    lit = pa * light[a, k] + pb * light[b, k] + pc * light[c, k]
                    image[y, x, k] = colour[k] * materials[layer, 2 + k] * lit


@numba.njit(cache=True, fastmath=True, nogil=True)
def vertex_light(normals, ambient, lights):  # type: ignore[no-untyped-def]
    """Lambert light (V, 3) BGR per vertex; normals and lights (L, 6) in one frame."""
    out = np.empty_like(normals)
    for v in range(len(normals)):
        for c in range(3):
            total = ambient[c]
            for q in range(len(lights)):
                cosine = normals[v, 0] * lights[q, 0] + normals[v, 1] * lights[q, 1] + normals[v, 2] * lights[q, 2]
                total += lights[q, 3 + c] * max(cosine, np.float32(0))
            out[v, c] = total
    return out
