#!/usr/bin/env python3
"""Accuracy of a model on the frozen synthetic pairs (synthetic-test), or on prepared recordings, by distance, baseline,
occlusion and window.

The pairs are rendered as they are needed (docs/synthetic-data.md): 200 of them take seconds, all 2 000 some minutes.

examples:
  tools/evaluate_synthetic.py models/rsb_pose_edge.onnx --pairs 200
  tools/evaluate_synthetic.py models/rsb_pose_edge.onnx --pairs 400 --picture docs/accuracy.png
  tools/evaluate_synthetic.py models/rsb_pose_edge.onnx --json out/synthetic_test.json
  tools/evaluate_synthetic.py models/rsb_pose_edge.onnx --prepared data/mhad_m/test   # of prepare_dataset.py … --exact

exit codes: 0 measured, 2 something was missing
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))


def main() -> int:
    """0: measured; 2: something was missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="ONNX file with its card beside it")
    parser.add_argument("--pairs", type=int, help="only the first so many (default: all of them)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--picture", type=Path, help="charts: error over distance, detection rate, honest covariance?")
    parser.add_argument("--worst", type=Path, help="picture of the twenty pairs with the largest errors")
    parser.add_argument("--prepared", type=Path, help="folder of prepare_dataset.py: measure on its pairs instead")
    parser.add_argument("--definition", type=Path, default=ROOT / "config/synthetic_test.yaml")
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="tools/synthesize.py bake")
    parser.add_argument(
        "--shared",
        type=Path,
        default=Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared")),
        help="mocap/, backgrounds/ (default $RSB_POSE_SHARED or ../shared)",
    )
    parser.add_argument("--providers", nargs="+", default=["auto"])
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0 leaves it to it")
    arguments = parser.parse_args()
    from rsb_pose_ros.evaluation.report import write_json
    from rsb_pose_ros.inference import ModelError

    try:
        result = measure(arguments)
    except (OSError, ValueError, ModelError) as error:
        print(f"evaluate_synthetic: {error}", file=sys.stderr)
        return 2
    from rsb_pose_ros.evaluation.breakdown import text

    print(text(result))
    if arguments.json:
        write_json(result, arguments.json)
    return 0


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    import cv2

    from rsb_pose_ros.data.prepared import PreparedPairs
    from rsb_pose_ros.data.synthetic.test_set import SyntheticTestSet
    from rsb_pose_ros.evaluation.accuracy_figures import write_accuracy_figure
    from rsb_pose_ros.evaluation.breakdown import breakdown, observe
    from rsb_pose_ros.evaluation.onnx_windows import OnnxWindows
    from rsb_pose_ros.evaluation.worst_cases import write_worst

    cv2.setNumThreads(1)
    network = OnnxWindows(arguments.model, arguments.providers, arguments.threads)
    test_set: Any
    if arguments.prepared:
        test_set = PreparedPairs(arguments.prepared)
        test_set.check_size(network.size)
        name: dict[str, Any] = {"prepared": str(arguments.prepared)}
    else:
        test_set = SyntheticTestSet(arguments.definition, arguments.shared, arguments.bodies, size=network.size)
        name = {"synthetic_test_version": test_set.definition.version}
    table = observe(network, progress(test_set, arguments.pairs))
    if arguments.picture:
        source = arguments.prepared or f"synthetic-test version {test_set.definition.version}"
        title = f"{network.name}, {source}, {int(table.present.sum())} pairs with a person"
        write_accuracy_figure(arguments.picture, table, title)
    if arguments.worst:
        write_worst(arguments.worst, table, lambda index: test_set[index].crops)
    return {"model": network.name, **name, **breakdown(table)}


def progress(test_set, pairs: int | None) -> Iterator[dict[str, Any]]:  # type: ignore[no-untyped-def]
    from tqdm import tqdm

    total = min(pairs or len(test_set), len(test_set))
    with tqdm(total=total, desc="evaluating", unit="pair") as bar:
        for batch in test_set.batches(8, total):
            yield batch
            bar.update(len(batch["crops"]))


if __name__ == "__main__":
    sys.exit(main())
