"""Dressing a body at random: what people wear on ordinary days, and what they carry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rsb_pose_ros.data.synthetic.clothes import EDGE, BodyRegions, Layer
from rsb_pose_ros.data.synthetic.colours import cloth_colour, hair_colour, skin_colour, trouser_colour
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.outfit import Outfit, assemble
from rsb_pose_ros.data.synthetic.parts import HANGING, Part, blob, brim, loose_hair, rigid, skirt
from rsb_pose_ros.data.synthetic.textures import TextureLibrary, photograph, tile

Random = np.random.Generator


class Wardrobe:
    """Collects one person's layers, inner ones first, and parts."""

    def __init__(
        self, generator: Random, regions: BodyRegions, library: TextureLibrary, config: SyntheticConfig
    ) -> None:
        self.random, self.regions, self.library, self.config = generator, regions, library, config
        self.layers: list[Layer] = []
        self.parts: list[tuple[Part, int]] = []

    def chance(self, probability: float) -> bool:
        """True that often."""
        return bool(self.random.random() < probability)

    def cloth(
        self, field: np.ndarray, thickness: float, textured: float, colour: np.ndarray | None = None,
        flare: np.ndarray | float = 0.0, drape: float = 0.0,
    ) -> Layer:  # fmt: skip
        """A garment of plain or, with probability `textured`, of patterned or photographed cloth."""
        g = self.random
        folds = float(g.uniform(0.03, 0.2))
        if g.random() >= textured:
            plain = cloth_colour(g) if colour is None else colour
            # Plain cloth still has a weave.
            picture = self._picture(self.library.cloths, grey=True) if g.random() < 0.5 else None
            return Layer(field, thickness, plain, picture, float(g.uniform(2, 8)), folds, flare, drape)
        picture = self._picture(self.library.cloths if g.random() < 0.75 else self.library.tiles)
        tint = g.uniform(0.5, 1.3) * g.uniform(0.75, 1.25, 3)
        return Layer(field, thickness, tint, picture, float(np.exp(g.uniform(0.3, 2.3))), folds, flare, drape)

    def _picture(self, paths: list[Path], grey: bool = False) -> np.ndarray:
        picture = tile(paths[self.random.integers(len(paths))])
        if grey:
            light = picture.mean(2, keepdims=True)
            picture = np.clip(np.repeat(light * (215 / max(float(light.mean()), 30)), 3, 2), 0, 255).astype(np.uint8)
        return picture

    def add(self, layer: Layer, *parts: Part) -> None:
        """Put a layer on over the others, with parts of the same stuff; layer 0 is the skin."""
        self.layers.append(layer)
        self.parts += [(part, len(self.layers) - 1) for part in parts]

    def nowhere(self) -> np.ndarray:
        """The field of a layer that parts alone are made of."""
        return np.full(len(self.regions.height), np.nan)


def dress(generator: Random, regions: BodyRegions, library: TextureLibrary, config: SyntheticConfig) -> Outfit:
    """Dress a body: trousers, skirt or dress, a shirt in or over it, perhaps a jacket, shoes, hair, a hat, a bag."""
    w = Wardrobe(generator, regions, library, config)
    skin = skin_colour(generator)
    w.add(Layer(np.full(len(regions.height), EDGE), 0.0, skin))
    _clothes(w)
    if w.chance(0.93):
        _shoes(w)
    _head(w)
    if w.chance(config.bag_share):
        _bag(w)
    return assemble(generator, regions, w.layers, w.parts, regions.face.paint(generator, skin))


