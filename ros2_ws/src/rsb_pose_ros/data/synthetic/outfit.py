"""A person's look: layers on the body's surface and parts beside it, as the arrays that the rasteriser takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.data.synthetic.clothes import EDGE, BodyRegions, Layer
from rsb_pose_ros.data.synthetic.parts import Part
from rsb_pose_ros.data.synthetic.textures import TILE, pyramid

MATERIAL_VALUES = 8


@dataclass(frozen=True)
class Outfit:
    """One person's look; V vertices of the body, then those of the parts, in all W.

    drape: (V, 3) metres by which cloth moves the body at rest; offset: (V,) metres along normals; parts: what stands off
    the body; fields: (W, L), a later layer covers the earlier where it is positive; materials: (L, 8) tile, repeats per
    metre, BGR tint, strength of folds, their place on the cloth; levels: tiles; albedo: (W, 3) BGR factor of the skin;
    texture: (W, 2) cloth coordinates, metres.
    """

    drape: np.ndarray
    offset: np.ndarray
    parts: list[Part]
    fields: np.ndarray
    materials: np.ndarray
    levels: np.ndarray
    albedo: np.ndarray
    texture: np.ndarray


def assemble(
    generator: np.random.Generator,
    regions: BodyRegions,
    layers: list[Layer],
    parts: list[tuple[Part, int]],
    albedo: np.ndarray,
) -> Outfit:
    """layers: skin first; parts with the layer of whose stuff each is made; albedo: (V, 3) of the skin."""
    count, extra = len(regions.height), sum(len(part.vertices) for part, _ in parts)
    fields = np.full((count + extra, len(layers)), -EDGE, np.float32)
    offset = np.zeros(count, np.float32)
    spans, hangs = np.zeros(count, np.float32), np.zeros(count, np.float32)
    materials = np.zeros((len(layers), MATERIAL_VALUES), np.float32)
    tiles = [np.full((TILE, TILE, 3), 255, np.uint8)]
    for k, layer in enumerate(layers):
        field = np.clip(np.nan_to_num(layer.field, nan=-EDGE), -EDGE, EDGE)
        fields[:count, k] = field
        # Cloth stands off a little at the hem already and reaches its thickness 3 cm from it.
        stand_off = layer.thickness * (0.5 + field / (2 * EDGE)) + layer.flare
        offset = np.where(field > 0, np.maximum(offset, stand_off), offset)
        if layer.drape > 0:
            share = np.clip(0.5 + field / (2 * EDGE), 0, 1) * (field > 0)
            spans = np.maximum(spans, share * min(layer.drape, 1))
            hangs = np.maximum(hangs, share * max(layer.drape - 1, 0))
        place = generator.uniform(0, 1, 2)
        materials[k] = [len(tiles) if layer.tile is not None else 0, layer.repeats, *layer.colour, layer.folds, *place]
        if layer.tile is not None:
            tiles.append(layer.tile)
    # Bulges that the shading of folds does not make: cloth never lies on the body like paint.
    waves = generator.normal(0, 1, (3, 4))
    phase = regions.texture @ waves[:2] * 9 + waves[2] * 3
    offset += np.where(offset > 0.003, np.sin(phase).sum(1) * 0.0022, 0)
    first = count
    for part, layer_index in parts:
        fields[first : first + len(part.vertices), layer_index] = EDGE
        first += len(part.vertices)
    drape = regions.tight * (spans * (1 - hangs))[:, None] + regions.loose * hangs[:, None]
    return Outfit(
        drape.astype(np.float32),
        offset.astype(np.float32),
        [part for part, _ in parts],
        fields,
        materials,
        pyramid(tiles),
        np.concatenate([albedo, np.ones((extra, 3), np.float32)]),
        np.concatenate([regions.texture, *(part.texture for part, _ in parts)]).astype(np.float32),
    )
