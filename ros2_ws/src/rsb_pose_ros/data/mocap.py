"""CMU motion capture (mocap.cs.cmu.edu): forward kinematics, and takes as continuous motions.

"The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding from NSF
EIA-0196217." Axes: y up, the rest pose faces +z, its left is +x; metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp


@dataclass(frozen=True)
class Motions:
    """Poses of one file.

    rotations: (N, 31, 4) wxyz, parent ← joint, index 0 world; root_position: (N, 3) metres; subject, motion: (N,) index
    of the skeleton and of the take in motion_ids; frame: (N,) of the take at fps[take]; names, parents: the 31 joints;
    rest: (S, 31, 3) offsets from the parent, metres; joints17: (N, 17, 3) as the data's README describes them.
    """

    rotations: np.ndarray
    root_position: np.ndarray
    subject: np.ndarray
    motion: np.ndarray
    frame: np.ndarray
    fps: np.ndarray
    motion_ids: tuple[str, ...]
    names: tuple[str, ...]
    parents: np.ndarray
    rest: np.ndarray
    joints17: np.ndarray

    @classmethod
    def load(cls, path: str | Path) -> Motions:
        """Read train.npz or val.npz. Raises FileNotFoundError naming the file."""
        if not Path(path).exists():
            raise FileNotFoundError(f"motion capture {path}: not found; expected the poses' .npz (see docs)")
        with np.load(path) as f:
            rotations = f["rotations"].astype(np.float32)
            return cls(
                rotations / np.linalg.norm(rotations, axis=-1, keepdims=True),
                f["root_position"],
                f["subject_index"],
                f["motion_index"],
                f["frame_index"],
                f["motion_fps"],
                tuple(str(m) for m in f["motion_ids"]),
                tuple(str(n) for n in f["joint_names"]),
                f["joint_parents"],
                f["rest_offsets"],
                f["joints17"].astype(np.float32),
            )

    def __len__(self) -> int:
        return len(self.rotations)

    def world_rotations(self, rotations: np.ndarray) -> np.ndarray:
        """World rotations (…, 31, 3, 3) from local quaternions (…, 31, 4) wxyz: G_j = G_parent · q_j."""
        shape = rotations.shape[:-2]
        local = quaternion_matrices(rotations.reshape(-1, len(self.names), 4))
        world = np.empty_like(local)
        for joint, parent in enumerate(self.parents):
            world[:, joint] = local[:, joint] if parent < 0 else world[:, parent] @ local[:, joint]
        return world.reshape(*shape, len(self.names), 3, 3)

    @cached_property
    def takes(self) -> dict[str, np.ndarray]:
        """Pose indices of each take, in time."""
        return {name: np.flatnonzero(self.motion == i) for i, name in enumerate(self.motion_ids)}

    def resampled(self, take: str, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """(rotations (T, 31, 4) wxyz, root positions (T, 3)) of a take at `rate` Hz, by slerp between stored poses."""
        indices = self.takes[take]
        if len(indices) < 2:
            raise ValueError(f"take {take!r} has {len(indices)} poses; expected at least 2")
        times = self.frame[indices] / float(self.fps[self.motion_ids.index(take)])
        wanted = np.arange(times[0], times[-1], 1 / rate)
        quaternions = self.rotations[indices][..., [1, 2, 3, 0]]
        slerped = [
            Slerp(times, Rotation.from_quat(quaternions[:, j]))(wanted).as_quat() for j in range(len(self.names))
        ]
        roots = np.stack([np.interp(wanted, times, self.root_position[indices, k]) for k in range(3)], -1)
        return np.stack(slerped, 1)[..., [3, 0, 1, 2]].astype(np.float32), roots.astype(np.float32)


def quaternion_matrices(q: np.ndarray) -> np.ndarray:
    """Rotation matrices (…, 3, 3) of unit quaternions (…, 4) wxyz."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)