def _clothes(w: Wardrobe) -> None:
    g, r = w.random, w.regions
    skirts = w.config.skirt_share
    kind = g.choice(
        ["trousers", "shorts", "skirt", "dress"],
        p=[(1 - skirts) * 66 / 81, (1 - skirts) * 15 / 81, skirts * 10 / 19, skirts * 9 / 19],
    )
    # How far a seam along the limb has come, 0…1, for what widens towards its end.
    down_leg, down_arm = np.nan_to_num(np.clip(r.leg / 2, 0, 1)), np.nan_to_num(np.clip(r.arm / 2, 0, 1))
    waist = r.waist + g.uniform(-0.04, 0.06)
    shirt_end = r.waist - g.uniform(-0.02, 0.13) * r.size
    sleeve_end = g.choice([2.03, 1.95, 1.5, 0.75, 0.55, 0.45, 0.12], p=[0.25, 0.1, 0.05, 0.15, 0.2, 0.15, 0.1])
    sleeves = r.sleeves(float(sleeve_end))
    collar = r.neck - g.uniform(0.0, 0.08)
    looseness = abs(g.normal(0, 0.013))
    below_chest = np.clip((r.neck - 0.2 - r.height) / 0.4, 0, 1) * r.is_torso
    shirt_flare = looseness * below_chest + abs(g.normal(0, 0.012)) * down_arm
    shirt_field = np.fmax(r.torso(shirt_end, collar + 0.06), sleeves)
    shirt = w.cloth(shirt_field, g.uniform(0.004, 0.016), 0.5, flare=shirt_flare, drape=g.uniform(0.8, 2.0))
    if kind in ("trousers", "shorts"):
        legs = float(g.choice([2.12, 2.1, 2.0, 1.9])) if kind == "trousers" else float(g.choice([1.25, 0.95, 0.7, 0.5]))
        flare = abs(g.normal(0, 0.016)) * (down_leg if kind == "trousers" else np.clip(down_leg * 3, 0, 1))
        lower = w.cloth(
            r.trousers(waist, legs),
            g.uniform(0.003, 0.014),
            0.25,
            trouser_colour(g) if w.chance(0.75) else None,
            flare,
            drape=g.uniform(0.7, 1.0),
        )
        if w.chance(0.25):
            w.add(
                w.cloth(np.where(r.is_foot, EDGE, (r.leg - g.uniform(1.3, 1.9)) * r.leg_length / 2), 0.004, 0.2)
            )  # socks
        order = [shirt, lower] if w.chance(0.35) else [lower, shirt]  # the shirt is tucked in
        for layer in order:
            w.add(layer)
        if order[0] is shirt and w.chance(0.5):
            belt = np.where(r.is_torso, 0.018 - np.abs(r.height - waist + 0.02), np.nan)
            w.add(Layer(belt, 0.018, g.uniform(0.03, 0.35) * np.array([0.6, 0.8, 1.0])))
    else:
        top = waist if kind == "skirt" else r.waist + g.uniform(0, 0.05)
        hem = float(g.choice([r.crotch - 0.15 * r.size, r.knee + 0.05, r.knee - 0.2 * r.size, r.ankle + 0.15]))
        garment = shirt if kind == "dress" else w.cloth(w.nowhere(), 0.004, 0.5)
        tights = g.random()
        if tights < 0.35:
            w.add(Layer(r.trousers(waist, 2.3), 0.002, g.uniform(0.03, 0.5) * np.ones(3)))
        if kind == "skirt":
            w.add(shirt)
        w.add(garment, skirt(g, r.pack, r.body, top, hem, g.uniform(0.012, 0.03), g.uniform(0.0, 0.35)))
    if w.chance(0.22):
        _print(w, shirt_end)
    if w.chance(w.config.jacket_share):
        _jacket(w, down_arm)
    if w.chance(0.06):
        scarf = np.where(r.is_neck, EDGE, np.where(r.is_torso, r.height - r.neck + 0.06, np.nan))
        w.add(w.cloth(scarf, g.uniform(0.02, 0.05), 0.6))


