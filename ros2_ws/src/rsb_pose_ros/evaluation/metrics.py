"""How far poses are from the truth. Metres in, metres out; nothing is dropped in silence.

Shapes: predicted and truth are (N, 17, 3). NaN in `predicted` is a joint that was not found, NaN in `truth` one that
nobody annotated: the first is counted as missing, the second is left out. Distances are averaged over the joints that
were found, so that every average must be read together with its coverage; shares (PCK, JDR) count missing as wrong.
"""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.skeleton import BONES, MIRROR, ROOT

PCK_THRESHOLD_M = 0.15
HEAD_SHARE = 0.1
"""Head size over the side of the person's window (protocol of the paper's JDR)."""


def _check(predicted: np.ndarray, truth: np.ndarray, coordinates: int = 3) -> None:
    assert predicted.shape == truth.shape, f"predicted {predicted.shape}, truth {truth.shape}: expected equal shapes"
    assert predicted.shape[-1] == coordinates, f"{predicted.shape}: expected (..., joints, {coordinates})"


def distances(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, 17) Euclidean distances; NaN where a joint is missing or not annotated."""
    _check(predicted, truth)
    return np.linalg.norm(predicted - truth, axis=-1)


def expected_joints(truth: np.ndarray) -> np.ndarray:
    """(N, 17) bool: joints with an annotation."""
    return np.isfinite(truth).all(-1)


def coverage(errors: np.ndarray, truth: np.ndarray) -> float:
    """Share of annotated joints (N, 17) for which there is an error value, i.e. which were found."""
    wanted = expected_joints(truth)
    return float((np.isfinite(errors) & wanted).sum() / wanted.sum()) if wanted.any() else float("nan")


def mean(errors: np.ndarray) -> float:
    """Mean over what is not NaN; NaN when nothing is left (instead of NumPy's warning)."""
    finite = errors[np.isfinite(errors)]
    return float(finite.mean()) if finite.size else float("nan")


def median(errors: np.ndarray) -> float:
    """Median of what is not NaN; NaN when nothing is left."""
    finite = errors[np.isfinite(errors)]
    return float(np.median(finite)) if finite.size else float("nan")


def mean_per_joint(errors: np.ndarray) -> np.ndarray:
    """(17,) means over the poses of errors (N, 17)."""
    return np.array([mean(column) for column in errors.T])


def root_relative(poses: np.ndarray) -> np.ndarray:
    """Poses (N, 17, 3) with the pelvis at the origin; all NaN where the pelvis is missing."""
    return poses - poses[:, ROOT : ROOT + 1]


def procrustes_aligned(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Predicted poses (N, 17, 3) after the best rotation, uniform scale and translation onto the truth, pose by pose.

    "Protocol 2". A reflection is rejected: a mirrored skeleton fits its points but is another body. Only joints that
    both have take part; a pose with fewer than 3 of them, or all in one point, is NaN.
    """
    _check(predicted, truth)
    aligned = np.full(predicted.shape, np.nan)
    for pose, (points, target) in enumerate(zip(predicted.astype(np.float64), truth.astype(np.float64))):
        both = np.isfinite(points).all(-1) & np.isfinite(target).all(-1)
        if both.sum() >= 3:
            aligned[pose] = _similarity(points, target, both)
    return aligned


def _similarity(points: np.ndarray, target: np.ndarray, both: np.ndarray) -> np.ndarray:
    """All `points` moved by the similarity that fits points[both] to target[both] best (Umeyama 1991)."""
    centre, target_centre = points[both].mean(0), target[both].mean(0)
    a, b = points[both] - centre, target[both] - target_centre
    size = (a**2).sum()
    if size < 1e-12:
        return np.full_like(points, np.nan)
    u, singular, vt = np.linalg.svd(a.T @ b)
    # The last singular direction is flipped if the best orthogonal matrix would be a reflection (determinant −1).
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = (singular * sign).sum() / size
    return scale * (points - centre) @ rotation + target_centre


def pck(errors: np.ndarray, truth: np.ndarray, threshold: float = PCK_THRESHOLD_M) -> float:
    """Share of annotated joints found within `threshold` metres; missing ones are wrong."""
    wanted = expected_joints(truth)
    with np.errstate(invalid="ignore"):
        right = (errors <= threshold) & wanted
    return float(right.sum() / wanted.sum()) if wanted.any() else float("nan")


def joint_detection_rate(keypoints: np.ndarray, truth: np.ndarray, window_side: np.ndarray) -> float:
    """JDR: share of 2D joints within half a head size of the truth, both views together; missing ones are wrong.

    keypoints, truth: (N, 2, 17, 2) pixels; window_side: (N,) side of the person's window in the same pixels.
    """
    _check(keypoints, truth, 2)
    wanted = np.isfinite(truth).all(-1)
    limit = (0.5 * HEAD_SHARE * window_side)[:, None, None]
    with np.errstate(invalid="ignore"):
        right = (np.linalg.norm(keypoints - truth, axis=-1) <= limit) & wanted
    return float(right.sum() / wanted.sum()) if wanted.any() else float("nan")


def disparity_errors(keypoints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, 17) absolute errors of the disparity u_left − u_right in pixels; keypoints and truth are (N, 2, 17, 2)."""
    _check(keypoints, truth, 2)
    return np.abs((keypoints - truth)[:, 0, :, 0] - (keypoints - truth)[:, 1, :, 0])


def bone_lengths(poses: np.ndarray) -> np.ndarray:
    """(N, 16) lengths in metres, in the order of skeleton.BONES."""
    parents, children = np.array(BONES).T
    return np.linalg.norm(poses[:, parents] - poses[:, children], axis=-1)


def bone_length_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, 16) absolute differences of bone lengths."""
    _check(predicted, truth)
    return np.abs(bone_lengths(predicted) - bone_lengths(truth))


def symmetry_errors(poses: np.ndarray) -> np.ndarray:
    """(N, pairs) absolute differences between left and right bones. It needs no truth."""
    lengths = bone_lengths(poses)
    index = {bone: i for i, bone in enumerate(BONES)}
    mirrored = [index[MIRROR[a], MIRROR[b]] for a, b in BONES]
    pairs = [(i, j) for i, j in enumerate(mirrored) if i < j]
    left, right = np.array(pairs).T
    return np.abs(lengths[:, left] - lengths[:, right])


def mahalanobis_squared(predicted: np.ndarray, truth: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(N, 17) squared errors in units of the stated covariance (N, 17, 3, 3); 3 on average if it is honest."""
    _check(predicted, truth)
    difference = np.nan_to_num((predicted - truth).astype(np.float64))
    usable = np.isfinite(predicted - truth).all(-1) & np.isfinite(covariance).all((-1, -2))
    # A tenth of a millimetre keeps a degenerate covariance invertible.
    safe = np.where(usable[..., None, None], covariance, np.eye(3)) + 1e-8 * np.eye(3)
    solved = np.linalg.solve(safe, difference[..., None])[..., 0]
    return np.where(usable, (difference * solved).sum(-1), np.nan)
