"""The card beside a model, `<name>.json`: what it is, what goes in and out, from which data, how good.

A model without a card that fits its bytes is not run: whoever deploys must be able to say what is running.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rsb_pose_ros.inference import presence, uncertainty
from rsb_pose_ros.skeleton import JOINT_COUNT, JOINT_NAMES

STEREO_POSE = "stereo_pose"
POSE_REFINEMENT = "pose_refinement"

Tensor = dict[str, Any]
"""{"dtype": "uint8", "shape": [1, 2, 256, 256, 3]}; a dimension that may vary is a string or null."""


class ModelError(RuntimeError):
    """A model, its card, or the runtime for it is not what it must be."""


@dataclass(frozen=True)
class ModelCard:
    """One model's card.

    task: "stereo_pose" or "pose_refinement"; sha256: of the onnx file; contract: {"inputs": {name: Tensor},
    "outputs": {name: Tensor}}; image_size: side of a crop, pixels; disparity_range_px: (lowest, highest) disparity in
    crop pixels that the stereo volume holds; configuration, training, measured: free-form records;
    attribution: notices that must travel with the model; cpu_twin: the file beside it to run on CPUs instead (twins.py);
    uncertainty: how far its stated covariance is off, by confidence (uncertainty.py; tools/calibrate_uncertainty.py);
    presence: what says that somebody is there (presence.py; tools/calibrate_presence.py);
    other: keys which this version does not know, kept as found.
    """

    name: str
    task: str
    sha256: str
    contract: dict[str, dict[str, Tensor]]
    image_size: int | None = None
    joint_names: tuple[str, ...] = JOINT_NAMES
    disparity_range_px: tuple[float, float] | None = None
    configuration: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    attribution: tuple[Any, ...] = ()
    cpu_twin: str | None = None
    uncertainty: dict[str, Any] | None = None
    presence: dict[str, Any] | None = None
    other: dict[str, Any] = field(default_factory=dict)


def expected_contract(task: str, image_size: int) -> dict[str, dict[str, Tensor]]:
    """What every model of a task takes and gives. Pictures are BGR; joints are metres, left rectified optical frame."""

    def tensor(dtype: str, *shape: int | str) -> Tensor:
        return {"dtype": dtype, "shape": list(shape)}

    n = JOINT_COUNT
    if task == POSE_REFINEMENT:
        joints = tensor("float32", "batch", n, 3)
        return {"inputs": {"joints": joints}, "outputs": {"refined": dict(joints)}}
    return {
        "inputs": {
            "crops": tensor("uint8", 1, 2, image_size, image_size, 3),
            "projections": tensor("float32", 1, 2, 3, 4),
        },
        "outputs": {
            "joints": tensor("float32", 1, n, 3),
            "joints_initial": tensor("float32", 1, n, 3),
            "keypoints": tensor("float32", 1, 2, n, 2),
            "confidence": tensor("float32", 1, n),
            "covariance": tensor("float32", 1, n, 3, 3),
        },
    }


def card_path(model: str | Path) -> Path:
    """Where a model's card lies: the same name with .json."""
    return Path(model).with_suffix(".json")


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_card(card: ModelCard, model: str | Path) -> Path:
    """Write the card beside the model and return its path. Keys in `other` are written at the top level."""
    content = asdict(card)
    content.update(content.pop("other"))
    for key in ("cpu_twin", "uncertainty", "presence"):
        if not content[key]:
            del content[key]
    path = card_path(model)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_card(model: str | Path, task: str) -> ModelCard:
    """Read and verify the card of a model file.

    Raises ModelError, naming the file, what was found and what was expected: no model or card, a card that is no JSON
    or lacks keys, another task, a hash that is not the file's, a contract that is not the task's, another joint order.
    """
    model = Path(model)
    if not model.is_file():
        raise ModelError(
            f"model {model}: no such file; expected an .onnx file: a shipped one lies in models/, "
            "tools/export_onnx.py writes one"
        )
    card = _parse(card_path(model))
    path = card_path(model)
    if card.task != task:
        raise ModelError(f"card {path}: its task is {card.task!r}, expected {task!r}: give another model")
    found = sha256_of(model)
    if card.sha256 != found:
        raise ModelError(
            f"card {path}: it is for a model with SHA-256 {card.sha256[:12]}…, but {model.name} has {found[:12]}…; "
            "the model was changed or is incomplete: copy model and card together, or export again"
        )
    if card.joint_names != JOINT_NAMES:
        raise ModelError(
            f"card {path}: its joints are {', '.join(card.joint_names)}; expected {', '.join(JOINT_NAMES)}: "
            "export with this package's skeleton"
        )
    check_contract(card.contract, expected_contract(task, card.image_size or 0), f"card {path}")
    return card


