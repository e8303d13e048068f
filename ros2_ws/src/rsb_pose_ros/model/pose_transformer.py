"""Pre-trained pose transformer (paper, section III-D): a whole-body prior that refines the triangulated joints."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.skeleton import BONES, END_EFFECTORS, INDEX, JOINT_COUNT, MIRROR, ROOT

MASK_POSITION = 2.0
"""Metres on every axis: a masked joint is fed as this point, far from any trunk-relative pose."""

UNIT = 0.3
"""Metres that are 1 to the network: the size of a limb."""

SMALL = 0.03
"""Metres that are 1 where differences count: the size of an error."""

SIGMA_RANGE = (1e-3, 1.0)
"""Metres: standard deviations beyond are taken for these."""

TRUNK = tuple(INDEX[name] for name in ("r_hip", "l_hip", "pelvis", "thorax", "neck"))
"""Joints whose mean is the origin of the relative format."""

MIRRORED = list(MIRROR)

BONE_FEATURES = 5
"""Three coordinates, length, asymmetry."""

UNMASKED_PER_PASS = 2
"""Masked joints that each iteration unmasks: those which the last layer attends to most."""


class StochasticDepth(nn.Module):
    """Drops a residual branch per sample during training (Huang et al., ECCV 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(keep) / keep


class Attention(nn.Module):
    """Multi-head self-attention over joints that also returns its weights (B, heads, 17, 17), queries × keys.

    Written out: no fused operator, which TensorRT lacks, and the weights are needed to choose what to unmask.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        weights = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(-1)
        return self.out((weights @ value).transpose(1, 2).flatten(2)), weights


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: TransformerConfig, drop_path: float) -> None:
        super().__init__()
        hidden = int(config.width * config.mlp_ratio)
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(nn.Linear(config.width, hidden), nn.GELU(), nn.Linear(hidden, config.width))
        self.drop = StochasticDepth(drop_path)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        attended, weights = self.attention(self.norm1(x))
        x = x + self.drop(attended)
        return x + self.drop(self.mlp(self.norm2(x))), weights


class PoseTransformer(nn.Module):
    """Joints (B, 17, 3) in metres, any root position → refined joints, the same shape and frame.

    Differs from the paper's in three ways. The head predicts a correction of the joints that it was given (and the place
    of masked ones): a few thousand steps then suffice not to lose what triangulation already knows. A token knows, beside
    its position, the bone to its parent: millimetres of bone length, which tell noise from anatomy, need not be found in
    differences between two embeddings. And a token may know how uncertain its joint is.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.relative = config.relative
        self.embed = nn.Linear(3, config.width)
        self.embed_bone = nn.Linear(BONE_FEATURES, config.width, bias=False)
        self.embed_uncertainty = nn.Linear(3, config.width)
        # As large as an embedded coordinate: behind the first norm a small one would drown, and masked joints, which all
        # are the same point, could not be told apart.
        self.position = nn.Parameter(torch.randn(1, JOINT_COUNT, config.width))
        rates = torch.linspace(0, config.drop_path, config.depth).tolist()
        self.blocks = nn.ModuleList(Block(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, 3)
        # A fresh network leaves every joint where it was triangulated, and training departs from there.
        for layer in (self.head, self.embed_uncertainty):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        refined = torch.ones(JOINT_COUNT, 1)
        if config.refine == "body":
            refined[list(END_EFFECTORS)] = 0
        self.register_buffer("refined", refined, persistent=False)
        trunk = torch.zeros(JOINT_COUNT, 1)
        trunk[list(TRUNK)] = 1
        self.register_buffer("trunk", trunk, persistent=False)
        self.register_buffer("parents", parent_weights(), persistent=False)

    def forward(self, joints: Tensor, covariance: Tensor | None = None) -> Tensor:
        """Refine triangulated joints. Occluded ones are fed as they are: even a poor estimate carries information.

        covariance: (B, 17, 3, 3) m² of the joints, same frame, where it is known.
        """
        return self.refine(joints, sigma=None if covariance is None else standard_deviations(covariance))

    def refine(self, joints: Tensor, masked: Tensor | None = None, sigma: Tensor | None = None) -> Tensor:
        """Refined joints; masked (B, 17) bool ones are found from the others. sigma: (B, 17, 3) metres, per axis."""
        centre = self.centre(joints, masked)
        predicted, _ = self.predict(joints - centre, masked, sigma)
        moved = self.refined * (predicted + centre - joints)
        if masked is not None:
            # What is not known is found even where known joints are to stay.
            moved = torch.where(masked[..., None], predicted + centre - joints, moved)
        return joints + moved

    def centre(self, joints: Tensor, masked: Tensor | None = None) -> Tensor:
        """(B, 1, 3): the mean of the trunk's known joints, of all known ones where none is; zero in absolute format.

        The paper takes the pelvis. Its own error then moves all other joints of the input, and it is the joint that
        nobody sees.
        """
        if not self.relative:
            return torch.zeros_like(joints[:, :1])
        if masked is None:
            return (joints * self.trunk).sum(1, keepdim=True) / len(TRUNK)
        known = (~masked).to(joints.dtype)[..., None]
        trunk = known * self.trunk
        weight = torch.where(trunk.sum(1, keepdim=True) > 0, trunk, known)
        return (joints * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)

    def predict(
        self, relative: Tensor, masked: Tensor | None = None, sigma: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Trunk-relative poses (B, 17, 3) of trunk-relative input; masked (B, 17) bool joints are hidden.

        Also returns the last layer's attention (B, heads, 17, 17).
        """
        start = relative
        if masked is not None:
            relative = torch.where(masked[..., None], relative.new_tensor(MASK_POSITION), relative)
            start = torch.where(masked[..., None], torch.zeros_like(start), start)
        x = self.embed(relative / UNIT) + self.embed_bone(self.bone_features(relative, masked)) + self.position
        if sigma is not None:
            x = x + self.embed_uncertainty(uncertainty_features(sigma, masked))
        weights = x.new_zeros(0)
        for block in self.blocks:
            x, weights = block(x)
        return start + self.head(self.norm(x)), weights

    def bone_features(self, relative: Tensor, masked: Tensor | None) -> Tensor:
        """(B, 17, BONE_FEATURES): vector from a joint's parent, its length, how much longer than its mirror bone's.

        The pelvis's parent is the middle of the hips. Zero where an end of the bone or of its mirror bone is masked.
        """
        vector = relative - self.parents @ relative
        length = (vector.square().sum(-1, keepdim=True) + 1e-8).sqrt()
        asymmetry = length - length[:, MIRRORED]
        features = torch.cat([vector / UNIT, length / UNIT, asymmetry / SMALL], -1)
        if masked is None:
            return features
        hidden = masked[..., None].to(relative.dtype)
        hidden = hidden + self.parents @ hidden
        return torch.where(hidden + hidden[:, MIRRORED] > 0, torch.zeros_like(features), features)

    def unmask_iteratively(self, relative: Tensor, masked: Tensor) -> list[Tensor]:
        """Predictions (B, 17, 3) of every pass; after each, the most attended masked joints take their predictions.

        A pose without masked joints is done: later passes repeat its last prediction.
        """
        passes: list[Tensor] = []
        active = torch.arange(len(relative), device=relative.device)
        while True:
            predicted, weights = self.predict(relative, masked)
            passes.append(predicted if not passes else passes[-1].index_copy(0, active, predicted))
            chosen = most_attended(weights, masked)
            # Positions are fed back as data: the gradient of a pass goes through its own prediction only.
            relative = torch.where(chosen[..., None], predicted.detach(), relative)
            masked = masked & ~chosen
            left = masked.any(1)
            if not left.any():
                return passes
            active, relative, masked = active[left], relative[left], masked[left]


def most_attended(weights: Tensor, masked: Tensor, count: int = UNMASKED_PER_PASS) -> Tensor:
    """(B, 17) bool: the `count` masked joints with the most attention, summed over heads and queries."""
    attention = weights.sum((1, 2)).masked_fill(~masked, -1.0)
    best = attention.topk(count, dim=-1).indices
    return torch.zeros_like(masked).scatter(1, best, True) & masked


def parent_weights() -> Tensor:
    """(17, 17): each row averages the joints at which a joint's bone starts; the pelvis's start at both hips."""
    weights = torch.zeros(JOINT_COUNT, JOINT_COUNT)
    for parent, child in BONES:
        weights[child, parent] = 1
    weights[ROOT, [INDEX["r_hip"], INDEX["l_hip"]]] = 0.5
    return weights


def uncertainty_features(sigma: Tensor, masked: Tensor | None) -> Tensor:
    """Standard deviations (B, 17, 3) in metres as numbers about 0; a masked joint is as uncertain as can be."""
    if masked is not None:
        sigma = sigma.masked_fill(masked[..., None], SIGMA_RANGE[1])
    return (sigma.clamp(*SIGMA_RANGE) / SMALL).log()


def standard_deviations(covariance: Tensor) -> Tensor:
    """(B, 17, 3) along the axes from covariances (B, 17, 3, 3)."""
    return torch.stack([covariance[..., i, i] for i in range(3)], -1).clamp(min=0).sqrt()
