"""One ONNX Runtime session over a verified model, with fixed input and output memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from rsb_pose_ros.inference.card import ModelCard, ModelError, Tensor, check_contract, expected_contract, read_card
from rsb_pose_ros.inference.engine import TENSORRT, EngineSettings, discard, ensure_built, try_out
from rsb_pose_ros.inference.gpu import gpu
from rsb_pose_ros.inference.providers import CUDA, Provider, check_running, only_cpu, resolve
from rsb_pose_ros.inference.twins import cpu_twin, float_twin

LOG = logging.getLogger(__name__)

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64"}


class ModelSession:
    """A model file that was checked against its card, ready to run.

    path: the file that runs; card: its verified ModelCard; providers: the execution providers that really run, best first.
    Raises ModelError: see read_card and providers.resolve, and when ONNX Runtime cannot load the graph.
    """

    path: Path
    card: ModelCard

    def __init__(
        self,
        model: str | Path,
        task: str,
        *,
        providers: str | Sequence[str | Provider] | None = None,
        threads: int = 0,
        engines: EngineSettings | None = None,
        exact_model: bool = True,
    ) -> None:
        """providers: see providers.resolve; threads: CPU threads, 0 leaves the number to ONNX Runtime.

        engines: how TensorRT builds its engines and where they are kept. exact_model: run this very file; otherwise, where
        nothing but the CPU runs, the twin for CPUs that its card names, and where CUDA runs without TensorRT, the float32
        file that it was made of (twins).
        """
        if threads < 0:
            raise ValueError(f"threads is {threads}; expected 0 (ONNX Runtime chooses) or a positive number")
        self._threads, self._engines, self._task = threads, engines or EngineSettings(), task
        self._open(Path(model), resolve(providers), exact_model)
        self.providers: list[str] = list(self._session.get_providers())
        LOG.info("%s runs on %s", self.path.name, ", ".join(self.providers))
        graph = {"inputs": _tensors(self._session.get_inputs()), "outputs": _tensors(self._session.get_outputs())}
        check_contract(graph, expected_contract(task, self.card.image_size or 0), f"model {self.path}")
        self._outputs = list(expected_contract(task, 0)["outputs"])

    def _open(self, model: Path, attempts: list[list[Provider]], exact: bool) -> None:
        """Start on the first providers that really run; say why better ones do not. The last failure is raised."""
        for wanted in attempts:
            self.path, self.card = model, read_card(model, self._task)
            if not exact:
                self._take_twin(model, wanted)
            try:
                self._session = self._start(wanted)
                return
            except ModelError as error:
                if wanted is attempts[-1]:
                    raise
                LOG.warning("%s does not run, trying the next: %s", wanted[0][0], error)

    def _take_twin(self, model: Path, wanted: list[Provider]) -> None:
        """The file that suits the providers better, if there is one beside the model."""
        if only_cpu(wanted):
            twin, why = cpu_twin(model, self.card, self._task), "only the CPU runs"
        elif wanted[0][0] == CUDA:
            twin, why = float_twin(model, self.card), "CUDA without TensorRT computes no INT8"
        else:
            return
        if twin is not None:
            LOG.info("%s: taking %s instead of %s (exact_model)", why, twin.name, model.name)
            self.path, self.card = twin, read_card(twin, self._task)

    def _start(self, wanted: list[Provider]) -> onnxruntime.InferenceSession:
        engines = self._engines.for_card(self.card)
        wanted = [
            (name, engines.options(self.card.sha256, options, self.path.stem) if name == TENSORRT else options)
            for name, options in wanted
        ]
        fresh = ensure_built(self.path, wanted, self._threads)
        try:
            session = _load(self.path, wanted, self._threads)
        except ModelError:
            if fresh or not discard(self.path, wanted):
                raise
            ensure_built(self.path, wanted, self._threads)
            session = _load(self.path, wanted, self._threads)
        check_running(wanted, list(session.get_providers()), self.path)
        if not only_cpu(wanted):
            self._try_out(session, wanted)
        return session

    def _try_out(self, session: onnxruntime.InferenceSession, wanted: list[Provider]) -> None:
        """A build without code for this very GPU starts like any other: only a run shows it."""
        try:
            try_out(session)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise ModelError(
                f"model {self.path}: starts on {wanted[0][0]}, but does not run there ({_first_line(error)}); expected an "
                f"onnxruntime that was built for this GPU ({gpu() or 'not to be seen'}), and memory enough: see "
                "docs/jetson.md, or ask for another provider"
            ) from error

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


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """How every model is run; threads: on the CPU, 0 leaves the number to ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.use_deterministic_compute = True
    # Threads that wait by spinning take the cores from whatever else the robot runs, and wait all the longer for it:
    # with one of two cores busy, a run took twice as long.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _load(path: Path, providers: list[Provider], threads: int) -> onnxruntime.InferenceSession:
    options = session_options(threads)
    try:
        # ONNX Runtime would retry with lesser providers of its own accord, here and whenever a run fails, and only print it.
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        raise ModelError(
            f"model {path}: ONNX Runtime {onnxruntime.__version__} cannot load it on {providers[0][0]} "
            f"({_first_line(error)}); expected an ONNX graph that this version knows, and libraries that fit it: update "
            "onnxruntime, or export with a lower opset"
        ) from error


def _first_line(error: Exception) -> str:
    words = str(error).strip()
    return words.splitlines()[0] if words else type(error).__name__


def _tensors(values: list) -> dict[str, Tensor]:
    return {v.name: {"dtype": _DTYPES.get(v.type, v.type), "shape": list(v.shape)} for v in values}
