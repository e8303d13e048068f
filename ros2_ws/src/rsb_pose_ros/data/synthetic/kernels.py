"""The arithmetic of single pixels and vertices: sampling textures, light and shadow, rays, triangles.

All compiled code that calls each other is in this one file: numba notices changes of a function's own file alone, and
would go on with old code otherwise. The same arithmetic for whole batches on a GPU is in on_torch/; tests compare both.
"""

from __future__ import annotations

import numba
import numpy as np

BLOCK = 16
"""Side of the blocks of pixels for which the objects that may show there are found beforehand."""
EMPTY = np.float32(-1e6)
"""Height of nothing in a shadow map."""
LEFT, RIGHT, CEILING, FLOOR, FAR, NEAR = range(6)
STRETCHED, PROJECTED, FRAMED = -1, -2, -3
"""Surfaces that show a photograph instead of a tile: the backdrop stretched over the wall, the backdrop as a projector near
the cameras would throw it into the room, and the second photograph on an object's face."""
NEAR_M = 0.12
"""Faces that reach nearer are not drawn."""
ZERO, HALF, ONE, TWO, FOUR = (np.float32(x) for x in (0, 0.5, 1, 2, 4))
TINY, CLOSEST, FAR_AWAY = (np.float32(x) for x in (1e-9, 0.05, 1e9))
COPLANAR = np.float32(1e-4)
"""Metres: of two surfaces no farther apart the first is shown. Which of them is nearer would be chance, and another one
for each view and device."""
WALL_LIGHT, PHOTO_OWN = np.float32(0.15), np.float32(0.4)
"""Least cosine of light on walls, which light each other; share of a photograph's own light."""

compiled = numba.njit(cache=True, fastmath=True, nogil=True)
inlined = numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
uncounted = numba.njit(cache=True, fastmath=True, nogil=True, _nrt=False)  # type: ignore[call-overload]
"""Without numba's reference counts, which are atomic additions, dozens for a pixel: three quarters of the time. Such a
function cannot make arrays, so it is given those that it fills."""


@inlined
def sample_tile(levels, k, u, v, footprint):  # type: ignore[no-untyped-def]
    """Bilinear sample of tile k at (u, v) in repeats; footprint: texels of level 0 per pixel. (b, g, r)."""
    level = 0
    while footprint > 1.5 and level < 3:
        footprint *= np.float32(0.5)
        level += 1
    size = 128 >> level
    x, y = np.float32(u - np.floor(u)) * np.float32(size), np.float32(v - np.floor(v)) * np.float32(size)
    x0, y0 = int(x), int(y)
    fx, fy = np.float32(x - np.float32(x0)), np.float32(y - np.float32(y0))
    x0, y0 = x0 & (size - 1), y0 & (size - 1)
    x1, y1 = (x0 + 1) & (size - 1), (y0 + 1) & (size - 1)
    picture = levels[k, level]
    w11 = fx * fy
    w01, w10 = fx - w11, fy - w11
    w00 = ONE - fx - w10
    b = w00 * picture[y0, x0, 0] + w01 * picture[y0, x1, 0] + w10 * picture[y1, x0, 0] + w11 * picture[y1, x1, 0]
    g = w00 * picture[y0, x0, 1] + w01 * picture[y0, x1, 1] + w10 * picture[y1, x0, 1] + w11 * picture[y1, x1, 1]
    r = w00 * picture[y0, x0, 2] + w01 * picture[y0, x1, 2] + w10 * picture[y1, x0, 2] + w11 * picture[y1, x1, 2]
    return np.float32(b), np.float32(g), np.float32(r)


