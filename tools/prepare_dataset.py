#!/usr/bin/env python3
"""Turn a recorded data set into shards of stereo samples: rectified, cropped around the person, with 17 joints.

The data sets are not downloaded: they come from their authors, to whoever holds the licence (docs/synthetic-data.md).

examples:
  tools/prepare_dataset.py mhad ~/Berkeley_MHAD --split train --baseline m --output data/mhad_m/train
  tools/prepare_dataset.py mhad ~/Berkeley_MHAD --split test --output data/mhad_m/test --exact
  tools/prepare_dataset.py human36m ~/h36m --split train --every 5 --output data/h36m/train
  tools/prepare_dataset.py human36m ~/h36m --cameras 54138969 58860488 --output data/h36m_2/train
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))


def main() -> int:
    """0: written; 2: a part of the data set is missing or the output is in the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = parser.add_subparsers(dest="dataset", required=True)
    mhad = sets.add_parser("mhad", help="Berkeley MHAD, cluster 1")
    mhad.add_argument("--baseline", choices=("s", "m", "l"), default="m", help="0.11, 0.23 or 0.33 m (default m)")
    mhad.add_argument("--grey", action="store_true", help="the images are grey already, no raw mosaics")
    human = sets.add_parser("human36m", help="Human3.6M, one pair of its cameras")
    human.add_argument(
        "--cameras", nargs=2, metavar="NAME",
        help="60457274 55011271 (default) or 54138969 58860488: other pairs look at each other",
    )  # fmt: skip
    for command in (mhad, human):
        command.add_argument("root", type=Path, help="folder into which the official archives were unpacked")
        command.add_argument("--split", choices=("train", "test"), default="train", help="the paper's subjects")
        command.add_argument("--output", type=Path, required=True, help="folder for the shards")
        command.add_argument("--size", type=int, default=256, help="crop side in pixels (default 256)")
        command.add_argument("--every", type=int, default=1, help="take every so manyth frame")
        command.add_argument("--exact", action="store_true", help="windows exactly around the person, as for measuring")
        command.add_argument("--seed", type=int, default=0, help="of the windows' misplacement")
    arguments = parser.parse_args()
    try:
        for name, least in (("every", 1), ("size", 32), ("seed", 0)):
            if getattr(arguments, name) < least:
                raise ValueError(f"--{name} {getattr(arguments, name)}; expected {least} or more")
        return prepare(arguments)
    except (OSError, ValueError) as error:
        print(f"prepare_dataset: {error}", file=sys.stderr)
        return 2


def prepare(arguments: argparse.Namespace) -> int:
    import numpy as np
    from tqdm import tqdm

    from rsb_pose_ros.data.human36m import PAIRS, Human36M
    from rsb_pose_ros.data.mhad import Mhad
    from rsb_pose_ros.data.prepared import write_shards

    if arguments.dataset == "mhad":
        dataset = Mhad(arguments.root, arguments.baseline, mosaic=not arguments.grey)
    else:
        dataset = Human36M(arguments.root, tuple(arguments.cameras or PAIRS[0]))
    clips = dataset.clips(arguments.split)
    windows = None if arguments.exact else np.random.default_rng(arguments.seed)

    def samples() -> Iterator:
        bar = tqdm(clips, desc=arguments.dataset, unit="clip")
        for clip in bar:
            bar.set_postfix_str(str(clip))
            yield from dataset.samples(clip, arguments.size, arguments.every, windows)

    count = write_shards(arguments.output, samples())
    print(f"{arguments.output}: {count} pairs of {len(clips)} clips")
    return 0


if __name__ == "__main__":
    sys.exit(main())
