"""How cloth spans what the body's surface dips into: from convex cross-sections of the trunk, and hanging from them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

SLICE_M = 0.025
ANGLES = 72
FALL = 0.35
"""Metres by which a loose hem comes nearer to the body for each metre that it hangs below what carries it."""
MOST_M = 0.09


def trunk_radii(vertices: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """(heights (H,) from high to low, radii (H, ANGLES)) of the convex cross-sections of trunk vertices (N, 3), z up."""
    heights = np.arange(high, low, -SLICE_M)
    angle = np.linspace(-np.pi, np.pi, ANGLES, endpoint=False)
    directions = np.stack([np.cos(angle), np.sin(angle)])
    radii = np.zeros((len(heights), ANGLES))
    for k, height in enumerate(heights):
        near = vertices[np.abs(vertices[:, 2] - height) < SLICE_M, :2]
        if len(near) < 8:
            radii[k] = radii[k - 1] if k else 0.1
            continue
        # Half-planes n · x + d ≤ 0: a ray along u leaves the hull at the least −d / (n · u) of those it runs towards.
        planes = ConvexHull(near).equations
        towards = planes[:, :2] @ directions
        with np.errstate(divide="ignore"):
            distance = np.where(towards > 1e-6, -planes[:, 2:] / towards, np.inf)
        radii[k] = distance.min(0)
    return heights, np.clip(radii, 0.02, 0.5)


def hung(heights: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Radii (H, ANGLES) of loose cloth: what it hangs from carries it away from the body below."""
    out = radii.copy()
    for k in range(1, len(heights)):
        out[k] = np.maximum(out[k], out[k - 1] - FALL * (heights[k - 1] - heights[k]))
    return out


def lifts(vertices: np.ndarray, heights: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(V, 3) horizontal displacements that move vertices out to the radii, where they lie deeper; none beyond the slices."""
    radius = np.hypot(vertices[:, 0], vertices[:, 1])
    column = (np.arctan2(vertices[:, 1], vertices[:, 0]) + np.pi) / (2 * np.pi) * ANGLES
    row = np.clip((heights[0] - vertices[:, 2]) / SLICE_M, 0, len(heights) - 1)
    r0, c0 = row.astype(int), column.astype(int)
    r1, c1 = np.minimum(r0 + 1, len(heights) - 1), (c0 + 1) % ANGLES
    fr, fc = row - r0, column - c0
    c0 %= ANGLES
    wanted = (radii[r0, c0] * (1 - fc) + radii[r0, c1] * fc) * (1 - fr) + (
        radii[r1, c0] * (1 - fc) + radii[r1, c1] * fc
    ) * fr
    inside = (vertices[:, 2] < heights[0]) & (vertices[:, 2] > heights[-1] - SLICE_M)
    # Faded out at the lower end, where the legs part.
    fade = np.clip((vertices[:, 2] - heights[-1]) / 0.06, 0, 1)
    amount = np.clip(wanted - radius, 0, MOST_M) * inside * fade * 0.9
    outward = vertices[:, :2] / np.maximum(radius, 1e-3)[:, None]
    return np.concatenate([outward * amount[:, None], np.zeros((len(vertices), 1))], 1).astype(np.float32)