@inlined
def sample_photo(photos, k, u, v):  # type: ignore[no-untyped-def]
    """Bilinear sample of photograph k of (P, H, W, 3) at (u, v) in 0…1, mirrored outside: (b, g, r)."""
    height, width = photos.shape[1], photos.shape[2]
    u, v = np.float32(u) * HALF, np.float32(v) * HALF
    u, v = ONE - abs(TWO * (u - np.floor(u)) - ONE), ONE - abs(TWO * (v - np.floor(v)) - ONE)
    x, y = u * np.float32(width - 1), v * np.float32(height - 1)
    x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = np.float32(x - np.float32(x0)), np.float32(y - np.float32(y0))
    w11 = fx * fy
    w01, w10 = fx - w11, fy - w11
    w00 = ONE - fx - w10
    x1, y1 = x0 + 1, y0 + 1
    b = (
        w00 * photos[k, y0, x0, 0]
        + w01 * photos[k, y0, x1, 0]
        + w10 * photos[k, y1, x0, 0]
        + w11 * photos[k, y1, x1, 0]
    )
    g = (
        w00 * photos[k, y0, x0, 1]
        + w01 * photos[k, y0, x1, 1]
        + w10 * photos[k, y1, x0, 1]
        + w11 * photos[k, y1, x1, 1]
    )
    r = (
        w00 * photos[k, y0, x0, 2]
        + w01 * photos[k, y0, x1, 2]
        + w10 * photos[k, y1, x0, 2]
        + w11 * photos[k, y1, x1, 2]
    )
    return np.float32(b), np.float32(g), np.float32(r)


@inlined
def sample_folds(folds, u, v):  # type: ignore[no-untyped-def]
    """Bilinear sample of FOLDS at cloth coordinates in metres."""
    x, y = u * np.float32(256 / 0.9), v * np.float32(256 / 0.9)
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    x0, y0 = x0 & 255, y0 & 255
    x1, y1 = (x0 + 1) & 255, (y0 + 1) & 255
    top = folds[y0, x0] * (1 - fx) + folds[y0, x1] * fx
    bottom = folds[y1, x0] * (1 - fx) + folds[y1, x1] * fx
    return np.float32(top * (1 - fy) + bottom * fy)


@uncounted
def cover_points(height, vertices, base):  # type: ignore[no-untyped-def]
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        column = int(np.floor(base[0, 0] * x + base[0, 1] * y + base[0, 2] * z + base[0, 3]))
        row = int(np.floor(base[1, 0] * x + base[1, 1] * y + base[1, 2] * z + base[1, 3]))
        if 0 <= column < height.shape[1] and 0 <= row < height.shape[0]:
            h = base[2, 0] * x + base[2, 1] * y + base[2, 2] * z + base[2, 3]
            height[row, column] = max(height[row, column], h)


@compiled
def cover_boxes(height, objects, base):  # type: ignore[no-untyped-def]
    """Boxes and cylinders (as boxes), their upper sides sampled at half a texel."""
    step = np.float32(1.6 / 48 * 0.7)
    for k in range(len(objects)):
        o = objects[k]
        c, s = np.cos(o[6]), np.sin(o[6])
        centre_column = base[0, 0] * o[0] + base[0, 1] * o[1] + base[0, 2] * o[2] + base[0, 3]
        centre_row = base[1, 0] * o[0] + base[1, 1] * o[1] + base[1, 2] * o[2] + base[1, 3]
        reach = np.sqrt(o[3] ** 2 + o[4] ** 2 + o[5] ** 2) * 30 + 2
        if not (-reach < centre_column < height.shape[1] + reach and -reach < centre_row < height.shape[0] + reach):
            continue
        for axis in range(3):  # the three faces turned to the light
            a, b = (axis + 1) % 3, (axis + 2) % 3
            # Direction of the light along this axis of the box.
            along = base[2, 1]
            if axis == 0:
                along = c * base[2, 0] - s * base[2, 2]
            elif axis == 2:
                along = s * base[2, 0] + c * base[2, 2]
            side = 1.0 if along > 0 else -1.0
            na, nb = int(2 * o[3 + a] / step) + 2, int(2 * o[3 + b] / step) + 2
            local = np.empty(3, np.float32)
            for i in range(na):
                for j in range(nb):
                    local[axis] = side * o[3 + axis]
                    local[a] = (2.0 * i / (na - 1) - 1) * o[3 + a]
                    local[b] = (2.0 * j / (nb - 1) - 1) * o[3 + b]
                    x, y, z = o[0] + c * local[0] + s * local[2], o[1] + local[1], o[2] - s * local[0] + c * local[2]
                    column = int(np.floor(base[0, 0] * x + base[0, 1] * y + base[0, 2] * z + base[0, 3]))
                    row = int(np.floor(base[1, 0] * x + base[1, 1] * y + base[1, 2] * z + base[1, 3]))
                    if 0 <= column < height.shape[1] and 0 <= row < height.shape[0]:
                        h = base[2, 0] * x + base[2, 1] * y + base[2, 2] * z + base[2, 3]
                        height[row, column] = max(height[row, column], h)


