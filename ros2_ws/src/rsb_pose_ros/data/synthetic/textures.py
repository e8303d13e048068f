"""Textures and photographs, read once and kept small: tiles with mip levels, sampled bilinearly by the renderers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numba
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


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def sample_tile(levels, k, u, v, footprint, out):  # type: ignore[no-untyped-def]
    """Bilinear sample of tile k at (u, v) in repeats; footprint: texels of level 0 per pixel. Writes BGR to out."""
    level = 0
    while footprint > 1.5 and level < 3:
        footprint *= 0.5
        level += 1
    size = 128 >> level
    x, y = (u - np.floor(u)) * size, (v - np.floor(v)) * size
    x0, y0 = int(x), int(y)
    fx, fy = x - x0, y - y0
    x0 %= size
    y0 %= size
    x1, y1 = (x0 + 1) % size, (y0 + 1) % size
    for c in range(3):
        top = levels[k, level, y0, x0, c] * (1 - fx) + levels[k, level, y0, x1, c] * fx
        bottom = levels[k, level, y1, x0, c] * (1 - fx) + levels[k, level, y1, x1, c] * fx
        out[c] = top * (1 - fy) + bottom * fy


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def sample_photo(photo, u, v, out):  # type: ignore[no-untyped-def]
    """Bilinear sample of a photograph (H, W, 3) at (u, v) in 0…1, mirrored outside. Writes BGR to out."""
    height, width = photo.shape[0], photo.shape[1]
    u, v = abs(u % 2 - 1), abs(v % 2 - 1)
    x, y = u * (width - 1), v * (height - 1)
    x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = x - x0, y - y0
    for c in range(3):
        top = photo[y0, x0, c] * (1 - fx) + photo[y0, x0 + 1, c] * fx
        bottom = photo[y0 + 1, x0, c] * (1 - fx) + photo[y0 + 1, x0 + 1, c] * fx
        out[c] = top * (1 - fy) + bottom * fy
