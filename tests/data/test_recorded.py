"""Recorded data sets: from the official layout to samples whose labels lie on what the pictures show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import islice, repeat
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from rsb_pose_ros.data.human36m import Human36M
from rsb_pose_ros.data.mhad import Clip, Mhad
from rsb_pose_ros.data.prepared import PreparedPairs, write_shards
from rsb_pose_ros.data.prepared_dataset import MixedPairs, PreparedPairsDataset
from rsb_pose_ros.data.recorded import DatasetError
from rsb_pose_ros.data.sample import OUTSIDE, VISIBLE, StereoSample
from rsb_pose_ros.inference.card import STEREO_POSE, read_card
from rsb_pose_ros.skeleton import INDEX
from rsb_pose_ros.stereo import triangulate
from tests.data.conftest import ROOT
from tests.data.dataset_trees import FRAMES, Tree, human36m_tree, mhad_tree

BVH_CUT_SHORT = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 3 Zrotation Yrotation Xrotation
}
MOTION
Frames: 7
Frame Time: 0.002
0 0 0
"""


def copy_of(tree: Tree, folder) -> Path:
    shutil.copytree(tree.root, folder)
    return folder


@pytest.fixture(scope="module")
def mhad(tmp_path_factory) -> Tree:
    return mhad_tree(tmp_path_factory.mktemp("mhad"))


@pytest.fixture(scope="module")
def human36m(tmp_path_factory) -> Tree:
    pytest.importorskip("cdflib")
    return human36m_tree(tmp_path_factory.mktemp("h36m"))


def shows_its_joints(sample: StereoSample) -> None:
    """Labels agree with each other, and the crops are bright where they say that joints are."""
    known = np.isfinite(sample.joints).all(-1)
    assert np.abs(triangulate(sample.keypoints, sample.projections)[known] - sample.joints[known]).max() < 1e-3
    assert ((sample.visibility == VISIBLE) <= known).all()
    seen = (sample.visibility == VISIBLE).all(0)
    assert seen.sum() >= 10
    for view, points in zip(sample.crops, sample.keypoints[:, seen]):
        columns, rows = points.round().astype(int).T
        assert (view[rows, columns].min(-1) > 150).all()


def test_mhad_clips_follow_the_paper_s_split(mhad):
    data = Mhad(mhad.root)
    assert [c.subject for c in data.clips("train")] == [1] and [c.subject for c in data.clips("test")] == [8]


@pytest.mark.parametrize(("baseline", "metres"), [("s", 0.113), ("m", 0.226), ("l", 0.334)])
def test_mhad_samples_show_their_joints(mhad, baseline, metres):
    data = Mhad(mhad.root, baseline)
    samples = list(data.samples(Clip(1, 1, 1), 256))
    assert len(samples) == FRAMES
    camera = mhad.cameras[1]
    for sample, world in zip(samples, mhad.world):
        assert sample.baseline == pytest.approx(metres, abs=1e-3)
        shows_its_joints(sample)
        # Rectification turns the left camera's axes and moves nothing: distances from its centre stay.
        expected = np.linalg.norm(world @ camera.rotation.T + camera.translation, axis=-1)
        known = np.isfinite(expected)
        assert np.linalg.norm(sample.joints, axis=-1)[known] == pytest.approx(expected[known], abs=1e-4)
    assert np.isnan(samples[0].joints[INDEX["nose"]]).all()
    assert (samples[0].visibility[:, INDEX["nose"]] == OUTSIDE).all()


def test_mhad_takes_keypoints_from_text_where_there_are_some(mhad, tmp_path):
    root = copy_of(mhad, tmp_path / "mhad")
    given = root / "Mocap/Joints17"
    given.mkdir()
    truth = np.random.default_rng(0).uniform(0, 1500, (4, 17, 3))
    np.savetxt(given / "joints_s08_a01_r01.txt", truth.reshape(4, -1))
    assert Mhad(root).joints(Clip(8, 1, 1)) == pytest.approx(truth / 1000)