@inlined
def shadow(maps, bases, k, x, y, z):  # type: ignore[no-untyped-def]
    """How much of light k is kept from a point, 0…1; nothing is known, and nothing kept, beyond the map's edge."""
    base = bases[k]
    n = maps.shape[1]
    u = base[0, 0] * x + base[0, 1] * y + base[0, 2] * z + base[0, 3] - HALF
    v = base[1, 0] * x + base[1, 1] * y + base[1, 2] * z + base[1, 3] - HALF
    if not (0 <= u < n - 1 and 0 <= v < n - 1):
        return np.float32(0)
    h = base[2, 0] * x + base[2, 1] * y + base[2, 2] * z + base[2, 3]
    c, r = int(u), int(v)
    fu, fv = np.float32(u - np.float32(c)), np.float32(v - np.float32(r))
    w00, w01, w10, w11 = (ONE - fu) * (ONE - fv), fu * (ONE - fv), (ONE - fu) * fv, fu * fv
    m = maps[k]
    cover = w00 * m[r, c, 0] + w01 * m[r, c + 1, 0] + w10 * m[r + 1, c, 0] + w11 * m[r + 1, c + 1, 0]
    if cover < 1e-3:
        return np.float32(0)
    mean = w00 * m[r, c, 1] + w01 * m[r, c + 1, 1] + w10 * m[r + 1, c, 1] + w11 * m[r + 1, c + 1, 1]
    above = (mean - h - np.float32(0.05)) * np.float32(10)
    edge = min(min(u, v), min(n - 2 - u, n - 2 - v)) * np.float32(0.15)
    return np.float32(
        min(cover, np.float32(1)) * min(max(above, np.float32(0)), np.float32(1)) * min(edge, np.float32(1))
    )


@inlined
def light_at(x, y, z, nx, ny, nz, least, ambient, lights, lamp, maps, bases):  # type: ignore[no-untyped-def]
    """(b, g, r) of the light on a surface at (x, y, z) with unit normal (nx, ny, nz); least: lowest cosine counted (walls
    send light to each other)."""
    sky = (np.float32(0.68) - np.float32(0.32) * ny) * (ONE - np.float32(0.6) * shadow(maps, bases, 0, x, y, z))
    b, g, r = ambient[0] * sky, ambient[1] * sky, ambient[2] * sky
    for q in range(len(lights)):
        cosine = max(nx * lights[q, 0] + ny * lights[q, 1] + nz * lights[q, 2], np.float32(least))
        if cosine > 0:
            if q + 1 < len(maps):
                cosine *= ONE - shadow(maps, bases, q + 1, x, y, z)
            b += cosine * lights[q, 3]
            g += cosine * lights[q, 4]
            r += cosine * lights[q, 5]
    px, py, pz = x - lamp[0], y - lamp[1], z - lamp[2]
    near = ONE - lamp[4] + TWO * lamp[4] / (ONE + (px * px + py * py + pz * pz) / (lamp[3] * lamp[3]))
    return np.float32(b * near), np.float32(g * near), np.float32(r * near)


