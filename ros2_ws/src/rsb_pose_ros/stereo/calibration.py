"""Reading and checking calibrations: what is refused, and the sentence that says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class CalibrationError(ValueError):
    """A calibration from which no correct 3D point can come."""


def check_projections(left: np.ndarray, right: np.ndarray) -> None:
    """Refuse a pair of rectified projection matrices P, (3, 4) each, that is no horizontal stereo pair.

    Convention (sensor_msgs/CameraInfo): P[0, 3] is 0 for the left and −fx·B (B in metres) for the right camera.
    """
    for side, matrix in (("left", left), ("right", right)):
        if not np.isfinite(matrix).all() or not np.any(matrix):
            raise CalibrationError(
                f"the {side} projection matrix P is {'zero' if np.isfinite(matrix).all() else 'not finite'}; "
                "expected the rectified P of a stereo calibration: calibrate the pair and publish its camera_info"
            )
        if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
            raise CalibrationError(f"the {side} P has focal lengths {matrix[0, 0]:g}, {matrix[1, 1]:g}; expected > 0")
    if left[0, 3] != 0:
        hint = "the topics look swapped" if right[0, 3] == 0 else "both infos carry Tx"
        raise CalibrationError(f"the left P has Tx·fx = {left[0, 3]:g}; expected 0: {hint}")
    if right[0, 3] == 0 and right[1, 3] != 0:
        raise CalibrationError("the right P has a vertical baseline (Ty); expected a horizontal one (Tx)")
    if right[0, 3] == 0:
        raise CalibrationError(
            "the right P has Tx = 0; expected −fx·baseline: these infos come from a mono calibration"
        )
    if right[0, 3] > 0:
        raise CalibrationError(
            f"the right P has Tx·fx = {right[0, 3]:g}; expected a negative value (−fx·baseline): "
            "left and right are swapped, or the baseline's sign is wrong"
        )
    if not np.allclose(left[[0, 1, 1], [0, 1, 2]], right[[0, 1, 1], [0, 1, 2]], rtol=1e-3, atol=0.1):
        raise CalibrationError(
            "the left and right P differ in fx, fy or cy; expected one rectified pair with equal rows"
        )
    baseline = -right[0, 3] / right[0, 0]
    if not 0.005 <= baseline <= 5:
        raise CalibrationError(
            f"the baseline is {baseline:g} m; expected 0.005 to 5 m: P's Tx must be in metres times pixels, "
            "not millimetres"
        )


def is_rotation(matrix: np.ndarray) -> bool:
    """Whether (3, 3) rows are orthonormal and right-handed, but for the digits that a file cuts off."""
    return bool(np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) and np.linalg.det(matrix) > 0)


def numbers(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Values as float64 of a shape, (-1,) for any length. Raises CalibrationError that says what `name` holds."""
    try:
        return np.asarray(values, np.float64).reshape(shape)
    except (ValueError, TypeError) as error:
        raise CalibrationError(f"{name}: found {values!r}, expected numbers of shape {shape}") from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Parse a calibration file: ROS camera_info YAML, plain YAML, or OpenCV FileStorage YAML."""
    import yaml

    path = Path(path)
    try:
        text = path.read_text()
    except OSError as error:
        raise CalibrationError(
            f"calibration {path}: cannot be read ({error.strerror}); expected a YAML file"
        ) from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"calibration {path}: is no text; expected a YAML file") from error
    try:
        # OpenCV's FileStorage writes a directive and tags that plain YAML readers do not know.
        for foreign in ("%YAML:1.0", "!!opencv-matrix", "!!opencv-nd-matrix"):
            text = text.replace(foreign, "")
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CalibrationError(f"calibration {path}: is not valid YAML ({error})") from error
    if not isinstance(loaded, dict):
        raise CalibrationError(f"calibration {path}: holds {type(loaded).__name__}, expected a mapping of matrices")
    return loaded


def matrix_from_yaml(entry: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """One matrix of a calibration file: nested lists, a flat list, or {rows, cols, data}. (-1,) takes any length."""
    values = entry.get("data") if isinstance(entry, dict) else entry
    if values is None:
        raise CalibrationError(f"calibration has no {name}; expected {shape} numbers")
    return numbers(values, shape, f"calibration {name}")
