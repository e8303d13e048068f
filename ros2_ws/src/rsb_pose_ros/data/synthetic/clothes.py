"""Clothes: layers on the body's surface, lifted along the normals; each layer ends where its field falls below zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.colours import cloth_colour, hair_colour, skin_colour
from rsb_pose_ros.data.synthetic.faces import Face
from rsb_pose_ros.data.synthetic.textures import TILE, TextureLibrary, pyramid, tile

LAYERS = 6
"""Skin and up to five layers of clothing over it."""
EDGE = 0.03
"""Fields are metres from the hem, positive inside, and are cut off here, so that hems lie where they should."""


class BodyRegions:
    """What garments are cut from: per vertex heights, limb coordinates (0…1 to elbow or knee, 1…2 to wrist or ankle)."""

    def __init__(self, pack: BodyPack, body: int) -> None:
        vertices, heads = pack.vertices[body], pack.heads[body]
        names = np.array(pack.bone_names)[pack.bones[:, 0]]
        self.height = vertices[:, 2]
        self.waist = float(heads[pack.bone("LowerBack"), 2])
        self.neck = float(heads[pack.bone("Neck"), 2])
        self.is_head = np.isin(names, ["Head", "Neck1"])
        self.is_neck = names == "Neck"
        self.is_hand = np.char.endswith(names, "Hand") | (np.char.find(names, "Finger") >= 0)
        self.is_hand |= np.char.find(names, "Thumb") >= 0
        self.is_foot = np.char.endswith(names, "Foot") | np.char.endswith(names, "ToeBase")
        self.arm, self.arm_length = _along(vertices, names, pack, heads, ("Arm", "ForeArm", "Hand"))
        self.leg, self.leg_length = _along(vertices, names, pack, heads, ("UpLeg", "Leg", "Foot"))
        limb = self.is_hand | self.is_foot | np.isfinite(self.arm) | np.isfinite(self.leg)
        self.is_torso = ~(self.is_head | self.is_neck | limb)
        self.face = Face(pack, body)
        # Cloth coordinates: metres around and along the body.
        self.texture = np.stack([vertices[:, 0] + 0.7 * vertices[:, 1], vertices[:, 2]], 1).astype(np.float32)

    def sleeves(self, end: float) -> np.ndarray:
        """Field (V,) of sleeves that end at an arm coordinate."""
        field = (end - self.arm) * self.arm_length / 2
        return np.where(self.is_hand, (end - 2.1) * 0.3, field)

    def torso(self, low: float, high: float) -> np.ndarray:
        """Field (V,) of the trunk between two heights; below the trunk's end it goes on over the thighs."""
        field = np.minimum(self.height - low, high - self.height)
        return np.where(self.is_torso | np.isfinite(self.leg), field, np.nan)

    def trousers(self, waist: float, legs: float) -> np.ndarray:
        """Field (V,) of trousers from a height down to a leg coordinate."""
        return np.where(self.is_torso, waist - self.height, (legs - self.leg) * self.leg_length / 2)


def _along(
    vertices: np.ndarray, names: np.ndarray, pack: BodyPack, heads: np.ndarray, chain: tuple[str, str, str]
) -> tuple[np.ndarray, float]:
    """(coordinate along a limb of two bones per vertex, NaN elsewhere; the limb's length in metres)."""
    along = np.full(len(vertices), np.nan, np.float32)
    length = 0.0
    for side in ("Left", "Right"):
        for k in range(2):
            start, end = (heads[pack.bone(side + chain[i])] for i in (k, k + 1))
            mine = names == side + chain[k]
            axis = end - start
            along[mine] = k + (vertices[mine] - start) @ axis / (axis @ axis)
            length += float(np.linalg.norm(axis)) / 2
    return along, length


@dataclass(frozen=True)
class Layer:
    """field: (V,) metres from the hem, NaN where the garment cannot be; thickness: metres; tile: None is plain."""

    field: np.ndarray
    thickness: float
    colour: np.ndarray
    tile: np.ndarray | None = None
    repeats: float = 1.0


@dataclass(frozen=True)
class Outfit:
    """One person's look. offset: (V,) metres along normals; fields: (V, LAYERS), a later layer covers the earlier where
    it is positive; materials: (LAYERS, 5) tile, repeats per metre, BGR tint; levels: tiles; albedo: (V, 3) BGR factor
    of the skin; texture: (V, 2) cloth coordinates, metres."""

    offset: np.ndarray
    fields: np.ndarray
    materials: np.ndarray
    levels: np.ndarray
    albedo: np.ndarray
    texture: np.ndarray


