#!/usr/bin/env python3
"""Train one of the paper's stages. A run goes on from its last checkpoint when started again with the same --output."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsb_pose_ros.training.loop import Trainer

EXAMPLES = """examples:
  python tools/train.py sce --config config/models/rsb_pose_edge.yaml --blazepose cache/blazepose.pt \\
      --steps 700 --size 192 --rate 1e-3 --output runs/edge_192                     # cheaper pictures; 192 is the least
  python tools/train.py sce --config config/models/rsb_pose_edge.yaml --start runs/edge_192/last.pt \\
      --steps 2000 --rate 5e-4 --output runs/edge_256
  python tools/train.py sce --config config/models/rsb_pose_edge.yaml --start runs/edge_256/last.pt --minutes 25 \\
      --batch 64 --rate 1e-3 --backbone-rate 1e-4 --device cuda --draw device --workers 14 --output runs/edge_gpu
  python tools/train.py sce --config config/models/rsb_pose_edge.yaml --start models/rsb_pose_edge.onnx --data my_rig.yaml \\
      --minutes 120 --rate 3e-4 --output runs/my_rig                               # the shipped weights, for your own rig
  python tools/train.py look --config config/models/rsb_pose_edge.yaml --start runs/edge_256/last.pt --output runs/edge_look
  python tools/train.py ppt --config config/models/rsb_pose_edge.yaml --steps 6000 --output runs/ppt
  python tools/train.py ppt --config config/models/rsb_pose_edge.yaml --start runs/ppt/best.pt --steps 1500 --rate 3e-4 \\
      --pretraining 0 --recorded ../shared/mhad_refine/subject_a.npz --output runs/ppt_mhad   # fine-tuned to one rig
  python tools/train.py end_to_end --config config/models/rsb_pose_edge.yaml --start runs/edge/final.pt --steps 1000 \\
      --rate 2e-4 --output runs/edge_joint
  python tools/train.py average --start runs/edge_b/last.pt --tuned runs/edge_f/last.pt --share 0.75 --output runs/edge_g
  python tools/train.py finish --config config/models/rsb_pose_edge.yaml --start runs/edge_look/last.pt \\
      --transformer runs/ppt/best.pt --output runs/edge            # calibrated covariance, measured figures