@compiled
def seen_from(objects, origin, rotation, camera, size):  # type: ignore[no-untyped-def]
    """(K, 4) int32: first and last block column, first and last block row of the picture in which each object may show.

    A block is 16 pixels square; an object out of sight has no block (the last before the first).
    """
    out = np.empty((len(objects), 4), np.int32)
    columns, rows = (size[0] - 1) // BLOCK, (size[1] - 1) // BLOCK
    for k in range(len(objects)):
        px, py, pz = objects[k, 0] - origin[0], objects[k, 1] - origin[1], objects[k, 2] - origin[2]
        x = rotation[0, 0] * px + rotation[0, 1] * py + rotation[0, 2] * pz
        y = rotation[1, 0] * px + rotation[1, 1] * py + rotation[1, 2] * pz
        z = rotation[2, 0] * px + rotation[2, 1] * py + rotation[2, 2] * pz
        c, s = np.cos(objects[k, 6]), np.sin(objects[k, 6])
        # Corners' extent along the camera's axes around the centre.
        low_u = low_v = np.float32(1e9)
        high_u = high_v = np.float32(-1e9)
        near = False
        for corner in range(8):
            lx = objects[k, 3] if corner & 1 else -objects[k, 3]
            ly = objects[k, 4] if corner & 2 else -objects[k, 4]
            lz = (objects[k, 3] if objects[k, 7] > 0.5 else objects[k, 5]) * (1 if corner & 4 else -1)
            sx, sz = c * lx + s * lz, -s * lx + c * lz
            cz = z + rotation[2, 0] * sx + rotation[2, 1] * ly + rotation[2, 2] * sz
            if cz < 0.05:
                near = True
                break
            u = camera[0] * (x + rotation[0, 0] * sx + rotation[0, 1] * ly + rotation[0, 2] * sz) / cz + camera[2]
            v = camera[1] * (y + rotation[1, 0] * sx + rotation[1, 1] * ly + rotation[1, 2] * sz) / cz + camera[3]
            low_u, high_u, low_v, high_v = min(low_u, u), max(high_u, u), min(low_v, v), max(high_v, v)
        radius = np.sqrt(objects[k, 3] ** 2 + objects[k, 4] ** 2 + objects[k, 5] ** 2)
        if near:
            out[k, 0], out[k, 1], out[k, 2], out[k, 3] = 0, columns, 0, rows
            if z < -radius:
                out[k, 1] = -1
        else:
            out[k, 0], out[k, 1] = max(int(np.floor(low_u / BLOCK)), 0), min(int(np.floor(high_u / BLOCK)), columns)
            out[k, 2], out[k, 3] = max(int(np.floor(low_v / BLOCK)), 0), min(int(np.floor(high_v / BLOCK)), rows)
            if high_u < 0 or high_v < 0:
                out[k, 1] = -1
    return out


@inlined
def _room_exit(room, px, py, pz, ex, ey, ez, rc, rs):  # type: ignore[no-untyped-def]
    """(t, surface, u, v, normal) where a ray from p along e leaves the room; the normal points inwards."""
    ox, oz = rc * px - rs * pz, rs * px + rc * pz
    dx, dz = rc * ex - rs * ez, rs * ex + rc * ez
    tx = ((room[2] if dx > 0 else room[1]) - ox) / (dx if abs(dx) > TINY else TINY)
    ty = ((room[4] if ey > 0 else room[3]) - py) / (ey if abs(ey) > TINY else TINY)
    tz = ((room[6] if dz > 0 else room[5]) - oz) / (dz if abs(dz) > TINY else TINY)
    if tx < ty and tx < tz:
        nx = -ONE if dx > 0 else ONE
        return tx, 1 if dx > 0 else 0, oz + tx * dz, py + tx * ey, rc * nx, ZERO, -rs * nx
    if ty < tz:
        return ty, 3 if ey > 0 else 2, ox + ty * dx, oz + ty * dz, ZERO, -ONE if ey > 0 else ONE, ZERO
    nz = -ONE if dz > 0 else ONE
    return tz, 4 if dz > 0 else 5, ox + tz * dx, py + tz * ey, rs * nz, ZERO, rc * nz


