"""Finished pairs: reproducible, labelled consistently, as the trainer expects them."""

from __future__ import annotations

from copy import copy
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from rsb_pose_ros.data.sample import OUTSIDE, VISIBLE, StereoSample
from rsb_pose_ros.data.synthetic.generator import SyntheticPairs
from rsb_pose_ros.data.synthetic.scenes import PERSON
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT
from tests.data.conftest import BODIES, CONFIG


@pytest.fixture(scope="module")
def samples(pairs: SyntheticPairs) -> list[StereoSample]:
    return [pairs.sample(seed) for seed in range(40)]


def test_the_same_seed_gives_the_same_pair(pairs, samples):
    again = pairs.sample(7)
    for field in fields(StereoSample):
        assert np.array_equal(getattr(again, field.name), getattr(samples[7], field.name), equal_nan=True), field.name
    assert not np.array_equal(samples[7].crops, samples[8].crops)


def test_shapes_and_types(samples):
    for sample in samples:
        assert sample.crops.shape == (2, 256, 256, 3) and sample.crops.dtype == np.uint8
        assert sample.projections.shape == (2, 3, 4) and sample.projections.dtype == np.float32
        assert sample.joints.shape == (JOINT_COUNT, 3) and sample.joints.dtype == np.float32
        assert sample.keypoints.shape == (2, JOINT_COUNT, 2) and sample.keypoints.dtype == np.float32
        assert sample.visibility.shape == (2, JOINT_COUNT) and sample.visibility.dtype == np.uint8
    empty = [s for s in samples if not s.present]
    assert 0 < len(empty) < 10
    for sample in empty:
        assert np.isnan(sample.joints).all() and np.isnan(sample.keypoints).all()
        assert (sample.visibility == OUTSIDE).all()


def test_triangulated_keypoints_are_the_joints(samples):
    for sample in samples:
        if not sample.present:
            continue
        P = sample.projections.astype(np.float64)
        left, right = sample.keypoints.astype(np.float64)
        z = -P[1, 0, 3] / (left[:, 0] - right[:, 0] - P[0, 0, 2] + P[1, 0, 2])
        x, y = (left[:, 0] - P[0, 0, 2]) * z / P[0, 0, 0], (left[:, 1] - P[0, 1, 2]) * z / P[0, 1, 1]
        assert np.abs(np.stack([x, y, z], -1) - sample.joints).max() < 0.5e-3


def test_most_joints_are_visible_and_on_the_person(pairs):
    visible, near_surface = [], []
    for seed in range(100, 120):
        generator = np.random.default_rng(seed)
        plan = pairs.plan(generator)
        if not plan.what.present:
            continue
        rendering = pairs.render(plan)
        sample = pairs.labelled(plan, rendering)
        seen = sample.visibility[0] == VISIBLE
        visible.append(seen.mean())
        x, y = np.clip(sample.keypoints[0, seen].round().astype(int), 0, 255).T
        on = rendering.kinds[0, y, x] == PERSON
        near_surface.append(on.mean())
        # The surface lies in front of the joints' centres, by no more than a trunk's half depth.
        depth = sample.joints[seen, 2][on] - rendering.depths[0, y, x][on]
        assert (depth > -0.05).all() and (depth < 0.25).all()
    assert 0.35 < np.mean(visible) < 0.95
    assert np.mean(near_surface) > 0.9


def test_block_matching_recovers_the_rendered_depth(pairs):
    """On textured surfaces of rendered windows, people among them: the median error stays below a pixel."""
    exact = replace(pairs.config, vertical_error_px=0.0, rotation_error_deg=0.0)
    same = copy(pairs)
    same.config = exact
    errors, on_people = [], []
    for seed in range(300, 312):
        generator = np.random.default_rng(seed)
        plan = same.plan(generator)
        rendering = same.render(plan)
        cameras = plan.projections
        grey = [cv2.cvtColor(np.clip(i, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY) for i in rendering.images]
        truth = -cameras[1, 0, 3] / rendering.depths[0] + cameras[0, 0, 2] - cameras[1, 0, 2]
        first = -64
        found = cv2.StereoSGBM_create(first, 128, 5, P1=200, P2=800, uniquenessRatio=10).compute(*grey) / 16.0
        texture = cv2.GaussianBlur(np.abs(cv2.Sobel(grey[0].astype(np.float32), -1, 1, 0)), (0, 0), 2) > 15
        usable = texture & (found > first) & (np.abs(truth) < 60)
        errors.append(np.abs(found - truth)[usable])
        on_people.append(np.abs(found - truth)[usable & (rendering.kinds[0] == PERSON)])
    assert sum(map(len, errors)) > 50_000 and sum(map(len, on_people)) > 5_000
    assert np.median(np.concatenate(errors)) <= 1.0
    assert np.median(np.concatenate(on_people)) <= 1.0


def test_a_person_who_faces_the_camera_has_the_right_side_on_the_left(pairs, samples):
    checked = 0
    for sample in samples:
        if not sample.present:
            continue
        j = sample.joints
        across = j[INDEX["l_shoulder"]] - j[INDEX["r_shoulder"]]
        up = j[INDEX["neck"]] - j[INDEX["pelvis"]]
        forward = np.cross(across, up)  # x right, y down, z forward
        sight = (j[INDEX["l_shoulder"]] + j[INDEX["r_shoulder"]]) / 2
        away = forward @ sight / np.linalg.norm(forward) / np.linalg.norm(sight)
        if abs(away) < 0.3 or up[1] > -0.3:
            continue
        faces_camera = away < 0
        keypoints = sample.keypoints[0]
        assert (keypoints[INDEX["r_shoulder"], 0] < keypoints[INDEX["l_shoulder"], 0]) == faces_camera
        checked += 1
    assert checked > 5


def test_missing_bodies_name_the_command(tmp_path, pairs, shared):
    with pytest.raises(FileNotFoundError, match=r"bodies\.npz.*synthesize\.py bake"):
        SyntheticPairs(pairs.config, shared, tmp_path / "bodies.npz")


def test_the_data_set_yields_batches_and_workers_share_the_seeds(shared, pack):
    torch = pytest.importorskip("torch")
    from rsb_pose_ros.data.synthetic.dataset import SyntheticPairsDataset

    data = SyntheticPairsDataset(CONFIG, shared, BODIES, split="val", seed=50)
    alone = next(iter(torch.utils.data.DataLoader(data, batch_size=2)))
    assert alone["crops"].shape == (2, 2, 256, 256, 3) and alone["crops"].dtype == torch.uint8
    assert set(alone) == {f.name for f in fields(StereoSample)} - {"masks"}
    shared_out = iter(torch.utils.data.DataLoader(data, batch_size=1, num_workers=2))
    first, second = next(shared_out), next(shared_out)
    assert torch.equal(torch.cat([first["crops"], second["crops"]]), alone["crops"])