def _parse(path: Path) -> ModelCard:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"card {path}: cannot be read ({error.strerror}); expected the model's card beside it: "
            "copy both files, or export again"
        ) from error
    except ValueError as error:
        raise ModelError(f"card {path}: is no JSON ({error}); expected the card that the export wrote") from error
    if not isinstance(content, dict):
        raise ModelError(
            f"card {path}: holds a {type(content).__name__}, expected a mapping with name, task, sha256, …"
        )
    required = ["name", "task", "sha256", "contract", "joint_names"]
    if content.get("task") == STEREO_POSE:
        required += ["image_size", "disparity_range_px"]
    missing = [key for key in required if not content.get(key)]
    if missing:
        raise ModelError(f"card {path}: has no {', '.join(missing)}; export the model again to get a complete card")
    for key, (fits, expected) in _KINDS.items():
        if key in content and content[key] is not None and not fits(content[key]):
            raise ModelError(f"card {path}: {key} is {content[key]!r}; expected {expected}: export the model again")
    known = {key: content.pop(key) for key in list(content) if key in ModelCard.__dataclass_fields__ and key != "other"}
    for key in ("joint_names", "attribution", "disparity_range_px"):
        if isinstance(known.get(key), list):
            known[key] = tuple(known[key])
    return ModelCard(**known, other=content)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)


def _is_contract(value: Any) -> bool:
    sides = [value.get("inputs"), value.get("outputs")] if isinstance(value, dict) else []
    tensors = [tensor for side in sides if isinstance(side, dict) for tensor in side.values()]
    return (
        len(sides) == 2
        and all(isinstance(side, dict) for side in sides if side is not None)
        and all(isinstance(tensor, dict) and isinstance(tensor.get("shape", []), list) for tensor in tensors)
    )


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "a text"),
    "task": (lambda value: isinstance(value, str), f"{STEREO_POSE} or {POSE_REFINEMENT}"),
    "sha256": (lambda value: isinstance(value, str), "64 hexadecimal digits"),
    "contract": (_is_contract, "inputs and outputs, each with dtype and shape by name"),
    "image_size": (lambda value: isinstance(value, int) and value > 0, "a positive number of pixels"),
    "joint_names": (
        lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
        "a list of names",
    ),
    "uncertainty": (
        uncertainty.is_record,
        "confidence, K rising numbers, factors, K × 3 numbers above 0, and correlation, 0 to 1",
    ),
    "presence": (presence.is_record, f"bias and weights, a number for each of {', '.join(presence.EVIDENCE)}"),
    "disparity_range_px": (lambda value: _are_numbers(value) and len(value) == 2, "[lowest, highest] in crop pixels"),
}
"""What a card's values must be, and how to say it. Whether they fit the model is another question."""


def check_contract(found: dict[str, Any], expected: dict[str, Any], source: str) -> None:
    """Raise ModelError unless names, dtypes and shapes agree; a dimension that is no number fits every other."""
    for kind in ("inputs", "outputs"):
        tensors, wanted = found.get(kind) or {}, expected[kind]
        missing = [name for name in wanted if name not in tensors]
        # More outputs than expected do no harm; an input that nobody feeds does.
        surplus = [name for name in tensors if name not in wanted] if kind == "inputs" else []
        if missing or surplus:
            raise ModelError(
                f"{source}: its {kind} are {', '.join(tensors) or 'none'}; expected {', '.join(wanted)}: "
                "export the model with this version"
            )
        for name, tensor in wanted.items():
            if not _fits(tensors[name], tensor):
                raise ModelError(
                    f"{source}: {kind[:-1]} {name} is {_text(tensors[name])}; expected {_text(tensor)}: "
                    "export the model with this version"
                )


def _fits(found: Tensor, expected: Tensor) -> bool:
    shape, wanted = list(found.get("shape", [])), list(expected["shape"])
    same = all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in zip(shape, wanted))
    return found.get("dtype") == expected["dtype"] and len(shape) == len(wanted) and same


def _text(tensor: Tensor) -> str:
    return f"{tensor.get('dtype')} ({', '.join(map(str, tensor.get('shape', [])))})"
