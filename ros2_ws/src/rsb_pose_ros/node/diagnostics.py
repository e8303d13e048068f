"""/diagnostics: what a person at the robot asks when no skeleton appears, and how fast it is when one does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from rsb_pose_ros.node.calibration_topics import CalibrationTopics
from rsb_pose_ros.node.complaints import Complaints
from rsb_pose_ros.node.synchronisation import StereoSynchronizer
from rsb_pose_ros.node.worker import FAILED, READY, PoseWorker

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
OTHER_CLOCK = 3600.0
"""Seconds of age beyond which the stamps are taken to be of another clock."""


class Diagnostics:
    """Makes one DiagnosticArray from the parts of the node; keeps counters to know rates.

    publishers: counts the publishers of a topic.
    """

    def __init__(
        self,
        name: str,
        worker: PoseWorker,
        synchronizer: StereoSynchronizer,
        calibration: CalibrationTopics,
        complaints: Complaints,
        publishers: Callable[[str], int],
    ) -> None:
        self._name = name
        self._worker, self._synchronizer, self._calibration = worker, synchronizer, calibration
        self._complaints, self._publishers = complaints, publishers
        self._last = (time.monotonic(), 0, 0)

    def report(self, stamp: Any) -> DiagnosticArray:
        """The present state. Rates are those since the last report."""
        array = DiagnosticArray()
        array.header.stamp = stamp
        array.status = [self._model(), self._calibrated(), self._images(), self._latency()]
        return array

    def _status(self, part: str, level: bytes, message: str, values: dict[str, Any]) -> DiagnosticStatus:
        pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return DiagnosticStatus(name=f"{self._name}: {part}", level=level, message=message, values=pairs)

    def _model(self) -> DiagnosticStatus:
        model = self._worker.model
        level = {READY: OK, FAILED: ERROR}.get(model.phase, WARN)
        message = f"{model.phase} {model.sentence}".strip() if model.phase != FAILED else model.sentence
        values = {
            "model": model.path,
            "provider": model.providers[0] if model.providers else "none",
            "providers": ", ".join(model.providers),
            "load_seconds": f"{model.load_seconds:.2f}",
        }
        return self._status("model", level, message, values)

    def _calibrated(self) -> DiagnosticStatus:
        calibration = self._calibration
        if calibration.refusal:
            return self._status("calibration", ERROR, calibration.refusal, {})
        rig = calibration.rig
        if rig is None:
            missing = ", ".join(f"{t} ({self._publishers(t)} publishers)" for t in calibration.missing())
            return self._status("calibration", WARN, f"no camera_info yet on {missing}", {})
        values = {
            "baseline_m": f"{rig.baseline:.4f}",
            "focal_length_px": f"{rig.focal_length:.1f}",
            "image_size": "{}x{}".format(*rig.cameras[0].size),
            "frame_id": calibration.frame_id,
        }
        return self._status("calibration", OK, f"baseline {rig.baseline:.3f} m", values)

    def _images(self) -> DiagnosticStatus:
        synchronizer, worker = self._synchronizer, self._worker
        now, pairs, done = time.monotonic(), synchronizer.pairs, worker.done
        elapsed = max(now - self._last[0], 1e-3)
        rates = ((pairs - self._last[1]) / elapsed, (done - self._last[2]) / elapsed)
        self._last = (now, pairs, done)
        left, right, rejected = *synchronizer.sides, worker.take_rejected()
        values = {
            "left_received": left.received,
            "right_received": right.received,
            "pairs_received": pairs,
            "pairs_processed": done,
            "pairs_dropped_for_newer": worker.mailbox.replaced,
            "pairs_refused": worker.refused,
            **{
                f"refused: {reason}" if reason in REFUSALS else reason: n
                for reason, n in self._complaints.counts.items()
            },
            "people": worker.people,
            "best_rejected": "none" if rejected is None else f"{math.floor(100 * rejected) / 100:.2f}",
            "pairs_hz": f"{rates[0]:.1f}",
            "processed_hz": f"{rates[1]:.1f}",
            "frame_period_ms": f"{1e3 * left.period:.1f}" if left.period else "unknown",
        }
        silences = [(side.silence(now), side.topic) for side in (left, right)]
        problems = [f"{since} on {topic} ({self._publishers(topic)} publishers)" for since, topic in silences if since]
        problems += [synchronizer.problem() or "", *self._complaints.recent().values()]
        message = "; ".join(problem for problem in problems if problem)
        return self._status("images", WARN if message else OK, message or f"{rates[1]:.1f} pairs/s", values)

    def _latency(self) -> DiagnosticStatus:
        percentiles = self._worker.times.percentiles()
        values = {
            f"{stage.replace(' ', '_')}_{p}_ms": f"{value:.1f}"
            for stage, pair in percentiles.items()
            for p, value in zip(("p50", "p95"), pair, strict=True)
        }
        if not percentiles:
            return self._status("latency", OK, "no pair yet", values)
        age = percentiles["since stamp"][0]
        if not 0 <= age < 1e3 * OTHER_CLOCK:
            return self._status("latency", WARN, "stamps are of another clock (use_sim_time?)", values)
        p50, p95 = percentiles["since stamp"]
        return self._status("latency", OK, f"{p50:.0f} ms from stamp to publication (p95 {p95:.0f} ms)", values)


REFUSALS = ("bad image", "no calibration", "no model", "no transform", "too old", "internal error")
"""Reasons for which a pair is refused (worker, frames); other complaints are about the input as a whole."""
