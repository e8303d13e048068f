"""Where a model's name leads to: a file's path, a model that was installed with this package, or its twin for CPUs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rsb_pose_ros.inference.card import card_path

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


def cpu_twin(model: Path) -> Path | None:
    """The file beside a model that its card names as the one to run on CPUs, if it is there.

    INT8 for TensorRT is symmetric and signed, and its kernels on a CPU are slower than float32; INT8 for CPUs is not taken
    by TensorRT. So a quantized model is two files.
    """
    try:
        card = json.loads(card_path(model).read_text(encoding="utf-8"))
        name = card["configuration"]["quantization"]["cpu_twin"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no card, or none that says so: whoever opens the model says what is wrong with it
    twin = model.with_name(str(name))
    return twin if twin.is_file() else None


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
