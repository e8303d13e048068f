"""Furniture as groups of boxes and upright cylinders, placed in a room or in front of a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Random = np.random.Generator
Part = tuple[float, float, float, float, float, float, float, int]
"""x, height of the centre above the floor, z, half sizes along x, y, z, roundness (1: a cylinder), material of the piece;
x to the piece's right, z to its back, metres."""
PICTURE = -1
"""Material of what shows a photograph: a picture on the wall, a window, a screen."""


@dataclass(frozen=True)
class Placed:
    """boxes: (K, 8) as Scene.objects; materials: (K,) int, PICTURE or a number that parts of one material share."""

    boxes: np.ndarray
    materials: np.ndarray


def table(g: Random) -> list[Part]:
    """A table or desk, at times with a screen on it."""
    w, d, h = g.uniform(0.4, 0.9), g.uniform(0.3, 0.5), g.uniform(0.65, 0.8)
    leg = g.uniform(0.015, 0.035)
    parts: list[Part] = [(0, h - 0.02, 0, w, 0.02, d, 0, 0)]
    for x in (-1, 1):
        for z in (-1, 1):
            parts.append(
                (x * (w - 0.06), (h - 0.04) / 2, z * (d - 0.06), leg, (h - 0.04) / 2, leg, float(g.random() < 0.3), 1)
            )
    if g.random() < 0.4:
        parts += [(0.1, h + 0.3, 0.1, 0.28, 0.18, 0.02, 0, PICTURE), (0.1, h + 0.06, 0.12, 0.04, 0.06, 0.03, 0, 1)]
    if g.random() < 0.5:
        parts.append((-0.25, h + 0.06, -0.1, 0.045, 0.06, 0.045, 1, 2))
    return parts


def chair(g: Random) -> list[Part]:
    """A chair whose back is at +z."""
    h, w, leg = g.uniform(0.42, 0.5), g.uniform(0.19, 0.25), g.uniform(0.012, 0.025)
    parts: list[Part] = [(0, h, 0, w, 0.025, w, 0, 0), (0, h + 0.3, w, w, g.uniform(0.1, 0.28), 0.02, 0, 0)]
    for x in (-1, 1):
        parts.append((x * (w - leg), (h + 0.3) / 2, w - leg, leg, (h + 0.3) / 2, leg, 0, 1))
        parts.append((x * (w - leg), h / 2, leg - w, leg, h / 2, leg, 0, 1))
    return parts


def sofa(g: Random) -> list[Part]:
    """A sofa or armchair."""
    w = g.uniform(0.4, 1.0)
    return [
        (0, 0.22, 0, w, 0.2, 0.4, 0, 0),
        (0, 0.6, 0.33, w, 0.3, 0.1, 0, 0),
        (-w, 0.35, 0, 0.09, 0.28, 0.4, 0, 0),
        (w, 0.35, 0, 0.09, 0.28, 0.4, 0, 0),
        (w * g.uniform(-0.5, 0.5), 0.52, 0.15, 0.2, 0.12, 0.07, 0, 1),
    ]


def shelf(g: Random) -> list[Part]:
    """A shelf with rows of books and boxes."""
    w, h, d = g.uniform(0.3, 0.6), g.uniform(0.8, 2.1), g.uniform(0.13, 0.2)
    parts: list[Part] = [
        (-w, h / 2, 0, 0.015, h / 2, d, 0, 0),
        (w, h / 2, 0, 0.015, h / 2, d, 0, 0),
        (0, h / 2, d, w, h / 2, 0.01, 0, 0),
    ]
    for level in np.arange(0.1, h, g.uniform(0.3, 0.42)):
        parts.append((0, level, 0, w, 0.012, d, 0, 0))
        x = -w + 0.05
        while x < w - 0.1 and g.random() < 0.8 and len(parts) < 20:
            half = g.uniform(0.03, 0.14)
            tall = g.uniform(0.08, 0.14)
            parts.append((x + half, level + tall + 0.012, 0, half, tall, d * 0.7, 0, 1 + int(g.integers(3))))
            x += 2 * half + g.uniform(0.005, 0.15)
    return parts


