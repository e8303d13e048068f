"""What the search for an INT8 model found, as text."""

from __future__ import annotations

from typing import Any

from rsb_pose_ros.quantization.search import Result


def report(result: Result) -> str:
    """What was tried, as text."""
    lines = [f"\n{'calibration method':32}{'MPJPE, mm':>12}{'change':>10}{'moved':>10}"]
    for name, verdict in result.methods.items():
        mark = " ← taken" if name == result.method else ""
        lines.append(f"{name:32}{verdict.mpjpe:12.1f}{verdict.change:+10.1f}{verdict.moved:10.1f}{mark}")
    if result.sensitivity:
        lines += [f"\n{'layer alone in INT8 (worst 12)':32}{'MPJPE, mm':>12}{'change':>10}{'moved':>10}"]
        for name, verdict in list(result.sensitivity.items())[:12]:
            mark = " ← stays float" if name in result.excluded else ""
            lines.append(f"{name:32}{verdict.mpjpe:12.1f}{verdict.change:+10.1f}{verdict.moved:10.1f}{mark}")
    verdict = result.verdict
    lines.append(
        f"\nMPJPE of the held-out windows {result.mpjpe_float:.1f} → {verdict.mpjpe:.1f} mm: {verdict.change:+.1f} ± "
        f"{verdict.change_error:.1f} mm; sure joints moved by {verdict.moved:.1f} mm (median)"
    )
    lines.append(about_tolerance(result))
    return "\n".join(lines)


def about_tolerance(result: Result) -> str:
    """Whether the whole costs no more than it may, and what to do where it does."""
    if result.tolerance_mm is None:
        return (
            "tolerance not applied: the held-out windows have no truth, and how far joints move is no error; no layer was "
            "left out. Judge with truth (--held-out synthetic), or give --tolerance-mm to go by the move"
        )
    if result.within_tolerance is None:
        return "tolerance not judged: no joint of the held-out windows is sure or has a truth"
    cost = f"costs {result.verdict.cost:+.1f} mm, expected at most {result.tolerance_mm:g} mm"
    if result.within_tolerance:
        return f"tolerance met: {cost}"
    if not result.sensitivity:
        return f"tolerance missed: {cost}; without --no-sensitivity the worst layers would be left out"
    return (
        f"tolerance missed: {cost}, with {len(result.excluded)} layers left out (--exclude-at-most); leave out more, or "
        "calibrate with more or other pairs"
    )


def table(comparison: dict[str, Any]) -> str:
    """Before and after."""
    size, time = comparison["size_mb"], comparison["cpu_p50_ms"]
    rows = [
        ("file, MB", *size, f"× {size[1] / size[0]:.2f}"),
        ("CPU latency p50, ms", *time, f"{time[0] / time[1]:.2f}× as fast"),
        ("MPJPE, lost joints 500, mm", *(m if m is not None else "no truth" for m in comparison["mpjpe_mm"]), ""),
    ]
    kinds = sorted({k for counts in comparison["precisions"] for k in counts})
    rows += [(k, *(counts.get(k, 0) for counts in comparison["precisions"]), "") for k in kinds]
    lines = [f"\n{'':32}{'float32':>12}{'int8':>12}"]
    lines += [f"{name:32}{before!s:>12}{after!s:>12}  {note}".rstrip() for name, before, after, note in rows]
    lines.append(
        f"\nrefined joints differ by {comparison['joint_mean_mm']:.1f} mm on average, {comparison['joint_p95_mm']:.1f} mm "
        f"at the 95th percentile ({comparison['joints_compared']} sure joints); keypoints by "
        f"{comparison['keypoint_mean_px']:.2f} crop pixels; confidence by {comparison['confidence_mean']:.3f}"
    )
    return "\n".join(lines)
