"""The mirror image of a stereo pair."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import IterableDataset

from rsb_pose_ros.data.mirrored import DELAY, MirroredToo, mirrored
from rsb_pose_ros.skeleton import INDEX

SIDE = 32


def pair(seed: int = 0, focal: float = 40.0, baseline: float = 0.12, offset: float = 3.0) -> dict[str, torch.Tensor]:
    """A person before a rig whose two windows are not at the same place."""
    generator = torch.Generator().manual_seed(seed)
    joints = torch.rand(17, 3, generator=generator) * torch.tensor([1.0, 1.8, 0.5]) + torch.tensor([-0.5, -0.9, 2.0])
    left = torch.tensor([[focal, 0, 15.0, 0], [0, focal, 14.0, 0], [0, 0, 1, 0]])
    right = torch.tensor([[focal, 0, 15.0 - offset, -focal * baseline], [0, focal, 14.0, 0], [0, 0, 1, 0]])
    keypoints = torch.stack([project(camera, joints) for camera in (left, right)])
    corners = [torch.cat([view.amin(0), view.amax(0)]) for view in keypoints]
    return {
        "crops": torch.randint(0, 255, (2, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator),
        "projections": torch.stack([left, right]),
        "joints": joints,
        "keypoints": keypoints,
        "visibility": torch.randint(0, 4, (2, 17), dtype=torch.uint8, generator=generator),
        "boxes": torch.stack(corners),
        "present": torch.tensor(True),
        "search": torch.tensor(False),
    }


def project(camera: torch.Tensor, joints: torch.Tensor) -> torch.Tensor:
    pixels = torch.cat([joints, torch.ones(len(joints), 1)], 1) @ camera.T
    return pixels[:, :2] / pixels[:, 2:]


@given(seed=st.integers(0, 99), focal=st.floats(20, 300), baseline=st.floats(0.05, 0.35), offset=st.floats(-10, 10))
@settings(max_examples=30, deadline=None)
def test_mirrored_joints_project_onto_mirrored_keypoints(
    seed: int, focal: float, baseline: float, offset: float
) -> None:
    turned = mirrored(pair(seed, focal, baseline, offset))
    for view in (0, 1):
        expected = project(turned["projections"][view], turned["joints"])
        torch.testing.assert_close(turned["keypoints"][view], expected, rtol=1e-4, atol=1e-2)
    left, right = turned["projections"]
    torch.testing.assert_close(-right[0, 3] / right[0, 0], torch.tensor(baseline), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(left[:, 3], torch.zeros(3), rtol=0, atol=1e-4)
    assert left[0, 0] > 0 and torch.equal(left[0, 0], right[0, 0])
    for view in (0, 1):  # a person's box goes with them
        low, high = turned["keypoints"][view].amin(0), turned["keypoints"][view].amax(0)
        torch.testing.assert_close(turned["boxes"][view], torch.cat([low, high]), rtol=1e-4, atol=1e-2)


def test_a_pixel_of_the_right_view_is_found_in_the_left_one_turned_over() -> None:
    one = pair()
    turned = mirrored(one)
    assert torch.equal(turned["crops"][0, 5, 7], one["crops"][1, 5, SIDE - 1 - 7])
    assert torch.equal(turned["crops"][1, 9, 0], one["crops"][0, 9, SIDE - 1])
    right, left = INDEX["r_wrist"], INDEX["l_wrist"]
    assert torch.equal(turned["keypoints"][0, right, 1], one["keypoints"][1, left, 1])
    assert torch.equal(turned["visibility"][1, left], one["visibility"][0, right])


def test_mirroring_twice_gives_the_pair_back() -> None:
    one = pair()
    for name, value in mirrored(mirrored(one)).items():
        torch.testing.assert_close(value, one[name], rtol=1e-5, atol=1e-4)


def test_a_batch_is_mirrored_as_its_pairs_are() -> None:
    pairs = [pair(seed) | {"masks": pair(seed)["crops"][..., 0] > 128} for seed in range(3)]
    batch = mirrored({name: torch.stack([p[name] for p in pairs]) for name in pairs[0]})
    for number, one in enumerate(pairs):
        for name, value in mirrored(one).items():
            torch.testing.assert_close(batch[name][number], value, rtol=1e-5, atol=1e-5)
    assert torch.equal(batch["masks"][1, 0, 4, 6], pairs[1]["masks"][1, 4, SIDE - 1 - 6])


class Counted(IterableDataset):
    def __iter__(self):  # type: ignore[no-untyped-def]
        return (pair(seed) for seed in itertools.count())


def test_each_pair_comes_and_later_its_mirror_image() -> None:
    stream = list(itertools.islice(MirroredToo(Counted()), DELAY + 21))
    assert torch.equal(stream[DELAY]["joints"], pair(DELAY)["joints"])
    torch.testing.assert_close(stream[DELAY + 1]["joints"], mirrored(pair(0))["joints"])
    torch.testing.assert_close(stream[DELAY + 3]["joints"], mirrored(pair(1))["joints"])
    assert torch.equal(stream[DELAY + 2]["joints"], pair(DELAY + 1)["joints"])
