"""The other files of a quantized model, for computers without TensorRT."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from rsb_pose_ros.inference.card import ModelCard, ModelError, read_card

LOG = logging.getLogger(__name__)


def cpu_twin(model: Path, card: ModelCard, task: str) -> Path | None:
    """The file beside a model that its card names as the one to run on CPUs; None where it names none.

    TensorRT wants INT8 symmetric and signed, which ONNX Runtime's CPU kernels compute more slowly than float32; what they
    like, TensorRT does not take. So a quantized model is two files. The key is `cpu_twin`, at the card's top or among what
    it says of the quantization. A named file that is not there is warned of, and the model itself is run. Raises
    ModelError for a name that is no file beside the model, and for a twin that was made of other weights.
    """
    name = card.cpu_twin or (card.configuration.get("quantization") or {}).get("cpu_twin")
    if not name:
        return None
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(".onnx") or name == model.name:
        raise ModelError(
            f"card {model.with_suffix('.json')}: cpu_twin is {name!r}; expected the name of another .onnx file in the same "
            "folder"
        )
    twin = model.with_name(name)
    if not twin.is_file():
        LOG.warning(
            "%s should run as %s on a CPU, says its card, but that file is not beside it; %s itself runs, slowly: copy "
            "both files and their cards",
            model.name,
            name,
            model.name,
        )
        return None
    ours, theirs = _origin(card), _origin(read_card(twin, task))
    if ours and theirs and ours != theirs:
        raise ModelError(
            f"model {twin}: was quantized from other weights ({theirs[:12]}…) than {model.name} ({ours[:12]}…), whose card "
            "names it for CPUs; expected the same: quantize both files anew (docs/quantization.md)"
        )
    return twin


def float_twin(model: Path, card: ModelCard) -> Path | None:
    """The float32 file that a quantized model was made of, where it lies beside it; None for a model that is not quantized.

    CUDA's provider has no INT8 convolutions: it would round and widen around float ones.
    """
    origin = _origin(card)
    if not origin:
        return None
    for other in sorted(model.parent.glob("*.json")):
        twin = other.with_suffix(".onnx")
        if twin.is_file() and _says(other, origin):
            return twin
    return None


def _says(card: Path, sha256: str) -> bool:
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("sha256") == sha256


def _origin(card: ModelCard) -> str:
    """SHA-256 of the float32 file that a model was quantized from; empty where its card does not say."""
    return str((card.configuration.get("quantization") or {}).get("float32_sha256") or "")
