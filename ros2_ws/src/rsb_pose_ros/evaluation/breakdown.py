"""Accuracy on windows with known truth, as a whole and split by distance, baseline, occlusion and kind of window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.evaluation.reliability import AXES, reliability
from rsb_pose_ros.skeleton import JOINT_NAMES, ROOT

Predict = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
"""crops (B, 2, S, S, 3) uint8 and projections (B, 2, 3, 4) → joints (B, 17, 3) metres, keypoints (B, 2, 17, 2) crop
pixels, confidence (B, 17), and perhaps covariance (B, 17, 3, 3) m²; NaN where a joint was not found."""

DISTANCE_EDGES_M = (0.0, 1.5, 2.5, 3.5, 7.0)
BASELINE_EDGES_M = (0.0, 0.1, 0.15, 0.2, 0.4)
HIDDEN_EDGES = (0.0, 0.2, 0.4, 1.01)
"""Share of a person's joints that something hides in either view."""
OUTSIDE, BY_OBJECT, BY_BODY, VISIBLE = range(4)
"""Classes of data.sample; this package does not import the data's."""


@dataclass(frozen=True)
class WindowTable:
    """Answers and truth for N pairs of windows.

    joints, truth: (N, 17, 3) metres; keypoints, truth_keypoints: (N, 2, 17, 2) crop pixels; confidence: (N, 17);
    covariance: (N, 17, 3, 3) m², NaN where none was given; visibility: (N, 2, 17), 0 outside … 3 visible;
    projections: (N, 2, 3, 4); present, search: (N,) bool; distance: (N,) of the pelvis, metres; side: (N,) crop pixels.
    Joints that either window does not show are NaN in `truth`: nothing can be said about their disparity.
    """

    joints: np.ndarray
    truth: np.ndarray
    keypoints: np.ndarray
    truth_keypoints: np.ndarray
    confidence: np.ndarray
    covariance: np.ndarray
    visibility: np.ndarray
    projections: np.ndarray
    present: np.ndarray
    search: np.ndarray
    distance: np.ndarray
    side: np.ndarray

    def only(self, rows: np.ndarray, joints: np.ndarray | None = None) -> WindowTable:
        """The chosen rows (N,) bool; other joints than those of (N, 17) bool become unannotated."""
        chosen = {f.name: getattr(self, f.name)[rows] for f in fields(self)}
        if joints is not None:
            chosen["truth"] = np.where(joints[rows][..., None], chosen["truth"], np.nan)
            chosen["truth_keypoints"] = np.where(joints[rows][:, None, :, None], chosen["truth_keypoints"], np.nan)
        return WindowTable(**chosen)


