"""A face painted on the bare head: eyes, brows, lips, cheeks, and where hair grows. It tells front from back."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from rsb_pose_ros.data.synthetic.bodies import BodyPack


class Face:
    """Places on one body's head at rest (x to its left, −y forward, z up), found from the eyeballs and the nose."""

    def __init__(self, pack: BodyPack, body: int) -> None:
        vertices = pack.vertices[body]
        self._eyes = _eyeballs(pack, vertices)
        centres = np.stack([vertices[eye].mean(0) for eye in self._eyes])
        nose, top = vertices[pack.nose], vertices[pack.head_top].mean(0)
        eye_height, eye_x = float(centres[:, 2].mean()), float(np.abs(centres[:, 0]).mean())
        # Lengths of an adult's face, scaled: the pupils are 6.2 cm apart.
        unit = eye_x / 0.031
        x, y, z = np.abs(vertices[:, 0]) / unit, (vertices[:, 1] - nose[1]) / unit, (vertices[:, 2] - eye_height) / unit
        head = np.isin(np.array(pack.bone_names)[pack.bones[:, 0]], ["Head", "Neck1"])
        front = head & (y < 0.07)
        self._iris = [eye[np.argsort(vertices[eye, 1])[:9]] for eye in self._eyes]
        self._brows = front & (x > 0.01) & (x < 0.052) & (z > 0.016) & (z < 0.03)
        mouth = (nose[2] - eye_height) / unit - 0.031
        self._lips = front & (x < 0.026) & (np.abs(z - mouth) < 0.009)
        self._beard = front & (z < mouth + 0.018) & (z > mouth - 0.05) & ~self._lips
        self._glasses = front & (np.hypot(x - 0.032, (z + 0.004) * 1.2) < 0.026)
        self._cheeks = front & (np.hypot(x - 0.04, z + 0.035) < 0.02)
        # Distance above a hairline that runs from the forehead over the ears to the neck.
        crown = (top[2] - eye_height) / unit
        hairline = np.interp(y, [0.0, 0.06, 0.1, 0.2], [0.55 * crown, 0.5 * crown, -0.01, -0.06])
        self._above_hairline = np.where(head, (z - hairline) * unit, -1.0)
        # Long hair falls from behind the ears over neck and back.
        self._behind = np.minimum((y - 0.11) * unit, 0.075 - np.abs(vertices[:, 0]))
        self._below_top = top[2] - vertices[:, 2]

    def hair(self, recession: float, length: float = 0.0) -> np.ndarray:
        """Field (V,) of the hair, metres from its edge.

        recession: metres by which the hairline moves up; length: metres below the top of the head to which it falls.
        """
        falling = np.minimum(self._behind, length - self._below_top)
        return np.maximum(self._above_hairline - recession, falling)

    def paint(self, generator: np.random.Generator, skin: np.ndarray) -> np.ndarray:
        """Factors (V, 3) float32 of the skin's BGR colour."""
        albedo = np.ones((len(self._above_hairline), 3), np.float32)
        albedo[self._cheeks] = [0.88, 0.9, 1.02]
        albedo[self._lips] = generator.uniform([0.55, 0.5, 0.8], [0.85, 0.8, 1.0])
        if generator.random() < 0.25:
            albedo[self._beard] = generator.uniform(0.25, 0.8)
        albedo[self._brows] = generator.uniform(0.2, 0.7)
        for eye, iris in zip(self._eyes, self._iris):
            albedo[eye] = 0.85 / skin
            albedo[iris] = generator.uniform(0.05, 0.3) / skin
        if generator.random() < 0.04:
            albedo[self._glasses] = generator.uniform(0.03, 0.2) / skin
        return albedo


def _eyeballs(pack: BodyPack, vertices: np.ndarray) -> list[np.ndarray]:
    """Vertex indices of both eyeballs: the two smallest loose parts of the mesh."""
    a, b = np.concatenate([pack.faces[:, [0, 1]], pack.faces[:, [1, 2]]]).T
    count, part = connected_components(coo_matrix((np.ones(len(a)), (a, b)), (len(vertices),) * 2))
    smallest = np.argsort(np.bincount(part, minlength=count))[:2]
    return [np.flatnonzero(part == label) for label in smallest]
