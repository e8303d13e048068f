"""A pack of human bodies, baked once from Anny (Apache-2.0, MakeHuman's CC0 shapes); needs no Anny afterwards.

Axes of a body at rest: x to its left, −y forward, z up, metres, A-pose, origin at the hips.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from tqdm import tqdm

INFLUENCES = 4
"""Bones that move a vertex; the strongest of Anny's seven."""
FEWEST = 8
"""Bodies of a pack: the last eighth of them is kept for evaluation."""


@dataclass(frozen=True)
class BodyPack:
    """S bodies of one topology.

    vertices: (S, V, 3) float32; heads: (S, B, 3) float32 bone heads; faces: (F, 3) int32; bone_names, bone_parents: B;
    bones: (V, 4) int32 and weights: (V, 4) float32 of linear blend skinning; head_top, nose: vertex indices.
    """

    vertices: np.ndarray
    heads: np.ndarray
    faces: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    bone_names: tuple[str, ...]
    bone_parents: np.ndarray
    head_top: np.ndarray
    nose: int

    @classmethod
    def load(cls, path: str | Path) -> BodyPack:
        """Read a baked pack. Raises FileNotFoundError, or ValueError for another file, with the command that makes one."""
        remedy = "make it once with: python tools/synthesize.py bake"
        if not Path(path).exists():
            raise FileNotFoundError(f"body pack {path}: not found; {remedy}")
        try:
            with np.load(path) as pack:
                content = {field.name: pack[field.name] for field in fields(cls)}
        except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"body pack {path}: holds no bodies; {remedy}") from error
        content["vertices"] = content["vertices"].astype(np.float32)
        content["heads"] = content["heads"].astype(np.float32)
        content["weights"] = content["weights"].astype(np.float32)
        content["bone_names"] = tuple(str(n) for n in content["bone_names"])
        content["nose"] = int(content["nose"])
        count = len(content["vertices"])
        if count < FEWEST:
            raise ValueError(f"body pack {path}: {count} bodies; expected {FEWEST} or more: an eighth is held out")
        return cls(**content)

    def __len__(self) -> int:
        return len(self.vertices)

    def of_split(self, split: str) -> range:
        """Bodies of train, or of val: the last eighth, which training never sees."""
        held = len(self) // 8
        return range(len(self) - held) if split == "train" else range(len(self) - held, len(self))

    @property
    def heights(self) -> np.ndarray:
        """(S,) metres, at rest."""
        return np.ptp(self.vertices[:, :, 2], axis=1)

    def bone(self, name: str) -> int:
        """Index of a bone."""
        return self.bone_names.index(name)


def bake(path: Path, count: int, seed: int = 0) -> None:
    """Sample `count` bodies with Anny and write the pack. Takes about a minute and a half the first time."""
    import anny
    import torch

    model = anny.create_fullbody_model(rig="cmu_mb")
    generator = np.random.default_rng(seed)
    vertices, heads = [], []
    for _ in tqdm(range(count), desc="bodies"):
        phenotype = {key: torch.tensor([value]) for key, value in sample_phenotype(generator).items()}
        tensors = model.get_tensor_inputs(None, phenotype, None, None)
        coefficients = model._get_phenotype_blendshape_coefficients(*tensors[1:])
        rest = model.get_rest_model(coefficients)
        vertices.append(rest["rest_vertices"][0].numpy())
        heads.append(rest["rest_bone_heads"][0].numpy())
    quads = model.faces.numpy()
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    bones, weights = strongest(model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy())
    names = tuple(model.bone_labels)
    of_head = bones[:, 0] == names.index("Head")
    template = np.where(of_head[:, None], vertices[0], np.nan)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        vertices=np.stack(vertices).astype(np.float16),
        heads=np.stack(heads).astype(np.float32),
        faces=faces,
        bones=bones.astype(np.int32),
        weights=weights.astype(np.float16),
        bone_names=np.array(names),
        bone_parents=np.array(model.bone_parents, np.int32),
        head_top=np.argsort(-np.nan_to_num(template[:, 2], nan=-9))[:6],
        nose=np.nanargmin(template[:, 1]),
    )


def sample_phenotype(generator: np.random.Generator) -> dict[str, float]:
    """Anny's phenotype parameters, each 0…1; age 0.67 is a young adult, one body in eight a child."""
    child = generator.random() < 0.125
    return {
        "gender": generator.choice([generator.uniform(0, 0.25), generator.uniform(0.75, 1)]),
        "age": generator.uniform(0.38, 0.55) if child else generator.uniform(0.6, 1.0),
        "muscle": generator.uniform(0.15, 0.9),
        "weight": generator.uniform(0.15, 0.95),
        "height": generator.uniform(0.15, 0.85),
        "proportions": generator.uniform(0.2, 0.8),
    }


def strongest(bones: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The INFLUENCES strongest bones of each vertex, strongest first, weights renormalised."""
    order = np.argsort(-weights, axis=1)[:, :INFLUENCES]
    kept = np.take_along_axis(weights, order, 1)
    return np.take_along_axis(bones, order, 1), kept / kept.sum(1, keepdims=True)