"""
PROCESS_SEEDS = 50_000_000
"""Between the first pairs of processes that torchrun started."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    stages = parser.add_subparsers(dest="stage", required=True)
    sce = stages.add_parser("sce", help="co-keypoints on synthetic stereo pairs")
    ppt = stages.add_parser("ppt", help="the pose transformer on 3D poses")
    end_to_end = stages.add_parser("end_to_end", help="co-keypoints and pose transformer together, after both alone")
    look = stages.add_parser("look", help="the second look alone, on top of trained co-keypoints; minutes")
    estimates = stages.add_parser("estimates", help="what a finished network triangulates, for `ppt --recorded`")
    average = stages.add_parser("average", help="weights between a fine-tuned network and the one it started from")
    finish = stages.add_parser("finish", help="join both, fit the covariance's scale, measure on held-out pairs")
    for stage in (sce, end_to_end, ppt, look, estimates, finish):
        stage.add_argument(
            "--start",
            type=Path,
            help="earlier run's checkpoint (.pt) to start from, or a float32 network in models/ (.onnx)",
        )
        stage.add_argument("--config", type=Path, required=True, help="network configuration, config/models/*.yaml")
        stage.add_argument("--output", type=Path, required=True, help="folder for checkpoints and log")
        stage.add_argument("--threads", type=int, default=os.cpu_count())
        stage.add_argument(
            "--shared",
            type=Path,
            default=Path(__file__).resolve().parents[2] / "shared",
            help="folder of mocap/ and backgrounds/",
        )
    for stage in (sce, end_to_end, ppt, look):
        stage.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
        stage.add_argument("--steps", type=int, required=stage is ppt, help="of the optimiser")
        stage.add_argument("--batch", type=int, help="of each process that torchrun starts")
        stage.add_argument("--rate", type=float, help="learning rate")
    ppt.add_argument("--pretraining", type=float, help="share of the steps that only complete masked poses")
    ppt.add_argument("--masked-share", type=float, help="of the denoised poses that also lack joints (default 0.25)")
    ppt.add_argument(
        "--recorded", type=Path, nargs="+", help=".npz of recorded poses: learn from the training half of their frames"
    )
    ppt.add_argument("--recorded-share", type=float, help="of a batch that carries recorded errors (default 0.5)")
    ppt.add_argument("--uncertainty-share", type=float, help="of the steps in which sigmas are told (default 0.3)")
    ppt.add_argument("--bodies", type=Path, default=Path("cache/bodies.npz"), help="tools/synthesize.py bake")
    for stage in (sce, end_to_end, look, estimates, finish):
        stage.add_argument("--data", type=Path, default=Path("config/synthetic.yaml"), help="ranges of the pairs")
        stage.add_argument("--bodies", type=Path, default=Path("cache/bodies.npz"), help="tools/synthesize.py bake")
        stage.add_argument("--workers", type=int, default=1, help="rendering processes")
    for stage in (sce, end_to_end):
        stage.add_argument(
            "--draw", choices=("workers", "device"), default="workers",
            help="where pairs are drawn: by the --workers, or on --device from what the --workers plan",
        )  # fmt: skip
        stage.add_argument(
            "--minutes", type=float, help="train so long instead of so many steps; the rate decays by the clock"
        )
        stage.add_argument(
            "--size", type=int, help="crop side in pixels, smaller ones train faster (default: as the network's)"
        )
        stage.add_argument("--backbone-rate", type=float, default=0.0, help="0 keeps the backbone as it is")
        stage.add_argument(
            "--kept", nargs="+", default=(), metavar="PART", help="of a backbone that is trained: stays as it is"
        )
        stage.add_argument(
            "--fresh", nargs="+", default=(), metavar="PART", help="of the network: starts anew, whatever --start holds"
        )
        stage.add_argument(
            "--int8-share", type=float, default=0.0, help="of the batches on which the backbone rounds as in INT8"
        )
        stage.add_argument("--seed", type=int, default=0, help="of the first pair; give each run another")
        stage.add_argument(
            "--weights",
            nargs="+",
            default=(),
            metavar="TERM=WEIGHT",
            help="of the losses (docs/training.md); for ablations",
        )
    for stage in (sce, end_to_end, estimates):
        stage.add_argument(
            "--mirrored",
            action="store_true",
            help="show the mirror image of each rendered pair as well: half the rendering",
        )
    for stage in (sce, end_to_end):
        stage.add_argument(
            "--prepared", type=Path, nargs="+", metavar="FOLDER", help="recorded pairs as well: of prepare_dataset.py"
        )
        stage.add_argument("--prepared-share", type=float, default=0.5, help="of the pairs; 1: no rendered ones")
    sce.add_argument("--blazepose", type=Path, help="start of the edge backbone (tools/import_blazepose.py)")
    look.add_argument("--seed", type=int, default=1_000_000, help="of the first pair")
    look.add_argument("--pairs", type=int, help="rendered once, visited again and again; 1.5 MB each (default 3000)")
    estimates.add_argument("--seed", type=int, default=1_500_000_000, help="of the first pair")
    estimates.add_argument("--pairs", type=int, default=6000)
    estimates.add_argument(
        "--within",
        type=float,
        default=2.5,
        help="metres: leave out poses in which a joint is off by more (default 2.5)",
    )
    average.add_argument("--start", type=Path, required=True, help="checkpoint or .onnx file before fine-tuning")
    average.add_argument("--tuned", type=Path, required=True, help="checkpoint after it")
    average.add_argument("--share", type=float, default=0.75, help="of the latter, 0 to 1")
    average.add_argument("--output", type=Path, required=True, help="folder for averaged.pt")
    finish.add_argument(
        "--transformer", type=Path, required=True, help="pose transformer weights: of `ppt`, or a whole network's .onnx"
    )
    finish.add_argument("--pairs", type=int, default=600, help="half of them fit, half measure")
    arguments = parser.parse_args()

    import torch

    # The tails of softmaxes over whole volumes are denormal numbers, on which CPUs are a hundred times slower.
    torch.set_flush_denormal(True)
    torch.set_num_threads(getattr(arguments, "threads", 1))
    try:
        if arguments.stage in ("estimates", "average", "finish") and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(f"{arguments.stage} under torchrun; expected one process: they would write the same files")
        return STAGES[arguments.stage](arguments)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not str(error).startswith("Error(s) in loading state_dict"):
            raise
        print(f"train: {error}", file=sys.stderr)
        return 2