def cabinet(g: Random) -> list[Part]:
    """A sideboard, chest or wardrobe with visible doors."""
    w, h, d = g.uniform(0.3, 0.8), g.uniform(0.3, 1.0), g.uniform(0.2, 0.3)
    doors = int(g.integers(1, 4))
    parts: list[Part] = [(0, h, 0, w, h, d, 0, 0), (0, 2 * h + 0.015, 0, w + 0.02, 0.015, d + 0.02, 0, 1)]
    for k in range(doors):
        x = -w + (2 * k + 1) * w / doors
        parts.append((x, h, -d - 0.008, w / doors - 0.015, h - 0.04, 0.008, 0, 2))
    return parts


def lamp(g: Random) -> list[Part]:
    """A floor lamp."""
    h, r = g.uniform(1.2, 1.8), g.uniform(0.12, 0.22)
    return [
        (0, h / 2, 0, 0.015, h / 2, 0.015, 1, 1),
        (0, h, 0, r, 0.15, r, 1, 3),
        (0, 0.015, 0, 0.15, 0.015, 0.15, 1, 1),
    ]


def bed(g: Random) -> list[Part]:
    """A bed."""
    w = g.uniform(0.45, 0.9)
    return [
        (0, 0.15, 0, w, 0.15, 1.0, 0, 0),
        (0, 0.4, 0, w - 0.02, 0.1, 0.98, 0, 1),
        (0, 0.53, 0.75, w * 0.8, 0.06, 0.18, 0, 2),
    ]


def crate(g: Random) -> list[Part]:
    """A box, bin, stool or bollard, or a pile of two."""
    half = np.exp(g.uniform(np.log(0.1), np.log(0.4), 3))
    parts: list[Part] = [(0, half[1], 0, half[0], half[1], half[2], float(g.random() < 0.4), 0)]
    if g.random() < 0.3:
        parts.append((0.03, 2 * half[1] + 0.12, 0, half[0] * 0.7, 0.12, half[2] * 0.7, 0, 1))
    return parts


def pillar(g: Random) -> list[Part]:
    """A post or pillar up to the ceiling."""
    w = g.uniform(0.03, 0.13)
    return [(0, 1.5, 0, w, 1.5, w, float(g.random() < 0.4), 0)]


def railing(g: Random) -> list[Part]:
    """A railing or a fence."""
    w, h = g.uniform(0.5, 1.2), g.uniform(0.7, 1.1)
    parts: list[Part] = [(0, h, 0, w, 0.025, 0.025, 0, 0)]
    for x in np.linspace(-w, w, int(g.integers(4, 9))):
        parts.append((float(x), h / 2, 0, 0.012, h / 2, 0.012, 0, 0))
    return parts


def picture(g: Random) -> list[Part]:
    """A picture, window or board on the wall behind it, with a frame."""
    w, h, y = g.uniform(0.2, 0.8), g.uniform(0.2, 0.6), g.uniform(1.2, 1.7)
    return [
        (0, y, 0.02, w + 0.04, h + 0.04, 0.012, 0, 0),
        (0, y, 0, w, h, 0.012, 0, PICTURE if g.random() < 0.75 else 1),
    ]


def door(g: Random) -> list[Part]:
    """A door in the wall behind it."""
    w = g.uniform(0.4, 0.5)
    return [
        (0, 1.04, 0.02, w + 0.07, 1.07, 0.02, 0, 1),
        (0, 1.02, 0, w, 1.02, 0.015, 0, 0),
        (w - 0.07, 1.0, -0.03, 0.05, 0.012, 0.02, 0, 3),
    ]


