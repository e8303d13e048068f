#!/usr/bin/env python3
"""Print parameters and GMACs per stereo pair of each part of a network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = """examples:
  python tools/model_summary.py                                   # all of config/models
  python tools/model_summary.py config/models/rsb_pose_edge.yaml
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = sorted((Path(__file__).resolve().parent.parent / "config" / "models").glob("*.yaml"))
    parser.add_argument("config", type=Path, nargs="*", default=default)
    arguments = parser.parse_args()

    from rsb_pose_ros.model import ModelConfig, RSBPose
    from rsb_pose_ros.model.config import ConfigError
    from rsb_pose_ros.model.summary import summarise

    for path in arguments.config:
        try:
            config = ModelConfig.from_yaml(path)
        except ConfigError as error:
            print(f"model_summary: {error}", file=sys.stderr)
            return 2
        parts = summarise(RSBPose(config))
        print(f"{config.name}, {config.image_size}×{config.image_size}")
        for name, part in parts.items():
            print(f"  {name:26} {part.parameters / 1e6:8.3f} M {part.macs / 1e9:9.3f} GMAC")
        parameters, macs = (sum(getattr(p, k) for p in parts.values()) for k in ("parameters", "macs"))
        print(f"  {'total':26} {parameters / 1e6:8.3f} M {macs / 1e9:9.3f} GMAC per stereo pair\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
