"""What a run shows of itself: a few pairs or poses of a batch, the truth in white, what is found in colours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from rsb_pose_ros.evaluation.drawing import draw_skeleton
from rsb_pose_ros.model.rsb_pose import Estimate
from rsb_pose_ros.model.softargmax import views_of

TRUTH_BGR = (255, 255, 255)
SEEN_BGR = (110, 110, 110)
SHOWN = 4
"""Pairs or poses of a batch in a picture."""
TILE = 256
"""Pixels across a pose's picture."""
TILE_M = 2.4
"""Metres across it."""


def pairs_over_truth(batch: Mapping[str, Tensor], estimate: Estimate) -> np.ndarray:
    """(2·S, n·S, 3) uint8 BGR: left views of the first pairs above right ones."""
    crops = batch["crops"][:SHOWN].cpu().numpy().copy()
    found = views_of(estimate.uvd.detach().float())[:SHOWN].cpu().numpy()
    truth = batch["keypoints"][:SHOWN].float().cpu().numpy()
    for pair in range(len(crops)):
        for view in range(2):
            draw_skeleton(crops[pair, view], truth[pair, view], colour_bgr=TRUTH_BGR)
            draw_skeleton(crops[pair, view], found[pair, view])
    return np.concatenate([np.concatenate(list(pair), 0) for pair in crops], 1)


def poses_over_truth(truth: Tensor, seen: Tensor, refined: Tensor) -> np.ndarray:
    """(2·TILE, n·TILE, 3) uint8 BGR: the first poses from the front, above the same from their left side; grey is what was
    seen, before the transformer. All (N, 17, 3) in metres of an optical frame, centred on the true joints' mean."""
    poses = [x[:SHOWN].detach().float().cpu().numpy() for x in (truth, seen, refined)]
    centre = poses[0].mean(1, keepdims=True)
    colours = (TRUTH_BGR, SEEN_BGR, None)
    sheet = np.zeros((2 * TILE, len(centre) * TILE, 3), np.uint8)
    for row, axes in enumerate(([0, 1], [2, 1])):
        for n in range(len(centre)):
            tile = sheet[row * TILE : (row + 1) * TILE, n * TILE : (n + 1) * TILE]
            for pose, colour in zip(poses, colours, strict=True):
                keypoints = (pose - centre)[n][:, axes] / TILE_M * TILE + TILE / 2
                draw_skeleton(tile, keypoints, colour_bgr=colour)
    return sheet
