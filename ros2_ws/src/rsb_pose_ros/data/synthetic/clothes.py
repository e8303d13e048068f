"""What clothes are cut from: regions of the body's surface, and layers on it that end where their field falls below zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.drape import hung, lifts, trunk_radii
from rsb_pose_ros.data.synthetic.faces import Face

EDGE = 0.03
"""Fields are metres from the hem, positive inside, and are cut off here, so that hems lie where they should."""


class BodyRegions:
    """What garments are cut from: per vertex heights, limb coordinates (0…1 to elbow or knee, 1…2 to wrist or ankle)."""

    def __init__(self, pack: BodyPack, body: int) -> None:
        vertices, heads = pack.vertices[body], pack.heads[body]
        names = np.array(pack.bone_names)[pack.bones[:, 0]]
        self.pack, self.body = pack, body
        self.across, self.depth, self.height = vertices.T
        self.top = float(vertices[pack.head_top, 2].mean())
        self.size = (self.top - float(heads[pack.bone("LeftFoot"), 2])) / 1.98
        """Over the first body of the pack, an adult."""
        self.crotch = float(heads[pack.bone("LeftUpLeg"), 2]) - 0.09
        self.knee = float(heads[pack.bone("LeftLeg"), 2])
        self.ankle = float(heads[pack.bone("LeftFoot"), 2])
        self.waist = float(heads[pack.bone("LowerBack"), 2])
        self.neck = float(heads[pack.bone("Neck"), 2])
        self.is_head = np.isin(names, ["Head", "Neck1"])
        self.is_neck = names == "Neck"
        self.is_hand = np.char.endswith(names, "Hand") | (np.char.find(names, "Finger") >= 0)
        self.is_hand |= np.char.find(names, "Thumb") >= 0
        self.is_foot = np.char.endswith(names, "Foot") | np.char.endswith(names, "ToeBase")
        self.arm, self.arm_length = _along(vertices, names, pack, heads, ("Arm", "ForeArm", "Hand"))
        self.leg, self.leg_length = _along(vertices, names, pack, heads, ("UpLeg", "Leg", "Foot"))
        limb = self.is_hand | self.is_foot | np.isfinite(self.arm) | np.isfinite(self.leg)
        self.is_torso = ~(self.is_head | self.is_neck | limb)
        trunk = self.is_torso | (np.isfinite(self.leg) & (self.height > self.crotch - 0.05))
        slices = trunk_radii(vertices[trunk], self.crotch - 0.04, self.neck - 0.12 * self.size)
        self.tight = np.where(trunk[:, None], lifts(vertices, *slices), 0)
        self.loose = np.where(trunk[:, None], lifts(vertices, slices[0], hung(*slices)), 0)
        self.face = Face(pack, body)
        # Cloth coordinates: metres around and along the body.
        self.texture = np.stack([vertices[:, 0] + 0.7 * vertices[:, 1], vertices[:, 2]], 1).astype(np.float32)

    def sleeves(self, end: float) -> np.ndarray:
        """Field (V,) of sleeves that end at an arm coordinate."""
        field = (end - self.arm) * self.arm_length / 2
        return np.where(self.is_hand, (end - 2.1) * 0.3, field)

    def torso(self, low: float, high: float) -> np.ndarray:
        """Field (V,) of the trunk between two heights; below the trunk's end it goes on over the thighs."""
        field = np.minimum(self.height - low, high - self.height)
        return np.where(self.is_torso | np.isfinite(self.leg), field, np.nan)

    def trousers(self, waist: float, legs: float) -> np.ndarray:
        """Field (V,) of trousers from a height down to a leg coordinate."""
        return np.where(self.is_torso, waist - self.height, (legs - self.leg) * self.leg_length / 2)


def _along(
    vertices: np.ndarray, names: np.ndarray, pack: BodyPack, heads: np.ndarray, chain: tuple[str, str, str]
) -> tuple[np.ndarray, float]:
    """(coordinate along a limb of two bones per vertex, NaN elsewhere; the limb's length in metres)."""
    along = np.full(len(vertices), np.nan, np.float32)
    length = 0.0
    for side in ("Left", "Right"):
        for k in range(2):
            start, end = (heads[pack.bone(side + chain[i])] for i in (k, k + 1))
            mine = names == side + chain[k]
            axis = end - start
            along[mine] = k + (vertices[mine] - start) @ axis / (axis @ axis)
            length += float(np.linalg.norm(axis)) / 2
    return along, length


@dataclass(frozen=True)
class Layer:
    """field: (V,) metres from the hem, NaN where the garment cannot be; thickness: metres; flare: metres by which it
    stands off more, per vertex or everywhere; tile: None is plain; folds: strength of its folds, 0…0.3; drape: 0 follows
    the body's dips, 1 spans them, 2 hangs from chest and hips."""

    field: np.ndarray
    thickness: float
    colour: np.ndarray
    tile: np.ndarray | None = None
    repeats: float = 1.0
    folds: float = 0.0
    flare: np.ndarray | float = 0.0
    drape: float = 0.0
