"""Rooms and their furniture: rays of all pixels of all pairs against walls, boxes and cylinders (kernels.cast_room)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rsb_pose_ros.data.synthetic.kernels import (
    BLOCK,
    CEILING,
    CLOSEST,
    COPLANAR,
    FAR_AWAY,
    FLOOR,
    FRAMED,
    PHOTO_OWN,
    PROJECTED,
    RIGHT,
    STRETCHED,
    TINY,
    WALL_LIGHT,
)
from rsb_pose_ros.data.synthetic.on_torch.fragments import expand, first_of_nearest
from rsb_pose_ros.data.synthetic.on_torch.packing import Packed
from rsb_pose_ros.data.synthetic.on_torch.surfaces import Light, light_at, sample_photo, sample_tile
from rsb_pose_ros.data.synthetic.textures import TILE


class Hit(NamedTuple):
    """Where rays meet surfaces: t (…), depth along the optical axis, FAR_AWAY where they do not; uv (…, 2) metres on the
    surface; normal (…, 3)."""

    t: Tensor
    uv: Tensor
    normal: Tensor


def cast(packed: Packed, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """(image (B, 2, S, S, 3) float32 BGR, depth (B, 2, S, S), kind (B, 2, S, S) uint8) of scenes without people."""
    rays, origins = _rays(packed, size)
    wall, hit = _leave_room(packed, rays, origins)
    which = _nearest_objects(packed, rays, origins, hit.t, size)
    flat = which.flatten().ge(0).nonzero()[:, 0]
    k, (pair, view) = which.flatten()[flat], _pair_and_view(flat, size)
    entered = _enter(packed["objects"][k], origins[pair, view], rays.reshape(-1, 3)[flat])
    hit = Hit(*(_replaced(whole, flat, part) for whole, part in zip(hit, entered, strict=True)))
    surfaces = torch.gather(packed["walls"], 1, wall.reshape(len(wall), -1, 1).expand(-1, -1, 5)).reshape(
        *wall.shape, 5
    )
    surfaces = _replaced(surfaces, flat, packed["object_surfaces"][k])
    points = origins[:, :, None, None] + hit.t[..., None] * rays
    image = _colours(packed, surfaces, hit, points, which)
    shade = torch.where(which < 0, _wall_shade(packed, wall, points), 1)
    light = light_at(_broadcast_light(packed), points, hit.normal, float(WALL_LIGHT))
    # A photograph has its own light; of the scene's it gets the shadows and a little of the rest.
    own = float(PHOTO_OWN)
    light = torch.where(surfaces[..., :1] < 0, own + (1 - own) * light, light)
    image = image * light * shade[..., None] * surfaces[..., 2:]
    drawn = _drawn_blocks(packed["windows"], size)
    return image * drawn[..., None], torch.where(drawn, hit.t, FAR_AWAY), ((which >= 0) & drawn).to(torch.uint8)


def _rays(packed: Packed, size: int) -> tuple[Tensor, Tensor]:
    """(directions (B, 2, S, S, 3) whose depth is one, origins (B, 2, 3))."""
    place = torch.arange(size, device=packed["cameras"].device, dtype=torch.float32)
    camera, rotation = packed["cameras"], packed["rotations"]
    x = ((place - camera[..., 2:3]) / camera[..., :1])[:, :, None, :, None]
    y = ((place - camera[..., 3:4]) / camera[..., 1:2])[:, :, :, None, None]
    rows = rotation[:, :, None, None]
    return rows[..., 0, :] * x + rows[..., 1, :] * y + rows[..., 2, :], packed["origins"]


def _leave_room(packed: Packed, rays: Tensor, origins: Tensor) -> tuple[Tensor, Hit]:
    """(wall (B, 2, S, S) that each ray ends at, where); normals point inwards."""
    room = packed["room"][:, None, None, None]
    c, s = room[..., 0].cos(), room[..., 0].sin()
    at = origins[:, :, None, None].expand_as(rays)
    ox, oz = c * at[..., 0] - s * at[..., 2], s * at[..., 0] + c * at[..., 2]
    dx, dz = c * rays[..., 0] - s * rays[..., 2], s * rays[..., 0] + c * rays[..., 2]
    py, ey = at[..., 1], rays[..., 1]
    tx = (torch.where(dx > 0, room[..., 2], room[..., 1]) - ox) / _safe(dx)
    ty = (torch.where(ey > 0, room[..., 4], room[..., 3]) - py) / _safe(ey)
    tz = (torch.where(dz > 0, room[..., 6], room[..., 5]) - oz) / _safe(dz)
    across = (tx < ty) & (tx < tz)
    upright = ~across & (ty < tz)
    t = torch.where(across, tx, torch.where(upright, ty, tz))
    wall = torch.where(across, (dx > 0).long(), torch.where(upright, 2 + (ey > 0).long(), 5 - (dz > 0).long()))
    x, y, z = ox + t * dx, py + t * ey, oz + t * dz
    u, v = torch.where(across, z, x), torch.where(upright, z, y)
    inwards = [torch.where(d > 0, -1.0, 1.0) for d in (dx, ey, dz)]
    nx = torch.where(across, c * inwards[0], torch.where(upright, 0, s * inwards[2]))
    ny = torch.where(upright, inwards[1], 0)
    nz = torch.where(across, -s * inwards[0], torch.where(upright, 0, c * inwards[2]))
    return wall, Hit(t, torch.stack([u, v], -1), torch.stack([nx, ny, nz], -1))


def _nearest_objects(packed: Packed, rays: Tensor, origins: Tensor, limit: Tensor, size: int) -> Tensor:
    """(B, 2, S, S) index of the object before the walls at `limit`, −1 where none is."""
    rects, objects = packed["object_rects"].long(), packed["objects"]
    item, column, row = expand(rects.flatten(0, 1))
    view, k = item // max(len(objects), 1), item % max(len(objects), 1)
    pair = packed["object_pair"][k]
    where = ((pair * 2 + view) * size + row) * size + column
    t = _enter(objects[k], origins[pair, view], rays.reshape(-1, 3)[where]).t
    gap = float(COPLANAR)
    seen = t < limit.flatten()[where] - gap
    return first_of_nearest(limit.numel(), where[seen], t[seen], k[seen], gap).reshape(limit.shape)


def _enter(objects: Tensor, origins: Tensor, rays: Tensor) -> Hit:
    """Where rays (N, 3) from origins (N, 3) enter boxes or upright cylinders (N, 8)."""
    c, s = objects[:, 6].cos(), objects[:, 6].sin()
    q = origins - objects[:, :3]
    ox, oy, oz = c * q[:, 0] - s * q[:, 2], q[:, 1], s * q[:, 0] + c * q[:, 2]
    dx, dy, dz = c * rays[:, 0] - s * rays[:, 2], _safe(rays[:, 1]), s * rays[:, 0] + c * rays[:, 2]
    hx, hy, hz = objects[:, 3:6].unbind(1)
    is_round = objects[:, 7] > 0.5
    a, b, e = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - hx * hx
    disc = b * b - a * e
    root = disc.clamp(min=0).sqrt()
    (tx0, tx1), (tz0, tz1) = _slab(ox, _safe(dx), hx), _slab(oz, _safe(dz), hz)
    ty0, ty1 = _slab(oy, dy, hy)
    t0 = torch.where(is_round, (-b - root) / a, torch.maximum(tx0, tz0))
    t1 = torch.where(is_round, (-b + root) / a, torch.minimum(tx1, tz1))
    axis = torch.where(is_round, 3, torch.where(tx0 > tz0, 0, 2))
    axis = torch.where(ty0 > t0, 1, axis)
    t0, t1 = torch.maximum(t0, ty0), torch.minimum(t1, ty1)
    missed = (is_round & (disc < 0)) | ~(t0 <= t1) | (t0 < float(CLOSEST))
    x, y, z = ox + t0 * dx, oy + t0 * dy, oz + t0 * dz
    u = torch.where(axis == 0, z, torch.where(axis == 3, torch.atan2(z, x) * hx, x))
    v = torch.where(axis == 1, z, y)
    nx = torch.where(axis == 0, _against(dx), torch.where(axis == 3, x / hx, 0))
    nz = torch.where(axis == 2, _against(dz), torch.where(axis == 3, z / hx, 0))
    ny = torch.where(axis == 1, _against(dy), 0)
    normal = torch.stack([c * nx + s * nz, ny, -s * nx + c * nz], 1)
    return Hit(torch.where(missed, float(FAR_AWAY), t0), torch.stack([u, v], 1), normal)


def _slab(origin: Tensor, direction: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    a, b = (-half - origin) / direction, (half - origin) / direction
    return torch.minimum(a, b), torch.maximum(a, b)


def _colours(packed: Packed, surfaces: Tensor, hit: Hit, points: Tensor, which: Tensor) -> Tensor:
    """(B, 2, S, S, 3) of tiles and photographs before any light; which: the objects, −1 for the room."""
    which_tile, repeats = surfaces[..., 0], surfaces[..., 1]
    focal = packed["cameras"][:, :, 0, None, None]
    u, v = hit.uv.unbind(-1)
    colours = torch.empty_like(points)
    tiled = which_tile >= 0
    footprint = hit.t / focal * repeats * TILE
    colours[tiled] = sample_tile(
        packed["tiles"], which_tile[tiled].long(), (u * repeats)[tiled], (v * repeats)[tiled], footprint[tiled]
    )
    pair = torch.arange(len(points), device=points.device)[:, None, None, None].expand(which.shape)
    for mode in (STRETCHED, PROJECTED, FRAMED):
        here = which_tile == mode
        at = _on_photograph(packed, mode, pair[here], points[here], hit.uv[here], which[here])
        k = pair[here] * 2 + (mode == FRAMED)
        colours[here] = sample_photo(packed["photos"].flatten(0, 1), k, *at)
    return colours


def _on_photograph(
    packed: Packed, mode: int, pair: Tensor, points: Tensor, uv: Tensor, which: Tensor
) -> tuple[Tensor, Tensor]:
    """(u, v) in 0…1 of points (N, 3) on a photograph, by how it got there."""
    if mode == STRETCHED:
        room = packed["room"][pair]
        return uv[:, 0] / (room[:, 2] - room[:, 1]), uv[:, 1] / (room[:, 4] - room[:, 3])
    if mode == PROJECTED:
        projected = (packed["projector"][pair] * torch.cat([points, torch.ones_like(points[:, :1])], 1)[:, None]).sum(
            -1
        )
        depth = projected[:, 2].clamp(min=0.2)
        return projected[:, 0] / depth, projected[:, 1] / depth
    half = packed["objects"][which, 3:6]
    return 0.5 + 0.5 * uv[:, 0] / torch.maximum(half[:, 0], half[:, 2]), 0.5 + 0.5 * uv[:, 1] / half[:, 1]


def _wall_shade(packed: Packed, wall: Tensor, points: Tensor) -> Tensor:
    """(B, 2, S, S) factor: less light reaches the edges of a room, and a strip along the walls has another brightness."""
    room, skirting = packed["room"][:, None, None, None], packed["skirting"][:, None, None, None]
    c, s = room[..., 0].cos(), room[..., 0].sin()
    x, y, z = points.unbind(-1)
    rx, rz = c * x - s * z, s * x + c * z
    gaps = [torch.minimum(p - room[..., i], room[..., i + 1] - p).clamp(min=0) for p, i in ((rx, 1), (y, 3), (rz, 5))]
    level, side = (wall == FLOOR) | (wall == CEILING), wall <= RIGHT
    own = (side, level, ~(level | side))
    dark = sum(1 / (1 + (torch.where(mine, 9.0, gap) * 4) ** 2) for mine, gap in zip(own, gaps, strict=True))
    strip = (skirting[..., 0] > 0) & ~level & (room[..., 4] - y < skirting[..., 0])
    return (1 - 0.22 * dark) * torch.where(strip, skirting[..., 1], 1)


def _broadcast_light(packed: Packed) -> Light:
    pairs = torch.arange(len(packed["room"]), device=packed["room"].device)
    return Light.of(packed, pairs[:, None, None, None])


def _drawn_blocks(windows: Tensor, size: int) -> Tensor:
    """(B, 2, S, S) bool: pixels of the blocks that touch the windows (B, 2, 4)."""
    first = torch.arange(size, device=windows.device) // BLOCK * BLOCK
    columns = (windows[..., :1] < first + BLOCK) & (first < windows[..., 2:3])
    rows = (windows[..., 1:2] < first + BLOCK) & (first < windows[..., 3:])
    return rows[..., :, None] & columns[..., None, :]


def _pair_and_view(flat: Tensor, size: int) -> tuple[Tensor, Tensor]:
    picture = flat // (size * size)
    return picture // 2, picture % 2


def _replaced(whole: Tensor, flat: Tensor, part: Tensor) -> Tensor:
    """`whole` (B, 2, S, S, …) with the pixels `flat` replaced by `part`."""
    pixels = whole.reshape(whole.shape[:4].numel(), *whole.shape[4:]).clone()
    pixels[flat] = part
    return pixels.reshape(whole.shape)


def _safe(direction: Tensor) -> Tensor:
    return torch.where(direction.abs() > float(TINY), direction, float(TINY))


def _against(direction: Tensor) -> Tensor:
    return torch.where(direction > 0, -1.0, 1.0)
