"""Closed-form triangulation on a rectified pair, and what a pixel's uncertainty means in metres.

Shapes: projections are (..., 2, 3, 4) as in sensor_msgs/CameraInfo.P: left P[0, 3] = 0, right P[0, 3] = −fx·B.
Disparity is u_left − u_right; true disparity removes the difference of the principal points.
"""

from __future__ import annotations

import numpy as np


def project(joints: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """Pixels (..., 2, N, 2) in both views of joints (..., N, 3) in metres, rectified left optical frame."""
    homogeneous = np.concatenate([joints, np.ones_like(joints[..., :1])], axis=-1)
    image = np.einsum("...vij,...nj->...vni", projections, homogeneous)
    return image[..., :2] / image[..., 2:]


def triangulate(keypoints: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """Joints (..., N, 3) in metres from keypoints (..., 2, N, 2) in pixels: Z = f·B / disparity (paper, section III-C).

    Rows are averaged over the views. A disparity ≤ 0 (behind infinity) gives NaN, never a point.
    """
    left, right = projections[..., 0, :, :], projections[..., 1, :, :]
    offset = (left[..., 0, 2] - right[..., 0, 2])[..., None]
    disparity = keypoints[..., 0, :, 0] - keypoints[..., 1, :, 0] - offset
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(disparity > 0, -right[..., 0, 3, None] / disparity, np.nan)
    x = (keypoints[..., 0, :, 0] - left[..., 0, 2, None]) * depth / left[..., 0, 0, None]
    y = (keypoints[..., :, 1].mean(axis=-2) - left[..., 1, 2, None]) * depth / left[..., 1, 1, None]
    return np.stack([x, y, depth], axis=-1)


def disparity_covariance_to_xyz(joints: np.ndarray, variance: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """Covariance (..., N, 3, 3) in m² of triangulated joints (..., N, 3).

    variance: (..., N, 3) of (u_left, v, disparity) in px². First-order propagation through X(u, v, d): the depth
    column grows as Z²/(f·B), and X and Y lean along the viewing ray.
    """
    fx, fy = projections[..., 0, 0, 0, None], projections[..., 0, 1, 1, None]
    depth = joints[..., 2]
    per_pixel_disparity = depth * depth / -projections[..., 1, 0, 3, None]
    zero = np.zeros_like(depth)
    jacobian = np.stack(
        [
            np.stack([depth / fx, zero, -joints[..., 0] / depth * per_pixel_disparity], -1),
            np.stack([zero, depth / fy, -joints[..., 1] / depth * per_pixel_disparity], -1),
            np.stack([zero, zero, -per_pixel_disparity], -1),
        ],
        -2,
    )
    return np.einsum("...ij,...j,...kj->...ik", jacobian, variance, jacobian)
