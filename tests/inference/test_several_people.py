"""Several people at once: found beside those who are known, each followed by a run of its own, never one person twice."""

import numpy as np
import pytest

from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.inference.estimator import SEARCH_EVERY
from rsb_pose_ros.inference.search import CLOSER_LOOKS
from rsb_pose_ros.inference.windows import person_boxes
from rsb_pose_ros.stereo import project
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import picture_of_several, pinhole_rig, standing_at

RIG = pinhole_rig((1280, 720), 700.0, 0.12)
FRAME = 1 / 30
LEFT, RIGHT = standing_at(-1.6, 0, 3.4), standing_at(1.6, 0, 3.6)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_blob_model(tmp_path_factory.mktemp("model"))


def scene(*people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return picture_of_several(RIG, *people)


def in_company(model, **options) -> StereoPoseEstimator:
    """An estimator that follows the left person as 0; the right one came later, and is 1 once it was found."""
    eye = StereoPoseEstimator(model, RIG, threads=1, **options)
    for i in range(8):
        if eye.estimate(*scene(LEFT), stamp=i * FRAME):
            break
    assert eye.following
    for i in range(8, 24):
        if len(eye.estimate(*scene(LEFT, RIGHT), stamp=i * FRAME)) == 2:
            break
    return eye


def test_a_second_person_is_found_and_both_are_followed(model):
    eye = in_company(model, max_people=2)
    for i in range(24, 34):
        people = eye.estimate(*scene(LEFT, RIGHT), stamp=i * FRAME)
        assert [p.id for p in people] == [0, 1]
        assert eye.timing.runs == 2, "nobody else is looked for"
        for person, truth in zip(people, (LEFT, RIGHT)):
            off = np.linalg.norm(person.keypoints - project(truth.astype(np.float64), RIG.projections), axis=-1)
            assert np.median(off) / person.crop.scale < 0.7


def test_one_person_is_followed_where_no_more_are_wanted(model):
    eye = in_company(model, max_people=1)
    (person,) = eye.estimate(*scene(LEFT, RIGHT), stamp=24 * FRAME)
    assert person.id == 0
    assert eye.timing.runs == 1


def test_nobody_is_found_twice_and_looking_costs_a_run_in_every_third_pair(model):
    eye = StereoPoseEstimator(model, RIG, threads=1, max_people=4)
    runs = []
    for i in range(8 + 6 * SEARCH_EVERY):
        people = eye.estimate(*scene(LEFT), stamp=i * FRAME)
        assert len(people) <= 1
        runs.append(eye.timing.runs)
    assert set(runs[8:]) <= {1, *range(2, 3 + len(CLOSER_LOOKS))}
    assert sum(n > 1 for n in runs[8:]) == 6


def test_one_who_leaves_and_comes_back_keeps_its_id(model):
    eye = in_company(model, max_people=3)
    assert [p.id for p in eye.estimate(*scene(LEFT), stamp=24 * FRAME)] == [0]
    again = [eye.estimate(*scene(LEFT, RIGHT), stamp=i * FRAME) for i in (25, 26, 27)]
    assert [p.id for p in again[-1]] == [0, 1]
    for i in range(28, 60):
        (alone,) = eye.estimate(*scene(RIGHT), stamp=i * FRAME)
    assert alone.id == 1


def test_two_windows_that_end_on_one_person_become_one_track(model):
    eye = in_company(model, max_people=2)
    for i in range(24, 54):
        joints = standing_at(1.6 - 0.1 * (i - 24), 0, 3.5)
        people = eye.estimate(*scene(joints), stamp=i * FRAME)
        assert len(people) <= 1, "the one who walked over is not counted for the one who was there"
    assert people


def test_who_is_covered_up_cannot_be_seen(model):
    eye = in_company(model, max_people=2)
    people = eye.estimate(*scene(LEFT, RIGHT), stamp=24 * FRAME)
    seen = []
    eye.observer = lambda crops, _, stage: seen.append(crops)
    pair = scene(LEFT, RIGHT)
    nobody = eye._network.look(RIG, *pair, eye._search.windows[0], "coarse", covered=people)
    assert nobody.score < 0.1
    other = eye._network.look(RIG, *pair, people[1].crop, "coarse", covered=people[:1])
    assert other.is_same(people[1])
    assert not other.is_same(people[0])


def test_boxes_hold_the_body_and_leave_out_what_is_unsure():
    keypoints = project(LEFT.astype(np.float64), RIG.projections)
    confidence = np.ones(17, np.float32)
    boxes = person_boxes(keypoints, confidence)
    assert (boxes[:, None, :2] < keypoints).all()
    assert (boxes[:, None, 2:] > keypoints).all()
    astray, confidence = keypoints.copy(), confidence.copy()
    astray[:, 0], confidence[0] = 5000, 0.1
    assert person_boxes(astray, confidence)[:, 2].max() < 2000
    assert np.isnan(person_boxes(np.full((2, 17, 2), np.nan), confidence)).all()


def test_fewer_people_are_followed_once_fewer_are_wanted(model):
    eye = in_company(model, max_people=2)
    eye.max_people = 1
    for i in range(24, 30):
        assert [p.id for p in eye.estimate(*scene(LEFT, RIGHT), stamp=i * FRAME)] == [0]
        assert eye.timing.runs == 1


def test_a_number_of_people_that_is_none_is_refused(model):
    with pytest.raises(ValueError, match="max_people is 0; expected at least 1"):
        StereoPoseEstimator(model, RIG, max_people=0)
