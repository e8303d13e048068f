"""Pre-trained pose transformer (paper, section III-D): a whole-body prior that refines the triangulated joints."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.skeleton import END_EFFECTORS, JOINT_COUNT, ROOT

MASK_POSITION = 2.0
"""Metres on every axis: a masked joint is fed as this point, far from any root-relative pose."""

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

    Unlike the paper's, the head predicts a correction of the joints that it was given (and the place of masked ones):
    few thousand steps then suffice not to lose what triangulation already knows.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(3, config.width)
        # As large as an embedded coordinate: behind the first norm a small one would drown, and masked joints, which all
        # are the same point, could not be told apart.
        self.position = nn.Parameter(torch.randn(1, JOINT_COUNT, config.width))
        rates = torch.linspace(0, config.drop_path, config.depth).tolist()
        self.blocks = nn.ModuleList(Block(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, 3)
        # A fresh network leaves every joint where it was triangulated, and training departs from there.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        refined = torch.ones(JOINT_COUNT, 1)
        if config.refine == "body":
            refined[list(END_EFFECTORS)] = 0
        self.register_buffer("refined", refined, persistent=False)

    def forward(self, joints: Tensor) -> Tensor:
        """Refine triangulated joints. Occluded ones are fed as they are: even a poor estimate carries information."""
        root = joints[:, ROOT : ROOT + 1]
        predicted, _ = self.predict(joints - root)
        return joints + self.refined * (predicted + root - joints)

    def predict(self, relative: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Root-relative poses (B, 17, 3) of root-relative input; masked (B, 17) bool joints are hidden.

        Also returns the last layer's attention (B, heads, 17, 17).
        """
        start = relative
        if masked is not None:
            relative = torch.where(masked[..., None], relative.new_tensor(MASK_POSITION), relative)
            start = torch.where(masked[..., None], torch.zeros_like(start), start)
        x = self.embed(relative) + self.position
        weights = x.new_zeros(0)
        for block in self.blocks:
            x, weights = block(x)
        return start + self.head(self.norm(x)), weights

    def unmask_iteratively(self, relative: Tensor, masked: Tensor) -> list[Tensor]:
        """Predictions (B, 17, 3) of every pass; after each, the most attended masked joints take their predictions."""
        passes = []
        while True:
            predicted, weights = self.predict(relative, masked)
            passes.append(predicted)
            chosen = most_attended(weights, masked)
            # Positions are fed back as data: the gradient of a pass goes through its own prediction only.
            relative = torch.where(chosen[..., None], predicted.detach(), relative)
            masked = masked & ~chosen
            if not masked.any():
                return passes


def most_attended(weights: Tensor, masked: Tensor, count: int = UNMASKED_PER_PASS) -> Tensor:
    """(B, 17) bool: the `count` masked joints with the most attention, summed over heads and queries."""
    attention = weights.sum((1, 2)).masked_fill(~masked, -1.0)
    best = attention.topk(count, dim=-1).indices
    return torch.zeros_like(masked).scatter(1, best, True) & masked
