"""Attention of the pose transformer as pictures: who looks at whom, and what a hidden wrist looks at."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from rsb_pose_ros.model import PoseTransformer
from rsb_pose_ros.skeleton import BONES, INDEX, JOINT_COUNT, JOINT_NAMES
from rsb_pose_ros.training.pose_ablation import attention

HIDDEN = ("r_wrist", "l_ankle")
"""Joints whose attention is drawn on a body, seen and masked."""
BRIGHTEST = 0.15
"""Attention drawn darkest; a uniform one is 0.06."""


def draw(model: PoseTransformer, poses: Tensor, path: Path, count: int = 500) -> None:
    """Write a PNG: the mean matrix of the last layer, and the rows of HIDDEN joints over a body, seen and masked."""
    chosen = poses[torch.linspace(0, len(poses) - 1, count).long()]
    figure, axes = plt.subplots(1, 1 + 2 * len(HIDDEN), figsize=(17, 5.6), width_ratios=[1.6] + [1] * 2 * len(HIDDEN))
    figure.set_layout_engine("constrained")
    _matrix(axes[0], attention(model, chosen))
    body = chosen[_most_upright(chosen)].numpy()
    for number, name in enumerate(HIDDEN):
        masked = torch.zeros(count, JOINT_COUNT, dtype=torch.bool)
        masked[:, INDEX[name]] = True
        for column, (label, mask) in enumerate((("seen", None), ("hidden", masked))):
            row = attention(model, chosen, mask)[INDEX[name]]
            _body(axes[1 + 2 * number + column], body, row, INDEX[name], f"{name}, {label}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _matrix(axes: Axes, weights: np.ndarray) -> None:
    axes.imshow(weights, cmap="magma")
    axes.set_xticks(range(JOINT_COUNT), JOINT_NAMES, rotation=90, fontsize=8)
    axes.set_yticks(range(JOINT_COUNT), JOINT_NAMES, fontsize=8)
    axes.set_title("last layer: a row looks at columns", fontsize=10)


def _body(axes: Axes, body: np.ndarray, row: np.ndarray, joint: int, title: str) -> None:
    for a, b in BONES:
        axes.plot(body[[a, b], 0], body[[a, b], 1], color="0.75", linewidth=2, zorder=1)
    axes.scatter(
        body[:, 0],
        body[:, 1],
        s=30 + 1500 * row,
        c=row,
        cmap="magma_r",
        vmin=0,
        vmax=BRIGHTEST,
        edgecolors="0.4",
        zorder=2,
    )
    axes.scatter(*body[joint, :2], marker="x", s=90, color="tab:blue", linewidths=2.5, zorder=3)
    for index in np.argsort(row)[-3:]:
        label = f"{JOINT_NAMES[index]} {100 * row[index]:.0f} %"
        axes.annotate(label, body[index, :2], (7, 7), textcoords="offset points", fontsize=8, zorder=4)
    axes.set_title(title, fontsize=10)
    axes.margins(0.3, 0.08)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.axis("off")


def _most_upright(poses: Tensor) -> int:
    """The pose whose arms hang widest and whose back is straightest: the easiest to draw on."""
    spread = (poses[:, INDEX["l_wrist"], 0] - poses[:, INDEX["r_wrist"], 0]).clamp(max=1.0)
    lean = poses[:, INDEX["neck"], [0, 2]].norm(dim=-1) + poses[:, INDEX["l_ankle"], [0, 2]].norm(dim=-1)
    return int((spread - lean).argmax())