def test_mhad_says_what_is_missing(mhad, tmp_path):
    with pytest.raises(DatasetError, match=r"camcfg_l01\.yml: not found; expected the cameras"):
        Mhad(tmp_path)
    with pytest.raises(DatasetError, match="baseline 'x'; expected one of s, m, l"):
        Mhad(mhad.root, "x")
    with pytest.raises(DatasetError, match=r"img_l01_c01_s01_a01_r01_00099\.pgm: not found"):
        Mhad(mhad.root).image(Clip(1, 1, 1), 1, 99)
    with pytest.raises(DatasetError, match=r"corr_moc_img_s02_a01_r01\.txt: not found"):
        Mhad(mhad.root).frames(Clip(2, 1, 1))
    broken = tmp_path / "Calibration"
    broken.mkdir()
    (broken / "RwTw_l01.txt").write_text("Rw=1 0 0\n")
    (broken / "camcfg_l01.yml").write_text("%YAML:1.0\n")
    with pytest.raises(DatasetError, match="expected Rw= with 9 numbers"):
        Mhad(tmp_path)


def test_human36m_samples_show_their_joints(human36m):
    data = Human36M(human36m.root)
    (clip,) = data.clips("train")
    samples = list(data.samples(clip, 256))
    assert len(samples) == FRAMES
    centres = [-c.rotation.T @ c.translation for c in human36m.cameras.values()]
    for sample in samples:
        shows_its_joints(sample)
        assert sample.baseline == pytest.approx(np.linalg.norm(centres[0] - centres[1]), abs=1e-4)
    bone = np.linalg.norm(np.diff(samples[0].joints[[0, 1]], axis=0))
    assert bone == pytest.approx(np.linalg.norm(np.diff(human36m.world[0, [0, 1]], axis=0)), abs=1e-4)


def test_misplaced_windows_keep_the_labels_right(human36m):
    data = Human36M(human36m.root)
    (clip,) = data.clips("train")
    exact = next(data.samples(clip, 256))
    moved = next(data.samples(clip, 256, windows=np.random.default_rng(1)))
    assert np.abs(moved.keypoints - exact.keypoints).max() > 3
    assert moved.joints == pytest.approx(exact.joints)
    shows_its_joints(moved)


def test_human36m_says_what_is_missing(human36m, tmp_path):
    with pytest.raises(DatasetError, match=r"metadata\.xml: not found; expected the cameras"):
        Human36M(tmp_path)
    with pytest.raises(DatasetError, match="no poses of the test subjects"):
        Human36M(human36m.root).clips("test")
    (tmp_path / "metadata.xml").write_text("<metadata><w0>[1 2 3]</w0></metadata>")
    with pytest.raises(DatasetError, match="w0 has 3 numbers; expected 300"):
        Human36M(tmp_path)
    with pytest.raises(DatasetError, match="camera 7; expected two of"):
        Human36M(human36m.root, ("7", "54138969"))


@pytest.mark.parametrize("pair", [("54138969", "55011271"), ("58860488", "60457274"), ("54138969", "60457274")])
def test_human36m_refuses_cameras_that_look_at_each_other(human36m, pair):
    data = Human36M(human36m.root, pair)
    with pytest.raises(DatasetError, match=r"1\d\d° apart.*expected .*60457274 and 55011271 or 54138969 and 58860488"):
        data.pair(1)


def test_human36m_s_other_pair_is_a_rig_too(human36m):
    assert Human36M(human36m.root, ("54138969", "58860488")).pair(1).rig.baseline == pytest.approx(3.7, abs=0.1)


