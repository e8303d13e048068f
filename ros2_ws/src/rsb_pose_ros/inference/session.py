"""One ONNX Runtime session over a verified model, with fixed input and output memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from rsb_pose_ros.inference.card import ModelCard, ModelError, Tensor, check_contract, expected_contract, read_card
from rsb_pose_ros.inference.providers import Provider, check_running, resolve

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64"}


class ModelSession:
    """A model file that was checked against its card, ready to run.

    card: the verified ModelCard; providers: the execution providers that really run, best first.
    Raises ModelError: see read_card and providers.resolve, and when ONNX Runtime cannot load the graph.
    """

    def __init__(
        self,
        model: str | Path,
        task: str,
        *,
        providers: str | Sequence[str | Provider] | None = None,
        threads: int = 0,
        engine_cache: str | Path | None = None,
    ) -> None:
        """threads: CPU threads, 0 leaves the number to ONNX Runtime; engine_cache: folder of TensorRT engines."""
        if threads < 0:
            raise ValueError(f"threads is {threads}; expected 0 (ONNX Runtime chooses) or a positive number")
        self.path = Path(model)
        self.card: ModelCard = read_card(self.path, task)
        wanted = resolve(providers, self.card.sha256, engine_cache)
        self._session = _load(self.path, wanted, threads)
        self.providers: list[str] = list(self._session.get_providers())
        check_running(wanted, self.providers, self.path)
        graph = {"inputs": _tensors(self._session.get_inputs()), "outputs": _tensors(self._session.get_outputs())}
        check_contract(graph, expected_contract(task, self.card.image_size or 0), f"model {self.path}")
        self._outputs = list(expected_contract(task, 0)["outputs"])

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run once; inputs by name, outputs by name, freshly allocated."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs)))

    def bind(self) -> BoundSession:
        """The session with its memory allocated once, for models of static shape."""
        return BoundSession(self._session, expected_contract(self.card.task, self.card.image_size or 0))


class BoundSession:
    """Runs a static-shape session without allocating: fill `inputs[name]` in place, run(), read `outputs[name]`.

    The arrays are reused by every run: copy what is to be kept.
    """

    def __init__(self, session: onnxruntime.InferenceSession, contract: dict[str, dict[str, Tensor]]) -> None:
        self._session = session
        self._binding = session.io_binding()
        self.inputs = {name: np.zeros(t["shape"], t["dtype"]) for name, t in contract["inputs"].items()}
        self.outputs = {name: np.zeros(t["shape"], t["dtype"]) for name, t in contract["outputs"].items()}
        for name, array in self.inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in self.outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self) -> dict[str, np.ndarray]:
        """Run once on `inputs`; returns `outputs`."""
        self._session.run_with_iobinding(self._binding)
        return self.outputs


def _load(path: Path, providers: list[Provider], threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.use_deterministic_compute = True
    # Threads that wait by spinning take the cores from whatever else the robot runs, and wait all the longer for it:
    # with one of two cores busy, a run took twice as long.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"model {path}: ONNX Runtime {onnxruntime.__version__} cannot load it ({first_line}); "
            "expected an ONNX graph that this version knows: update onnxruntime or export with a lower opset"
        ) from error


def _tensors(values: list) -> dict[str, Tensor]:
    return {v.name: {"dtype": _DTYPES.get(v.type, v.type), "shape": list(v.shape)} for v in values}
