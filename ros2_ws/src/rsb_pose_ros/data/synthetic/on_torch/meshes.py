"""People and other meshes: a z-buffer over all triangles of all pairs at once, then each pixel's cloth and light."""

from __future__ import annotations

import torch
from torch import Tensor

from rsb_pose_ros.data.synthetic.kernels import NEAR_M, TINY
from rsb_pose_ros.data.synthetic.on_torch.fragments import expand, nearest
from rsb_pose_ros.data.synthetic.on_torch.packing import Packed
from rsb_pose_ros.data.synthetic.on_torch.surfaces import Light, light_at, sample_folds, sample_tile
from rsb_pose_ros.data.synthetic.textures import TILE


def draw(packed: Packed, image: Tensor, depth: Tensor, kind: Tensor) -> None:
    """Draw all meshes into image (B, 2, S, S, 3), depth and kind (B, 2, S, S), in place."""
    if len(packed["faces"]) == 0:
        return
    size = image.shape[2]
    vertex_pair = packed["mesh_pair"].repeat_interleave(packed["mesh_vertices"])
    pixels = to_pixels(packed["vertices"], vertex_pair, packed["cameras"], packed["origins"], packed["rotations"])
    mesh_of_face = torch.arange(len(packed["mesh_faces"]), device=image.device)
    mesh_of_face = mesh_of_face.repeat_interleave(packed["mesh_faces"])
    face, z = _visible(packed, pixels, packed["mesh_pair"][mesh_of_face], depth.numel(), size)
    shown = ((face >= 0) & (z < depth.flatten())).nonzero()[:, 0]
    face, view = face[shown], shown // (size * size) % 2
    corners = packed["faces"].long()[face]
    weights, depth_here = _perspective(pixels[view[:, None], corners], shown % size, shown // size % size)
    mesh = mesh_of_face[face]
    image.view(-1, 3)[shown] = _shade(packed, mesh, corners, weights, depth_here, view)
    depth.view(-1)[shown] = depth_here
    kind.view(-1)[shown] = packed["mesh_kind"][mesh]


def to_pixels(vertices: Tensor, pair: Tensor, cameras: Tensor, origins: Tensor, rotations: Tensor) -> Tensor:
    """(2, V, 3) column, row, depth of vertices (V, 3) of the pairs `pair` (V,) in their two views; see kernels.to_camera."""
    views = []
    for view in range(2):
        seen = (rotations[pair, view] * (vertices - origins[pair, view])[:, None]).sum(-1)
        camera, near = cameras[pair, view], seen[:, 2].clamp(min=1e-6)
        columns = camera[:, 0] * seen[:, 0] / near + camera[:, 2]
        rows = camera[:, 1] * seen[:, 1] / near + camera[:, 3]
        views.append(torch.stack([columns, rows, seen[:, 2]], 1))
    return torch.stack(views)


def _visible(packed: Packed, pixels: Tensor, pairs: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
    """(face or −1, depth) of the nearest face at each of `count` pixels of all views; pairs: (F,) of the faces."""
    faces, wheres, depths, indices = packed["faces"].long(), [], [], []
    for view in range(2):
        corners = pixels[view][faces]
        x, y, z = corners.unbind(-1)
        area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
        rects = torch.stack(
            [
                x.amin(1).ceil().clamp(min=0), x.amax(1).floor().clamp(max=size - 1),
                y.amin(1).ceil().clamp(min=0), y.amax(1).floor().clamp(max=size - 1),
            ],
            1,
        )  # fmt: skip
        # Counter-clockwise from outside is clockwise where y points down.
        towards = (z.amin(1) >= NEAR_M) & (area < -float(TINY))
        face = (towards & (rects[:, 0] <= rects[:, 1]) & (rects[:, 2] <= rects[:, 3])).nonzero()[:, 0]
        item, column, row = expand(rects[face].long())
        face = face[item]
        weights = _barycentric(corners[face], column, row)
        covered = (weights >= 0).all(1)
        face, weights, column, row = face[covered], weights[covered], column[covered], row[covered]
        wheres.append(((pairs[face] * 2 + view) * size + row) * size + column)
        depths.append(1 / (weights / corners[face][..., 2]).sum(1))
        indices.append(face)
    return nearest(count, torch.cat(wheres), torch.cat(depths), torch.cat(indices))


def _barycentric(corners: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """(P, 3) float64 weights of triangles' corners (P, 3, 3) at pixels, in the picture's plane."""
    x, y = (corners[..., i].double() for i in range(2))
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    a = ((x[:, 1] - column) * (y[:, 2] - row) - (x[:, 2] - column) * (y[:, 1] - row)) / area
    b = ((x[:, 2] - column) * (y[:, 0] - row) - (x[:, 0] - column) * (y[:, 2] - row)) / area
    return torch.stack([a, b, 1 - a - b], 1)


def _perspective(corners: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """(weights (P, 3) of the corners (P, 3, 3) on the surface seen at pixels, its depth (P,))."""
    weights = _barycentric(corners, column, row) / corners[..., 2]
    depth = 1 / weights.sum(1)
    return (weights * depth[:, None]).float(), depth.float()


def _shade(packed: Packed, mesh: Tensor, corners: Tensor, weights: Tensor, depth: Tensor, view: Tensor) -> Tensor:
    """(P, 3) BGR of pixels of meshes (P,); corners: (P, 3) vertices with their weights."""

    def blend(name: str) -> Tensor:
        return (packed[name][corners] * weights[..., None]).sum(1)

    pair = packed["mesh_pair"][mesh]
    # The last layer whose field is positive covers those before it; the first is the skin.
    fields = blend("fields")
    order = torch.arange(fields.shape[1], device=fields.device)
    layer = torch.where(fields > 0, order, 0).amax(1)
    material = packed["materials"][mesh, layer]
    repeats = material[:, 1]
    u, v = blend("texture").unbind(1)
    footprint = depth / packed["cameras"][pair, view, 0] * repeats * TILE
    colours = sample_tile(packed["tiles"], material[:, 0].long(), u * repeats, v * repeats, footprint)
    normals = blend("normals")
    normals = normals / (normals.square().sum(1, keepdim=True) + 1e-9).sqrt()
    light = light_at(Light.of(packed, pair), blend("vertices"), normals, 0.0)
    crease = (1 + material[:, 5] * sample_folds(u + material[:, 6], v + material[:, 7])).clamp(min=0.25)
    crease = torch.where(material[:, 5] > 0, crease, 1)
    skin = torch.where((layer == 0)[:, None], blend("albedo"), 1)
    return colours * material[:, 2:5] * light * crease[:, None] * skin