def dress(generator: np.random.Generator, regions: BodyRegions, library: TextureLibrary) -> Outfit:
    """Dress a body at random: trousers long or short, a shirt in or over them, perhaps a jacket, shoes, hair or cap."""
    skin = skin_colour(generator)
    layers = [Layer(np.full(len(regions.height), EDGE), 0.0, skin), *_garments(generator, regions, library)]
    fields = np.full((len(regions.height), LAYERS), -EDGE, np.float32)
    offset = np.zeros(len(regions.height), np.float32)
    materials = np.zeros((LAYERS, 5), np.float32)
    tiles = [np.full((TILE, TILE, 3), 255, np.uint8)]
    for k, layer in enumerate(layers):
        field = np.clip(np.nan_to_num(layer.field, nan=-EDGE), -EDGE, EDGE)
        fields[:, k] = field
        # Cloth stands off a little at the hem already and reaches its thickness 3 cm from it.
        offset = np.where(field > 0, np.maximum(offset, layer.thickness * (0.5 + field / (2 * EDGE))), offset)
        materials[k] = [len(tiles) if layer.tile is not None else 0, layer.repeats, *layer.colour]
        if layer.tile is not None:
            tiles.append(layer.tile)
    wrinkles = generator.normal(0, 1, (3, 4))
    phase = regions.texture @ wrinkles[:2] * 9 + wrinkles[2] * 3
    offset += np.where(offset > 0, np.sin(phase).sum(1) * 0.0018, 0)
    albedo = regions.face.paint(generator, skin)
    return Outfit(offset.astype(np.float32), fields, materials, pyramid(tiles), albedo, regions.texture)


def _garments(generator: np.random.Generator, r: BodyRegions, library: TextureLibrary) -> list[Layer]:
    """The layers over the skin, inner ones first; at most LAYERS − 1."""
    uniform = generator.uniform
    legs = generator.choice([2.1, 2.1, 1.95, 1.3, 0.9, 0.5])
    trousers = r.trousers(r.waist + uniform(-0.04, 0.06), legs)
    shirt_end = r.waist - uniform(-0.02, 0.12)
    collar = r.neck - uniform(0.0, 0.08)
    sleeves = r.sleeves(generator.choice([2.03, 1.95, 1.5, 0.7, 0.5, 0.12]))
    shirt = np.fmax(r.torso(shirt_end, collar + 0.06), sleeves)
    layers = [
        _cloth(generator, library, trousers, uniform(0.004, 0.028), textured=0.5),
        _cloth(generator, library, shirt, uniform(0.004, 0.022), textured=0.7),
    ]
    if generator.random() < 0.3:
        layers.reverse()  # the shirt is tucked in
    if generator.random() < 0.35:
        jacket = np.fmax(r.torso(r.waist - uniform(0, 0.28), 9.0), r.sleeves(generator.choice([2.03, 1.9])))
        if generator.random() < 0.5:
            jacket = np.where(r.is_neck, EDGE, jacket)
        layers.append(_cloth(generator, library, jacket, uniform(0.02, 0.045), textured=0.55))
    if generator.random() < 0.92:
        boots = np.where(r.is_foot, EDGE, (r.leg - generator.choice([1.95, 1.95, 1.6])) * r.leg_length / 2)
        layers.append(_cloth(generator, library, boots, uniform(0.006, 0.015), textured=0.3))
    if generator.random() < 0.9:
        field = r.face.hair(uniform(0.0, 0.03), length=uniform(0.25, 0.55) if generator.random() < 0.35 else 0.0)
        layers.append(Layer(field, uniform(0.006, 0.04), hair_colour(generator)))
    return layers


def _cloth(
    generator: np.random.Generator, library: TextureLibrary, field: np.ndarray, thickness: float, textured: float
) -> Layer:
    if generator.random() >= textured:
        return Layer(field, thickness, cloth_colour(generator))
    source = library.cloths if generator.random() < 0.7 else library.tiles
    picture = tile(source[generator.integers(len(source))])
    tint = generator.uniform(0.4, 1.3) * generator.uniform(0.7, 1.3, 3)
    return Layer(field, thickness, tint, picture, float(np.exp(generator.uniform(0.3, 2.3))))