@inlined
def _object_entry(objects, k, c, s, px, py, pz, ex, ey, ez, limit):  # type: ignore[no-untyped-def]
    """(t, u, v, normal) where a ray from p along e enters a box or upright cylinder before `limit`; t is FAR_AWAY if not."""
    qx, qz = px - objects[k, 0], pz - objects[k, 2]
    ox, oy, oz = c * qx - s * qz, py - objects[k, 1], s * qx + c * qz
    dx, dy, dz = c * ex - s * ez, ey, s * ex + c * ez
    hx, hy, hz = objects[k, 3], objects[k, 4], objects[k, 5]
    dy = dy if abs(dy) > TINY else TINY
    ty0, ty1 = (-hy - oy) / dy, (hy - oy) / dy
    if ty0 > ty1:
        ty0, ty1 = ty1, ty0
    if objects[k, 7] > HALF:
        a, b, e = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - hx * hx
        disc = b * b - a * e
        if disc < 0:
            return FAR_AWAY, ZERO, ZERO, ZERO, ZERO, ZERO
        root = np.sqrt(disc)
        t0, t1, axis = (-b - root) / a, (-b + root) / a, 3
    else:
        dx = dx if abs(dx) > TINY else TINY
        dz = dz if abs(dz) > TINY else TINY
        tx0, tx1 = (-hx - ox) / dx, (hx - ox) / dx
        if tx0 > tx1:
            tx0, tx1 = tx1, tx0
        tz0, tz1 = (-hz - oz) / dz, (hz - oz) / dz
        if tz0 > tz1:
            tz0, tz1 = tz1, tz0
        t0, axis = (tx0, 0) if tx0 > tz0 else (tz0, 2)
        t1 = min(tx1, tz1)
    if ty0 > t0:
        t0, axis = ty0, 1
    t1 = min(t1, ty1)
    if t0 > t1 or t0 < CLOSEST or t0 >= limit:
        return FAR_AWAY, ZERO, ZERO, ZERO, ZERO, ZERO
    x, y, z = ox + t0 * dx, oy + t0 * dy, oz + t0 * dz
    if axis == 0:
        nx = -ONE if dx > 0 else ONE
        return t0, z, y, c * nx, ZERO, -s * nx
    if axis == 1:
        return t0, x, z, ZERO, -ONE if dy > 0 else ONE, ZERO
    if axis == 2:
        nz = -ONE if dz > 0 else ONE
        return t0, x, y, s * nz, ZERO, c * nz
    nx, nz = x / hx, z / hx
    return t0, np.float32(np.arctan2(z, x)) * hx, y, c * nx + s * nz, ZERO, -s * nx + c * nz


@inlined
def _corner(room, x, y, z, rc, rs, surface):  # type: ignore[no-untyped-def]
    """Less light reaches the edges of a room: a factor 0.7…1 from the distances to the two nearest other planes."""
    rx, rz = rc * x - rs * z, rs * x + rc * z
    dx, dy, dz = min(rx - room[1], room[2] - rx), min(y - room[3], room[4] - y), min(rz - room[5], room[6] - rz)
    if surface in (LEFT, RIGHT):
        dx = np.float32(9)
    elif surface in (FLOOR, CEILING):
        dy = np.float32(9)
    else:
        dz = np.float32(9)
    ax, ay, az = max(dx, ZERO) * FOUR, max(dy, ZERO) * FOUR, max(dz, ZERO) * FOUR
    return ONE - np.float32(0.22) * (ONE / (ONE + ax * ax) + ONE / (ONE + ay * ay) + ONE / (ONE + az * az))


