"""Photographs of people with annotated keypoints (COCO's format), shown to a stereo network as flat pictures.

One photograph has no disparity; as a card that stands before the cameras, both views see the same picture, shifted. What
the network says of depth means nothing then. Where it sees the joints does: weights that learned from renderings may have
forgotten what people look like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsb_pose_ros.evaluation.drawing import draw_skeleton
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT, JOINT_NAMES
from rsb_pose_ros.stereo import StereoCrop, StereoRig
from rsb_pose_ros.stereo.crop import PERSON_MARGIN

Find = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""Crops (2, S, S, 3) uint8, cameras (2, 3, 4) → keypoints (17, 2) of the left crop, confidence (17,) or None."""

BASELINE_M = 0.12
CARD_M = 3.0
"""Where the card stands. Its disparity is taken out by the windows, as a followed person's is."""

COMPARED = tuple(n for n in JOINT_NAMES if n.split("_")[0] in ("r", "l") or n == "nose")
"""Joints that all data sets put in about the same place: not head, neck, thorax and pelvis."""

LEAST_JOINTS = 6
JOINTS_OF_BOX = 0.9
"""Annotated boxes hold the whole body; joints, around which the estimator draws its windows, fill so much of them."""


@dataclass(frozen=True)
class AnnotatedPerson:
    """keypoints: (17, 2) pixels, NaN where not annotated; hidden: (17,) bool; box: x, y, width, height in pixels."""

    image: Path
    keypoints: np.ndarray
    hidden: np.ndarray
    box: np.ndarray


def read_people(annotations: Path, images: Path | None = None, height: float = 0.0) -> list[AnnotatedPerson]:
    """People of a file in COCO's format with at least LEAST_JOINTS joints that are known here, `height` pixels or higher.

    images: folder of the pictures; None for the file's own, or the one above it (PoseTrack's annotations/).

    Raises ValueError that names what the file lacks; FileNotFoundError for a picture that is not there.
    """
    try:
        content = json.loads(annotations.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{annotations}: is not JSON ({error}); expected COCO's keypoint format") from error
    missing = {"images", "annotations", "categories"} - (content.keys() if isinstance(content, dict) else set())
    if missing:
        raise ValueError(f"{annotations}: has no {', '.join(sorted(missing))}; expected COCO's keypoint format")
    folders = [images] if images else [annotations.parent, annotations.parent.parent]
    files = {image["id"]: _found(image["file_name"], folders) for image in content["images"]}
    columns = {c["id"]: columns_of(c.get("keypoints", [])) for c in content["categories"]}
    if not any(columns.values()):
        raise ValueError(f"{annotations}: no category has keypoints; expected names such as left_shoulder")
    people = []
    for annotation in content["annotations"]:
        person = _person(annotation, files[annotation["image_id"]], columns[annotation["category_id"]])
        known = np.isfinite(person.keypoints[:, 0]).sum() >= LEAST_JOINTS
        if known and person.box[3] >= height and not annotation.get("iscrowd"):
            people.append(person)
    for person in people:
        if not person.image.is_file():
            raise FileNotFoundError(
                f"{person.image}: not there; expected the pictures of {annotations} in {folders[0]}"
            )
    return people


def _found(name: str, folders: list[Path]) -> Path:
    return next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)


def columns_of(names: list[str]) -> dict[int, int]:
    """Index of our joint → index of the data set's keypoint, by name ("Left Shoulder", "left_shoulder", "l-shoulder")."""
    own = {}
    for column, name in enumerate(names):
        plain = re.sub(r"[\s-]+", "_", name.lower()).replace("right_", "r_").replace("left_", "l_")
        if plain in COMPARED:
            own[INDEX[plain]] = column
    return own


def _person(annotation: dict[str, Any], image: Path, columns: dict[int, int]) -> AnnotatedPerson:
    table = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
    keypoints, hidden = np.full((JOINT_COUNT, 2), np.nan), np.zeros(JOINT_COUNT, bool)
    for joint, column in columns.items():
        if table[column, 2] > 0:
            keypoints[joint] = table[column, :2]
            hidden[joint] = table[column, 2] == 1
    return AnnotatedPerson(image, keypoints, hidden, np.array(annotation["bbox"], np.float64))


