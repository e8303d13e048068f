"""Annotated photographs as flat stereo pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from rsb_pose_ros.evaluation import photographs, whole_photographs
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.blazepose import LandmarkHeatmaps
from rsb_pose_ros.skeleton import INDEX, JOINT_NAMES
from rsb_pose_ros.stereo import project
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import picture, pinhole_rig, standing_at

ROOT = Path(__file__).resolve().parents[2]
COCO = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"] + [
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
]
BOX = [130, 60, 90, 240]


def places() -> np.ndarray:
    """(17, 2): somewhere inside the box, far enough from each other to be told apart."""
    return np.array([[BOX[0] + 10 + 35 * (i % 3), BOX[1] + 10 + 40 * (i // 3)] for i in range(len(COCO))], float)


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """One picture with a bright dot on every keypoint, one of them annotated as hidden, one not at all."""
    picture = np.full((360, 480, 3), 30, np.uint8)
    flags = np.full(len(COCO), 2)
    flags[COCO.index("left_wrist")], flags[COCO.index("nose")] = 1, 0
    for x, y in places().astype(int):
        cv2.circle(picture, (int(x), int(y)), 3, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "one.png"), picture)
    return write(tmp_path, flags)


def write(folder: Path, flags: np.ndarray, **changes: Any) -> Path:
    keypoints = np.c_[places(), flags].ravel().tolist()
    content = {
        "images": [{"id": 7, "file_name": "one.png"}],
        "annotations": [{"image_id": 7, "category_id": 1, "keypoints": keypoints, "bbox": BOX}],
        "categories": [{"id": 1, "keypoints": COCO}],
    } | changes
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def test_joints_are_found_by_their_names() -> None:
    names = ["Right Shoulder", "left-knee", "L_ankle", "head", "nose", "Left_Eye"]
    assert photographs.columns_of(names) == {
        INDEX["r_shoulder"]: 0,
        INDEX["l_knee"]: 1,
        INDEX["l_ankle"]: 2,
        INDEX["nose"]: 4,
    }


def test_keypoints_lie_on_what_they_mark_in_both_crops(data_set: Path) -> None:
    (person,) = photographs.read_people(data_set, data_set.parent)
    known = np.flatnonzero(np.isfinite(person.keypoints[:, 0]))
    assert {JOINT_NAMES[i] for i in known} == set(photographs.COMPARED) - {"nose"}
    assert [JOINT_NAMES[i] for i in np.flatnonzero(person.hidden)] == ["l_wrist"]
    pair = photographs.flat_pair(person, 256)
    for crop in pair.crops:  # the card's disparity is taken out
        for x, y in pair.keypoints[known]:
            around = crop[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5, 0].astype(float)
            rows, columns = np.nonzero(around > 140)
            np.testing.assert_allclose((columns.mean() - 4, rows.mean() - 4), (x - round(x), y - round(y)), atol=1.0)
    # The longer side of the box, as many crop pixels as the dots say.
    spread = np.ptp(pair.keypoints[known, 1]) / np.ptp(person.keypoints[known, 1])
    assert pair.box == pytest.approx(240 * spread, rel=1e-6)


def test_a_joint_that_was_not_found_is_wrong(data_set: Path) -> None:
    (person,) = photographs.read_people(data_set, data_set.parent)
    pair = photographs.flat_pair(person, 256)
    found = pair.keypoints.copy()
    found[INDEX["r_knee"]] = np.nan
    found[INDEX["l_wrist"]] += (0.07 * pair.box, 0)
    figures = photographs.summary(photographs.errors(pair, found)[None], person.hidden[None])
    assert figures["joints"] == 12
    assert figures["pck_10"] == pytest.approx(11 / 12) and figures["pck_5"] == pytest.approx(10 / 12)
    assert figures["pck_10_hidden"] == 1 and figures["pck_10_seen"] == pytest.approx(10 / 11)
    assert figures["pck_10_by_joint"]["r_knee"] == 0 and np.isnan(figures["pck_10_by_joint"]["nose"])


def test_grey_pictures_have_three_equal_channels(data_set: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (360, 480, 3)).astype(np.uint8)
    cv2.imwrite(str(data_set.parent / "one.png"), picture)
    (person,) = photographs.read_people(data_set, data_set.parent)
    grey = photographs.flat_pair(person, 64, grey=True).crops
    assert (grey[..., :1] == grey).all()
    assert not (photographs.flat_pair(person, 64).crops[..., :1] == grey).all()


def test_whole_pictures_are_searched_for_those_who_are_annotated(tmp_path: Path) -> None:
    """The blob model finds a figure whose joints have colours; on a card its place in the picture is known."""
    model = write_blob_model(tmp_path)
    scene = picture(pinhole_rig(), standing_at(0.0, 0.0, 3.0))[0]
    cv2.imwrite(str(tmp_path / "figure.png"), scene)
    keypoints = project(standing_at(0.0, 0.0, 3.0)[None], pinhole_rig().projections[None])[0, 0]
    low, extent = keypoints.min(0), np.ptp(keypoints, axis=0)
    hidden = np.zeros(17, bool)
    there = photographs.AnnotatedPerson(tmp_path / "figure.png", keypoints, hidden, np.concatenate([low, extent]))
    elsewhere = replace(there, keypoints=keypoints + 200)
    assert whole_photographs.search(model, [elsewhere, there]) == [whole_photographs.Look(1, True)]
    assert whole_photographs.search(model, [elsewhere]) == [whole_photographs.Look(1, False)]
    cv2.imwrite(str(tmp_path / "figure.png"), np.zeros_like(scene))
    looks = whole_photographs.search(model, [there])
    assert looks == [whole_photographs.Look(0, False)]
    assert whole_photographs.summary([*looks, whole_photographs.Look(3, True), whole_photographs.Look(1, False)]) == {
        "pictures": 3, "found_at_first": 0, "found": pytest.approx(1 / 3), "somebody_else": pytest.approx(1 / 3),
    }  # fmt: skip


def test_photographs_in_which_nobody_is(tmp_path: Path) -> None:
    model = write_blob_model(tmp_path)
    folder = tmp_path / "rooms"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"rooms: no pictures; expected \.jpg"):
        whole_photographs.search_empty(model, folder)
    scene = picture(pinhole_rig(), standing_at(0.0, 0.0, 3.0))[0]
    cv2.imwrite(str(folder / "a.png"), np.zeros_like(scene))
    cv2.imwrite(str(folder / "b.PNG"), scene)
    looks = whole_photographs.search_empty(model, folder)
    assert looks == [whole_photographs.Look(0, False), whole_photographs.Look(1, False)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools/evaluate_photographs.py", *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)


def test_networks_and_checkpoints_are_compared(data_set: Path, tmp_path: Path) -> None:
    config = ModelConfig.from_yaml(ROOT / "config/models/rsb_pose_edge.yaml")
    network = RSBPose(config)
    (tmp_path / "run").mkdir()
    torch.save({"average": network.state_dict(), "config": asdict(config)}, tmp_path / "run" / "last.pt")
    published = {"backbone": network.backbone.state_dict(), "landmarks": LandmarkHeatmaps().state_dict()}
    torch.save(published, tmp_path / "published.pt")
    models = [ROOT / "models/rsb_pose_edge.onnx", tmp_path / "published.pt", tmp_path / "run" / "last.pt"]
    outputs = {"--json": tmp_path / "out.json", "--picture": tmp_path / "out.png"}
    settings = [word for pair in outputs.items() for word in pair]
    done = run(*models, "--annotations", data_set, "--blazepose", tmp_path / "published.pt", *settings)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    names = ["rsb_pose_edge", "published: landmarks", "run/last", "run/last: landmarks"]
    assert list(result) == names and all(name in done.stdout for name in names)
    assert result["published: landmarks"]["joints"] == 12
    # The same landmarks on the same backbone.
    assert str(result["published: landmarks"]) == str(result["run/last: landmarks"])  # NaNs and all
    assert cv2.imread(str(tmp_path / "out.png")).shape == (4 * 256, 256, 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": [{"id": 7, "file_name": "gone.png"}]}, "gone.png: not there"),
        ({"categories": [{"id": 1, "keypoints": ["beak"]}]}, "expected names such as left_shoulder"),
        ({"annotations": []}, "nobody has enough annotated joints"),
    ],
)
def test_what_cannot_be_measured_is_named(data_set: Path, changes: dict[str, Any], sentence: str) -> None:
    write(data_set.parent, np.full(len(COCO), 2), **changes)
    done = run(ROOT / "models/rsb_pose_edge.onnx", "--annotations", data_set)
    assert done.returncode == 2 and sentence in done.stderr, done.stderr
    data_set.write_text("[]")
    done = run(ROOT / "models/rsb_pose_edge.onnx", "--annotations", data_set)
    assert done.returncode == 2 and "expected COCO's keypoint format" in done.stderr
