"""Clothes: garments are regions of the body's surface, lifted along the normals, each with its own cloth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.textures import TILE, TextureLibrary, pyramid, tile

SKIN, HAIR, TROUSERS, SHIRT, JACKET, SHOES = range(6)


class BodyRegions:
    """Where on each vertex of a body garments may end. Limb coordinates run 0…1 to elbow or knee, 1…2 to wrist or ankle."""

    def __init__(self, pack: BodyPack, body: int) -> None:
        vertices, heads = pack.vertices[body], pack.heads[body]
        names = np.array(pack.bone_names)[pack.bones[:, 0]]
        self.height = vertices[:, 2]
        self.waist = heads[pack.bone("LowerBack"), 2]
        self.is_head = np.isin(names, ["Head", "Neck1"])
        self.is_neck = names == "Neck"
        self.is_hand = np.char.endswith(names, "Hand") | np.char.find(names, "Finger") >= 0
        self.is_hand |= np.char.find(names, "Thumb") >= 0
        self.is_foot = np.char.endswith(names, "Foot") | np.char.endswith(names, "ToeBase")
        self.arm = _along(vertices, names, pack, heads, ("Arm", "ForeArm", "Hand"))
        self.leg = _along(vertices, names, pack, heads, ("UpLeg", "Leg", "Foot"))
        limb = self.is_hand | self.is_foot | np.isfinite(self.arm) | np.isfinite(self.leg)
        self.is_torso = ~(self.is_head | self.is_neck | limb)
        top, nose = vertices[pack.head_top, 2].mean(), vertices[pack.nose]
        # Hair: the upper part of the head and its back, not the face.
        crown = (self.height - nose[2]) / (top - nose[2])
        backward = vertices[:, 1] - nose[1]
        self.hair = np.where(self.is_head, crown * 0.6 + backward * 5.0, -np.inf)
        # Cloth coordinates: metres around and along the body.
        self.texture = np.stack([vertices[:, 0] + 0.7 * vertices[:, 1], vertices[:, 2]], 1).astype(np.float32)


def _along(
    vertices: np.ndarray, names: np.ndarray, pack: BodyPack, heads: np.ndarray, chain: tuple[str, str, str]
) -> np.ndarray:
    """Coordinate along a limb of two bones per vertex, NaN elsewhere."""
    along = np.full(len(vertices), np.nan, np.float32)
    for side in ("Left", "Right"):
        for k in range(2):
            start, end = (heads[pack.bone(side + chain[i])] for i in (k, k + 1))
            mine = names == side + chain[k]
            axis = end - start
            along[mine] = k + (vertices[mine] - start) @ axis / (axis @ axis)
    return along


@dataclass(frozen=True)
class Outfit:
    """One person's clothes: offset (V,) metres along normals, material (F,) per face, materials (M, 5), levels."""

    offset: np.ndarray
    material: np.ndarray
    materials: np.ndarray
    levels: np.ndarray
    texture: np.ndarray


def dress(generator: np.random.Generator, regions: BodyRegions, faces: np.ndarray, library: TextureLibrary) -> Outfit:
    """Dress a body at random: trousers long or short, shirt, perhaps a jacket, shoes, hair or a cap."""
    count = len(regions.height)
    garment = np.full(count, SKIN)
    offset = np.zeros(count, np.float32)
    with np.errstate(invalid="ignore"):
        for kind, region, thickness in _garments(generator, regions):
            garment[region] = kind
            offset[region] = thickness
    wrinkles = generator.normal(0, 1, (3, 4))
    phase = regions.texture @ wrinkles[:2] * 9 + wrinkles[2] * 3
    offset += np.where(garment > HAIR, np.sin(phase).sum(1) * 0.0018, 0).astype(np.float32)
    levels, materials = _materials(generator, library)
    return Outfit(offset.astype(np.float32), garment[faces[:, 0]].astype(np.int32), materials, levels, regions.texture)


