"""MediaPipe Pose on both views of a pair, in a process and an environment of its own (started by mediapipe_process.py).

It imports nothing of this package. Protocol: on stdin a line of JSON {"shape": [2, H, W, 3]} and the bytes of both BGR
pictures; on stdout a line of JSON {"landmarks": [left, right], "seconds": s}, each view 33 × (x, y, visibility) in pixels
with centres at integers, or null where nobody was found. The first line says {"mediapipe": version}.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, BinaryIO

import numpy as np


def main() -> int:
    """Answer until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--still", action="store_true", help="every pair is searched anew; else people are followed")
    parser.add_argument("--complexity", type=int, default=1)
    arguments = parser.parse_args()
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not come between the answers
    import mediapipe

    poses = [
        mediapipe.solutions.pose.Pose(static_image_mode=arguments.still, model_complexity=arguments.complexity)
        for _ in range(2)
    ]
    print(json.dumps({"mediapipe": mediapipe.__version__}), file=answers, flush=True)
    while pair := read_pair(sys.stdin.buffer):
        print(json.dumps(answer(poses, pair[0])), file=answers, flush=True)
    return 0


def read_pair(stream: BinaryIO) -> list[np.ndarray]:
    """[pictures (2, H, W, 3)] of the next question, [] at the end."""
    head = stream.readline()
    if not head:
        return []
    shape = json.loads(head)["shape"]
    return [np.frombuffer(stream.read(int(np.prod(shape))), np.uint8).reshape(shape)]


def answer(poses: list[Any], views: np.ndarray) -> dict[str, Any]:
    """Landmarks of both views, and how long it took, from BGR pictures on."""
    start = time.perf_counter()
    found = [pose.process(np.ascontiguousarray(view[:, :, ::-1])) for pose, view in zip(poses, views)]
    seconds = time.perf_counter() - start
    height, width = views.shape[1:3]
    return {"landmarks": [pixels(f.pose_landmarks, width, height) for f in found], "seconds": seconds}


def pixels(landmarks: Any, width: int, height: int) -> list[list[float]] | None:
    """MediaPipe's coordinates are shares of the picture, edge to edge."""
    if landmarks is None:
        return None
    return [[mark.x * width - 0.5, mark.y * height - 0.5, mark.visibility] for mark in landmarks.landmark]


if __name__ == "__main__":
    sys.exit(main())
