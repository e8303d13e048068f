"""Finished pairs made on a device: planned on the CPU, drawn, exposed and labelled where the network is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rsb_pose_ros.data.sample import HIDDEN, OUTSIDE, SELF_HIDDEN, VISIBLE
from rsb_pose_ros.data.synthetic.generator import ATTEMPTS, SyntheticPairs
from rsb_pose_ros.data.synthetic.on_torch import meshes, rooms
from rsb_pose_ros.data.synthetic.on_torch.cameras import expose
from rsb_pose_ros.data.synthetic.on_torch.packing import Packed, pack
from rsb_pose_ros.data.synthetic.on_torch.surfaces import pyramid
from rsb_pose_ros.data.synthetic.scenes import PERSON
from rsb_pose_ros.data.synthetic.visibility import DEPTH_UNDER_SURFACE, GAP_M


def sample(pairs: SyntheticPairs, seeds: Sequence[int], device: str | torch.device) -> dict[str, Tensor]:
    """The pairs of these seeds, those of SyntheticPairs.sample, as a batch on the device.

    crops (B, 2, S, S, 3) uint8, projections (B, 2, 3, 4), joints (B, 17, 3), keypoints (B, 2, 17, 2), visibility
    (B, 2, 17) uint8, boxes (B, 2, 4), masks (B, 2, S, S) bool, present, search (B,): see data.sample.StereoSample.
    """
    return finish(pairs, *plan(pairs, seeds), device)


def plan(pairs: SyntheticPairs, seeds: Sequence[int]) -> tuple[Packed, list[np.random.Generator]]:
    """(the seeds' packed plans, the generators that go on where those end): all that needs no device."""
    generators = [np.random.default_rng(seed) for seed in seeds]
    return pack([pairs.plan(g) for g in generators], pairs.config.size), generators


def finish(
    pairs: SyntheticPairs, packed: Packed, generators: Sequence[np.random.Generator], device: str | torch.device
) -> dict[str, Tensor]:
    """Draw what was planned, and plan and draw again where the person turns out to be hidden; see `sample`."""
    size = pairs.config.size
    batch = draw(packed, size, device)
    pending, fewest = torch.arange(len(generators)), packed["fewest"]
    for _ in range(ATTEMPTS - 1):
        seen = (batch["visibility"].cpu()[pending] == VISIBLE).sum(2).amax(1)
        pending = pending[seen < fewest]
        if len(pending) == 0:
            break
        packed = pack([pairs.plan(generators[k]) for k in pending], size)
        fewest = packed["fewest"]
        for name, values in draw(packed, size, device).items():
            batch[name][pending.to(values.device)] = values
    return batch


@torch.no_grad()
def draw(packed: Packed, size: int, device: str | torch.device) -> dict[str, Tensor]:
    """The batch of packed plans, see `sample`, whatever is seen in it."""
    packed = {name: values.to(device, non_blocking=True) for name, values in packed.items()}
    packed["tiles"] = pyramid(packed["tiles"])
    image, depth, kind = rooms.cast(packed, size)
    meshes.draw(packed, image, depth, kind)
    inside = _within(packed["edges"], size)
    crops = expose(packed, image) * inside[..., None]
    return {
        "crops": crops,
        "visibility": _visibility(packed, depth, kind),
        "boxes": _boxes(packed),
        "masks": (kind == PERSON) & inside,
        **{name: packed[name] for name in ("projections", "joints", "keypoints", "present", "search")},
    }


def _visibility(packed: Packed, depth: Tensor, kind: Tensor) -> Tensor:
    """(B, 2, 17) uint8; see visibility.joint_visibility."""
    size = depth.shape[-1]
    at = packed["keypoints"].nan_to_num(0).round().long().clamp(0, size - 1)
    place = at[..., 1] * size + at[..., 0]
    gap = packed["joints"][:, None, :, 2] - depth.flatten(2).gather(2, place)
    by_person = kind.flatten(2).gather(2, place) == PERSON
    below = torch.from_numpy(DEPTH_UNDER_SURFACE).to(depth.device)
    visibility = torch.full_like(place, VISIBLE)
    visibility[by_person & (gap > below)] = SELF_HIDDEN
    visibility[~by_person & (gap > GAP_M)] = HIDDEN
    visibility[~packed["inside"]] = OUTSIDE
    return visibility.to(torch.uint8)


def _boxes(packed: Packed) -> Tensor:
    """(B, 2, 4) x0, y0, x1, y1 around the labelled people's whole meshes in crop pixels, NaN where nobody is."""
    people, vertices = packed["people"], packed["vertices"]
    counts = people[:, 1] - people[:, 0]
    pair = torch.repeat_interleave(torch.arange(len(people), device=people.device), counts)
    local = torch.arange(len(pair), device=people.device) - (counts.cumsum(0) - counts)[pair]
    P, rotation = packed["projections"], packed["view_rotations"]
    cameras = torch.stack([P[..., 0, 0], P[..., 1, 1], P[..., 0, 2], P[..., 1, 2]], -1)
    offsets = torch.zeros_like(P[..., 0])
    offsets[..., 0] = -P[..., 0, 3] / P[..., 0, 0]
    origins = (rotation.mT[:, None] @ offsets[..., None])[..., 0]
    rotations = rotation[:, None].expand(-1, 2, -1, -1)
    pixels = meshes.to_pixels(vertices[people[pair, 0] + local], pair, cameras, origins, rotations)[..., :2]
    index = pair[None, :, None].expand_as(pixels)
    empty = torch.full((2, len(people), 2), torch.nan, device=vertices.device)
    low = empty.scatter_reduce(1, index, pixels, "amin", include_self=False)
    high = empty.scatter_reduce(1, index, pixels, "amax", include_self=False)
    return torch.cat([low, high], -1).transpose(0, 1)


def _within(edges: Tensor, size: int) -> Tensor:
    """(B, 2, S, S) bool: pixels inside the raw pictures."""
    place = torch.arange(size, device=edges.device)
    columns = (place >= edges[..., :1]) & (place < edges[..., 2:3])
    rows = (place >= edges[..., 1:2]) & (place < edges[..., 3:])
    return rows[..., :, None] & columns[..., None, :]
