"""The thread that turns the newest pair into people: loads the model, runs it, measures every stage."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rsb_pose_ros.images import ImageError, to_array
from rsb_pose_ros.inference import EngineSettings, ModelError, Person, PersonSmoother, StereoPoseEstimator
from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.search import Candidate
from rsb_pose_ros.inference.session import ModelSession
from rsb_pose_ros.node.complaints import Complaints, Refused
from rsb_pose_ros.node.log_bridge import forwarded
from rsb_pose_ros.node.mailbox import Mailbox
from rsb_pose_ros.node.model_file import find_model
from rsb_pose_ros.node.parameters import Parameters
from rsb_pose_ros.node.stage_times import StageTimes
from rsb_pose_ros.stereo import StereoRig

WAITING, LOADING, READY, FAILED = "waiting for the calibration", "loading", "ready", "failed"
IDLE = 0.2
"""Seconds between looks at what else is to do while no pair comes."""


@dataclass(frozen=True)
class Pair:
    """Two image messages of one moment. stamp: seconds; arrived: time.monotonic() when the second one came."""

    left: Any
    right: Any
    stamp: float
    arrived: float


@dataclass(frozen=True)
class ModelState:
    """What diagnostics say of the model. sentence: why it failed, or what it is waiting for."""

    phase: str
    path: str = ""
    sentence: str = ""
    providers: tuple[str, ...] = ()
    load_seconds: float = 0.0


class PoseWorker:
    """Takes pairs, delivers people. All methods may be called from any thread; deliver runs on the worker's own.

    people: who were delivered with the last pair that was.
    parameters: gives the present values; deliver(pair, people, frame_id): publishes, or raises Refused; topics: of the
    images, for sentences; log: a logger with info, warning, error;
    now: the node's clock in seconds, that of the stamps.
    """

    def __init__(
        self,
        parameters: Callable[[], Parameters],
        deliver: Callable[[Pair, Sequence[Person], str], None],
        topics: tuple[str, str],
        complaints: Complaints,
        log: Any,
        now: Callable[[], float],
    ) -> None:
        self.model = ModelState(LOADING)
        self.mailbox: Mailbox[Pair] = Mailbox()
        self.times = StageTimes()
        self.done = 0
        self.refused = 0
        self.people = 0
        self._rejected: float | None = None
        self._parameters, self._deliver, self._topics = parameters, deliver, topics
        self._complaints, self._log, self._now = complaints, log, now
        self._estimator: StereoPoseEstimator | None = None
        self._smoother: PersonSmoother | None = None
        self._calibration: tuple[StereoRig, str] | None = None
        self._frame_id = ""
        self._load_due = threading.Event()
        self._load_due.set()
        self._rig_due = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pose worker", daemon=True)

    def start(self) -> None:
        """Begin; the model is loaded first."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End after the pair that is being worked on. False when it did not end in time (an engine build cannot)."""
        self._stopping.set()
        self.mailbox.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def load(self) -> None:
        """Load the model that the parameters name, soon; also a second time, for a file that was mended."""
        self._load_due.set()

    def use_rig(self, rig: StereoRig | None, frame_id: str = "") -> None:
        """Work with another calibration from the next pair on; None refuses pairs until there is one."""
        self._calibration = None if rig is None else (rig, frame_id)
        self._rig_due.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._load_if_due()
            pair = self.mailbox.take(timeout=IDLE)
            if pair is not None:
                self._load_if_due()
                self._attempt(pair)

    def _load_if_due(self) -> None:
        changed = self._rig_due.is_set()
        self._rig_due.clear()
        if changed and self._estimator is not None and not self._load_due.is_set():
            self._change_rig(self._estimator)
        elif changed or self._load_due.is_set():
            self._load_due.clear()
            with forwarded(self._log, self._progress):
                self._load()

    def _change_rig(self, estimator: StereoPoseEstimator) -> None:
        """Only the calibration is another: the model, which takes seconds to load on a GPU, stays."""
        if self._calibration is None:
            return  # pairs are refused until there is one
        rig, self._frame_id = self._calibration
        estimator.use_rig(rig)
        self._log.info(f"another calibration: {rig.baseline:.3f} m of baseline; nobody is followed any more")

    def _progress(self, sentence: str) -> None:
        """What loading is at, for diagnostics: an engine that is being built, for how long."""
        if self.model.phase == LOADING:
            self.model = replace(self.model, sentence=sentence)

    def _load(self) -> None:
        """Check the model as far as is possible now, and load it once there is a rig."""
        parameters, calibration = self._parameters(), self._calibration
        path = find_model(parameters.model)
        self._estimator = None
        self.model = ModelState(LOADING, str(path), f"on {', '.join(parameters.providers)}")
        self._log.info(f"loading {path} {self.model.sentence}")
        started = time.monotonic()
        try:
            if calibration is None:
                # All that a model can get wrong comes out now, and TensorRT builds its engine before cameras run.
                session = ModelSession(path, STEREO_POSE, **self._runtime(parameters))
                seconds = time.monotonic() - started
                self.model = ModelState(WAITING, str(session.path), "", tuple(session.providers), seconds)
                return
            estimator = StereoPoseEstimator(
                path,
                calibration[0],
                **self._runtime(parameters),
                min_confidence=parameters.min_confidence,
                max_people=parameters.max_people,
            )
            estimator.warm_up()
            # What was loaded stays: the garbage collector need not walk through it while pairs are worked on.
            gc.collect()
            gc.freeze()
        except Exception as error:  # whatever a model file does, the node stays alive and says so
            known = isinstance(error, (ModelError, ValueError))
            sentence = str(error) if known else f"model {path}: {type(error).__name__}: {error}"
            self.model = ModelState(FAILED, str(path), sentence)
            self._complaints.say("no model", f"{sentence} (the node waits: set parameter model to try again)")
            return
        seconds = time.monotonic() - started
        self._estimator, self._frame_id = estimator, calibration[1]
        self.model = ModelState(READY, str(estimator.model), "", tuple(estimator.providers), seconds)
        self._complaints.settle("no model")
        self._log.info(f"model {estimator.model.name} is ready on {estimator.providers[0]} after {seconds:.1f} s")

    @staticmethod
    def _runtime(parameters: Parameters) -> dict[str, Any]:
        return {
            "providers": parameters.providers,
            "threads": parameters.threads,
            "engines": EngineSettings(
                parameters.engine_cache or None, parameters.tensorrt_fp16, parameters.tensorrt_int8
            ),
            "exact_model": parameters.exact_model,
        }

    def _attempt(self, pair: Pair) -> None:
        try:
            self._work(pair, self._checked(pair))
            self.done += 1
        except Refused as refusal:
            self._refuse(refusal.reason, str(refusal))
        except Exception as error:
            self._log.debug(traceback.format_exc())
            self._refuse("internal error", f"working on a pair failed: {type(error).__name__}: {error}")

    def _refuse(self, reason: str, sentence: str) -> None:
        self.refused += 1
        self._complaints.say(reason, sentence)

    def _checked(self, pair: Pair) -> StereoPoseEstimator:
        """The estimator for a pair; raises Refused when there is none, or no use in looking at the pair."""
        if self._calibration is None:
            raise Refused("no calibration", "images come, but no usable camera_info yet: publish it for both cameras")
        if self._estimator is None:
            raise Refused("no model", self.model.sentence)
        age, limit = self._now() - pair.stamp, self._parameters().max_latency
        if 0 < limit < age:
            raise Refused(
                "too old",
                f"a pair is {age:.3f} s old, parameter max_latency is {limit:.3f} s; the computer is too slow, or the "
                "stamps come from another clock (recordings need use_sim_time)",
            )
        return self._estimator

    def _work(self, pair: Pair, estimator: StereoPoseEstimator) -> None:
        parameters = self._parameters()
        taken = time.monotonic()
        left, right = (self._picture(*view) for view in zip((pair.left, pair.right), self._topics, strict=True))
        decoded = time.monotonic()
        estimator.min_confidence, estimator.max_people = parameters.min_confidence, parameters.max_people
        try:
            people = estimator.estimate(left, right, pair.stamp)
        except ValueError as error:  # its word for pictures that do not fit the calibration
            raise Refused("bad image", f"{' and '.join(self._topics)}: {error}") from error
        self._notice(estimator.candidate, parameters.min_confidence)
        people = self._smooth(people, pair.stamp, parameters)
        estimated = time.monotonic()
        self._deliver(pair, people, self._frame_id)
        self.people = len(people)
        for stage, seconds in (
            ("wait", taken - pair.arrived),
            ("decode", decoded - taken),
            ("cut", estimator.timing.cut_s),
            ("network", estimator.timing.network_s),
            ("estimate", estimated - decoded),
            ("publish", time.monotonic() - estimated),
            ("total", time.monotonic() - pair.arrived),
            ("since stamp", self._now() - pair.stamp),
        ):
            self.times.add(stage, seconds)

    def take_rejected(self) -> float | None:
        """How sure searches were, 0…1, of the surest one whom they did not believe in since this was asked last; None if
        there was nobody."""
        rejected, self._rejected = self._rejected, None
        return rejected

    def _notice(self, candidate: Candidate | None, min_confidence: float) -> None:
        if candidate is not None and candidate.presence < min_confidence:
            self._rejected = max(candidate.presence, self._rejected or 0.0)

    @staticmethod
    def _picture(message: Any, topic: str) -> Any:
        try:
            return to_array(message)
        except ImageError as error:
            raise Refused("bad image", f"{topic}: {error}") from error

    def _smooth(self, people: list[Person], stamp: float, parameters: Parameters) -> list[Person]:
        if not parameters.smoothing:
            self._smoother = None
            return people
        wanted = (parameters.smoothing_min_cutoff, parameters.smoothing_beta)
        if self._smoother is None or (self._smoother.min_cutoff, self._smoother.beta) != wanted:
            self._smoother = PersonSmoother(*wanted)
        return self._smoother.smooth(people, stamp)