def test_shards_give_back_what_was_stored(mhad, tmp_path):
    samples = list(Mhad(mhad.root).samples(Clip(1, 1, 1), 128))
    assert write_shards(tmp_path / "shards", samples, shard=2) == FRAMES
    stored = PreparedPairs(tmp_path / "shards")
    assert len(stored) == FRAMES
    for before, after in zip(samples, stored):
        assert np.array_equal(before.joints, after.joints, equal_nan=True)
        assert np.array_equal(before.visibility, after.visibility) and after.present
        assert cv2.PSNR(before.crops[0], after.crops[0]) > 30
    with pytest.raises(FileExistsError, match="holds shards already"):
        write_shards(tmp_path / "shards", samples)
    with pytest.raises(DatasetError, match="no shard"):
        PreparedPairs(tmp_path)
    with pytest.raises(DatasetError, match=r"crops of 128 pixels; expected 256: .*--size 256"):
        stored.check_size(256)
    (tmp_path / "shards/00001.npz").write_bytes(b"PK cut short")
    with pytest.raises(DatasetError, match=r"00001\.npz: is no shard"):
        PreparedPairs(tmp_path / "shards")


def test_workers_read_all_shards_in_random_order_and_mix_them_with_rendered_pairs(mhad, tmp_path):
    for subject in (1, 8):
        write_shards(tmp_path / f"{subject}", Mhad(mhad.root).samples(Clip(subject, 1, 1), 64), shard=2)
    data = PreparedPairsDataset([tmp_path / "1", tmp_path / "8"], 64, seed=3)
    first, again = (list(islice(data, 2 * FRAMES)) for _ in range(2))
    assert all(torch.equal(a["crops"], b["crops"]) for a, b in zip(first, again))
    stored = [s for folder in "18" for s in PreparedPairs(tmp_path / folder)]
    for sample in stored:  # both subjects move alike: each is there twice, once for each
        same = [np.array_equal(pair["keypoints"], sample.keypoints, equal_nan=True) for pair in first]
        assert sum(same) == 2
    batch = next(iter(DataLoader(MixedPairs(data, data, 0.5), batch_size=4, num_workers=2)))
    assert batch["crops"].shape == (4, 2, 64, 64, 3)
    marked = islice(MixedPairs(repeat({"a": 0}), repeat({"b": 0}), 0.25, seed=1), 400)
    assert 60 < sum("b" in pair for pair in marked) < 140


def test_recorded_pairs_train_and_are_measured(mhad, tmp_path):
    """Through the tools: prepare, train two steps on nothing else, measure the shipped network."""
    prepare = [sys.executable, str(ROOT / "tools/prepare_dataset.py"), "mhad", str(mhad.root)]
    train = [sys.executable, str(ROOT / "tools/train.py"), "sce", "--steps", "2", "--batch", "2", "--workers", "0"]
    train += ["--config", str(ROOT / "config/models/rsb_pose_edge.yaml"), "--output", str(tmp_path / "run")]
    train += ["--size", "64", "--prepared-share", "1", "--prepared", str(tmp_path / "64")]
    model = ROOT / "models/rsb_pose_edge.onnx"
    size = read_card(model, STEREO_POSE).image_size
    figures = tmp_path / "figures.json"
    measure = [sys.executable, str(ROOT / "tools/evaluate_synthetic.py"), str(model), "--json", str(figures)]
    measure += ["--prepared", str(tmp_path / "exact")]
    for command in (
        [*prepare, "--size", "64", "--output", str(tmp_path / "64")],
        [*prepare, "--split", "test", "--exact", "--size", str(size), "--output", str(tmp_path / "exact")],
        train,
        measure,
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(step["loss"]) for step in steps)
    measured = json.loads(figures.read_text())["all"]
    assert measured["pairs"] == FRAMES and measured["joints"] == 16 * FRAMES, "nobody knows MHAD's nose"
    other = subprocess.run([*train, "--size", "96"], capture_output=True, text=True)
    assert other.returncode == 2 and "crops of 64 pixels; expected 96" in other.stderr


