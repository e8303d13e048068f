"""A refiner on recorded poses, and what could be gained at best: oracles that know part of the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from rsb_pose_ros.data.recorded_poses import RecordedPoses
from rsb_pose_ros.evaluation.report import accuracy
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT, JOINT_NAMES, ROOT

FOLDS = 8
"""Stretches of time of the cross-validated regression."""
MOST_MASKED = 5
"""Joints of a pose that are masked at most where completion is measured."""
RIDGE = 1e-3
"""Square metres: variance below which a direction of the input counts as noise."""


def before_and_after(poses: RecordedPoses, refine: Callable[[np.ndarray], np.ndarray]) -> dict[str, dict]:
    """evaluation.report.accuracy of the triangulated and of the refined poses."""
    return {
        "triangulated": accuracy(poses.triangulated, poses.truth),
        "refined": accuracy(refine(poses.triangulated), poses.truth),
    }


def on_clean_poses(poses: np.ndarray, refine: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> dict[str, Any]:
    """What a refiner does to poses (N, 17, 3) without errors, put 3 m away and turned to a random heading, in mm.

    moved_mm: mean movement of all joints of complete poses; masked_median_mm: median error of one to five joints, chosen
    at random in each pose and masked; masked_per_joint_mm: the same by joint.
    """
    rng = np.random.default_rng(seed)
    heading = rng.uniform(0, 2 * np.pi, len(poses))
    turns = Rotation.from_rotvec(np.outer(heading, [0, 1, 0])).as_matrix()
    clean = (np.einsum("nij,nkj->nki", turns, poses) + np.array([0, 0, 3.0])).astype(np.float32)
    masked = rng.random((len(poses), JOINT_COUNT)).argsort(1) < rng.integers(1, MOST_MASKED + 1, (len(poses), 1))
    found = refine(np.where(masked[..., None], np.float32(np.nan), clean))
    errors = 1000 * np.linalg.norm(found - clean, axis=-1)
    return {
        "poses": len(poses),
        "moved_mm": 1000 * float(np.linalg.norm(refine(clean) - clean, axis=-1).mean()),
        "masked_median_mm": float(np.median(errors[masked])),
        "masked_per_joint_mm": {
            name: float(np.median(errors[masked[:, joint], joint])) for joint, name in enumerate(JOINT_NAMES)
        },
    }


def error_statistics(poses: RecordedPoses) -> list[dict[str, float | str]]:
    """Per joint, in mm: bias and spread along x, y, z (camera), mean distance, 95th percentile."""
    error = 1000 * (poses.triangulated - poses.truth).astype(np.float64)
    distance = np.linalg.norm(error, axis=-1)
    rows: list[dict[str, float | str]] = []
    for joint, name in enumerate(JOINT_NAMES):
        row: dict[str, float | str] = {"joint": name}
        for axis, label in enumerate("xyz"):
            row[f"bias_{label}"] = float(error[:, joint, axis].mean())
            row[f"std_{label}"] = float(error[:, joint, axis].std())
        row["mean"] = float(distance[:, joint].mean())
        row["p95"] = float(np.percentile(distance[:, joint], 95))
        rows.append(row)
    return rows


def oracles(poses: RecordedPoses) -> dict[str, np.ndarray]:
    """Name → poses (N, 17, 3) that a refiner with that piece of knowledge would return. None of them is a refiner."""
    seen, truth = poses.triangulated.astype(np.float64), poses.truth.astype(np.float64)
    error = seen - truth
    hips = seen[:, [INDEX["r_hip"], INDEX["l_hip"]]].mean(1)
    between = seen.copy()
    between[:, ROOT] = hips
    axes = trunk_axes(seen)
    in_body = np.einsum("nji,nkj->nki", axes, error)
    return {
        "pelvis put between the hips (no oracle)": between,
        "true pelvis": _with_true(seen, truth, ROOT),
        "true displacement of the whole body": seen - error.mean(1, keepdims=True),
        "best constant offset per joint, camera axes": seen - error.mean(0),
        "best constant offset per joint, trunk axes": seen - np.einsum("nij,kj->nki", axes, np.median(in_body, axis=0)),
        f"linear regression, cross-validated over {FOLDS} stretches of time": seen + regression(poses),
    }


def _with_true(seen: np.ndarray, truth: np.ndarray, joint: int) -> np.ndarray:
    out = seen.copy()
    out[:, joint] = truth[:, joint]
    return out


def regression(poses: RecordedPoses) -> np.ndarray:
    """Corrections (N, 17, 3) by ridge regression from the pelvis-relative pose, each stretch predicted by the others."""
    features = (poses.triangulated - poses.triangulated[:, ROOT, None]).reshape(len(poses), -1).astype(np.float64)
    target = (poses.truth - poses.triangulated).reshape(len(poses), -1).astype(np.float64)
    fold = poses.frame * FOLDS // (poses.frame.max() + 1)
    out = np.empty_like(target)
    for one in range(FOLDS):
        known = fold != one
        mean, mean_target = features[known].mean(0), target[known].mean(0)
        centred = features[known] - mean
        gram = centred.T @ centred + RIDGE * len(centred) * np.eye(centred.shape[1])
        weights = np.linalg.solve(gram, centred.T @ (target[known] - mean_target))
        out[~known] = (features[~known] - mean) @ weights + mean_target
    return out.reshape(len(poses), JOINT_COUNT, 3)


def trunk_axes(poses: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 3, 3) with columns left, down, backward of the trunk."""
    left = poses[:, INDEX["l_hip"]] - poses[:, INDEX["r_hip"]]
    left = left / np.linalg.norm(left, axis=-1, keepdims=True)
    down = (poses[:, INDEX["l_hip"]] + poses[:, INDEX["r_hip"]]) / 2 - poses[:, INDEX["neck"]]
    down = down - (down * left).sum(-1, keepdims=True) * left
    down = down / np.linalg.norm(down, axis=-1, keepdims=True)
    return np.stack([left, down, np.cross(left, down)], axis=-1)
