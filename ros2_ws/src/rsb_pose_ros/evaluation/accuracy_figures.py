"""Pictures of accuracy on windows: error over distance, detection rate over tolerance, honesty of the covariance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.evaluation.breakdown import BY_BODY, BY_OBJECT, VISIBLE, WindowTable
from rsb_pose_ros.evaluation.reliability import inside, normalised_errors

SMALLEST_BIN = 50
"""Joints below which a median is not drawn."""
COLOURS = {"visible": "#1b7837", "behind the body": "#e08214", "behind an object": "#b2182b"}


def write_accuracy_figure(path: Path, table: WindowTable, title: str) -> None:
    """Three charts beside each other, PNG or whatever the path's ending says."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    people = table.only(table.present)
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 4.6), constrained_layout=True)
    figure.suptitle(title)
    _over_distance(left, people)
    _detection_rate(middle, people)
    _honesty(right, people)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    pyplot.close(figure)


def depth_per_pixel(table: WindowTable) -> np.ndarray:
    """(N, 17) metres of depth that a crop pixel of disparity is worth at each true joint: Z² / (f·B)."""
    focal_baseline = -table.projections[:, 1, 0, 3]
    return table.truth[..., 2] ** 2 / focal_baseline[:, None]


def _over_distance(axes: Any, table: WindowTable) -> None:
    depth_error = np.abs(table.joints[..., 2] - table.truth[..., 2])
    slope, distance = depth_per_pixel(table), table.truth[..., 2]
    pixels = metrics.median(metrics.disparity_errors(table.keypoints, table.truth_keypoints))
    edges = np.linspace(0.75, 5.75, 11)
    centres = (edges[:-1] + edges[1:]) / 2
    for values, style in (
        (depth_error, {"label": "depth, published joints", "color": "#2166ac", "marker": "o"}),
        (slope * pixels, {"label": f"Z²/(f·B) × {pixels:.2f} px (the median)", "color": "#777777", "linestyle": "--"}),
        (metrics.distances(table.joints, table.truth), {"label": "3D", "color": "#b2182b", "marker": "."}),
    ):
        axes.plot(centres, [_median_between(values, distance, *pair) for pair in pairwise(edges)], **style)
    axes.set(xlabel="distance of the joint, m", ylabel="median error, mm", title="Error over distance", ylim=(0, None))
    axes.legend()


def _median_between(values: np.ndarray, by: np.ndarray, low: float, high: float) -> float:
    with np.errstate(invalid="ignore"):
        chosen = values[(by >= low) & (by < high) & np.isfinite(values)]
    return 1000 * float(np.median(chosen)) if len(chosen) >= SMALLEST_BIN else float("nan")


def _detection_rate(axes: Any, table: WindowTable, heads: Sequence[float] = tuple(np.linspace(0, 2, 41))) -> None:
    worst = table.visibility.min(1)
    distance = np.linalg.norm(table.keypoints - table.truth_keypoints, axis=-1).max(1)
    side = table.side[:, None]
    for name, level in (("visible", VISIBLE), ("behind the body", BY_BODY), ("behind an object", BY_OBJECT)):
        wanted = (worst == level) & np.isfinite(table.truth).all(-1)
        if not wanted.any():
            continue
        share = (np.nan_to_num(distance, nan=np.inf) / (metrics.HEAD_SHARE * side))[wanted]
        axes.plot(heads, [100 * float((share <= h).mean()) for h in heads], label=name, color=COLOURS[name])
    axes.axvline(0.5, color="#999999", linestyle=":", label="JDR: half a head")
    axes.set(xlabel="tolerance in both views, head sizes", ylabel="joints, %", title="Detection rate", ylim=(0, 100))
    axes.legend(loc="lower right")


def _honesty(axes: Any, table: WindowTable) -> None:
    along, radius = normalised_errors(table.joints, table.covariance, table.truth)
    axes.plot([0, 100], [0, 100], color="#999999", linestyle=":", label="honest")
    if len(radius):
        expected = np.linspace(0, 1, 101)
        observed = np.searchsorted(np.sort(inside(radius)), expected, side="right") / len(radius)
        axes.plot(100 * expected, 100 * observed, color="#762a83", label="ellipsoids")
        shares = 100 * (np.abs(along) <= 1).mean(0)
        for name, share, marker in zip("xyz", shares, "<^o"):
            axes.plot(68.3, share, marker, color="#1b7837", label=f"within 1 σ along {name}: {share:.0f} %")
    axes.set(xlabel="joints that should be inside, %", ylabel="joints inside, %", title="Covariance", ylim=(0, 100))
    axes.legend(loc="upper left")