@inlined
def cast_pixel(  # type: ignore[no-untyped-def]
    column, row, room, objects, turns, here, count, surfaces, levels, photos, projector, skirting,
    ambient, lights, lamp, maps, bases, camera, origin, rotation,
):  # fmt: skip
    """(depth, surface, b, g, r) of what a pixel's ray meets among the room and objects[here[:count]].

    turns: (K + 1, 2) cosine and sine of the objects' and the room's yaw.
    """
    cx, cy = np.float32((column - camera[2]) / camera[0]), np.float32((row - camera[3]) / camera[1])
    dx = rotation[0, 0] * cx + rotation[1, 0] * cy + rotation[2, 0]
    dy = rotation[0, 1] * cx + rotation[1, 1] * cy + rotation[2, 1]
    dz = rotation[0, 2] * cx + rotation[1, 2] * cy + rotation[2, 2]
    ox, oy, oz = origin[0], origin[1], origin[2]
    rc, rs = turns[len(turns) - 1, 0], turns[len(turns) - 1, 1]
    best, surface, tu, tv, nx, ny, nz = _room_exit(room, ox, oy, oz, dx, dy, dz, rc, rs)
    for j in range(count):
        k = here[j]
        t, u, v, mx, my, mz = _object_entry(objects, k, turns[k, 0], turns[k, 1], ox, oy, oz, dx, dy, dz, best)
        if t < best - COPLANAR:
            best, surface, tu, tv, nx, ny, nz = t, 6 + k, u, v, mx, my, mz
    x, y, z = ox + best * dx, oy + best * dy, oz + best * dz
    which, repeats = surfaces[surface, 0], surfaces[surface, 1]
    if which >= 0:
        b, g, r = sample_tile(
            levels, int(which), tu * repeats, tv * repeats, best / camera[0] * repeats * np.float32(128)
        )
    else:
        k = 0
        if which == STRETCHED:
            u, v = tu / (room[2] - room[1]), tv / (room[4] - room[3])
        elif which == PROJECTED:
            w = max(projector[2, 0] * x + projector[2, 1] * y + projector[2, 2] * z + projector[2, 3], np.float32(0.2))
            u = (projector[0, 0] * x + projector[0, 1] * y + projector[0, 2] * z + projector[0, 3]) / w
            v = (projector[1, 0] * x + projector[1, 1] * y + projector[1, 2] * z + projector[1, 3]) / w
        else:
            k, o = 1, surface - 6
            u, v = HALF + HALF * tu / max(objects[o, 3], objects[o, 5]), HALF + HALF * tv / objects[o, 4]
        b, g, r = sample_photo(photos, k, u, v)
    shade = ONE
    if surface < 6:
        shade = _corner(room, x, y, z, rc, rs, surface)
        if skirting[0] > 0 and surface != FLOOR and surface != CEILING and room[4] - y < skirting[0]:
            shade *= skirting[1]
    lb, lg, lr = light_at(x, y, z, nx, ny, nz, WALL_LIGHT, ambient, lights, lamp, maps, bases)
    if which < 0:
        # A photograph has its own light; of the scene's it gets the shadows and a little of the rest.
        lb, lg, lr = (
            PHOTO_OWN + (ONE - PHOTO_OWN) * lb,
            PHOTO_OWN + (ONE - PHOTO_OWN) * lg,
            PHOTO_OWN + (ONE - PHOTO_OWN) * lr,
        )
    lb, lg, lr = lb * shade * surfaces[surface, 2], lg * shade * surfaces[surface, 3], lr * shade * surfaces[surface, 4]
    return best, surface, b * lb, g * lg, r * lr


