"""Textures and photographs, read once and kept small: tiles with mip levels, sampled bilinearly by the renderers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

TILE = 128
LEVELS = 4
PHOTO = (400, 300)


class TextureLibrary:
    """Pictures of one split: material tiles, cloths among them, and photographs of scenes."""

    def __init__(self, backgrounds: Path, split: str) -> None:
        self.tiles = self._names(backgrounds / "textures" / split)
        self.scenes = self._names(backgrounds / "scenes" / split)
        cloth = [p for p in self.tiles if p.name.lower().startswith(("fabric", "cloth", "carpet", "leather", "knit"))]
        self.cloths = cloth or self.tiles
        self.floors = self._of(("woodfloor", "planks", "carpet", "tiles", "concrete", "terrazzo", "marble", "tatami"))
        self.woods = self._of(("wood_", "planks", "chipboard", "plastic", "paint", "metal", "bamboo"))
        self.walls = self._of(("plaster", "wallpaper", "paint", "bricks", "concrete", "woodsiding", "tiles", "paper"))
        self.leaves = self._of(("grass", "moss", "scatteredleaves", "ground"))

    def _of(self, beginnings: tuple[str, ...]) -> list[Path]:
        """Tiles of these materials; all tiles where there is none."""
        return [p for p in self.tiles if p.name.lower().startswith(beginnings)] or self.tiles

    @staticmethod
    def _names(folder: Path) -> list[Path]:
        names = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not names:
            raise FileNotFoundError(f"{folder}: no pictures found; expected the backgrounds' JPEG files")
        return names


@lru_cache(maxsize=1500)
def tile(path: Path) -> np.ndarray:
    """A tile (128, 128, 3) uint8 BGR."""
    return cv2.resize(cv2.imread(str(path), cv2.IMREAD_COLOR), (TILE, TILE), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=200)
def photograph(path: Path) -> np.ndarray:
    """A photograph (300, 400, 3) uint8 BGR."""
    return cv2.resize(cv2.imread(str(path), cv2.IMREAD_COLOR), PHOTO, interpolation=cv2.INTER_AREA)


def pyramid(tiles: list[np.ndarray]) -> np.ndarray:
    """Mip levels (K, 4, 128, 128, 3) uint8; level l is repeated 2^l times in each direction, so all are indexed alike."""
    levels = np.empty((len(tiles), LEVELS, TILE, TILE, 3), np.uint8)
    for k, picture in enumerate(tiles):
        for level in range(LEVELS):
            small = cv2.resize(picture, (TILE >> level,) * 2, interpolation=cv2.INTER_AREA)
            levels[k, level, : TILE >> level, : TILE >> level] = small
    return levels


FOLDS_METRES = 0.9
"""Side of the square of cloth that FOLDS covers; it repeats."""


def _folds() -> np.ndarray:
    """(256, 256) float32: how folds of cloth change the light on it, mean 0, deviation 1; light comes from above."""
    generator = np.random.default_rng(5)
    v, u = np.meshgrid(np.arange(256) / 256, np.arange(256) / 256, indexing="ij")
    height = np.zeros((256, 256))
    for _ in range(14):
        # Whole waves, so that the picture repeats; each wave is bent by another one.
        across, along = generator.integers(-6, 7), generator.integers(-4, 5)
        bend = np.sin(2 * np.pi * (generator.integers(1, 3) * u + generator.integers(-2, 3) * v + generator.random()))
        wave = 2 * np.pi * (across * u + along * v + generator.random()) + generator.uniform(0.5, 2) * bend
        height += (1 - np.abs(np.sin(wave / 2))) ** 2 / (1 + 0.3 * np.hypot(across, along))
    slope = (np.roll(height, 2, 0) - height) + 0.5 * (np.roll(height, 2, 1) - height)
    slope = cv2.GaussianBlur(np.tile(slope, (3, 3)), (0, 0), 1.5)[256:512, 256:512]
    return ((slope - slope.mean()) / slope.std()).astype(np.float32)


FOLDS = _folds()
