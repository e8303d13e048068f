"""Ranges of activations: one pass over the calibration crops, read by three methods."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization.calibrate import CalibrationMethod, HistogramCollector, TensorData, TensorsData

METHODS = ("minmax", "percentile", "entropy")
PERCENTILE = 99.99
BINS = 512
LEVELS = 128
"""Of the histograms, and of the distributions that the entropy method compares them with."""

Feed = dict[str, np.ndarray]


class Histograms:
    """Histograms of named tensors of a float graph, filled feed by feed (all at once would need gigabytes)."""

    def __init__(self, model: onnx.ModelProto, tensors: Sequence[str], threads: int = 1) -> None:
        augmented = onnx.ModelProto()
        augmented.CopyFrom(model)
        present = {output.name for output in augmented.graph.output}
        self._tensors = list(dict.fromkeys(tensors))
        for name in self._tensors:
            if name not in present:
                augmented.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Fused operators would hide tensors between them.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._session = onnxruntime.InferenceSession(
            augmented.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._collector = HistogramCollector("entropy", False, BINS, LEVELS, PERCENTILE, "same")

    def add(self, feeds: Iterable[Feed]) -> None:
        """Run the graph on feeds and count their values."""
        for feed in feeds:
            values = self._session.run(self._tensors, feed)
            with contextlib.redirect_stdout(io.StringIO()):  # it reports each call
                self._collector.collect(dict(zip(self._tensors, values)))

    def ranges(self, method: str) -> TensorsData:
        """Lowest and highest value of every tensor by one of METHODS."""
        if method == "minmax":
            seen = self._collector.histogram_dict
            lowest_highest = {name: (np.float32(h[2]), np.float32(h[3])) for name, h in seen.items()}
            return TensorsData(CalibrationMethod.MinMax, lowest_highest)
        self._collector.method = method
        with contextlib.redirect_stdout(io.StringIO()):
            found = self._collector.compute_collection_result()
        limits = {name: (np.float32(v[0]), np.float32(v[1])) for name, v in found.items()}
        return TensorsData(CalibrationMethod.MinMax, limits)


def fixed(ranges: TensorsData, name: str, low: float, high: float) -> None:
    """Set one tensor's range, in place."""
    ranges.data[name] = TensorData(lowest=np.float32(low), highest=np.float32(high))
