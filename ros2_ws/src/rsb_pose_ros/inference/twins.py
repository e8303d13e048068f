"""The other file of a quantized model, for computers without a GPU."""

from __future__ import annotations

import logging
from pathlib import Path

from rsb_pose_ros.inference.card import ModelCard, ModelError

LOG = logging.getLogger(__name__)


def cpu_twin(model: Path, card: ModelCard) -> Path | None:
    """The file beside a model that its card names as the one to run on CPUs; None where it names none.

    TensorRT wants INT8 symmetric and signed, which ONNX Runtime's CPU kernels compute more slowly than float32; what they
    like, TensorRT does not take. So a quantized model is two files. The key is `cpu_twin`, at the card's top or among what
    it says of the quantization. A named file that is not there is warned of, and the model itself is run. Raises
    ModelError for a name that is no file beside the model.
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
    return twin
