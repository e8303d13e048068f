"""Which file a model's name leads to."""

from pathlib import Path

from rsb_pose_ros.node.model_file import find_model


def test_shipped_models_are_found_by_name(tmp_path: Path) -> None:
    assert find_model("ppt").is_file()
    assert find_model("ppt.onnx") == find_model("ppt")
    assert find_model(str(tmp_path / "mine.onnx")) == tmp_path / "mine.onnx"
