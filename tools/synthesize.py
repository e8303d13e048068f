#!/usr/bin/env python3
"""Synthetic stereo people: bake the bodies once, look at the pairs, record a clip as a given rig would.

examples:
  tools/synthesize.py bake                                # 64 bodies into cache/bodies.npz; needs anny, takes minutes
  tools/synthesize.py preview --output out/pairs.png       # a sheet of pairs with their joints
  tools/synthesize.py preview --first 100 --plain --output out/pairs.png
  tools/synthesize.py speed --pairs 200
  tools/synthesize.py bag --rig calibration.yaml --seconds 10 --output out/my_rig        # a ROS 2 recording
  tools/synthesize.py bag --baseline 0.12 --seconds 10 --output out/my_rig               # of two plain cameras
  tools/synthesize.py sequence --rig calibration.yaml --baseline 0.2 --output out/look   # rectified, with the skeleton

exit codes: 0 done, 2 arguments or inputs that cannot be used
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))
COLUMNS = 3
NEAREST_M, FARTHEST_M = 0.8, 20.0
WIDEST_M = 2.0
"""Of baselines: wider ones are no rig that a robot carries."""


def main() -> int:
    """0: done; 2: arguments or inputs that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    baking = commands.add_parser("bake", help="sample bodies with anny and store what rendering needs")
    baking.add_argument("--output", type=Path, default=ROOT / "cache/bodies.npz")
    baking.add_argument("--count", type=int, default=64, help="bodies (default 64)")
    baking.add_argument("--seed", type=int, default=0)
    looking = commands.add_parser(
        "preview", help="a sheet of pairs: green visible, yellow hidden by the body, red by an object"
    )
    looking.add_argument("--output", type=Path, required=True, help="picture, .png or .jpg")
    looking.add_argument("--count", type=int, default=18, help="pairs (default 18)")
    looking.add_argument("--first", type=int, default=0, help="seed of the first pair")
    looking.add_argument("--plain", action="store_true", help="without joints")
    recording = commands.add_parser("bag", help="a ROS 2 recording (mcap) with true joints, as a rig would make it")
    recording.add_argument("--quality", type=int, default=80, help="JPEG quality (default 80)")
    showing = commands.add_parser("sequence", help="the same as rectified pictures with the true skeleton")
    for command in (recording, showing):
        command.add_argument("--output", type=Path, required=True, help="folder; must not exist")
        command.add_argument("--rig", type=Path, help="calibration (K1 D1 K2 D2 R T image_size, or left.yaml)")
        command.add_argument("--rig-right", type=Path, help="right.yaml, where --rig is ROS's left.yaml")
        command.add_argument("--baseline", type=float, help="metres; instead of the calibration's")
        command.add_argument("--seconds", type=float, default=10.0)
        command.add_argument("--rate", type=float, default=15.0, help="pairs per second (default 15)")
        command.add_argument("--distance", type=float, default=2.8, help="of the person, metres (default 2.8)")
        command.add_argument("--seed", type=int, default=0, help="person, motion, room")
    timing = commands.add_parser("speed", help="pairs per second on one core")
    timing.add_argument("--pairs", type=int, default=100)
    for command in (looking, timing, recording, showing):
        add_data_arguments(command)
    for command in (looking, timing):
        command.add_argument("--config", type=Path, default=ROOT / "config/synthetic.yaml", help="ranges of the pairs")
        command.add_argument("--split", choices=("train", "val"), default="train", help="people, rooms, textures of")
    arguments = parser.parse_args()
    try:
        check_numbers(arguments)
        {"bake": bake, "preview": preview, "speed": speed, "bag": bag, "sequence": sequence}[arguments.command](
            arguments
        )
    except (OSError, ValueError) as error:
        print(f"synthesize: {error}", file=sys.stderr)
        return 2
    return 0


def check_numbers(arguments: argparse.Namespace) -> None:
    """Raises ValueError naming the first option whose number makes no sense."""
    for name in ("count", "pairs", "seconds", "rate", "distance", "baseline", "quality"):
        value = getattr(arguments, name, None)
        if value is not None and not (0 < value < math.inf):
            raise ValueError(f"--{name} {value:g}; expected a number above 0")
    for name in ("seed", "first"):
        if getattr(arguments, name, 0) < 0:
            raise ValueError(f"--{name} {getattr(arguments, name)}; expected 0 or more")
    if "seconds" in arguments and arguments.seconds * arguments.rate < 1:
        raise ValueError(f"--seconds {arguments.seconds:g} --rate {arguments.rate:g}; expected at least one pair")
    low, high = NEAREST_M, FARTHEST_M
    if "distance" in arguments and not low <= arguments.distance <= high:
        raise ValueError(
            f"--distance {arguments.distance:g}; expected {low:g} to {high:g} m, where a person can be seen"
        )
    if (getattr(arguments, "baseline", None) or 0) > WIDEST_M:
        raise ValueError(f"--baseline {arguments.baseline:g}; expected at most {WIDEST_M:g} m")
    if getattr(arguments, "rig_right", None) and not arguments.rig:
        raise ValueError(f"--rig-right {arguments.rig_right} without --rig; expected the left camera's file, too")
    if getattr(arguments, "quality", 1) > 100:
        raise ValueError(f"--quality {arguments.quality}; expected 1 to 100")
    if arguments.command == "preview" and arguments.output.suffix.lower() not in (".png", ".jpg"):
        raise ValueError(f"--output {arguments.output}: expected a name that ends in .png or .jpg")


