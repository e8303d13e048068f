"""What each part of the network is worth, at three baselines: the paper's Table III on synthetic-test.

The same people in the same rooms before rigs that differ in their baseline alone; per-view heatmaps of the same backbone,
co-keypoints, and co-keypoints with the pose transformer, out of the same graph in the same run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rsb_pose_ros.benchmark.accuracy import observe_all
from rsb_pose_ros.benchmark.frozen_pairs import ROOT, add_test_data
from rsb_pose_ros.benchmark.markdown import table as markdown_table
from rsb_pose_ros.benchmark.methods import OurNetwork
from rsb_pose_ros.evaluation.breakdown import breakdown

BASELINES_M = (0.06, 0.12, 0.24)
EXAMPLES = """examples:
  tools/benchmark.py ablation --pairs 150 --into docs/accuracy.md
  tools/benchmark.py ablation --model models/mine.onnx --baselines 0.08 0.12 --json out/ablation.json
"""
SHOWN = (
    ("all", None, "all joints"),
    ("joint", "visible", "visible"),
    ("joint", "behind the body", "behind the body"),
    ("joint", "behind an object", "behind an object"),
    ("distance", "0–1.5 m", "0–1.5 m"),
    ("distance", "1.5–2.5 m", "1.5–2.5 m"),
    ("distance", "2.5–3.5 m", "2.5–3.5 m"),
    ("distance", "3.5–7 m", "3.5–7 m"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py ablation`."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, default=ROOT / "models/rsb_pose_edge.onnx", help="stereo_pose .onnx")
    parser.add_argument("--pairs", type=int, default=150, help="per baseline (default 150)")
    parser.add_argument("--baselines", type=float, nargs="+", default=BASELINES_M, help="metres")
    add_test_data(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """{"baselines": {"0.12": {method: breakdown}}}. Raises ValueError, OSError, ModelError."""
    import cv2
    from tqdm import tqdm

    from rsb_pose_ros.data.synthetic.test_set import SyntheticTestSet

    cv2.setNumThreads(1)
    if arguments.pairs < 1 or min(arguments.baselines) <= 0:
        raise ValueError(f"--pairs {arguments.pairs} --baselines {arguments.baselines}; expected positive numbers")
    ours = OurNetwork(arguments.model, arguments.threads)
    found: dict[str, Any] = {}
    for baseline in arguments.baselines:
        test_set = SyntheticTestSet(arguments.definition, arguments.shared, arguments.bodies, baseline, ours.size)
        total = min(arguments.pairs, len(test_set))
        batches = tqdm(test_set.batches(8, total), total=-(-total // 8), desc=f"baseline {baseline:g} m")
        found[f"{baseline:g}"] = {name: breakdown(table) for name, table in observe_all([ours], batches).items()}
    return {
        "benchmark": "ablation",
        "model": ours.name,
        "pairs": arguments.pairs,
        "synthetic_test_version": test_set.definition.version,
        "baselines": found,
    }


def marker(result: dict[str, Any]) -> str:
    """Of the place in a page that `markdown` belongs to."""
    del result
    return "benchmark ablation"


def _rows(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for kind, part, label in SHOWN:
        for baseline, methods in result["baselines"].items():
            cells = [
                breakdowns[kind] if part is None else breakdowns[kind].get(part) for breakdowns in methods.values()
            ]
            rows.append([f"{label}, {baseline} m", *(_cell(c) for c in cells)])
    return rows


def _cell(figures: dict[str, float] | None) -> str:
    if figures is None:
        return "–"
    return f"{figures['median_mm']:.0f} / {figures['root_relative_mm']:.0f} / {figures['disparity_median_px']:.2f}"


def _head(result: dict[str, Any]) -> list[str]:
    return ["", *next(iter(result["baselines"].values()))]


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    rows = [_head(result), *_rows(result)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        f"{result['model']}, {result['pairs']} pairs: median mm / mean root-relative mm / median disparity error px"
    ]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(lines)


def markdown(result: dict[str, Any]) -> str:
    """The figures for docs/accuracy.md."""
    return "\n".join(
        [
            f"`{result['model']}`, the first {result['pairs']} pairs of synthetic-test version "
            f"{result['synthetic_test_version']} at each baseline; median error mm / mean root-relative error mm / median "
            "disparity error px:",
            "",
            markdown_table(_head(result), _rows(result)),
        ]
    )
