"""The quantized file's card: what was done, what the file is worth beside the float32 one, and its twin for CPUs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.evaluation.comparison import answers, differences
from rsb_pose_ros.inference.card import STEREO_POSE, ModelError, read_card, sha256_of, write_card
from rsb_pose_ros.quantization.graph import precisions
from rsb_pose_ros.quantization.judge import LOST_MM
from rsb_pose_ros.quantization.windows import Windows


def write_card_of(model: Path, output: Path, record: dict[str, Any], comparison: dict[str, Any] | None = None) -> None:
    """The float32 model's card with the new name and hash, what was done, and what was measured."""
    card = read_card(model, STEREO_POSE)
    measured = {"float32_model": card.measured, **({"against_float32": comparison} if comparison else {})}
    configuration = {**card.configuration, "quantization": {**record, "float32_sha256": card.sha256}}
    quantized = replace(
        card, name=output.stem, sha256=sha256_of(output), configuration=configuration, measured=measured
    )
    write_card(quantized, output)


def compare(model: Path, output: Path, held_out: Windows, threads: int) -> dict[str, Any]:
    """Both models on the held-out windows, alternated run by run."""
    models = (model, output)
    (before, after), seconds = answers(models, held_out.feeds, threads=threads)
    result: dict[str, Any] = {key: round(value, 4) for key, value in differences(before, after).items()}
    result["size_mb"] = [round(m.stat().st_size / 1e6, 3) for m in models]
    result["cpu_p50_ms"] = [round(1000 * float(np.median(s)), 2) for s in seconds]
    errors = [
        np.minimum(1000 * np.linalg.norm(a["joints"] - held_out.truth, axis=-1), LOST_MM) for a in (before, after)
    ]
    known = np.isfinite(held_out.truth).all(-1)
    result["mpjpe_mm"] = [round(float(e[known].mean()), 2) if known.any() else None for e in errors]
    result["precisions"] = [precisions(m) for m in models]
    return result


def twin_of(model: Path, output: Path, wanted: str | None) -> tuple[str | None, str]:
    """The file for CPUs that the card of `output` names, and a sentence about it: the wanted one, else one beside the output
    that was made of the same float32 model."""
    if wanted:
        unfit = unfit_twin(output.with_name(wanted), model)
        remark = f", but {unfit}: make it with --target cpu" if unfit else ""
        return wanted, f"\ntwin for CPUs: {wanted}{remark}"
    beside = dict.fromkeys(output.with_name(f"{stem}_cpu.onnx") for stem in (output.stem, f"{model.stem}_int8"))
    unfits = {file.name: unfit_twin(file, model) for file in beside if file.is_file()}
    for name, unfit in unfits.items():
        if not unfit:
            return name, f"\ntwin for CPUs: {name}, as it lies beside and was made of the same float32 file"
    others = "".join(f" ({unfit})" for unfit in unfits.values())
    return None, (
        f"\nhint: no twin for CPUs is named{others}; where there is no GPU, this file runs more slowly than float32. Make "
        "one with --target cpu, and name it: --cpu-twin, or cpu_twin in the card"
    )


def unfit_twin(file: Path, model: Path) -> str:
    """Why the node would not run a file for CPUs in place of one that is made of `model`; empty where it would."""
    if not file.is_file():
        return f"{file.name} is not there yet"
    try:
        record = read_card(file, STEREO_POSE).configuration.get("quantization") or {}
    except ModelError as error:
        return str(error)
    if record.get("target") != "cpu":
        return f"{file.name} is not for CPUs"
    return "" if record.get("float32_sha256") == sha256_of(model) else f"{file.name} was made of another float32 file"