def overrides(arguments: argparse.Namespace, *names: str) -> dict:
    """The plan's fields that were given."""
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def resumed(trainer: Trainer, arguments: argparse.Namespace) -> bool:
    """Go on from the run's own checkpoint if there is one; either way its checkpoints say how it was started."""
    how = {"arguments": {name: str(value) for name, value in vars(arguments).items()}}
    if hasattr(arguments, "data"):
        how["data"] = arguments.data.read_text()
    goes_on = trainer.resume()
    trainer.begun(how)
    if not goes_on:
        return False
    done = "; nothing is left to do: it has come to its end" if trainer.progress >= 1 else ""
    print(f"going on from step {trainer.step} of {arguments.output}{done}")
    return True


def train_co_keypoints(arguments: argparse.Namespace) -> int:
    import torch

    from rsb_pose_ros.data.mirrored import BATCHES_DELAY, MirroredToo
    from rsb_pose_ros.data.prepared_dataset import MixedPairs, PreparedPairsDataset
    from rsb_pose_ros.data.synthetic.dataset import DrawnOnDevice, SyntheticPairsDataset
    from rsb_pose_ros.model import ModelConfig
    from rsb_pose_ros.training import distributed
    from rsb_pose_ros.training.co_keypoints import CoKeypointTrainer, Plan, start_from_blazepose
    from rsb_pose_ros.training.losses import LossWeights

    if arguments.steps is None and arguments.minutes is None:
        raise ValueError("neither --steps nor --minutes given; expected how long to train")
    if arguments.prepared and arguments.draw == "device":
        raise ValueError("--prepared with --draw device; expected --draw workers: recorded pairs are not drawn")
    if arguments.mirrored and arguments.prepared:
        raise ValueError("--mirrored with --prepared; expected rendered pairs alone")
    arguments.steps = sys.maxsize if arguments.steps is None else arguments.steps
    device = distributed.own_device(arguments.device)
    joint = arguments.stage == "end_to_end"
    if joint and arguments.start is None:
        raise ValueError(
            "no --start given; expected a checkpoint that the `finish` stage wrote, with both parts trained"
        )
    names = ("steps", "minutes", "batch", "rate", "size", "backbone_rate", "workers", "int8_share")
    config = ModelConfig.from_yaml(arguments.config)
    arguments.size = arguments.size or config.image_size
    weights = LossWeights().changed(arguments.weights)
    plan = Plan(**overrides(arguments, *names), kept=tuple(arguments.kept), end_to_end=joint, weights=weights)
    torch.manual_seed(arguments.seed)
    trainer = CoKeypointTrainer(config, plan, arguments.output, device)
    if resumed(trainer, arguments):
        pass
    elif arguments.start:
        trainer.start_from(arguments.start, arguments.fresh)
    elif getattr(arguments, "blazepose", None):
        start_from_blazepose(trainer.model, arguments.blazepose)
        trainer.average.module.load_state_dict(trainer.model.state_dict())
    # A resumed run must not see its first pairs again, nor processes each other's.
    trainer.share_start()
    seed = arguments.seed + trainer.seen + trainer.rank * PROCESS_SEEDS
    torch.manual_seed(seed)
    data = (arguments.data, arguments.shared, arguments.bodies, plan.size)
    if arguments.draw == "device":
        drawn = DrawnOnDevice(*data, plan.batch, device, seed, plan.workers)
        trainer.run_batches(MirroredToo(drawn, BATCHES_DELAY) if arguments.mirrored else drawn)
    elif arguments.prepared:
        recorded = PreparedPairsDataset(arguments.prepared, plan.size, seed)
        rendered = recorded if arguments.prepared_share == 1 else SyntheticPairsDataset(*data, seed=seed)
        trainer.run(MixedPairs(rendered, recorded, arguments.prepared_share, seed))
    else:
        pairs = SyntheticPairsDataset(*data, seed=seed)
        trainer.run(MirroredToo(pairs) if arguments.mirrored else pairs)
    return 0