@uncounted
def cast_room(  # type: ignore[no-untyped-def]
    image, depth, kind, here, turns, room, objects, blocks, surfaces, levels, photos, projector, skirting,
    ambient, lights, lamp, maps, bases, camera, origin, rotation, window,
):  # fmt: skip
    """Draw room and objects into image (H, W, 3), depth (H, W) and kind (H, W) within `window`.

    here (K,) int32 and turns (K + 1, 2) float32 are room to work in.
    """
    height, width = depth.shape
    for k in range(len(objects)):
        turns[k, 0], turns[k, 1] = np.cos(objects[k, 6]), np.sin(objects[k, 6])
    turns[-1, 0], turns[-1, 1] = np.cos(room[0]), np.sin(room[0])
    for block_row in range((height + BLOCK - 1) // BLOCK):
        for block_column in range((width + BLOCK - 1) // BLOCK):
            if not (
                window[0] < (block_column + 1) * BLOCK and block_column * BLOCK < window[2]
                and window[1] < (block_row + 1) * BLOCK and block_row * BLOCK < window[3]
            ):  # fmt: skip
                continue
            count = 0
            for k in range(len(objects)):
                if blocks[k, 0] <= block_column <= blocks[k, 1] and blocks[k, 2] <= block_row <= blocks[k, 3]:
                    here[count] = k
                    count += 1
            for row in range(block_row * BLOCK, min(block_row * BLOCK + BLOCK, height)):
                for column in range(block_column * BLOCK, min(block_column * BLOCK + BLOCK, width)):
                    t, surface, b, g, r = cast_pixel(
                        column, row, room, objects, turns, here, count, surfaces, levels, photos, projector, skirting,
                        ambient, lights, lamp, maps, bases, camera, origin, rotation,
                    )  # fmt: skip
                    depth[row, column] = t
                    kind[row, column] = 1 if surface >= 6 else 0
                    image[row, column, 0], image[row, column, 1], image[row, column, 2] = b, g, r


@inlined
def project_vertex(i, vertices, origin, rotation, camera):  # type: ignore[no-untyped-def]
    """(column, row, depth) of vertex i, see `to_camera`."""
    x, y, z = vertices[i, 0] - origin[0], vertices[i, 1] - origin[1], vertices[i, 2] - origin[2]
    depth = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
    near = max(depth, np.float32(1e-6))
    column = camera[0] * (rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z) / near + camera[2]
    row = camera[1] * (rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z) / near + camera[3]
    return column, row, depth


@compiled
def to_camera(vertices, origin, rotation, camera):  # type: ignore[no-untyped-def]
    """(V, 3) float32 column, row, depth of vertices (V, 3) seen from `origin` (3,), rotation (3, 3) camera ← scene."""
    out = np.empty((len(vertices), 3), np.float32)
    for i in range(len(vertices)):
        out[i, 0], out[i, 1], out[i, 2] = project_vertex(i, vertices, origin, rotation, camera)
    return out


@inlined
def face_box(f, pixels, faces, width, height):  # type: ignore[no-untyped-def]
    """(left, right, top, bottom) pixels which face f may cover, last ones included; left > right if it is not drawn."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    xa, ya, xb, yb, xc, yc = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
    if min(pixels[a, 2], pixels[b, 2], pixels[c, 2]) < NEAR_M:
        return 0, -1, 0, -1
    if (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya) >= -TINY:
        return 0, -1, 0, -1  # turned away: counter-clockwise from outside is clockwise where y points down
    left, right = max(int(np.ceil(min(xa, xb, xc))), 0), min(int(np.floor(max(xa, xb, xc))), width - 1)
    top, bottom = max(int(np.ceil(min(ya, yb, yc))), 0), min(int(np.floor(max(ya, yb, yc))), height - 1)
    return left, right, top, bottom


@inlined
def face_depth(x, y, f, pixels, faces):  # type: ignore[no-untyped-def]
    """Depth of face f at a pixel, FAR_AWAY where it does not cover its centre."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    xa, ya, za = pixels[a, 0], pixels[a, 1], pixels[a, 2]
    xb, yb, zb = pixels[b, 0], pixels[b, 1], pixels[b, 2]
    xc, yc, zc = pixels[c, 0], pixels[c, 1], pixels[c, 2]
    area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
    wa = ((xb - x) * (yc - y) - (xc - x) * (yb - y)) / area
    wb = ((xc - x) * (ya - y) - (xa - x) * (yc - y)) / area
    wc = 1 - wa - wb
    if wa < 0 or wb < 0 or wc < 0:
        return FAR_AWAY
    return np.float32(1 / (wa / za + wb / zb + wc / zc))


@uncounted
def find_visible(pixels, faces, depth, winner):  # type: ignore[no-untyped-def]
    """Z-buffer: depth (H, W) becomes nearer where a face is in front, winner (H, W) int32 that face's index.

    pixels: (V, 3) from `to_camera`. Faces turned away, and those that reach nearer than 12 cm, are left out.
    """
    height, width = depth.shape
    for f in range(len(faces)):
        left, right, top, bottom = face_box(f, pixels, faces, width, height)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                z = face_depth(x, y, f, pixels, faces)
                if z < depth[y, x]:
                    depth[y, x] = z
                    winner[y, x] = f


@inlined
def shade_pixel(  # type: ignore[no-untyped-def]
    x, y, face, pixels, vertices, normals, faces, albedo, texture, fields, materials, levels, folds, focal,
    ambient, lights, lamp, maps, bases,
):  # fmt: skip
    """(b, g, r) of one pixel; face: which one shows there."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    xa, ya, za = pixels[a, 0], pixels[a, 1], pixels[a, 2]
    xb, yb, zb = pixels[b, 0], pixels[b, 1], pixels[b, 2]
    xc, yc, zc = pixels[c, 0], pixels[c, 1], pixels[c, 2]
    area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
    wa = ((xb - x) * (yc - y) - (xc - x) * (yb - y)) / area
    wb = ((xc - x) * (ya - y) - (xa - x) * (yc - y)) / area
    pa, pb, pc = wa / za, wb / zb, (1 - wa - wb) / zc
    z = 1 / (pa + pb + pc)
    pa, pb, pc = np.float32(pa * z), np.float32(pb * z), np.float32(pc * z)
    layer = fields.shape[1] - 1
    while layer > 0 and pa * fields[a, layer] + pb * fields[b, layer] + pc * fields[c, layer] <= 0:
        layer -= 1
    repeats = materials[layer, 1]
    u = pa * texture[a, 0] + pb * texture[b, 0] + pc * texture[c, 0]
    v = pa * texture[a, 1] + pb * texture[b, 1] + pc * texture[c, 1]
    blue, green, red = sample_tile(
        levels, int(materials[layer, 0]), u * repeats, v * repeats, z / focal * repeats * 128
    )
    nx = pa * normals[a, 0] + pb * normals[b, 0] + pc * normals[c, 0]
    ny = pa * normals[a, 1] + pb * normals[b, 1] + pc * normals[c, 1]
    nz = pa * normals[a, 2] + pb * normals[b, 2] + pc * normals[c, 2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-9))
    light_b, light_g, light_r = light_at(
        pa * vertices[a, 0] + pb * vertices[b, 0] + pc * vertices[c, 0],
        pa * vertices[a, 1] + pb * vertices[b, 1] + pc * vertices[c, 1],
        pa * vertices[a, 2] + pb * vertices[b, 2] + pc * vertices[c, 2],
        nx / length, ny / length, nz / length, np.float32(0), ambient, lights, lamp, maps, bases,
    )  # fmt: skip
    crease = np.float32(1)
    if materials[layer, 5] > 0:
        crease += materials[layer, 5] * sample_folds(folds, u + materials[layer, 6], v + materials[layer, 7])
        crease = max(crease, np.float32(0.25))
    blue *= materials[layer, 2] * light_b * crease
    green *= materials[layer, 3] * light_g * crease
    red *= materials[layer, 4] * light_r * crease
    if layer == 0:
        blue *= pa * albedo[a, 0] + pb * albedo[b, 0] + pc * albedo[c, 0]
        green *= pa * albedo[a, 1] + pb * albedo[b, 1] + pc * albedo[c, 1]
        red *= pa * albedo[a, 2] + pb * albedo[b, 2] + pc * albedo[c, 2]
    return blue, green, red


@uncounted
def shade(  # type: ignore[no-untyped-def]
    image, kind, label, winner, pixels, vertices, normals, faces, albedo, texture, fields, materials, levels, folds,
    focal, ambient, lights, lamp, maps, bases,
):  # fmt: skip
    for y in range(winner.shape[0]):
        for x in range(winner.shape[1]):
            if winner[y, x] < 0:
                continue
            b, g, r = shade_pixel(
                np.float32(x), np.float32(y), winner[y, x], pixels, vertices, normals, faces, albedo, texture, fields,
                materials, levels, folds, focal, ambient, lights, lamp, maps, bases,
            )  # fmt: skip
            kind[y, x] = label
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = b, g, r
