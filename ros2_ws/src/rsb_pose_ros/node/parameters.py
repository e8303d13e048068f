"""The node's parameters: every one with its default, its description and its range, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from rsb_pose_ros.inference import PersonSmoother
from rsb_pose_ros.inference.estimator import MIN_CONFIDENCE

TRANSPORTS = ("raw", "compressed")
RELIABILITIES = ("best_effort", "reliable")


class ParameterError(ValueError):
    """A parameter value with which the node cannot work."""


def _setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """A field of Parameters. live: may be changed while the node runs; the others are read once, at start."""
    if choices:
        description += f" One of: {', '.join(choices)}."
    factory = {"default_factory": lambda: list(default)} if isinstance(default, list) else {"default": default}
    metadata = {"description": description, "low": low, "high": high, "choices": choices, "live": live}
    return field(metadata=metadata, **factory)


@dataclass(frozen=True)
class Parameters:
    """Values of all parameters. Lengths are metres, times seconds, unless the description names another unit."""

    model: str = _setting(
        "rsb_pose_edge_int8",
        "ONNX model: a file's path, or the name of one in share/rsb_pose_ros/models. Setting it again loads it anew.",
        live=True,
    )
    providers: list[str] = _setting(
        ["auto"],
        "ONNX Runtime execution providers, best first: cpu, cuda, tensorrt or full names. One that cannot run is an "
        "error, never a silent fall-back; [auto] takes the best that is installed.",
    )
    exact_model: bool = _setting(
        False,
        "Run the very file that `model` names; otherwise, on a computer without a usable GPU, the twin for CPUs that its "
        "card names.",
    )
    engine_cache: str = _setting("", "Folder of TensorRT's engines; empty: ~/.cache/rsb_pose_ros.")
    tensorrt_fp16: bool = _setting(True, "TensorRT may compute in FP16; models with float16 parts need it.")
    tensorrt_int8: bool = _setting(True, "TensorRT may compute in INT8; quantized models need it.")
    threads: int = _setting(0, "CPU threads of ONNX Runtime; 0 leaves the choice to it.", low=0, high=256)
    rectified: bool = _setting(False, "The images are rectified already (image_rect topics): K, D and R are ignored.")
    transport: str = _setting(
        "raw",
        "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage on <topic>/compressed.",
        choices=TRANSPORTS,
    )
    slop: float = _setting(
        0.005,
        "Stamps of a pair differ by less than this, seconds, below half a frame period; 0 takes equal stamps only.",
        low=0.0,
        high=1.0,
    )
    sync_queue: int = _setting(4, "Images of one side that wait for their partner.", low=1, high=100)
    queue_depth: int = _setting(
        2, "History depth of the image subscriptions; small keeps latency low.", low=1, high=100
    )
    reliability: str = _setting(
        "best_effort",
        "Reliability of the image subscriptions; best_effort hears every publisher, reliable only reliable ones.",
        choices=RELIABILITIES,
    )
    min_confidence: float = _setting(
        MIN_CONFIDENCE,
        "So sure it must be that somebody is there before they are followed.",
        low=0.0,
        high=1.0,
        live=True,
    )
    max_people: int = _setting(
        3,
        "So many people are followed at the same time, each by a run of the network per pair.",
        low=1,
        high=20,
        live=True,
    )
    smoothing: bool = _setting(True, "Smooth each joint over time with a One-Euro filter.", live=True)
    smoothing_min_cutoff: float = _setting(
        PersonSmoother.min_cutoff,
        "One-Euro filter: cut-off frequency at rest, hertz; lower is steadier and slower.",
        low=0.01,
        high=100.0,
        live=True,
    )
    smoothing_beta: float = _setting(
        PersonSmoother.beta,
        "One-Euro filter: how fast the cut-off rises with speed, hertz per m/s; higher lags less.",
        low=0.0,
        high=100.0,
        live=True,
    )
    max_latency: float = _setting(
        0.0,
        "Pairs older than this when their turn comes are dropped, seconds of the node's clock; 0 never.",
        low=0.0,
        high=60.0,
        live=True,
    )
    target_frame: str = _setting(
        "", "Frame of everything that is published, by tf2; empty keeps the left camera's optical frame.", live=True
    )
    publish_markers: bool = _setting(True, "Publish ~/markers (visualization_msgs/MarkerArray).", live=True)
    publish_poses: bool = _setting(True, "Publish ~/poses (geometry_msgs/PoseArray).", live=True)
    publish_keypoints: bool = _setting(True, "Publish ~/keypoints (sensor_msgs/PointCloud2).", live=True)
    publish_tf: bool = _setting(False, "Broadcast a frame body_<id> per person (needs tf2_ros).", live=True)
    marker_lifetime: float = _setting(
        0.4, "Seconds after which RViz removes a marker that is not renewed; 0 keeps it.", low=0.0, high=10.0, live=True
    )
    diagnostics_period: float = _setting(1.0, "Seconds between messages on /diagnostics.", low=0.1, high=60.0)

    def __post_init__(self) -> None:
        """Refuse a value outside its choices; ROS checks types and ranges itself. Raises ParameterError."""
        for entry in fields(self):
            choices, value = entry.metadata["choices"], getattr(self, entry.name)
            if choices and value not in choices:
                raise ParameterError(f"parameter {entry.name} is {value!r}; expected one of {', '.join(choices)}")
        if not self.model:
            raise ParameterError("parameter model is empty; expected an ONNX file's path or a shipped model's name")
        if not self.providers:
            raise ParameterError("parameter providers is empty; expected [auto] or names of execution providers")

    @classmethod
    def declare(cls, node: Any) -> Parameters:
        """Declare every parameter on an rclpy node and read the values it was started with."""
        for entry in fields(cls):
            default = entry.default_factory() if callable(entry.default_factory) else entry.default
            node.declare_parameter(entry.name, default, descriptor(entry))
        return cls(**{entry.name: _plain(node.get_parameter(entry.name).value) for entry in fields(cls)})

    def updated(self, changes: list[Any]) -> Parameters:
        """These parameters with a list of rclpy Parameters applied; foreign names (use_sim_time) are passed over."""
        names = {entry.name for entry in fields(self)}
        return replace(self, **{change.name: _plain(change.value) for change in changes if change.name in names})


def descriptor(entry: Any) -> ParameterDescriptor:
    """What `ros2 param describe` shows for a field of Parameters."""
    result = ParameterDescriptor(
        name=entry.name, description=entry.metadata["description"], read_only=not entry.metadata["live"]
    )
    low, high = entry.metadata["low"], entry.metadata["high"]
    if low is not None and entry.type == "int":
        result.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    elif low is not None:
        result.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    if entry.metadata["choices"]:
        result.additional_constraints = f"one of {', '.join(entry.metadata['choices'])}"
    return result


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