def train_pose_prior(arguments: argparse.Namespace) -> int:
    import torch

    from rsb_pose_ros.data.synthetic.poses import load_poses
    from rsb_pose_ros.model import ModelConfig
    from rsb_pose_ros.training import distributed
    from rsb_pose_ros.training.exported_weights import transformer_of
    from rsb_pose_ros.training.pose_prior import Plan, PosePriorTrainer
    from rsb_pose_ros.training.recorded_errors import RecordedErrors

    torch.manual_seed(0)
    plan = Plan(
        **overrides(
            arguments, "steps", "batch", "rate", "pretraining", "masked_share", "recorded_share", "uncertainty_share"
        )
    )
    config = ModelConfig.from_yaml(arguments.config).transformer
    recorded = RecordedErrors.load(*arguments.recorded) if arguments.recorded else None
    mocap = arguments.shared / "mocap"
    poses, held_out = (
        torch.from_numpy(load_poses(mocap / f"{split}.npz", arguments.bodies, split=split))
        for split in ("train", "val")
    )
    device = distributed.own_device(arguments.device)
    trainer = PosePriorTrainer(config, plan, arguments.output, device, recorded, held_out)
    if not resumed(trainer, arguments) and arguments.start:
        trainer.begin_with(transformer_of(arguments.start))
    trainer.share_start()
    # A resumed run must not draw its first batches again, nor processes each other's.
    torch.manual_seed(trainer.step + trainer.rank * PROCESS_SEEDS)
    trainer.run(poses)
    return 0


