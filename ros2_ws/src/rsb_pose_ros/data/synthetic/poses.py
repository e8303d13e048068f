"""Motion capture as 17-joint poses, for the pose transformer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.person import Z_UP_TO_OPTICAL
from rsb_pose_ros.data.synthetic.posing import anatomical_joints, bone_positions
from rsb_pose_ros.data.synthetic.retarget import Retarget
from rsb_pose_ros.skeleton import JOINT_COUNT, ROOT


def load_poses(
    path: str | Path, pack: str | Path = "cache/bodies.npz", seed: int = 0, split: str = "train"
) -> np.ndarray:
    """All poses of a file as (N, 17, 3) float32 metres in skeleton order, pelvis at the origin, each on a random body
    of the pack's split, so that the joints are the same anatomical points as those of the synthetic pictures.

    Axes are optical at zero heading: x to the person's left, y down, z backward (a person who faces the camera looks
    along −z). Headings and leanings are the motion's own. Raises FileNotFoundError naming the file that is missing.
    """
    motions, bodies = Motions.load(path), BodyPack.load(pack)
    retarget = Retarget(motions, bodies)
    chosen = np.random.default_rng(seed).choice(bodies.of_split(split), size=len(motions))
    poses = np.empty((len(motions), JOINT_COUNT, 3), np.float32)
    for subject, body in np.unique(np.stack([motions.subject, chosen], 1), axis=0):
        mine = np.flatnonzero((motions.subject == subject) & (chosen == body))
        rotations = retarget(motions.rotations[mine], int(subject), int(body))
        poses[mine] = anatomical_joints(bodies, int(body), rotations, bone_positions(bodies, int(body), rotations))
    poses -= poses[:, ROOT, None]
    return poses @ Z_UP_TO_OPTICAL.T.astype(np.float32)
