"""Ways from one pair of windows to joints, all with the same answer: ours, its parts, and 2D networks on each view.

Each method is a Predict of evaluation.breakdown or answers for several at once. What cannot be in front of the cameras, or
lies metres off the rest of the body, is NaN for all of them (inference.network.read_person).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.benchmark.heatmaps import peaks
from rsb_pose_ros.benchmark.mediapipe_process import MediaPipePose
from rsb_pose_ros.inference.card import STEREO_POSE, ModelError, read_card
from rsb_pose_ros.inference.network import read_person
from rsb_pose_ros.landmarks import joints_of_landmarks
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.stereo import StereoCrop, triangulate

OURS, WITHOUT_PPT, PER_VIEW, MEDIAPIPE = "ours", "without PPT", "per-view heatmaps", "MediaPipe Pose ×2"

Answer = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Joints (B, 17, 3) metres, keypoints (B, 2, 17, 2) crop pixels, confidence (B, 17)."""
Method = Callable[[np.ndarray, np.ndarray], dict[str, Answer]]
"""crops (B, 2, S, S, 3) uint8, projections (B, 2, 3, 4) → answers by method's name.

An attribute `inputs` names other arrays of a batch that a method is shown in place of these two."""

LARGE = ("large_crops", "large_projections")
"""The same windows with more pixels, for methods that can use them: (B, 2, T, T, 3), (B, 2, 3, 4)."""

HEATMAP_SCOPE = "/heatmaps/"
"""Of the convolution that makes both views' joint heatmaps, in the exported graph's node names."""


class OurNetwork:
    """The exported graph: its joints, its joints before the pose transformer, and its per-view heatmaps triangulated.

    The heatmaps come from the same backbone and were trained with it, as those of the paper's ablation; a graph that does
    not name them (`per_view` is then False) answers without them. Raises ModelError.
    """

    def __init__(self, model: Path, threads: int = 0) -> None:
        import onnx
        import onnxruntime

        card = read_card(model, STEREO_POSE)
        self.name, self.size = card.name, int(card.image_size or 0)
        graph = onnx.load(model)
        found = [n for n in graph.graph.node if n.op_type == "Conv" and HEATMAP_SCOPE in f"/{n.name}"]
        self.per_view = bool(found)
        self._outputs = [*card.contract["outputs"]]
        if found:
            self._outputs.append(found[-1].output[0])
            graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(self._outputs[-1]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        try:
            self._session = onnxruntime.InferenceSession(
                graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise ModelError(f"model {model}: ONNX Runtime cannot load it with its heatmaps ({error})") from error

    def __call__(self, crops: np.ndarray, projections: np.ndarray) -> dict[str, Answer]:
        """See Method."""
        people: dict[str, list[Answer]] = {OURS: [], WITHOUT_PPT: [], **({PER_VIEW: []} if self.per_view else {})}
        for pair, cameras in zip(crops, projections):
            feed = {"crops": pair[None], "projections": cameras[None].astype(np.float32)}
            found = dict(zip(self._outputs, self._session.run(self._outputs, feed)))
            outputs = {name: array[0] for name, array in found.items()}
            joints, initial, keypoints, confidence = checked(outputs, cameras, self.size)
            people[OURS].append((joints, keypoints, confidence))
            people[WITHOUT_PPT].append((initial, keypoints, confidence))
            if self.per_view:
                places, sure = peaks(found[self._outputs[-1]])
                people[PER_VIEW].append(triangulated(places, sure.min(0), cameras, self.size))
        return {name: stacked(answers) for name, answers in people.items()}


class MediaPipeOnEachView:
    """MediaPipe Pose on the left and on the right window, every pair by itself, and triangulation.

    It cuts its own picture of a person out of what it is shown, so it is shown larger windows than ours.
    """

    inputs = LARGE

    def __init__(self, process: MediaPipePose, size: int) -> None:
        """size: of the windows in whose pixels the answer is."""
        self._process, self._size = process, size

    def __call__(self, crops: np.ndarray, projections: np.ndarray) -> dict[str, Answer]:
        """See Method. The confidence is the lower visibility of both views."""
        answers = []
        for pair, cameras in zip(crops, projections):
            joints = joints_of_landmarks(self._process.ask(pair[0], pair[1]).landmarks)
            side = pair.shape[1]
            places, keypoints, confidence = triangulated(joints[..., :2], joints[..., 2].min(0), cameras, side)
            answers.append((places, (keypoints + 0.5) * self._size / side - 0.5, confidence))
        return {MEDIAPIPE: stacked(answers)}


def triangulated(keypoints: np.ndarray, confidence: np.ndarray, projections: np.ndarray, size: int) -> Answer:
    """An answer from keypoints (2, 17, 2) of both views in crop pixels."""
    joints = triangulate(keypoints, projections)
    outputs = {"joints": joints, "joints_initial": joints, "keypoints": keypoints, "confidence": confidence}
    joints, _, keypoints, confidence = checked(outputs, projections, size)
    return joints, keypoints, confidence


def checked(outputs: dict[str, Any], projections: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Joints, joints before refinement, keypoints and confidence with what is impossible as NaN (0)."""
    covariance = outputs.get("covariance", np.zeros((JOINT_COUNT, 3, 3)))
    # A window that is the whole picture: keypoints stay crop pixels.
    person = read_person({**outputs, "covariance": covariance}, projections, StereoCrop(0, 0, 0, size, size))
    return person.joints, person.joints_initial, person.keypoints, person.confidence


def stacked(answers: list[Answer]) -> Answer:
    """Answers of single pairs as those of a batch."""
    joints, keypoints, confidence = (np.stack(column) for column in zip(*answers))
    return joints, keypoints, confidence
