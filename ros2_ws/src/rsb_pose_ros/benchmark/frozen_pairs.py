"""Arguments that every benchmark on rendered pairs takes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]


def add_test_data(parser: argparse.ArgumentParser) -> None:
    """Where the frozen pairs and what they are rendered from lie, and ONNX Runtime's threads."""
    parser.add_argument("--definition", type=Path, default=ROOT / "config/synthetic_test.yaml")
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="tools/synthesize.py bake")
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared")),
        help="mocap/, backgrounds/ (default $RSB_POSE_SHARED or ../shared)",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0 leaves it to it")