def _garments(generator: np.random.Generator, r: BodyRegions) -> list[tuple[int, np.ndarray, float]]:
    """(kind, vertices, thickness in metres), inner ones first."""
    legs = generator.choice([2.1, 2.1, 2.1, 1.3, 0.55])
    sleeves = generator.choice([2.1, 1.6, 0.6, 0.6, 0.15])
    shirt_end = r.waist - generator.uniform(-0.02, 0.16)
    layers = [
        (TROUSERS, (r.is_torso & (r.height < r.waist + 0.03)) | (r.leg < legs), generator.uniform(0.004, 0.025)),
        (SHIRT, (r.is_torso & (r.height > shirt_end)) | (r.arm < sleeves), generator.uniform(0.004, 0.022)),
    ]
    if generator.random() < 0.35:
        end = r.waist - generator.uniform(0, 0.3)
        length = generator.choice([2.05, 1.9])
        body = (r.is_torso | (r.leg < (r.waist - end) * 1.2)) & (r.height > end)
        collar = r.is_neck & (generator.random() < 0.5)
        layers.append((JACKET, body | collar | (r.arm < length), generator.uniform(0.02, 0.045)))
    if generator.random() < 0.92:
        layers.append((SHOES, r.is_foot, generator.uniform(0.006, 0.015)))
    if generator.random() < 0.9:
        layers.append((HAIR, r.hair > generator.uniform(0.75, 1.15), generator.uniform(0.006, 0.04)))
    return layers


def _materials(generator: np.random.Generator, library: TextureLibrary) -> tuple[np.ndarray, np.ndarray]:
    plain = np.full((TILE, TILE, 3), 255, np.uint8)
    tiles = [plain]
    materials = np.zeros((6, 5), np.float32)
    for kind in (TROUSERS, SHIRT, JACKET, SHOES):
        source = library.cloths if generator.random() < 0.7 else library.tiles
        textured = generator.random() < {TROUSERS: 0.5, SHIRT: 0.7, JACKET: 0.55, SHOES: 0.3}[kind]
        if textured:
            tiles.append(tile(source[generator.integers(len(source))]))
        tint = generator.uniform(0.4, 1.3) * generator.uniform(0.7, 1.3, 3) if textured else cloth_colour(generator)
        materials[kind] = [len(tiles) - 1 if textured else 0, np.exp(generator.uniform(0.3, 2.3)), *tint]
    materials[SKIN] = [0, 1, *skin_colour(generator)]
    materials[HAIR] = [0, 1, *hair_colour(generator)]
    return pyramid(tiles), materials


def cloth_colour(generator: np.random.Generator) -> np.ndarray:
    """A plain cloth's BGR factor: greys, darks and all hues."""
    value = generator.uniform(0.08, 1.0)
    hue = generator.uniform(0, 1, 3)
    return (value * (1 + generator.uniform(0, 0.8) * (hue - hue.max()))).astype(np.float32)


def skin_colour(generator: np.random.Generator) -> np.ndarray:
    """BGR factor from very dark to very light skin."""
    t = generator.uniform(0, 1)
    dark, light = np.array([0.16, 0.22, 0.36]), np.array([0.70, 0.80, 0.98])
    return ((dark + t * (light - dark)) * (1 + generator.normal(0, 0.06, 3))).clip(0.05, 1.1)


def hair_colour(generator: np.random.Generator) -> np.ndarray:
    """BGR factor: black, brown, red, blond, grey; now and then a coloured cap."""
    if generator.random() < 0.15:
        return cloth_colour(generator)
    natural = [[0.05, 0.05, 0.06], [0.08, 0.13, 0.22], [0.1, 0.2, 0.42], [0.35, 0.55, 0.7], [0.6, 0.6, 0.62]]
    return np.array(natural[generator.integers(5)]) * generator.uniform(0.7, 1.3)
