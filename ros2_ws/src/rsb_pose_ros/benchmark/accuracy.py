"""Ours against 2D networks on each view, all on the same frozen pairs, in one run.

Every method sees the same two windows of synthetic-test. Errors are over the joints that a method found, and ratios over
those that both found: whoever answers less often gains nothing by it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.benchmark.frozen_pairs import ROOT, add_test_data
from rsb_pose_ros.benchmark.intervals import mean_interval, ratio
from rsb_pose_ros.benchmark.markdown import table as markdown_table
from rsb_pose_ros.benchmark.mediapipe_process import MediaPipePose, make_environment
from rsb_pose_ros.benchmark.methods import (
    LARGE,
    MEDIAPIPE,
    OURS,
    PER_VIEW,
    WITHOUT_PPT,
    MediaPipeOnEachView,
    Method,
    OurNetwork,
)
from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.evaluation.breakdown import BY_OBJECT, VISIBLE, WindowTable, breakdown, figures, observe
from rsb_pose_ros.landmarks import COMPARED, OWN_LANDMARK
from rsb_pose_ros.skeleton import JOINT_COUNT, JOINT_NAMES

TARGET_DISTANCE_M, TARGET_BASELINE_M = 4.0, 0.12
NEAR_TARGET_M = (0.1, 0.15)
"""Baselines of the rows that compare methods near the target; the target itself is measured on rigs of 0.12 m."""
LARGER = 2
"""Windows for MediaPipe have so many times the pixels across: about what a camera of 1280 × 720 would give it."""
SAME_M = 1e-4
WINDOWS = ("crops", "projections")
AGAINST_HEATMAPS = "disparity error, co-keypoints / per-view heatmaps, median"
AGAINST_MEDIAPIPE = "3D error, ours / MediaPipe ×2, median"
HIDDEN_WITH_PPT = "3D error of hidden joints, with PPT / without, mean"

EXAMPLES = """examples:
  tools/benchmark.py accuracy --pairs 200 --json out/accuracy.json
  tools/benchmark.py accuracy --model models/mine.onnx --pairs 2000 --empty 3000
  tools/benchmark.py accuracy --pairs 50 --empty 0 --without-mediapipe
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py accuracy`."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, default=ROOT / "models/rsb_pose_edge.onnx", help="stereo_pose .onnx")
    parser.add_argument("--pairs", type=int, default=200, help="the first so many of synthetic-test (default 200)")
    parser.add_argument("--empty", type=int, default=200, help="pictures of empty rooms (default 200)")
    parser.add_argument("--without-mediapipe", action="store_true", help="do not install or run MediaPipe")
    add_test_data(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures by method, ratios, false people. Raises ValueError, OSError, ModelError, BenchmarkError."""
    import cv2

    from rsb_pose_ros.data.synthetic.test_set import SyntheticTestSet

    cv2.setNumThreads(1)
    if arguments.pairs < 1 or arguments.empty < 0:
        raise ValueError(f"--pairs {arguments.pairs} --empty {arguments.empty}; expected at least 1 and 0")
    ours = OurNetwork(arguments.model, arguments.threads)
    test_set = SyntheticTestSet(arguments.definition, arguments.shared, arguments.bodies, size=ours.size)
    with ExitStack() as stack:
        methods: list[Method] = [ours]
        large = None
        data = (arguments.definition, arguments.shared, arguments.bodies)
        if not arguments.without_mediapipe:
            process = stack.enter_context(MediaPipePose(make_environment(), still=True))
            methods.append(MediaPipeOnEachView(process, ours.size))
            large = SyntheticTestSet(*data, size=LARGER * ours.size)
        tables = observe_all(methods, _batches(test_set, arguments.pairs, large))
    of_target = SyntheticTestSet(*data, baseline=TARGET_BASELINE_M, size=ours.size)
    at_target = mean_up_to_4_m(observe_all([ours], _batches(of_target, arguments.pairs))[OURS])
    false_people = _false_people(arguments, test_set) if arguments.empty else None
    figures_of_methods = judged(tables)
    return {
        "benchmark": "accuracy",
        "model": ours.name,
        "synthetic_test_version": test_set.definition.version,
        **figures_of_methods,
        "at_target": at_target,
        "false_people": false_people,
        "targets": targets(figures_of_methods, at_target, false_people),
    }


def _batches(test_set: Any, pairs: int, large: Any = None) -> Iterator[dict[str, np.ndarray]]:
    """large: the same pairs in larger windows, which come as LARGE."""
    from tqdm import tqdm

    total = min(pairs, len(test_set))
    larger = large.batches(8, total) if large is not None else repeat(None)
    with tqdm(total=total, desc="synthetic-test", unit="pair") as bar:
        for batch, other in zip(test_set.batches(8, total), larger):
            yield batch if other is None else batch | enlarged(batch, other)
            bar.update(len(batch["crops"]))


def enlarged(batch: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """LARGE of a batch, from the same seeds rendered larger.

    Where chance went another way there (whether a person is seen well enough is decided on the picture), the window itself
    is enlarged.
    """
    import cv2

    side, size = other["crops"].shape[2], batch["crops"].shape[2]
    crops, projections = other["crops"].copy(), other["projections"].copy()
    for k, (ours, theirs) in enumerate(zip(batch["joints"], other["joints"])):
        if np.allclose(ours, theirs, atol=SAME_M, equal_nan=True):
            continue
        crops[k] = [cv2.resize(view, (side, side), interpolation=cv2.INTER_CUBIC) for view in batch["crops"][k]]
        projections[k] = batch["projections"][k]
        projections[k, :, :2] *= side / size
        projections[k, :, :2, 2] += (side / size - 1) / 2
    return dict(zip(LARGE, (crops, projections), strict=True))


def observe_all(methods: Sequence[Method], batches: Iterator[dict[str, np.ndarray]]) -> dict[str, WindowTable]:
    """What every method says of the same batches, by its name. Each batch is rendered and held once."""
    parts: dict[str, list[WindowTable]] = {}
    for batch in batches:
        for method in methods:
            for name, answer in method(*(batch[key] for key in getattr(method, "inputs", WINDOWS))).items():
                parts.setdefault(name, []).append(observe(lambda *_, answer=answer: answer, [batch]))  # type: ignore[misc]
    return {
        name: WindowTable(**{f.name: np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(WindowTable)})
        for name, tables in parts.items()
    }


def judged(tables: dict[str, WindowTable]) -> dict[str, Any]:
    """Figures of each method over the joints that all can be measured on, and what is compared with what."""
    everybody = next(iter(tables.values()))
    common = np.tile(COMPARED, (len(everybody.present), 1))
    methods = {}
    for name, table in tables.items():
        compared = table.only(np.ones(len(table.present), bool), common)
        methods[name] = {
            "compared_joints": breakdown(compared),
            "target_range": figures(compared.only(in_target_range(compared))),
            "all_joints": breakdown(table) if name != MEDIAPIPE else None,
        }
    return {
        "pairs": int(everybody.present.sum()),
        "compared_joints": [name for name, chosen in zip(JOINT_NAMES, COMPARED) if chosen],
        "methods": methods,
        "comparisons": comparisons(tables),
    }


def in_target_range(table: WindowTable) -> np.ndarray:
    """(N,) bool: pairs of a person up to 4 m away, taken at a baseline of about 0.12 m."""
    baseline = -table.projections[:, 1, 0, 3] / table.projections[:, 1, 0, 0]
    return _near(table) & (baseline >= NEAR_TARGET_M[0]) & (baseline < NEAR_TARGET_M[1])


def _near(table: WindowTable) -> np.ndarray:
    return table.present & (np.nan_to_num(table.distance, nan=np.inf) <= TARGET_DISTANCE_M)


def mean_up_to_4_m(table: WindowTable) -> dict[str, float]:
    """{"pairs", "mpjpe_mm", "low", "high"} of all joints of people up to 4 m away; 95 % interval, pairs drawn anew."""
    pairs, mean, low, high = mean_interval(1000 * _error(table.only(_near(table))))
    return {"pairs": pairs, "mpjpe_mm": mean, "low": low, "high": high}


def comparisons(tables: dict[str, WindowTable]) -> dict[str, dict[str, Any]]:
    """Ratios of the better of two to the other, on joints that both found, with a 95 % interval over the pairs."""
    ours, found = tables[OURS], {}
    if PER_VIEW in tables:
        other = tables[PER_VIEW]
        both = (_disparity(ours), _disparity(other))
        found[AGAINST_HEATMAPS] = ratio(*both, "median")
        found["disparity error, co-keypoints / per-view heatmaps, mean"] = ratio(*both, "mean")
        # The other joints' heatmaps were started as means of heatmaps, a weak baseline where training was short.
        found["the same of joints with a landmark of their own, median"] = ratio(
            np.where(OWN_LANDMARK, both[0], np.nan), both[1], "median"
        )
        found["3D error without PPT / per-view heatmaps, median"] = ratio(
            _error(tables[WITHOUT_PPT]), _error(other), "median"
        )
    if MEDIAPIPE in tables:
        other = tables[MEDIAPIPE]
        found[AGAINST_MEDIAPIPE] = ratio(_compared(_error(ours)), _error(other), "median")
        found["3D error, ours / MediaPipe ×2, mean"] = ratio(_compared(_error(ours)), _error(other), "mean")
        found["disparity error, ours / MediaPipe ×2, median"] = ratio(
            _compared(_disparity(ours)), _disparity(other), "median"
        )
    worst = ours.visibility.min(1)
    hidden = (worst >= BY_OBJECT) & (worst < VISIBLE)
    for part, chosen in (("hidden", hidden), ("behind an object", worst == BY_OBJECT), ("visible", worst == VISIBLE)):
        with_ppt, without = (np.where(chosen, _error(tables[name]), np.nan) for name in (OURS, WITHOUT_PPT))
        found[f"3D error of {part} joints, with PPT / without, mean"] = ratio(with_ppt, without, "mean")
    return found


def targets(
    result: dict[str, Any], at_target: dict[str, float], false_people: dict[str, float] | None
) -> list[dict[str, Any]]:
    """What is aimed at: [{"target", "measured", "limit", "met", "certain"}], lower is better; without what was not measured.

    certain: met at the upper end of the 95 % interval, too.
    """
    compared = result["comparisons"]
    name = (
        f"MPJPE of all joints up to 4 m at a baseline of {TARGET_BASELINE_M:g} m ({at_target['pairs']} pairs, with 95 % "
        f"certainty {at_target['low']:.0f} to {at_target['high']:.0f}), mm"
    )
    wanted = {name: (at_target["mpjpe_mm"], at_target["high"], 45.0)}
    for ratio_of, limit in ((AGAINST_MEDIAPIPE, 0.5), (AGAINST_HEATMAPS, 0.7), (HIDDEN_WITH_PPT, 0.85)):
        if ratio_of in compared:
            wanted[ratio_of] = (compared[ratio_of]["ratio"], compared[ratio_of]["high"], limit)
    if false_people:
        # Nothing seen in a few rooms proves nothing: it takes 3 000 rooms without a false person.
        bound = false_people["rate_below_95"]
        wanted["false people a picture of an empty room, with 95 % certainty"] = (bound, bound, 0.001)
    return [
        {"target": name, "measured": value, "limit": limit, "met": bool(value <= limit), "certain": bool(high <= limit)}
        for name, (value, high, limit) in wanted.items()
    ]


def verdict(target: dict[str, Any]) -> str:
    """Whether a target was met, and whether that is certain."""
    if not target["met"]:
        return "missed"
    return "met" if target["certain"] else "met, though not with 95 % certainty"


def _error(table: WindowTable) -> np.ndarray:
    return metrics.distances(table.joints, table.truth)


def _disparity(table: WindowTable) -> np.ndarray:
    return metrics.disparity_errors(table.keypoints, np.where(_known(table), table.truth_keypoints, np.nan))


def _known(table: WindowTable) -> np.ndarray:
    """(N, 1, 17, 1): joints with a 3D answer, so that a disparity that means nothing is no disparity."""
    return np.isfinite(table.joints).all(-1)[:, None, :, None]


def _compared(errors: np.ndarray) -> np.ndarray:
    return np.where(COMPARED, errors, np.nan)


def _false_people(arguments: argparse.Namespace, test_set: Any) -> dict[str, float]:
    """How often the estimator, as the node runs it, finds somebody in pictures of empty rooms."""
    from rsb_pose_ros.benchmark.onlooker import Onlooker
    from rsb_pose_ros.benchmark.whole_pictures import empty_pairs, upper_rate

    pairs = empty_pairs(test_set.definition.ranges, arguments.shared, arguments.bodies, arguments.empty)
    onlooker = Onlooker(arguments.model, arguments.threads)
    found = sum(
        onlooker.outcomes(
            lambda estimator, pair: bool(estimator.estimate(pair.left, pair.right)),
            pairs,
            arguments.empty,
            "empty rooms",
            tiles_in_turn=True,
        )
    )
    return {
        "pairs": arguments.empty,
        "found": found,
        "rate": found / arguments.empty,
        "rate_below_95": upper_rate(found, arguments.empty),
    }


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{result['model']} on {result['pairs']} pairs with a person, synthetic-test version "
        f"{result['synthetic_test_version']}; {len(result['compared_joints'])} of {JOINT_COUNT} joints "
        "(not head_top and thorax)",
        "",
        f"{'':30}{'mean mm':>9}{'median':>9}{'disp px':>9}{'median':>9}{'found':>8}",
    ]
    for name, method in result["methods"].items():
        parts = method["compared_joints"]
        lines.append(_row(name, parts["all"]))
        rows = [("up to 4 m, baseline 0.1–0.15 m", method["target_range"])]
        rows += [(part, row) for kind in ("window", "joint", "distance") for part, row in parts[kind].items()]
        lines += [_row(f"  {part}", row) for part, row in rows]
    lines.append("")
    for name, found in result["comparisons"].items():
        lines.append(f"{found['ratio']:6.2f} ({found['low']:.2f}–{found['high']:.2f})  {name}")
    if (empty := result["false_people"]) is not None:
        lines.append(
            f"false people: {empty['found']} in {empty['pairs']} pictures of empty rooms "
            f"(rate below {empty['rate_below_95']:.4f} with 95 % certainty)"
        )
    lines.append("")
    for target in result["targets"]:
        lines.append(f"{target['measured']:9.3f} (target ≤ {target['limit']:g}) {verdict(target)}: {target['target']}")
    return "\n".join(lines)


def _row(label: str, row: dict[str, float]) -> str:
    return (
        f"{label:30}{row['mpjpe_mm']:9.1f}{row['median_mm']:9.1f}{row['disparity_px']:9.2f}"
        f"{row['disparity_median_px']:9.2f}{100 * row['coverage']:7.1f}%"
    )


_PARTS = (
    ("window", "followed", "followed windows"),
    ("window", "search", "windows of the whole view"),
    ("joint", "visible", "visible joints"),
    ("joint", "behind the body", "behind the body"),
    ("joint", "behind an object", "behind an object"),
)


def marker(result: dict[str, Any]) -> str:
    """Of the place in a page that `markdown` belongs to."""
    del result
    return "benchmark accuracy"


def markdown(result: dict[str, Any]) -> str:
    """The figures for docs/accuracy.md."""
    methods = {name: method["compared_joints"] for name, method in result["methods"].items()}
    head = ["", *methods]
    rows = [
        ["median error, mm", *(f"{m['all']['median_mm']:.0f}" for m in methods.values())],
        ["mean error, mm", *(f"{m['all']['mpjpe_mm']:.0f}" for m in methods.values())],
        ["median disparity error, px", *(f"{m['all']['disparity_median_px']:.2f}" for m in methods.values())],
        ["mean disparity error, px", *(f"{m['all']['disparity_px']:.2f}" for m in methods.values())],
        ["joints found", *(f"{100 * m['all']['coverage']:.0f} %" for m in methods.values())],
        [
            "median mm (found): up to 4 m, baseline 0.10–0.15 m",
            *(_cell(method["target_range"]) for method in result["methods"].values()),
        ],
    ]
    rows += [[f"… {label}", *(_cell(m[kind][part]) for m in methods.values())] for kind, part, label in _PARTS]
    distances = next(iter(methods.values()))["distance"]
    rows += [[f"… {part}", *(_cell(m["distance"][part]) for m in methods.values())] for part in distances]
    ratios = [
        [name, f"{c['ratio']:.2f}", f"{c['low']:.2f}–{c['high']:.2f}", str(c["joints"])]
        for name, c in result["comparisons"].items()
    ]
    lines = [
        f"`{result['model']}`, {result['pairs']} pairs with a person, synthetic-test version "
        f"{result['synthetic_test_version']}, {len(result['compared_joints'])} joints:",
        "",
        markdown_table(head, rows),
        "",
        markdown_table(["on joints that both found", "ratio", "95 % interval", "joints"], ratios),
        "",
        markdown_table(
            ["aimed at", "target", "measured"],
            [[t["target"], f"≤ {t['limit']:g}", f"{t['measured']:.3g} ({verdict(t)})"] for t in result["targets"]],
        ),
    ]
    if (empty := result["false_people"]) is not None:
        lines += [
            "",
            f"False people: {empty['found']} in {empty['pairs']} pictures of empty rooms; with 95 % certainty fewer than "
            f"{1000 * empty['rate_below_95']:.1f} in 1 000.",
        ]
    return "\n".join(lines)


def _cell(row: dict[str, float]) -> str:
    return f"{row['median_mm']:.0f} ({100 * row['coverage']:.0f} %)" if row["coverage"] > 0 else "– (0 %)"