STANDING: tuple[Callable[[Random], list[Part]], ...] = (
    table,
    chair,
    sofa,
    shelf,
    cabinet,
    lamp,
    bed,
    crate,
    crate,
    chair,
)
ON_WALLS: tuple[Callable[[Random], list[Part]], ...] = (picture, picture, door, shelf, cabinet)
IN_FRONT: tuple[Callable[[Random], list[Part]], ...] = (table, chair, crate, pillar, pillar, railing, cabinet)


def place(parts: list[Part], x: float, floor: float, z: float, yaw: float, first_material: int) -> Placed:
    """A piece at scene (x, z) on y = floor, its back turned to direction `yaw` about the vertical, as Scene.objects."""
    c, s = np.cos(yaw), np.sin(yaw)
    array = np.array([part[:7] for part in parts], np.float64)
    boxes = np.empty((len(parts), 8), np.float32)
    boxes[:, 0] = x + c * array[:, 0] + s * array[:, 2]
    boxes[:, 1] = floor - array[:, 1]
    boxes[:, 2] = z - s * array[:, 0] + c * array[:, 2]
    boxes[:, 3:6] = array[:, 3:6]
    boxes[:, 6], boxes[:, 7] = yaw, array[:, 6]
    materials = np.array([part[7] for part in parts])
    return Placed(boxes, np.where(materials == PICTURE, PICTURE, materials + first_material))


MATERIALS_PER_PIECE = 4


def furnish(g: Random, room: np.ndarray, person: np.ndarray, pieces: int, on_walls: int, in_front: int) -> Placed:
    """Pieces around a person at `person` (3,), on the walls of `room` (Scene.room), and between camera and person."""
    yaw, x0, x1, _, floor, _, z1 = (float(v) for v in room)
    c, s = np.cos(yaw), np.sin(yaw)
    px, pz = c * person[0] - s * person[2], s * person[0] + c * person[2]
    placed: list[Placed] = []

    def add(parts: list[Part], rx: float, rz: float, turned: float) -> None:
        placed.append(
            place(parts, c * rx + s * rz, floor, -s * rx + c * rz, yaw + turned, MATERIALS_PER_PIECE * len(placed))
        )

    for _ in range(pieces):
        side = g.choice([-1, 1])
        rx, rz = px + side * g.uniform(0.75, 2.6), pz + g.uniform(-0.6, 2.2)
        if rz < 0.9:
            continue
        quarter = int(g.integers(4)) * np.pi / 2
        turned = quarter + (g.normal(0, 0.1) if g.random() < 0.6 else g.uniform(0, np.pi))
        add(_pick(g, STANDING)(g), float(np.clip(rx, x0 + 0.3, x1 - 0.3)), min(rz, z1 - 0.4), turned)
    for _ in range(on_walls):
        wall = int(g.integers(4))
        if wall < 2:
            add(_pick(g, ON_WALLS)(g), px + g.uniform(-2, 2), z1 - 0.04, 0.0)
        elif wall == 2:
            add(_pick(g, ON_WALLS)(g), x0 + 0.04, g.uniform(1.0, max(z1 - 0.5, 1.1)), -np.pi / 2)
        else:
            add(_pick(g, ON_WALLS)(g), x1 - 0.04, g.uniform(1.0, max(z1 - 0.5, 1.1)), np.pi / 2)
    for _ in range(in_front):
        share = g.uniform(0.45, 0.85)
        piece = _pick(g, IN_FRONT)(g)
        add(piece, px * share + g.normal(0, 0.4) * share, max(pz * share, 0.5), g.uniform(0, 2 * np.pi))
    if not placed:
        return Placed(np.zeros((0, 8), np.float32), np.zeros(0, int))
    return Placed(np.concatenate([p.boxes for p in placed]), np.concatenate([p.materials for p in placed]))


def _pick(g: Random, choices: tuple[Callable[[Random], list[Part]], ...]) -> Callable[[Random], list[Part]]:
    return choices[int(g.integers(len(choices)))]
