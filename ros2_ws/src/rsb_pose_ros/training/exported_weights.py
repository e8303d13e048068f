"""Weights read back from an exported float32 file, so that training goes on from what ships.

An export folds, transposes and renames weights. Which constant of a file holds which weights is found by exporting the same
network once more with every weight another number: whatever comes out says where it came from.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor

from rsb_pose_ros.inference.card import STEREO_POSE, ModelError, read_card
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.config import build
from rsb_pose_ros.training import checkpoint
from rsb_pose_ros.training.export import StereoPoseGraph, example_pair, export_stereo_pose, parity_error

TOLERANCE = 1e-4
"""Metres between the file's answer and PyTorch's; the contract of every export."""
Constants = dict[tuple[str, tuple[int, ...]], list[np.ndarray]]
"""By module and shape."""


def load_start(path: Path) -> dict[str, Any]:
    """Weights to go on from, as a checkpoint holds them: of a checkpoint, or of a float32 .onnx file by its card.

    Raises what checkpoint.load raises, and ValueError for an .onnx file that is quantized, or no network of tools/train.py.
    """
    if path.suffix != ".onnx":
        return checkpoint.load(path)
    try:
        card = read_card(path, STEREO_POSE)
    except ModelError as error:
        raise ValueError(str(error)) from error
    if "quantization" in card.configuration:
        origin = card.configuration.get("name", "the network")
        raise ValueError(f"model {path}: its weights are quantized; expected the float32 export of {origin}")
    config = build(ModelConfig, card.configuration, f"card of {path}")
    return {
        "average": read_exported(path, RSBPose(config)),
        "config": config.to_dict(),
        "pairs": card.training.get("pairs", 0),
    }


def transformer_of(path: Path) -> dict[str, Tensor]:
    """The pose transformer's weights alone, from its own checkpoint or from a whole network's .onnx file."""
    weights = load_start(path)["average"]
    prefix = "transformer."
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)} or weights


def read_exported(path: Path, model: RSBPose) -> dict[str, Tensor]:
    """The state of a network like `model` that a float32 .onnx file of tools/export_onnx.py holds.

    Raises ValueError where the file is of another network, is quantized, or where PyTorch with what
    was read answers otherwise than the file.
    """
    numbered = _numbered(model)
    numbers = torch.cat([value.flatten() for value in numbered.state_dict().values()]).numpy()
    values = np.full(numbers.size, np.nan, np.float32)
    held = _constants(path)
    for use, probes in _constants_of_export(numbered).items():
        places = [np.searchsorted(numbers, probe.ravel()).clip(max=numbers.size - 1) for probe in probes]
        weights = [numbers[place] == probe.ravel() for place, probe in zip(places, probes, strict=True)]
        if not any(found.any() for found in weights):
            continue  # constants of the graph's own
        if len(held.get(use, [])) != len(probes):
            raise ValueError(
                f"model {path}: {len(held.get(use, []))} constants of shape {use[1]} in {use[0]}, expected {len(probes)}; "
                f"expected the float32 export of {model.config.name}"
            )
        for place, found, constant in zip(places, weights, held[use], strict=True):
            values[place[found]] = constant.ravel()[found]
    state = _split(values, model.state_dict())
    unread = [name for name, value in state.items() if value.isnan().any()]
    if unread:
        raise ValueError(f"model {path}: {', '.join(unread[:5])} cannot be read back ({len(unread)} weights)")
    _verify(path, model, state)
    return state


def _numbered(model: RSBPose) -> RSBPose:
    """A copy whose weights are all different, in ascending order: 1 + k·2⁻²³, which float32 holds exactly."""
    copied = copy.deepcopy(model).cpu().eval()
    state = copied.state_dict()
    count = sum(value.numel() for value in state.values())
    if count >= 2**23:
        raise ValueError(f"{model.config.name} has {count} weights; expected fewer than {2**23} to number them")
    numbers = (1 + torch.arange(1, count + 1, dtype=torch.float64) * 2.0**-23).float()
    copied.load_state_dict(_split(numbers.numpy(), state))
    return copied


def _split(values: np.ndarray, like: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = torch.from_numpy(values).split([value.numel() for value in like.values()])
    return {name: part.view_as(value) for part, (name, value) in zip(parts, like.items(), strict=True)}


def _constants_of_export(model: RSBPose) -> Constants:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbered.onnx"
        export_stereo_pose(model, path, {"licence": "", "training": {}, "measured": {}})
        return _constants(path)


def _constants(path: Path) -> Constants:
    """Float constants by the module that reads them and their shape, in the graph's order.

    Names of nodes and constants hang on the exporter's counting and on what was fused, equal constants may be stored once.
    """
    graph = onnx.load(path).graph
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    found: Constants = {}
    for node in graph.node:
        module = "/".join(part for part in node.name.split("/") if part and not part[0].isupper())
        for name in node.input:
            if name in known:
                found.setdefault((module, known[name].shape), []).append(known[name])
    return found


def _verify(path: Path, model: RSBPose, state: dict[str, Tensor]) -> None:
    read = copy.deepcopy(model).cpu().eval()
    read.load_state_dict(state)
    crops, projections = example_pair(model.config.image_size)
    with torch.no_grad():
        ours = StereoPoseGraph(read)(crops, projections)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = dict(zip((i.name for i in session.get_inputs()), (crops.numpy(), projections.numpy()), strict=True))
    answers = [(a.numpy(), b) for a, b in zip(ours[:2], session.run(None, feed), strict=False)]
    worst = max(parity_error(found, expected, answers[1][0]) for expected, found in answers)
    if not worst < TOLERANCE:
        raise ValueError(
            f"model {path}: PyTorch with its weights answers {worst:.2g} m otherwise; expected {TOLERANCE}"
        )