def _print(w: Wardrobe, shirt_end: float) -> None:
    """A picture on the chest, a pocket, a row of buttons."""
    g, r = w.random, w.regions
    front = r.is_torso & (r.depth < np.median(r.depth[r.is_torso]))
    middle = r.neck - g.uniform(0.16, 0.28) * r.size
    if w.chance(0.6):
        half_w, half_h, x = g.uniform(0.05, 0.13), g.uniform(0.04, 0.13), 0.0
    else:
        half_w, half_h, x = 0.05, 0.06, 0.09 * g.choice([-1, 1])
    field = np.minimum(half_w - np.abs(r.across - x), half_h - np.abs(r.height - middle))
    if w.chance(0.25):
        field = np.minimum(0.012 - np.abs(r.across), r.height - shirt_end)
    layer = w.cloth(np.where(front, field, np.nan), 0.0, 0.7)
    if w.chance(0.4):  # part of a photograph
        scene = photograph(w.library.scenes[g.integers(len(w.library.scenes))])
        x, y = int(g.integers(scene.shape[1] - 128)), int(g.integers(scene.shape[0] - 128))
        layer = replace(layer, tile=scene[y : y + 128, x : x + 128], colour=np.ones(3), repeats=float(g.uniform(3, 6)))
    w.add(layer)


def _jacket(w: Wardrobe, down_arm: np.ndarray) -> None:
    """A jacket, coat or cardigan, open or closed."""
    g, r = w.random, w.regions
    end = r.waist - g.uniform(0, 0.2) * r.size
    body = r.torso(end, 9.0)
    if w.chance(0.4):  # open in front
        front = r.is_torso & (r.depth < np.median(r.depth[r.is_torso]))
        gap = g.uniform(0.015, 0.06) * (1 + np.clip((r.waist + 0.35 - r.height) / 0.5, 0, 1))
        body = np.where(front, np.minimum(body, np.abs(r.across) - gap), body)
    field = np.fmax(body, r.sleeves(float(g.choice([2.03, 1.9]))) if w.chance(0.88) else np.nan)
    if w.chance(0.5):
        field = np.where(r.is_neck, EDGE, field)
    thickness = g.uniform(0.015, 0.04)
    layer = w.cloth(field, thickness, 0.4, flare=abs(g.normal(0, 0.012)) * down_arm, drape=g.uniform(1.2, 2))
    tail = []
    if w.chance(0.3):
        hem = r.waist - g.uniform(0.35, 0.8) * r.size
        tail = [skirt(g, r.pack, r.body, end + 0.06, hem, thickness + 0.01, g.uniform(0, 0.15))]
    w.add(layer, *tail)


def _shoes(w: Wardrobe) -> None:
    g, r = w.random, w.regions
    height = g.choice([1.97, 1.95, 1.9, 1.6], p=[0.4, 0.3, 0.15, 0.15])
    field = np.where(r.is_foot, EDGE, (r.leg - height) * r.leg_length / 2)
    plain = g.choice([g.uniform(0.03, 0.25), g.uniform(0.75, 1.0)], p=[0.65, 0.35]) * np.ones(3)
    w.add(w.cloth(field, g.uniform(0.006, 0.014), 0.2, plain if w.chance(0.7) else None))
    if w.chance(0.5):  # soles
        lowest = r.height.min()
        sole = np.where(r.is_foot, lowest + 0.025 - r.height, np.nan)
        w.add(Layer(sole, 0.012, g.choice([0.08, 0.9]) * np.ones(3)))


