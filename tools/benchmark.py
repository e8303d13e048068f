#!/usr/bin/env python3
"""Measure how fast a part of this project is, on this machine.

examples:
  tools/benchmark.py latency                                # stages of a pair, models and MediaPipe alternated
  tools/benchmark.py latency --cores 1 --json out/latency.json
  tools/benchmark.py latency --provider tensorrt cpu        # on a GPU and on the CPU, side by side
  tools/benchmark.py operators                              # where a run of the network spends its time
  tools/benchmark.py accuracy --pairs 200                   # against per-view heatmaps and MediaPipe on each view
  tools/benchmark.py finder --pairs 200                     # the start of every track
  tools/benchmark.py thresholds --pairs 200 --empty 1000    # what min_confidence trades
  tools/benchmark.py ablation --pairs 150                   # parts of the network, three baselines
  tools/benchmark.py data                                   # synthetic training pairs per second
  tools/benchmark.py data --processes 1 --pairs 100 --json out/benchmark_data.json
  tools/benchmark.py training                               # a step of training on this CPU

exit codes: 0 measured, 2 something was missing (the message says what)
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))
BENCHMARKS = {
    "latency": ("rsb_pose_ros.benchmark.latency", "time of a pair by stage, and against MediaPipe Pose on each view"),
    "operators": ("rsb_pose_ros.benchmark.operators", "time of the network by operator and by part, on the CPU"),
    "accuracy": ("rsb_pose_ros.benchmark.accuracy", "errors against per-view heatmaps and MediaPipe Pose on each view"),
    "finder": ("rsb_pose_ros.benchmark.finder", "how surely somebody is found in a whole picture"),
    "thresholds": ("rsb_pose_ros.benchmark.thresholds", "people missed against people who are not there"),
    "ablation": ("rsb_pose_ros.benchmark.ablation", "what each part of the network is worth, at three baselines"),
    "data": ("rsb_pose_ros.data.synthetic.benchmark", "synthetic training pairs per second"),
    "training": (
        "rsb_pose_ros.training.benchmark",
        "a step of training on this CPU, by PyTorch alone and as it is done",
    ),
}
"""Name: (module with add_arguments(parser), run(arguments) → figures, text(figures) → table; what it measures)."""


def main() -> int:
    """0: measured; 2: something was missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, (module, summary) in BENCHMARKS.items():
        command = commands.add_parser(name, help=summary)
        measured = importlib.import_module(module)
        measured.add_arguments(command)
        command.add_argument("--json", type=Path, help="write the figures there, too")
        if hasattr(measured, "markdown"):
            command.add_argument("--into", type=Path, help="Markdown page whose tables of this benchmark are replaced")
    arguments = parser.parse_args()
    module = importlib.import_module(BENCHMARKS[arguments.benchmark][0])
    from rsb_pose_ros.bags import BagError
    from rsb_pose_ros.benchmark import BenchmarkError
    from rsb_pose_ros.benchmark.markdown import insert
    from rsb_pose_ros.evaluation.report import write_json
    from rsb_pose_ros.inference import ModelError

    try:
        figures = module.run(arguments)
    except (BagError, BenchmarkError, ModelError, OSError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(module.text(figures))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(figures, arguments.json)
    if getattr(arguments, "into", None):
        try:
            insert(arguments.into, module.marker(figures), module.markdown(figures))
        except (OSError, ValueError) as error:
            print(f"benchmark: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