@dataclass(frozen=True)
class FlatPair:
    """A photograph as a stereo network gets it: crops (2, S, S, 3) uint8 and their cameras (2, 3, 4).

    keypoints: (17, 2) in pixels of the left crop, NaN where not annotated; box: longer side of the annotated box there.
    """

    crops: np.ndarray
    projections: np.ndarray
    keypoints: np.ndarray
    box: float


def read_picture(path: Path, grey: bool = False) -> np.ndarray:
    """(H, W, 3) BGR; grey: as a camera without colours takes it. Raises ValueError for a file that is no picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: cannot be read; expected a picture")
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if grey else picture


def card_pair(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, StereoRig]:
    """A photograph (H, W, 3) on a card at CARD_M that fills the left picture: both pictures, and the rig that took them."""
    height, width = picture.shape[:2]
    focal = float(max(width, height))
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    away = np.array([-BASELINE_M, 0, 0])
    rig = StereoRig.from_calibration(camera, None, camera, None, np.eye(3), away, (width, height))
    shift = focal * BASELINE_M / CARD_M
    right = cv2.warpAffine(picture, np.array([[1.0, 0, -shift], [0, 1, 0]]), (width, height))
    return picture, right, rig


def flat_pair(person: AnnotatedPerson, size: int, grey: bool = False) -> FlatPair:
    """Windows of `size` pixels around the annotated box, as the estimator's lie around a followed person's joints."""
    left, right, rig = card_pair(read_picture(person.image, grey))
    corner, extent = person.box[:2], person.box[2:]
    side = PERSON_MARGIN * JOINTS_OF_BOX * extent.max()
    crop = StereoCrop.centred(corner + extent / 2, side, rig.focal_length * BASELINE_M / CARD_M, size)
    projections = crop.projections(rig.projections)
    # No lens, no rotation: the picture and its crop differ by scale and place.
    into_crop = projections[0, :2, :3] @ np.linalg.inv(rig.cameras[0].matrix)
    keypoints = person.keypoints @ into_crop[:, :2].T + into_crop[:, 2]
    return FlatPair(rig.cut(left, right, crop), projections, keypoints, extent.max() / crop.scale)


def errors(pair: FlatPair, keypoints: np.ndarray) -> np.ndarray:
    """(17,) distances to keypoints (17, 2) found in the left crop, over the box; NaN where nothing is annotated.

    A joint that was not found is infinitely far away: wrong, not unknown.
    """
    distance = np.linalg.norm(keypoints - pair.keypoints, axis=-1) / pair.box
    return np.where(np.isfinite(pair.keypoints[:, 0]), np.nan_to_num(distance, nan=np.inf), np.nan)


def summary(distances: np.ndarray, hidden: np.ndarray) -> dict[str, Any]:
    """Shares of joints found within 5 and 10 % of the box (PCK): of all, seen and hidden ones, and by joint.

    distances: (N, 17) of `errors`; hidden: (N, 17) bool.
    """
    known = np.isfinite(distances) | np.isposinf(distances)

    def pck(threshold: float, among: np.ndarray) -> float:
        return float((distances[known & among] <= threshold).mean()) if (known & among).any() else float("nan")

    everywhere = np.ones_like(known)
    of_joint = {name: np.arange(JOINT_COUNT) == INDEX[name] for name in COMPARED}
    return {
        "people": len(distances),
        "joints": int(known.sum()),
        "pck_5": pck(0.05, everywhere),
        "pck_10": pck(0.1, everywhere),
        "pck_10_seen": pck(0.1, ~hidden),
        "pck_10_hidden": pck(0.1, hidden),
        "pck_10_by_joint": {name: pck(0.1, everywhere & joint) for name, joint in of_joint.items()},
    }


def tile(pair: FlatPair, keypoints: np.ndarray, confidence: np.ndarray | None) -> np.ndarray:
    """(S, S, 3) picture: what was found in colours, what is annotated as small white rings."""
    view = pair.crops[0].copy()
    draw_skeleton(view, keypoints, confidence)
    for x, y in pair.keypoints[np.isfinite(pair.keypoints[:, 0])]:
        cv2.circle(view, (round(x), round(y)), 3, (255, 255, 255), 1, cv2.LINE_AA)
    return view
