"""Where a model's name leads to: a file's path, or a model that was installed with this package."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE = "rsb_pose_ros"


def find_model(name: str) -> Path:
    """The .onnx file for a path, or for the name of a model in share/rsb_pose_ros/models (with or without .onnx).

    What does not exist is returned as the path where it was expected; whoever opens it says so.
    """
    path = Path(name).expanduser()
    if path.is_file() or len(path.parts) > 1:
        return path
    file = path.name if path.suffix == ".onnx" else f"{path.name}.onnx"
    places = [folder / file for folder in model_folders()]
    return next((place for place in places if place.is_file()), places[0])


def model_folders() -> list[Path]:
    """Folders with shipped models, best first: the ROS install, a pip install, the source tree."""
    folders = [Path(sys.prefix) / "share" / PACKAGE / "models", Path(__file__).resolve().parents[4] / "models"]
    try:
        from ament_index_python.packages import get_package_share_directory
    except ImportError:
        return folders
    try:
        return [Path(get_package_share_directory(PACKAGE)) / "models", *folders]
    except (LookupError, OSError):  # not in this ROS install; or no ROS install sourced at all
        return folders