def add_data_arguments(command: argparse.ArgumentParser) -> None:
    shared = Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared"))
    command.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz")
    command.add_argument(
        "--shared", type=Path, default=shared, help="mocap/, backgrounds/ (default $RSB_POSE_SHARED or ../shared)"
    )


def bake(arguments: argparse.Namespace) -> None:
    from rsb_pose_ros.data.synthetic.bodies import FEWEST
    from rsb_pose_ros.data.synthetic.bodies import bake as bake_bodies

    if arguments.count < FEWEST:
        raise ValueError(f"--count {arguments.count}; expected {FEWEST} bodies or more: an eighth is held out")
    bake_bodies(arguments.output, arguments.count, arguments.seed)
    print(f"{arguments.output}: {arguments.count} bodies, {arguments.output.stat().st_size / 2**20:.1f} MiB")


def generator(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    """The pairs which the arguments describe, on one thread."""
    import cv2

    from rsb_pose_ros.data.synthetic.config import SyntheticConfig
    from rsb_pose_ros.data.synthetic.generator import SyntheticPairs

    cv2.setNumThreads(1)
    return SyntheticPairs(
        SyntheticConfig.from_yaml(arguments.config), arguments.shared, arguments.bodies, arguments.split
    )


def preview(arguments: argparse.Namespace) -> None:
    import cv2
    import numpy as np
    from tqdm import tqdm

    pairs = generator(arguments)
    cells = []
    for seed in tqdm(range(arguments.first, arguments.first + arguments.count), desc="pairs"):
        sample = pairs.sample(seed)
        views = [sample.crops[side].copy() for side in range(2)]
        if sample.present and not arguments.plain:
            for view, points, visibility in zip(views, sample.keypoints, sample.visibility):
                draw_joints(view, points, visibility)
        cells.append(np.hstack(views))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    if not cv2.imwrite(str(arguments.output), np.vstack(rows)):
        raise OSError(f"{arguments.output}: cannot be written")
    print(arguments.output)


def draw_joints(view, points, visibility=None) -> None:  # type: ignore[no-untyped-def]
    """Bones and joints on a crop, in place; white where nobody says what is visible."""
    import cv2

    from rsb_pose_ros.skeleton import BONES, bone_rgb

    pixels = [(round(float(x) * 8), round(float(y) * 8)) for x, y in points]
    for bone in BONES:
        colour = [int(255 * c) for c in bone_rgb(bone)[::-1]]
        cv2.line(view, pixels[bone[0]], pixels[bone[1]], colour, 1, cv2.LINE_AA, 3)
    colours = [(0, 0, 0), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 255)]
    for pixel, seen in zip(pixels, [-1] * len(pixels) if visibility is None else visibility):
        colour = colours[int(seen)]
        cv2.circle(view, pixel, 16, colour, -1, cv2.LINE_AA, 3)


def rig_clip(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    """(rig, clip) which the arguments describe."""
    from rsb_pose_ros.data.synthetic.rig_clip import RigClip, plain_rig, with_baseline
    from rsb_pose_ros.stereo import StereoRig

    if arguments.output.exists():
        raise FileExistsError(f"{arguments.output}: exists already; remove it or give another --output")
    if arguments.rig is None:
        rig = plain_rig(0.12 if arguments.baseline is None else arguments.baseline)
    else:
        rig = StereoRig.from_yaml(arguments.rig, arguments.rig_right)
        rig = with_baseline(rig, arguments.baseline) if arguments.baseline is not None else rig
    clip = RigClip(
        rig, arguments.shared, arguments.bodies, arguments.seconds, arguments.rate, arguments.seed, arguments.distance
    )
    return rig, clip


def bag(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from rsb_pose_ros.data.synthetic.recording import ClipWriter

    rig, clip = rig_clip(arguments)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with ClipWriter(arguments.output, rig.cameras, clip.calibration, arguments.rate, arguments.quality) as writer:
        for frame in tqdm(clip, total=len(clip), desc="pairs", unit="pair"):
            writer.write(frame)
    size = sum(f.stat().st_size for f in arguments.output.iterdir())
    print(f"{arguments.output}: {len(clip)} pairs, baseline {rig.baseline:.3f} m, {size / 2**20:.1f} MiB")


def sequence(arguments: argparse.Namespace) -> None:
    import cv2
    import numpy as np
    from tqdm import tqdm

    from rsb_pose_ros.stereo import project

    rig, clip = rig_clip(arguments)
    arguments.output.mkdir(parents=True)
    for index, frame in enumerate(tqdm(clip, total=len(clip), desc="pairs", unit="pair")):
        views = []
        points = project(frame.joints.astype(np.float64), rig.projections)
        for side, camera in enumerate(rig.cameras):
            tables = camera.remap_tables(rig.projections[side, :, :3], camera.size)
            view = cv2.remap(frame.images[side], *tables, cv2.INTER_LINEAR)
            draw_joints(view, points[side])
            views.append(view)
        cv2.imwrite(str(arguments.output / f"{index:05d}.jpg"), np.hstack(views))
    print(f"{arguments.output}: {len(clip)} pictures")


def speed(arguments: argparse.Namespace) -> None:
    pairs = generator(arguments)
    pairs.sample(0)  # compiles
    wall, processor = time.perf_counter(), time.process_time()
    for seed in range(arguments.pairs):
        pairs.sample(seed)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{arguments.pairs / wall:.1f} pairs/s, {arguments.pairs / processor:.1f} per second of one core's time")


if __name__ == "__main__":
    sys.exit(main())
