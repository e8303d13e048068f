"""The pairs on which a model does worst, as a sheet of pictures: what fails is seen sooner than read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.evaluation.breakdown import WindowTable
from rsb_pose_ros.evaluation.drawing import draw_skeleton

TILE, COLUMNS, CAPTION = 160, 3, 18
"""Pixels of a view's side; pairs beside each other; pixels of the line below."""
TRUTH_BGR, ANSWER_BGR = (255, 255, 255), (0, 140, 255)


def worst(table: WindowTable, count: int) -> np.ndarray:
    """Indices of the pairs with a person whose joints are farthest off on average, worst first."""
    errors = metrics.distances(table.joints, table.truth)
    means = np.array([metrics.mean(row) for row in errors])
    means[~table.present | ~np.isfinite(means)] = -np.inf
    order = np.argsort(-means)[:count]
    return order[np.isfinite(means[order])]


def write_worst(path: Path, table: WindowTable, crops_of: Callable[[int], np.ndarray], count: int = 20) -> None:
    """Write the sheet. crops_of: index → (2, S, S, 3) BGR windows of that pair."""
    tiles = [_tile(table, index, crops_of(index)) for index in worst(table, count).tolist()]
    if not tiles:
        raise ValueError("no pair with a person whose joints are known; expected some to show")
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.concatenate(rows, 0), [cv2.IMWRITE_JPEG_QUALITY, 80]):
        raise ValueError(f"{path}: cannot be written as a picture; expected a name that ends in .jpg or .png")


def _tile(table: WindowTable, index: int, crops: np.ndarray) -> np.ndarray:
    scale = TILE / crops.shape[1]
    views = [cv2.resize(crop, (TILE, TILE), interpolation=cv2.INTER_AREA) for crop in crops]
    for side, view in enumerate(views):
        for keypoints, colour in ((table.truth_keypoints, TRUTH_BGR), (table.keypoints, ANSWER_BGR)):
            draw_skeleton(view, (keypoints[index, side] + 0.5) * scale - 0.5, colour_bgr=colour)
    error = 1000 * metrics.mean(metrics.distances(table.joints[index], table.truth[index]))
    caption = np.zeros((CAPTION, 2 * TILE, 3), np.uint8)
    words = (
        f"{error:.0f} mm at {table.distance[index]:.1f} m, score {np.nan_to_num(table.confidence[index]).mean():.2f}"
    )
    words += ", whole view" if table.search[index] else ""
    cv2.putText(caption, words, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([np.concatenate(views, 1), caption], 0)
