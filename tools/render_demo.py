#!/usr/bin/env python3
"""Render the demonstration recording: a stereo pair watches one person, with true joints, as a ROS 2 bag (mcap).

Needs the folder of motion capture and pictures (--shared) and baked bodies (tools/synthesize.py bake).

examples:
  tools/render_demo.py --output out/demo_bag
  tools/render_demo.py --output out/demo_bag --look out/looks       # also rectified pictures with the skeleton on them
  tools/render_demo.py --output out/demo_bag --rate 30 --quality 90
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))
LOOK_EVERY = 10


def main() -> int:
    """0: written; 2: something was missing or in the way."""
    shared = Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the recording; must not exist")
    parser.add_argument("--rate", type=float, default=15.0, help="pairs per second (default 15)")
    parser.add_argument("--quality", type=int, default=45, help="JPEG quality (default 45: 4.9 MiB)")
    parser.add_argument("--pairs", type=int, help="stop after so many pairs")
    parser.add_argument("--look", type=Path, help="folder for rectified pictures with the true skeleton")
    parser.add_argument(
        "--shared",
        type=Path,
        default=shared,
        help="folder of mocap/ and backgrounds/ (default $RSB_POSE_SHARED or ../shared)",
    )
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="baked bodies")
    arguments = parser.parse_args()
    try:
        render(arguments)
    except (OSError, ValueError) as error:
        print(f"render_demo: {error}", file=sys.stderr)
        return 2
    return 0


def render(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from rsb_pose_ros.data.synthetic.demo_clip import LENSES, DemoClip
    from rsb_pose_ros.data.synthetic.recording import ClipWriter

    clip = DemoClip(arguments.shared, arguments.bodies, arguments.rate)
    count = min(len(clip), arguments.pairs or len(clip))
    if arguments.look:
        arguments.look.mkdir(parents=True, exist_ok=True)
    with ClipWriter(arguments.output, LENSES, clip.calibration, arguments.rate, arguments.quality) as writer:
        for index, frame in zip(tqdm(range(count), desc="pairs", unit="pair"), clip):
            writer.write(frame)
            if arguments.look and index % LOOK_EVERY == 0:
                save_look(arguments.look / f"{index:04d}.png", clip.calibration, frame)
    size = sum(f.stat().st_size for f in arguments.output.iterdir())
    print(f"{arguments.output}: {count} pairs, {count / arguments.rate:.1f} s, {size / 2**20:.1f} MiB")


def save_look(path: Path, calibration, frame) -> None:  # type: ignore[no-untyped-def]
    """Both views rectified as the camera_infos say, with the true joints projected by P."""
    import cv2
    import numpy as np

    from rsb_pose_ros.data.synthetic.demo_clip import LENSES, SIZE
    from rsb_pose_ros.skeleton import BONES, bone_rgb
    from rsb_pose_ros.stereo import project

    views = []
    pixels = project(frame.joints.astype(np.float64), calibration.projections)
    for side, lens in enumerate(LENSES):
        maps = cv2.initUndistortRectifyMap(
            lens.matrix,
            lens.distortion,
            calibration.rectifications[side],
            calibration.projections[side],
            SIZE,
            cv2.CV_32FC1,
        )
        picture = cv2.remap(frame.images[side], maps[0], maps[1], cv2.INTER_LINEAR)
        for bone in BONES:
            ends = [tuple(round(v * 8) for v in pixels[side, joint]) for joint in bone]
            cv2.line(picture, *ends, [int(255 * c) for c in bone_rgb(bone)[::-1]], 1, cv2.LINE_AA, 3)
        views.append(picture)
    cv2.imwrite(str(path), np.hstack(views))


if __name__ == "__main__":
    sys.exit(main())
