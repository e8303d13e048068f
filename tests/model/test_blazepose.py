"""The edge backbone: shapes, and the order in which published weights are read into it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rsb_pose_ros.model import blazepose_weights
from rsb_pose_ros.model.blazepose import FEATURES, LANDMARKS, BlazePoseBackbone
from rsb_pose_ros.model.blazepose_weights import load_blazepose, read_tflite


def test_features_are_at_a_quarter_of_the_input() -> None:
    with torch.no_grad():
        assert BlazePoseBackbone()(torch.zeros(2, 3, 96, 64)).shape == (2, FEATURES, 24, 16)


def published_weights() -> list[tuple[np.ndarray, np.ndarray]]:
    """Random weights in the published graph's order and shapes, the segmentation lateral among them."""
    generator = np.random.default_rng(0)
    shapes = [tuple(c.weight.shape) for c in BlazePoseBackbone().convolutions_in_graph_order()]
    shapes[4:4] = [(16, 1, 3, 3), (8, 16, 1, 1)]
    shapes.append((LANDMARKS, FEATURES, 1, 1))
    return [
        (generator.normal(size=s).astype(np.float32), generator.normal(size=s[0]).astype(np.float32)) for s in shapes
    ]


def test_every_convolution_gets_its_published_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = published_weights()
    monkeypatch.setattr(blazepose_weights, "convolution_weights", lambda content: weights)
    backbone, head = load_blazepose(b"")
    used = weights[:4] + weights[6:-1]
    convolutions = backbone.convolutions_in_graph_order()
    assert len(convolutions) == sum(isinstance(m, torch.nn.Conv2d) for m in backbone.modules()) == len(used)
    for convolution, (kernel, bias) in list(zip(convolutions, used, strict=True))[1:]:
        np.testing.assert_array_equal(convolution.weight.detach(), kernel)
        np.testing.assert_array_equal(convolution.bias.detach(), bias)
    # The stem reads BGR instead of RGB.
    np.testing.assert_array_equal(backbone.stem.weight.detach(), weights[0][0][:, ::-1])
    np.testing.assert_array_equal(head.conv.weight.detach(), weights[-1][0])


def test_another_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = published_weights()[1:]
    monkeypatch.setattr(blazepose_weights, "convolution_weights", lambda content: weights)
    with pytest.raises(ValueError, match=r"mediapipe 0\.10\.14"):
        load_blazepose(b"")


def test_a_missing_wheel_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pip download"):
        read_tflite(tmp_path / "mediapipe.whl")
