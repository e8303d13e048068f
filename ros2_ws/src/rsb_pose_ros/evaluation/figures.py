"""Pictures of an evaluation (matplotlib): pairs with skeletons, skeletons in space, errors per joint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsb_pose_ros.bags import StereoPair
from rsb_pose_ros.evaluation.drawing import TRUTH_BGR, draw_crop, draw_skeleton, rectified_views
from rsb_pose_ros.inference import Person
from rsb_pose_ros.skeleton import BONES, JOINT_NAMES, bone_rgb, joint_rgb
from rsb_pose_ros.stereo import StereoRig, project

STRIP_HEIGHT = 240
BACKGROUND = "#202225"
FOREGROUND = "#e6e6e6"


class PairStrip:
    """Collects a few annotated pairs while a recording is evaluated, evenly spread; use as observe()'s `watch`."""

    def __init__(self, rig: StereoRig, total: int, wanted: int = 6) -> None:
        """total: how many pairs will come; wanted: how many to keep."""
        self._rig = rig
        self._chosen = set(spread(total, wanted))
        self._seen = 0
        self.tiles: list[np.ndarray] = []

    def __call__(self, pair: StereoPair, person: Person | None) -> None:
        """Look at the next pair."""
        if self._seen in self._chosen:
            self.tiles.append(annotated_pair(self._rig, pair, person))
        self._seen += 1

    def picture(self) -> np.ndarray | None:
        """(H, W, 3) BGR: the pairs below each other in two columns, or None when there were none."""
        if not self.tiles:
            return None
        tiles = list(self.tiles)
        if len(tiles) % 2:
            tiles.append(np.zeros_like(tiles[0]))
        rows = [np.concatenate(tiles[i : i + 2], axis=1) for i in range(0, len(tiles), 2)]
        return np.concatenate(rows, axis=0)


def spread(total: int, wanted: int) -> list[int]:
    """`wanted` of `total` indices, each from the middle of its share: the first pair of a recording, in which nobody is
    followed yet, stands for no other. Some come twice where there are fewer; none where there are none."""
    return [int((i + 0.5) * total / wanted) for i in range(wanted)] if total else []


def annotated_pair(rig: StereoRig, pair: StereoPair, person: Person | None) -> np.ndarray:
    """Both rectified views side by side, STRIP_HEIGHT high, BGR: skeleton in its colours, truth green."""
    views = rectified_views(rig, pair.left, pair.right)
    truth = None if pair.truth is None else project(pair.truth.astype(np.float64), rig.projections)
    for side, view in enumerate(views):
        if truth is not None:
            draw_skeleton(view, truth[side], colour_bgr=TRUTH_BGR)
        if person is not None:
            draw_crop(view, person.crop, side)
            draw_skeleton(view, person.keypoints[side], person.confidence)
    scale = STRIP_HEIGHT / views.shape[1]
    size = (round(views.shape[2] * scale), STRIP_HEIGHT)
    return np.concatenate([cv2.resize(view, size, interpolation=cv2.INTER_AREA) for view in views], axis=1)


def write_figure(path: Path, strip: np.ndarray | None, poses: np.ndarray, record: dict[str, Any], title: str) -> None:
    """One picture: the strip of pairs, the skeletons in space, the error of each joint (where there is truth).

    strip: (H, W, 3) BGR or None; poses: (N, 17, 3) metres in time order, NaN where unknown; record: summarise()'s.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    width, charts_height = 13.0, 5.5
    strip_height = 0.1 if strip is None else 0.8 * width * strip.shape[0] / strip.shape[1]
    figure = pyplot.figure(figsize=(width, charts_height + strip_height), facecolor=BACKGROUND)
    grid = figure.add_gridspec(2, 2, height_ratios=(strip_height, charts_height), hspace=0.1, wspace=0.16, top=0.95)
    figure.suptitle(title, color=FOREGROUND, y=0.98)
    if strip is not None:
        axes = figure.add_subplot(grid[0, :])
        axes.imshow(strip[..., ::-1])
        axes.set_axis_off()
    with_errors = "refined" in record
    _draw_space(figure.add_subplot(grid[1, 0] if with_errors else grid[1, :], projection="3d"), poses)
    if with_errors:
        _draw_joint_errors(figure.add_subplot(grid[1, 1]), record)
    figure.savefig(path, dpi=110, facecolor=BACKGROUND, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)


def _draw_space(axes: Any, poses: np.ndarray, shown: int = 8) -> None:
    """Skeletons over time, older ones fainter, as RViz shows them: floor grid, x right, depth to the back, up is up."""
    axes.set_facecolor(BACKGROUND)
    known = [pose for pose in poses if np.isfinite(pose).any()]
    chosen = [known[i] for i in np.linspace(0, len(known) - 1, min(shown, len(known))).round().astype(int)]
    for age, pose in enumerate(chosen):
        alpha = 0.25 + 0.75 * (age + 1) / len(chosen)
        # The optical frame's y points down and z ahead; matplotlib's z points up.
        right, ahead, up = pose[:, 0], pose[:, 2], -pose[:, 1]
        for a, b in BONES:
            axes.plot(right[[a, b]], ahead[[a, b]], up[[a, b]], color=bone_rgb((a, b)), alpha=alpha, linewidth=2)
    axes.set_xlabel("x (m)", color=FOREGROUND)
    axes.set_ylabel("depth z (m)", color=FOREGROUND)
    axes.set_zlabel("−y (m)", color=FOREGROUND)
    axes.tick_params(colors=FOREGROUND, labelsize=7)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((0.16, 0.17, 0.18, 1.0))
    if chosen:
        _equal_scale(axes, np.concatenate(chosen))
    axes.view_init(elev=18, azim=-65)


def _equal_scale(axes: Any, points: np.ndarray) -> None:
    low, high = np.nanpercentile(points, 1, axis=0), np.nanpercentile(points, 99, axis=0)
    centre, half = (low + high) / 2, max(float((high - low).max()) / 2, 0.5) * 1.05
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[2] - half, centre[2] + half)
    axes.set_zlim(-centre[1] - half, -centre[1] + half)
    axes.set_box_aspect((1, 1, 1))


def _draw_joint_errors(axes: Any, record: dict[str, Any]) -> None:
    refined = [record["refined"]["per_joint_mm"][name] for name in JOINT_NAMES]
    initial = [record["as_triangulated"]["per_joint_mm"][name] for name in JOINT_NAMES]
    rows = np.arange(len(JOINT_NAMES))
    axes.set_facecolor(BACKGROUND)
    axes.barh(rows + 0.2, _zero_for_nan(refined), 0.38, color=[joint_rgb(int(i)) for i in rows], label="refined")
    axes.barh(rows - 0.2, _zero_for_nan(initial), 0.38, color="#777b80", label="as triangulated (grey)")
    axes.set_yticks(rows, JOINT_NAMES, color=FOREGROUND, fontsize=8)
    axes.tick_params(colors=FOREGROUND)
    axes.invert_yaxis()
    axes.set_xlabel("mean error (mm)", color=FOREGROUND, loc="left")
    mean, found = record["refined"]["mpjpe_mm"], record["refined"]["coverage"]
    axes.set_title(f"MPJPE {mean:.1f} mm, {100 * found:.1f} % of the joints found", color=FOREGROUND, fontsize=10)
    axes.legend(fontsize=8, loc="upper right", bbox_to_anchor=(1, -0.05), ncols=2)  # below: bars may be long


def _zero_for_nan(values: Sequence[float]) -> np.ndarray:
    return np.nan_to_num(np.array(values, np.float64))
