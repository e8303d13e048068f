"""CMU motion → bone rotations of an Anny body: every limb points where the actor's does, whatever the body's shape."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.synthetic.bodies import BodyPack

Y_UP_TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])

# bone: (its limb parent or None at the limb's start, next joint in Anny, next joint in CMU)
LIMBS = {
    f"{side}{bone}": (f"{side}{parent}" if parent else None, f"{side}{anny}", f"{side}{cmu}")
    for side in ("Left", "Right")
    for bone, parent, anny, cmu in (
        ("Arm", None, "ForeArm", "ForeArm"),
        ("ForeArm", "Arm", "Hand", "FingerBase"),
        ("Hand", "ForeArm", "FingerBase", "HandIndex1"),
        ("UpLeg", None, "Leg", "Leg"),
        ("Leg", "UpLeg", "Foot", "Foot"),
        ("Foot", "Leg", "ToeBase", "ToeBase"),
    )
}


class Retarget:
    """Maps the motions of one file onto the bodies of one pack."""

    def __init__(self, motions: Motions, pack: BodyPack) -> None:
        self.motions, self.pack = motions, pack
        self._alignments: dict[tuple[int, int], dict[str, np.ndarray]] = {}

    def __call__(self, rotations: np.ndarray, subject: int, body: int) -> np.ndarray:
        """World rotations (…, B, 3, 3) of a body's bones away from rest, z up, for poses (…, 31, 4) of one subject."""
        world = self.motions.world_rotations(rotations)
        alignment = self._alignment(subject, body)
        bones = [self._bone(name, world, alignment) for name in self.pack.bone_names]
        return np.stack(bones, axis=-3).astype(np.float32)

    def _bone(self, name: str, world: np.ndarray, alignment: dict[str, np.ndarray]) -> np.ndarray:
        side = "Left" if name.startswith("L") else "Right"

        def of(joint: str) -> np.ndarray:
            return world[..., self.motions.names.index(joint), :, :]

        if name.endswith("Hand"):
            source = of(f"{side}FingerBase")
        elif name.endswith("ForeArm"):
            # Pronation turns half-way along the forearm.
            source = halfway(of(name), of(f"{side}Hand"))
        elif any(part in name for part in ("Finger", "Thumb")):
            name, source = f"{side}Hand", of(f"{side}FingerBase")
        elif name.endswith("ToeBase"):
            name = f"{side}Foot"
            source = of(name)
        else:
            source = of(name)
        return Y_UP_TO_Z_UP @ source @ Y_UP_TO_Z_UP.T @ alignment.get(name, np.eye(3))

    def _alignment(self, subject: int, body: int) -> dict[str, np.ndarray]:
        """A_b per limb bone: turns the body's rest direction (A-pose) into the subject's (T-pose)."""
        key = (subject, body)
        if key not in self._alignments:
            heads, rest = self.pack.heads[body], self.motions.rest[subject]
            alignment: dict[str, np.ndarray] = {}
            for name, (parent, ours, theirs) in LIMBS.items():
                before = alignment[parent] if parent else np.eye(3)
                direction = heads[self.pack.bone(ours)] - heads[self.pack.bone(name)]
                if name.endswith("Hand"):
                    wanted = np.array([1.0 if name.startswith("Left") else -1.0, 0, 0])
                else:
                    wanted = Y_UP_TO_Z_UP @ rest[self.motions.names.index(theirs)]
                alignment[name] = minimal_rotation(before @ direction, wanted) @ before
            self._alignments[key] = alignment
        return self._alignments[key]


def minimal_rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that turns one direction into another (Rodrigues)."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis, cosine = np.cross(a, b), float(a @ b)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def halfway(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotations (…, 3, 3) half-way between two: orthonormalised mean."""
    u, _, v = np.linalg.svd(a + b)
    u[..., :, 2] *= np.linalg.det(u @ v)[..., None]
    return u @ v
