"""What a network triangulates, as its own transformer learns from it."""

from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch
from tests.training.test_trainers import CONFIG, ModelConfig
from torch.utils.data import IterableDataset

from rsb_pose_ros.model import RSBPose
from rsb_pose_ros.training.estimates import estimate
from rsb_pose_ros.training.export import example_pair

FAR = torch.tensor([0.0, 0.0, 100.0])


class Labelled(IterableDataset):
    """What the network itself says is the truth, 0.1 m off; then the same with a joint 100 m away; then nobody."""

    def __init__(self, model: RSBPose) -> None:
        crops, projections = example_pair(64)
        with torch.no_grad():
            joints = model(crops, projections).joints_initial[0] + 0.1
        astray = joints.clone()
        astray[3] += FAR
        self.pairs = [
            {"crops": crops[0], "projections": projections[0], "joints": j, "present": torch.tensor(present)}
            for j, present in ((joints, True), (astray, True), (joints, False))
        ]

    def __iter__(self):
        return cycle(self.pairs)


@pytest.fixture(scope="module")
def model() -> RSBPose:
    torch.manual_seed(0)
    return RSBPose(replace(ModelConfig.from_yaml(CONFIG), image_size=64)).eval()


def test_poses_with_a_joint_astray_are_left_out(model):
    data = Labelled(model)
    assert len(estimate(model, data, 6, batch=3, workers=0)) == 4, "nobody has no pose"
    found = estimate(model, data, 6, within=2.5, batch=3, workers=0)
    assert len(found) == 2
    np.testing.assert_allclose(found.truth - found.triangulated, 0.1, atol=1e-3)
    with pytest.raises(ValueError, match=r"none of 4 poses has all joints within 0.01 m"):
        estimate(model, data, 6, within=0.01, batch=3, workers=0)