def observe(predict: Predict, batches: Iterable[dict[str, np.ndarray]]) -> WindowTable:
    """Ask for the joints of every batch (arrays by name, as SyntheticTestSet.batches gives them)."""
    rows: list[dict[str, np.ndarray]] = []
    for batch in batches:
        joints, keypoints, confidence, *more = predict(batch["crops"], batch["projections"])
        shown = (batch["visibility"] != OUTSIDE).all(1)
        rows.append(
            {
                "joints": joints,
                "keypoints": keypoints,
                "confidence": confidence,
                "covariance": more[0] if more else np.full((*joints.shape, 3), np.nan),
                "truth": np.where(shown[..., None], batch["joints"], np.nan),
                "truth_keypoints": np.where(shown[:, None, :, None], batch["keypoints"], np.nan),
                "side": np.full(len(joints), batch["crops"].shape[2]),
                "distance": batch["joints"][:, ROOT, 2],
                **{name: batch[name] for name in ("visibility", "projections", "present", "search")},
            }
        )
    return WindowTable(**{name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


def figures(table: WindowTable) -> dict[str, float]:
    """Millimetres, crop pixels and shares over the annotated joints; missing ones count as wrong in shares alone."""
    errors = 1000 * metrics.distances(table.joints, table.truth)
    relative = metrics.distances(metrics.root_relative(table.joints), metrics.root_relative(table.truth))
    aligned = metrics.distances(metrics.procrustes_aligned(table.joints, table.truth), table.truth)
    disparity = metrics.disparity_errors(table.keypoints, table.truth_keypoints)
    return {
        "pairs": len(errors),
        "joints": int(metrics.expected_joints(table.truth).sum()),
        "mpjpe_mm": metrics.mean(errors),
        "median_mm": metrics.median(errors),
        "root_relative_mm": 1000 * metrics.mean(relative),
        "pa_mpjpe_mm": 1000 * metrics.mean(aligned),
        "pck_150mm": metrics.pck(errors / 1000, table.truth),
        "keypoint_px": metrics.mean(np.linalg.norm(table.keypoints - table.truth_keypoints, axis=-1)),
        "disparity_px": metrics.mean(disparity),
        "disparity_median_px": metrics.median(disparity),
        "coverage": metrics.coverage(errors, table.truth),
        **reliability(table.joints, table.covariance, table.truth),
    }


def breakdown(table: WindowTable) -> dict[str, Any]:
    """`figures` of all pairs with a person and of each part: {"all": …, "distance": {"1.5–2.5 m": …}, …}.

    "occlusion" splits by the share of a person's joints that something hides in either view, "border" by whether a
    picture's edge cuts joints off; "joint" splits the joints by what hides them in the view that shows them worst; "score"
    is the mean confidence with and without a person.
    """
    people = table.only(table.present)
    worst = people.visibility.min(1)
    hidden = ((worst == BY_OBJECT) | (worst == BY_BODY)).mean(1)
    cut = (worst == OUTSIDE).any(1)
    baseline = -people.projections[:, 1, 0, 3] / people.projections[:, 1, 0, 0]
    everyone = np.ones(len(hidden), bool)
    score = np.nan_to_num(table.confidence).mean(1)
    return {
        "all": figures(people),
        "window": {"followed": figures(people.only(~people.search)), "search": figures(people.only(people.search))},
        "distance": _binned(people, people.distance, DISTANCE_EDGES_M, "{:g}–{:g} m"),
        "baseline": _binned(people, baseline, BASELINE_EDGES_M, "{:g}–{:g} m"),
        "occlusion": _binned(people, hidden, HIDDEN_EDGES, "{:.0%}–{:.0%} hidden"),
        "border": {"whole": figures(people.only(~cut)), "cut off": figures(people.only(cut))},
        "joint": {
            name: figures(people.only(everyone, worst == level))
            for name, level in (("visible", VISIBLE), ("behind the body", BY_BODY), ("behind an object", BY_OBJECT))
        },
        "mm_per_joint": dict(
            zip(JOINT_NAMES, (1000 * metrics.mean_per_joint(metrics.distances(people.joints, people.truth))).tolist())
        ),
        "score": {"person": metrics.mean(score[table.present]), "nobody": metrics.mean(score[~table.present])},
    }


def _binned(table: WindowTable, values: np.ndarray, edges: tuple[float, ...], name: str) -> dict[str, Any]:
    parts = {}
    for low, high in pairwise(edges):
        rows = (values >= low) & (values < high)
        if rows.any():
            parts[name.format(low, min(high, 1.0) if "%" in name else high)] = figures(table.only(rows))
    return parts


def text(result: dict[str, Any]) -> str:
    """The breakdown as a table for people."""
    lines = [
        f"{'':26}{'pairs':>6}{'MPJPE':>8}{'median':>8}{'root':>8}{'PA':>8}{'PCK150':>8}{'px':>7}{'disp px':>8}{'found':>7}"
    ]
    lines.append(_line("all", result["all"]))
    for part in ("window", "distance", "baseline", "occlusion", "border", "joint"):
        lines += [_line(f"{part}: {name}", row) for name, row in result[part].items()]
    shares = ", ".join(f"{100 * result['all'][f'within_sigma_{a}']:.0f} % along {a}" for a in AXES)
    inside = [100 * result["all"][f"in_{share}_percent"] for share in (50, 95)]
    lines.append(
        f"joints within one standard deviation: {shares} (68 % is honest); in the 50 % ellipsoid {inside[0]:.0f} %, in "
        f"the 95 % ellipsoid {inside[1]:.0f} %"
    )
    lines.append(f"score with a person {result['score']['person']:.2f}, without {result['score']['nobody']:.2f}")
    return "\n".join(lines)


def _line(name: str, row: dict[str, float]) -> str:
    numbers = [row[key] for key in ("mpjpe_mm", "median_mm", "root_relative_mm", "pa_mpjpe_mm")]
    return (
        f"{name:26}{row['pairs']:>6}"
        + "".join(f"{value:8.1f}" for value in numbers)
        + f"{100 * row['pck_150mm']:7.1f}%{row['keypoint_px']:7.2f}{row['disparity_px']:8.2f}{100 * row['coverage']:6.1f}%"
    )