def train_look(arguments: argparse.Namespace) -> int:
    import torch

    from rsb_pose_ros.data.synthetic.dataset import SyntheticPairsDataset
    from rsb_pose_ros.model import ModelConfig, RSBPose
    from rsb_pose_ros.training import distributed
    from rsb_pose_ros.training.co_keypoints import load_weights
    from rsb_pose_ros.training.exported_weights import load_start
    from rsb_pose_ros.training.second_look import Plan, SecondLookTrainer, first_look

    if arguments.start is None:
        raise ValueError("no --start given; expected the co-keypoint weights")
    weights = load_start(arguments.start)
    model = RSBPose(ModelConfig.from_yaml(arguments.config))
    load_weights(model, weights["average"])
    plan = Plan(**overrides(arguments, "pairs", "steps", "batch", "rate"))
    device = distributed.own_device(arguments.device)
    trainer = SecondLookTrainer(model, plan, arguments.output, device, weights.get("pairs", 0))
    resumed(trainer, arguments)
    trainer.share_start()
    # The rest of the network stays, so what is seen at first is the same after a resume; each process sees its share.
    data = (arguments.data, arguments.shared, arguments.bodies, model.config.image_size)
    dataset = SyntheticPairsDataset(*data, seed=arguments.seed + trainer.rank * PROCESS_SEEDS)
    seen = first_look(model, dataset, -(-plan.pairs // trainer.processes), arguments.workers, device)
    torch.manual_seed(trainer.step + trainer.rank * PROCESS_SEEDS)
    trainer.run(seen)
    return 0


def write_estimates(arguments: argparse.Namespace) -> int:
    import numpy as np

    from rsb_pose_ros.data.mirrored import MirroredToo
    from rsb_pose_ros.data.synthetic.dataset import SyntheticPairsDataset
    from rsb_pose_ros.model import ModelConfig, RSBPose
    from rsb_pose_ros.training.co_keypoints import load_weights
    from rsb_pose_ros.training.estimates import estimate
    from rsb_pose_ros.training.exported_weights import load_start

    if arguments.start is None:
        raise ValueError("no --start given; expected a checkpoint that the `finish` stage wrote")
    model = RSBPose(ModelConfig.from_yaml(arguments.config))
    load_weights(model, load_start(arguments.start)["average"])
    data = (arguments.data, arguments.shared, arguments.bodies, model.config.image_size)
    rendered = SyntheticPairsDataset(*data, seed=arguments.seed)
    dataset = MirroredToo(rendered) if arguments.mirrored else rendered
    found = estimate(model, dataset, arguments.pairs, arguments.within, workers=arguments.workers)
    found.save(arguments.output / "estimates.npz")
    error = 1000 * np.linalg.norm(found.triangulated - found.truth, axis=-1)
    print(f"{len(found)} poses, median error {np.median(error):.0f} mm, in {arguments.output / 'estimates.npz'}")
    return 0


def average_weights(arguments: argparse.Namespace) -> int:
    from rsb_pose_ros.training import checkpoint
    from rsb_pose_ros.training.exported_weights import load_start
    from rsb_pose_ros.training.weight_average import between

    if not 0 <= arguments.share <= 1:
        raise ValueError(f"--share is {arguments.share}; expected 0 to 1")
    before, after = load_start(arguments.start), checkpoint.load(arguments.tuned)
    kept = {key: after[key] for key in ("config", "pairs") if key in after}
    weights = between(before["average"], after["average"], arguments.share)
    checkpoint.save(arguments.output / "averaged.pt", average=weights, share=arguments.share, **kept)
    return 0


def finish_model(arguments: argparse.Namespace) -> int:
    import json

    import torch

    from rsb_pose_ros.data.synthetic.dataset import SyntheticPairsDataset
    from rsb_pose_ros.model import ModelConfig, RSBPose
    from rsb_pose_ros.training import checkpoint
    from rsb_pose_ros.training.co_keypoints import load_weights
    from rsb_pose_ros.training.exported_weights import load_start, transformer_of
    from rsb_pose_ros.training.validation import FIRST_SEED, fit_variance_scale, observe, summary

    if arguments.start is None:
        raise ValueError("no --start given; expected the co-keypoint weights")
    weights = load_start(arguments.start)
    model = RSBPose(ModelConfig.from_yaml(arguments.config))
    load_weights(model, weights["average"])
    model.transformer.load_state_dict(transformer_of(arguments.transformer))
    if arguments.pairs < 2:
        raise ValueError(f"--pairs {arguments.pairs}; expected at least 2: half of them fit, half measure")
    half = arguments.pairs // 2
    data = (arguments.data, arguments.shared, arguments.bodies, model.config.image_size, "val")
    fitted = observe(model, SyntheticPairsDataset(*data, seed=FIRST_SEED), half, workers=arguments.workers)
    model.variance_scale.copy_(torch.from_numpy(fit_variance_scale(fitted)))
    tested = observe(model, SyntheticPairsDataset(*data, seed=FIRST_SEED + half), half, workers=arguments.workers)
    figures = summary(tested)
    checkpoint.save(
        arguments.output / "final.pt",
        average=model.state_dict(),
        config=model.config.to_dict(),
        pairs=weights.get("pairs", 0),
        measured=figures,
    )
    (arguments.output / "measured.json").write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        print(f"{name:26} {value:10.3f}")
    return 0


STAGES = {
    "sce": train_co_keypoints,
    "ppt": train_pose_prior,
    "look": train_look,
    "end_to_end": train_co_keypoints,
    "estimates": write_estimates,
    "average": average_weights,
    "finish": finish_model,
}

if __name__ == "__main__":
    sys.exit(main())
