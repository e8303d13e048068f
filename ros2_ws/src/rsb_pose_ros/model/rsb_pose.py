"""The whole network: uint8 crops and crop cameras in, 3D joints with confidence and covariance out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.attention_mask import JointHeatmaps, attention_mask
from rsb_pose_ros.model.blazepose import BlazePoseBackbone
from rsb_pose_ros.model.confidence import Confidence
from rsb_pose_ros.model.config import ModelConfig
from rsb_pose_ros.model.folded import FoldedRegressor, HeatmapAgreement
from rsb_pose_ros.model.pose_transformer import PoseTransformer
from rsb_pose_ros.model.resnet import PoseResNet
from rsb_pose_ros.model.second_look import SecondLook
from rsb_pose_ros.model.softargmax import CoKeypoints, Marginals, read_volume, soft_argmax
from rsb_pose_ros.model.stereo_volume import stereo_volume
from rsb_pose_ros.model.triangulation import covariance, triangulate
from rsb_pose_ros.model.v2v import V2VRegressor
from rsb_pose_ros.skeleton import JOINT_COUNT

HEATMAP_STD_CELLS = 1.5
"""Standard deviation of the joint heatmaps' and the co-heatmap's Gaussian targets, feature cells."""


@dataclass
class Features:
    """Both views' features, left and right of a pair one after the other.

    coarse: (2B, C, S/4, S/4); fine: (2B, F, S/2, S/2) from early in the backbone, for the second look alone.
    """

    coarse: Tensor
    fine: Tensor | None


@dataclass
class Estimate:
    """Everything one forward pass knows; heatmaps (B, 2, 17, S/4, S/4) and co_heatmap (B, 17, D, H, W), H = W = S over
    the volume's stride, are logits, marginals what is read of the latter's softmax.

    co_keypoints: the volume's; uvd and variance: (B, 17, 3) crop pixels (²), after the second look where there is one.
    """

    joints: Tensor
    joints_initial: Tensor
    co_keypoints: CoKeypoints
    uvd: Tensor
    variance: Tensor
    confidence_logits: Tensor
    covariance: Tensor
    heatmaps: Tensor
    co_heatmap: Tensor
    marginals: Marginals


class PaperCoKeypoints(nn.Module):
    """Stereo volume and V2V regressor, as published."""

    def __init__(self, config: ModelConfig, features: int) -> None:
        super().__init__()
        self.disparities = config.disparities
        self.reduce = nn.Sequential(nn.Conv2d(features, 32, 1), nn.ReLU(), nn.Conv2d(32, config.volume_channels, 1))
        self.regressor = V2VRegressor(2 * config.volume_channels)
        self.pooled_channels = 2 * config.volume_channels

    def forward(self, features: Tensor, masks: Tensor, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        del heatmaps  # they act through the mask alone
        left, right = split_views(self.reduce(features) * masks)
        volume = stereo_volume(left, right, self.disparities)
        return self.regressor(volume), volume.mean((2, 3, 4))


class EdgeCoKeypoints(nn.Module):
    """Folded volume and 2D regressor; sees the left view's unmasked features and heatmaps as context too.

    The regressor corrects what both views' heatmaps say together. Training so starts from a backbone that already finds
    people, and only has to improve on it.
    """

    def __init__(self, config: ModelConfig, features: int) -> None:
        super().__init__()
        channels = config.volume_channels
        self.reduce = nn.Sequential(nn.Conv2d(features, 32, 1), nn.ReLU6(), nn.Conv2d(32, channels, 1))
        self.regressor = FoldedRegressor(channels, features + JOINT_COUNT, config.disparities)
        self.pooled_channels = self.regressor.pooled_channels
        self.agreement = HeatmapAgreement(config.disparities)

    def forward(self, features: Tensor, masks: Tensor, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        left, right = split_views(self.reduce(features) * masks)
        left_heatmaps, right_heatmaps = split_views(heatmaps)
        context = torch.cat([split_views(features)[0], (left_heatmaps * 0.1).to(features.dtype)], dim=1)
        correction, pooled = self.regressor(left, right, context)
        return correction + self.agreement(left_heatmaps, right_heatmaps), pooled


class RSBPose(nn.Module):
    """RSB-Pose (arXiv 2311.14242): co-keypoints from a stereo volume, triangulation, pose transformer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        edge = config.backbone == "blazepose"
        self.backbone: nn.Module = BlazePoseBackbone() if edge else PoseResNet(config.backbone)
        channels = self.backbone.channels
        # The edge backbone's own head is a 1×1 convolution; its features were trained for that.
        self.heatmaps: nn.Module = nn.Conv2d(channels, JOINT_COUNT, 1) if edge else JointHeatmaps(channels)
        kind = EdgeCoKeypoints if config.regressor == "folded" else PaperCoKeypoints
        self.co_keypoints = kind(config, channels)
        self.second_look = SecondLook(self.backbone.fine_channels, channels) if config.second_look else None
        self.confidence = Confidence(self.co_keypoints.pooled_channels)
        self.transformer = PoseTransformer(config.transformer)
        # Training on a CPU puts an equal, faster one in its place (training/on_cpu/volume.py).
        self.read_volume = read_volume
        mean, std = ((0.0,) * 3, (1.0,) * 3) if edge else ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229))
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(std).view(3, 1, 1) * 255), persistent=False)
        # Fitted after training so that the published variance predicts the error: per joint, for (u, v, d).
        self.register_buffer("variance_scale", torch.ones(JOINT_COUNT, 3))

    def forward(self, crops: Tensor, projections: Tensor) -> Estimate:
        """crops: (B, 2, S, S, 3) uint8 BGR, left and right; projections: (B, 2, 3, 4) crop cameras, metres × pixels."""
        return self.from_features(self.features(crops), projections)

    def features(self, crops: Tensor) -> Features:
        """What the backbone sees in crops (B, 2, S, S, 3) uint8."""
        # Cast first: TensorRT takes uint8 at an engine's border alone.
        images = (crops.float().flatten(0, 1).permute(0, 3, 1, 2) - self.mean) * self.scale
        if self.second_look is None:
            return Features(self.backbone(images), None)
        return Features(*self.backbone.pyramid(images))

    def from_features(self, both: Features, projections: Tensor) -> Estimate:
        """All that follows the backbone."""
        features = both.coarse
        heatmaps = self.heatmaps(features)
        masks = attention_mask(heatmaps, self.config.normalise_mask) if self.config.attention_mask else 1.0
        co_heatmap, pooled = self.co_keypoints(features, masks, heatmaps)
        marginals = self.read_volume(co_heatmap)
        keypoints = soft_argmax(marginals, self.config.disparities, self.config.volume_stride)
        uvd, variance = keypoints.uvd, keypoints.variance
        if self.second_look is not None:
            uvd, variance = self.second_look(both.fine, split_views(features)[0], uvd, projections)
        initial = triangulate(uvd, projections)
        spread = covariance(initial, variance * self.variance_scale, projections)
        heatmaps = heatmaps.unflatten(0, (-1, 2))
        return Estimate(
            # What is told of uncertainty stays honest: the refined joints' errors do not shape it.
            joints=self.transformer(initial, spread.detach() if self.config.transformer.informed else None),
            joints_initial=initial,
            co_keypoints=keypoints,
            uvd=uvd,
            variance=variance,
            confidence_logits=self.confidence(keypoints, heatmaps.amax((3, 4)), pooled),
            covariance=spread,
            heatmaps=heatmaps,
            co_heatmap=co_heatmap,
            marginals=marginals,
        )


def split_views(x: Tensor) -> tuple[Tensor, Tensor]:
    """(2B, …) of interleaved views → left (B, …), right (B, …)."""
    left, right = x.unflatten(0, (-1, 2)).unbind(1)
    return left, right
