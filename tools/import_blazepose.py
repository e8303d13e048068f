#!/usr/bin/env python3
"""Read BlazePose GHUM's weights from a mediapipe wheel into a PyTorch checkpoint for the edge backbone."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

EXAMPLES = """examples:
  pip download --no-deps mediapipe==0.10.14 -d cache
  python tools/import_blazepose.py --wheel cache/mediapipe-0.10.14-*.whl      # writes cache/blazepose.pt
  python tools/import_blazepose.py                                            # from an installed mediapipe
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheel", type=Path, help="mediapipe wheel or .tflite file; default: the installed package")
    parser.add_argument("-o", "--output", type=Path, default=Path("cache/blazepose.pt"))
    arguments = parser.parse_args()

    import torch

    from rsb_pose_ros.model.blazepose_weights import load_blazepose, read_tflite

    try:
        content = read_tflite(arguments.wheel)
        backbone, head = load_blazepose(content)
    except (OSError, ValueError) as error:
        print(f"import_blazepose: {error}", file=sys.stderr)
        return 2
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    origin = {
        "file": "pose_landmark_full.tflite",
        "package": "mediapipe==0.10.14",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "author": "Google LLC (BlazePose GHUM, arXiv 2006.10204)",
    }
    torch.save({"backbone": backbone.state_dict(), "landmarks": head.state_dict(), "origin": origin}, arguments.output)
    parameters = sum(p.numel() for p in backbone.parameters())
    print(
        f"{arguments.output}: backbone with {parameters:,} parameters from {origin['file']} ({origin['sha256'][:12]})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
