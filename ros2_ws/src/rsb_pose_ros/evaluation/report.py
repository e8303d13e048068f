"""Numbers of an evaluation: one record for machines (JSON), one table for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.evaluation.run import Observation, PoseTable
from rsb_pose_ros.skeleton import JOINT_NAMES

CHI2_95_OF_3 = 7.815
"""A 3D error lies within the 95 % ellipsoid of its covariance if its squared Mahalanobis distance is below this."""

_ROWS = (
    ("MPJPE absolute", "mpjpe_mm", "mm"),
    ("MPJPE root-relative", "root_relative_mm", "mm"),
    ("MPJPE Procrustes-aligned", "pa_mpjpe_mm", "mm"),
    ("median absolute error", "median_mm", "mm"),
    ("PCK 3D within 150 mm", "pck_150mm", "%"),
    ("bone length error", "bone_length_mm", "mm"),
    ("left/right symmetry error", "symmetry_mm", "mm"),
    ("joints found", "coverage", "%"),
)


def accuracy(predicted: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """All 3D metrics of poses (N, 17, 3) in metres; distances in mm. Missing joints: see metrics."""
    errors = metrics.distances(predicted, truth)
    relative = metrics.distances(metrics.root_relative(predicted), metrics.root_relative(truth))
    aligned = metrics.distances(metrics.procrustes_aligned(predicted, truth), truth)
    finite = errors[np.isfinite(errors)]
    return {
        "poses": len(truth),
        "joints_expected": int(metrics.expected_joints(truth).sum()),
        "joints_missing": int((metrics.expected_joints(truth) & ~np.isfinite(errors)).sum()),
        "coverage": metrics.coverage(errors, truth),
        "mpjpe_mm": 1000 * metrics.mean(errors),
        "median_mm": 1000 * float(np.median(finite)) if finite.size else float("nan"),
        "root_relative_mm": 1000 * metrics.mean(relative),
        "root_relative_coverage": metrics.coverage(relative, truth),
        "pa_mpjpe_mm": 1000 * metrics.mean(aligned),
        "pa_coverage": metrics.coverage(aligned, truth),
        "pck_150mm": metrics.pck(errors, truth),
        "bone_length_mm": 1000 * metrics.mean(metrics.bone_length_errors(predicted, truth)),
        "symmetry_mm": 1000 * metrics.mean(metrics.symmetry_errors(predicted)),
        "per_joint_mm": dict(zip(JOINT_NAMES, (1000 * metrics.mean_per_joint(errors)).tolist())),
        "per_axis_mm": dict(zip("xyz", (1000 * np.array([_mean_abs(predicted, truth, a) for a in range(3)])).tolist())),
    }


def _mean_abs(predicted: np.ndarray, truth: np.ndarray, axis: int) -> float:
    return metrics.mean(np.abs(predicted - truth)[..., axis])


def image_accuracy(table: PoseTable) -> dict[str, float]:
    """2D metrics in the rectified views: JDR, error along the picture and of the disparity, in pixels."""
    difference = np.linalg.norm(table.keypoints - table.truth_keypoints, axis=-1)
    return {
        "jdr": metrics.joint_detection_rate(table.keypoints, table.truth_keypoints, np.nan_to_num(table.window_side)),
        "keypoint_px": metrics.mean(difference),
        "disparity_px": metrics.mean(metrics.disparity_errors(table.keypoints, table.truth_keypoints)),
    }


def honesty(table: PoseTable) -> dict[str, float]:
    """Whether stated uncertainty and confidence are true.

    within_95: share of errors inside the 95 % ellipsoid (0.95 if honest); mean_mahalanobis_squared: 3 if honest;
    confidence_of_right, confidence_of_wrong: mean confidence of joints within 150 mm and of the others.
    """
    squared = metrics.mahalanobis_squared(table.joints, table.truth, table.covariance)
    known = squared[np.isfinite(squared)]
    errors = metrics.distances(table.joints, table.truth)
    expected = metrics.expected_joints(table.truth)
    right = np.nan_to_num(errors, nan=np.inf) <= metrics.PCK_THRESHOLD_M
    return {
        "within_95": float((known < CHI2_95_OF_3).mean()) if known.size else float("nan"),
        "mean_mahalanobis_squared": float(known.mean()) if known.size else float("nan"),
        "confidence_of_right": metrics.mean(table.confidence[expected & right]),
        "confidence_of_wrong": metrics.mean(table.confidence[expected & ~right]),
    }


def detection(observations: Sequence[Observation]) -> dict[str, Any]:
    """How often somebody was found and under how many ids."""
    found = [o.person for o in observations if o.person is not None]
    return {
        "pairs": len(observations),
        "found": len(found),
        "ids": len({p.id for p in found}),
        "network_runs": sum(o.runs for o in observations),
        "mean_score": float(np.mean([p.score for p in found])) if found else float("nan"),
    }


def timing(observations: Sequence[Observation]) -> dict[str, float]:
    """Milliseconds of this run on this machine; the only numbers that differ from run to run."""
    if not observations:
        return {}
    elapsed = 1000 * np.array([o.elapsed_s for o in observations])
    return {
        "estimate_p50_ms": float(np.percentile(elapsed, 50)),
        "estimate_p95_ms": float(np.percentile(elapsed, 95)),
        "cut_mean_ms": float(1000 * np.mean([o.cut_s for o in observations])),
        "network_mean_ms": float(1000 * np.mean([o.network_s for o in observations])),
    }


def summarise(observations: Sequence[Observation], table: PoseTable) -> dict[str, Any]:
    """The whole record but for where it came from. Accuracy is there only if there is ground truth."""
    record: dict[str, Any] = {"detection": detection(observations)}
    if len(table.truth):
        record["refined"] = accuracy(table.joints, table.truth)
        record["as_triangulated"] = accuracy(table.initial, table.truth)
        record["image"] = image_accuracy(table)
        record["honesty"] = honesty(table)
    record["timing"] = timing(observations)
    return record


def write_json(record: dict[str, Any], path: Path) -> None:
    """Write the record, its folder too; numbers that do not exist become null (JSON knows no NaN)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_without_nan(record), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value


def table_text(record: dict[str, Any]) -> str:
    """The record as lines for a terminal."""
    found = record["detection"]
    lines = [
        f"pairs {found['pairs']}, somebody found in {found['found']}, ids {found['ids']}, "
        f"network runs {found['network_runs']}"
    ]
    if "refined" in record:
        lines += ["", f"{'':28}{'refined':>12}{'triangulated':>14}"]
        for label, key, unit in _ROWS:
            values = [record[kind][key] * (100 if unit == "%" else 1) for kind in ("refined", "as_triangulated")]
            lines.append(f"{label:28}{values[0]:>9.1f} {unit:2}{values[1]:>11.1f} {unit}")
        image, honest = record["image"], record["honesty"]
        lines += [
            "",
            f"2D: JDR {100 * image['jdr']:.1f} %, keypoints {image['keypoint_px']:.2f} px, "
            f"disparity {image['disparity_px']:.2f} px",
            f"stated 95 % ellipsoids hold {100 * honest['within_95']:.1f} % of the joints",
            "",
            "per joint, mm: "
            + ", ".join(f"{name} {value:.0f}" for name, value in record["refined"]["per_joint_mm"].items()),
        ]
    else:
        lines.append("no ground truth in the recording: no accuracy")
    if record["timing"]:
        times = record["timing"]
        lines.append(f"time per pair: p50 {times['estimate_p50_ms']:.1f} ms, p95 {times['estimate_p95_ms']:.1f} ms")
    return "\n".join(lines)