def test_the_tool_prepares_a_folder_and_explains_failures(mhad, tmp_path):
    command = [sys.executable, str(ROOT / "tools/prepare_dataset.py"), "mhad"]
    output = tmp_path / "out"
    done = subprocess.run([*command, str(mhad.root), "--output", str(output)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES} pairs of 1 clips" in done.stdout
    failed = subprocess.run([*command, str(tmp_path), "--output", str(output)], capture_output=True, text=True)
    assert failed.returncode == 2 and "camcfg_l01.yml: not found; expected the cameras" in failed.stderr


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("Calibration/camcfg_l01.yml", "%YAML:1.0\n---\nCamera_1: {K: [", "camcfg_l01.yml: is no YAML"),
        ("Calibration/camcfg_l01.yml", "%YAML:1.0\n---\nCamera_1:\n   a: 1\n", "Camera_1 lacks K"),
        ("Calibration/RwTw_l01.txt", "Rw=a b c\nTw=1 2 3\n", "RwTw_l01.txt: .*expected Rw= with 9 numbers"),
        ("Camera/Correspondences/corr_moc_img_s01_a01_r01.txt", "", "corr_moc_img.*expected 4 columns"),
        ("Camera/Correspondences/corr_moc_img_s01_a01_r01.txt", "0 zero 0 0\n", "corr_moc_img.*expected 4 columns"),
        ("Camera/Correspondences/corr_moc_img_s01_a01_r01.txt", "0 0 nan 0\n", "not finite; expected 4 columns"),
        ("Camera/Correspondences/corr_moc_img_s01_a01_r01.txt", "0 0 -1 0\n", "motion capture frame -1; it has only"),
        ("Mocap/SkeletalData/skl_s01_a01_r01.bvh", "HIERARCHY\nROOT", "skl_s01.*: no MOTION section"),
        ("Mocap/SkeletalData/skl_s01_a01_r01.bvh", "ROOT\nMOTION\nFrame Time: 1\n1", "skl_s01.*: cut short"),
        ("Mocap/SkeletalData/skl_s01_a01_r01.bvh", "ROOT a\nMOTION\nFrames: 1\n", "skl_s01.*: no Frame Time"),
        ("Mocap/SkeletalData/skl_s01_a01_r01.bvh", BVH_CUT_SHORT, "1 rows of motion, Frames: 7"),
        ("Mocap/Joints17/joints_s01_a01_r01.txt", "1 2 3\n", "joints_s01.*: 1 rows of 3 numbers; expected 17 × 3"),
        ("Camera/Cluster01/Cam01/S01/A01/R01/img_l01_c01_s01_a01_r01_00000.pgm", "P5", "not readable; expected a PGM"),
    ],
)
def test_mhad_names_the_file_that_is_broken(mhad, tmp_path, file, content, sentence):
    root = copy_of(mhad, tmp_path / "mhad")
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        list(Mhad(root).samples(Clip(1, 1, 1), 64))


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("metadata.xml", "<metadata", "metadata.xml: .*expected XML"),
        ("metadata.xml", "<metadata><w0>[a]</w0></metadata>", "metadata.xml: .*expected XML whose w0 has 300"),
        ("S1/MyPoseFeatures/D3_Positions/Directions 1.cdf", "no CDF", "Directions 1.cdf: .*expected a CDF file"),
        ("S1/Images/Directions 1.55011271/000001.png", "no PNG", "000001.png: not readable; expected a frame"),
        ("S1/Videos/Directions 1.60457274.mp4", "no video", "60457274.mp4: holds no frame that OpenCV can decode"),
    ],
)
def test_human36m_names_the_file_that_is_broken(human36m, tmp_path, file, content, sentence):
    root = copy_of(human36m, tmp_path / "h36m")
    (root / file).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        data = Human36M(root)
        list(data.samples(data.clips("train")[0], 64))


def test_pictures_extracted_at_another_rate_are_not_taken_for_all_frames(human36m, tmp_path, monkeypatch):
    data = Human36M(human36m.root)
    (clip,) = data.clips("train")
    poses = np.repeat(data.joints(clip), 5, axis=0)
    monkeypatch.setattr(data, "joints", lambda clip: poses)
    with pytest.raises(DatasetError, match="3 pictures of each camera for 15 poses; expected all frames"):
        list(data.samples(clip, 64))
