#!/usr/bin/env python3
"""How well weights see people on photographs: a data set in COCO's keypoint format, any number of models.

A photograph is shown as a flat card to both cameras: what comes out of depth means nothing, where the joints are in the
picture does. Network files (.onnx) are measured as they run; checkpoints (.pt) as PyTorch runs them and, for a BlazePose
backbone, by BlazePose's own landmarks on it too: has the backbone forgotten people?

examples:
  tools/evaluate_photographs.py models/rsb_pose_edge.onnx --annotations person_keypoints_val2017.json --images val2017
  tools/evaluate_photographs.py cache/blazepose.pt runs/edge_b/last.pt runs/edge/last.pt --blazepose cache/blazepose.pt \\
      --annotations test_coco.json test_aic.json --picture out/photographs.jpg
  tools/evaluate_photographs.py models/rsb_pose_edge.onnx --annotations test_coco.json --whole \\
      --empty ../shared/backgrounds/scenes/val
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))

TILE = 256
"""Side of a person in --picture, pixels."""

if TYPE_CHECKING:
    from rsb_pose_ros.evaluation import photographs


def main() -> int:
    """0: measured; 2: something was missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help=".onnx with its card, or .pt")
    parser.add_argument("--annotations", nargs="+", type=Path, required=True, help="JSON in COCO's keypoint format")
    parser.add_argument(
        "--images", type=Path, help="folder of the pictures (default: each file's own, or the one above)"
    )
    parser.add_argument("--height", type=float, default=60, help="leave out lower boxes, pixels (default 60)")
    parser.add_argument("--blazepose", type=Path, help="published landmarks (tools/import_blazepose.py), for .pt")
    parser.add_argument("--size", type=int, default=256, help="crop side of .pt files (default 256; .onnx: their own)")
    parser.add_argument("--people", type=int, help="only the first so many")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--grey", action="store_true", help="show the pictures without their colours")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="whole pictures as well, through the estimator: who is found? (.onnx alone)",
    )
    parser.add_argument(
        "--empty",
        type=Path,
        metavar="FOLDER",
        help="of photographs with nobody in them: is anybody found? (.onnx alone)",
    )
    parser.add_argument("--picture", type=Path, help="every person, a row per model")
    arguments = parser.parse_args()
    from rsb_pose_ros.evaluation.report import write_json
    from rsb_pose_ros.inference import ModelError

    try:
        result = measure(arguments)
    except (OSError, ValueError, KeyError, ModelError) as error:
        print(f"evaluate_photographs: {error}", file=sys.stderr)
        return 2
    print(text(result))
    if arguments.json:
        write_json(result, arguments.json)
    return 0


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    import cv2
    from tqdm import tqdm

    from rsb_pose_ros.evaluation import photographs, whole_photographs

    if arguments.empty and not arguments.empty.is_dir():
        raise ValueError(f"--empty {arguments.empty}: no such folder; expected one of photographs with nobody in them")
    if arguments.empty and not any(path.suffix == ".onnx" for path in arguments.models):
        raise ValueError("--empty: no model is an .onnx file; expected one, as it is the estimator that searches")
    people = [
        p for file in arguments.annotations for p in photographs.read_people(file, arguments.images, arguments.height)
    ]
    people = people[: arguments.people]
    if not people:
        raise ValueError("nobody has enough annotated joints; expected people with at least six of them")
    hidden = np.stack([person.hidden for person in people])
    result, rows = {}, []
    for name, size, find in finders(arguments):
        pairs = [photographs.flat_pair(person, size, arguments.grey) for person in people]
        found = [find(pair.crops, pair.projections) for pair in tqdm(pairs, desc=name, unit="person")]
        distances = np.stack([photographs.errors(pair, f[0]) for pair, f in zip(pairs, found)])
        result[name] = photographs.summary(distances, hidden)
        tiles = [cv2.resize(photographs.tile(pair, *f), (TILE, TILE)) for pair, f in zip(pairs, found)]
        rows.append(np.concatenate(tiles, axis=1))
    for path in (path for path in arguments.models if path.suffix == ".onnx"):
        if arguments.whole:
            looks = whole_photographs.search(path, people, arguments.grey)
            result[path.stem]["whole_pictures"] = whole_photographs.summary(looks)
        if arguments.empty:
            looks = whole_photographs.search_empty(path, arguments.empty, arguments.grey)
            result[path.stem]["empty_pictures"] = whole_photographs.summary(looks)
    if arguments.picture:
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(arguments.picture), np.concatenate(rows, axis=0))
    return result


def finders(arguments: argparse.Namespace) -> list[tuple[str, int, photographs.Find]]:
    """Everything that is compared: its name, the side of its crops in pixels, and how it finds keypoints."""
    found: list[tuple[str, int, photographs.Find]] = []
    for path in arguments.models:
        if path.suffix == ".onnx":
            found.append((path.stem, *of_network(path)))
        else:
            from rsb_pose_ros.training.keypoint_finders import of_checkpoint

            found += [(name, arguments.size, find) for name, find in of_checkpoint(path, arguments.blazepose)]
    return found


def of_network(path: Path) -> tuple[int, photographs.Find]:
    """A network file as it runs in ONNX Runtime."""
    from rsb_pose_ros.evaluation.onnx_windows import OnnxWindows

    network = OnnxWindows(path)

    def find(crops: np.ndarray, projections: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        _, keypoints, confidence, _ = network(crops[None], projections[None])
        return keypoints[0, 0], confidence[0]

    return network.size, find


def text(result: dict[str, Any]) -> str:
    """A table of all models."""
    first = next(iter(result.values()))
    lines = [
        f"{first['people']} people, {first['joints']} joints; share of joints within 5 and 10 % of the person's box"
    ]
    lines.append(f"{'':44}  5 %   10 %   seen  hidden")
    for name, row in result.items():
        values = [row[key] for key in ("pck_5", "pck_10", "pck_10_seen", "pck_10_hidden")]
        lines.append(f"{name:42}" + "".join(f"{100 * value:7.1f}" for value in values))
    for name, row in result.items():
        if (whole := row.get("whole_pictures")) is not None:
            lines.append(
                f"{name}: {whole['pictures']} whole pictures, somebody who is there found at first in "
                f"{100 * whole['found_at_first']:.0f} %, at last in {100 * whole['found']:.0f} %, somebody else in "
                f"{100 * whole['somebody_else']:.0f} %"
            )
        if (empty := row.get("empty_pictures")) is not None:
            ghosts = round(empty["somebody_else"] * empty["pictures"])
            lines.append(f"{name}: somebody in {ghosts} of {empty['pictures']} photographs in which nobody is")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