def _head(w: Wardrobe) -> None:
    """Hair of any length, a cap or a hat over it, a hood."""
    g, r = w.random, w.regions
    colour = hair_colour(g)
    if w.chance(0.92):
        long = w.chance(0.4)
        length = g.uniform(0.22, 0.5) * r.size if long else 0.0
        layer = Layer(
            r.face.hair(g.uniform(0.0, 0.03), length=min(length, 0.3)), g.uniform(0.006, 0.03), colour,
            w._picture(w.library.cloths, grey=True), g.uniform(4, 12), 0.15,
        )  # fmt: skip
        behind = np.array([0, 0.045, -0.1]) * r.size + [0, 0, r.top]
        extra: list[Part] = []
        style = g.random()
        if long and style < 0.55:
            extra = [loose_hair(r.pack, r.body, length, g.uniform(0.0, 0.025))]
        elif long and style < 0.8:
            half = np.array([0.035, 0.035, g.uniform(0.08, 0.15)]) * r.size
            extra = [rigid(blob(behind + np.array([0, 0.05, -half[2]]), half, 0), r.pack.bone("Head"))]
        elif long:
            half = np.full(3, g.uniform(0.03, 0.055)) * r.size
            extra = [rigid(blob(behind + np.array([0, 0.02, g.uniform(-0.05, 0.08)]), half, 0), r.pack.bone("Head"))]
        w.add(layer, *extra)
    hat = g.random()
    if hat < w.config.hat_share:
        field = r.face.hair(g.uniform(-0.005, 0.012))
        field = np.where(r.depth > -0.03, np.minimum(field, r.height - r.top + 0.13 * r.size), field)
        layer = w.cloth(field, g.uniform(0.012, 0.035), 0.4)
        brims = []
        if hat < 0.7 * w.config.hat_share:
            height = r.top - g.uniform(0.085, 0.105) * r.size
            brims = [
                brim(
                    r.pack,
                    r.body,
                    height,
                    0.085 * r.size,
                    g.uniform(0.05, 0.11) * r.size,
                    visor=hat < 0.4 * w.config.hat_share,
                )
            ]
        w.add(layer, *brims)


def _bag(w: Wardrobe) -> None:
    """A rucksack, a bag at the hip or in the hand, or something small in the hand."""
    g, r = w.random, w.regions
    pack, rest = r.pack, r.pack.heads[r.body]
    kind = g.choice(["rucksack", "hip", "hand", "thing"], p=[0.3, 0.2, 0.25, 0.25])
    if kind == "rucksack":
        half = g.uniform([0.12, 0.05, 0.15], [0.18, 0.11, 0.26]) * r.size
        back = float(r.depth[r.is_torso].max())
        centre = np.array([0, back + half[1], r.neck - 0.04 - half[2]])
        straps = np.where(
            r.is_torso & (r.height > r.neck - 0.3 * r.size), 0.022 - np.abs(np.abs(r.across) - 0.095), np.nan
        )
        w.add(w.cloth(straps, 0.03, 0.3), rigid(blob(centre, half, g.uniform(0.5, 0.9)), pack.bone("Spine1")))
    elif kind == "hip":
        side = g.choice([-1, 1])
        half = g.uniform([0.03, 0.09, 0.07], [0.07, 0.16, 0.14]) * r.size
        x = side * (float(np.abs(r.across[r.is_torso]).max()) + 0.01)
        strap = 0.02 - np.abs(side * r.across * 0.8 + (r.height - (r.waist + r.neck) / 2) * 0.6)
        strap = np.where(r.is_torso & (r.height > r.waist - 0.05), strap, np.nan)
        bag = blob(np.array([x, 0, r.waist - 0.18 * r.size]), half, g.uniform(0.4, 0.9))
        w.add(w.cloth(strap, 0.03, 0.3), rigid(bag, pack.bone("Hips")))
    else:
        hand = int(g.integers(2))
        place = rest[pack.bone(HANGING[hand])]
        if kind == "hand":
            half = g.uniform([0.04, 0.1, 0.1], [0.1, 0.22, 0.2])
            centre, bone = place + np.array([0, 0, -0.14 - half[2]]), len(pack.bone_names) + hand
        else:
            half = g.uniform([0.012, 0.02, 0.03], [0.09, 0.09, 0.13])
            along = rest[pack.bone(HANGING[hand].replace("Hand", "FingerBase"))] - place
            centre, bone = place + along * 1.5, pack.bone(HANGING[hand])
        w.add(w.cloth(w.nowhere(), 0.0, 0.5), rigid(blob(centre, half, g.uniform(0, 1)), bone))
