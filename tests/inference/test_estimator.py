"""Finding, following, losing and finding again, with the stand-in network and drawn people."""

import numpy as np
import pytest

from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.stereo import StereoRig, project
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import picture, pinhole_rig, standing_at
from tests.stereo.rigs import fisheye, verged

RIGS = {
    "narrow": pinhole_rig,
    "wide view": lambda: pinhole_rig((1280, 720), 700.0, 0.12),
    "panorama, wide baseline": lambda: pinhole_rig((1600, 600), 700.0, 0.35),
    "portrait": lambda: pinhole_rig((480, 640), 520.0, 0.12),
    "verged, distorted": lambda: verged(baseline=0.2),
    "fisheye": fisheye,
}
FRAME = 1 / 30


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_blob_model(tmp_path_factory.mktemp("model"))


def estimator(model, rig: StereoRig, **options) -> StereoPoseEstimator:
    return StereoPoseEstimator(model, rig, threads=1, **options)


def first_seen(eye: StereoPoseEstimator, left: np.ndarray, right: np.ndarray):
    """The person as first found; in a wide view the tile that shows it must have had its turn."""
    return next(people[0] for people in (eye.estimate(left, right) for _ in range(6)) if people)


def lateral_error(person, joints: np.ndarray, rig: StereoRig) -> float:
    """Median distance of the keypoints from the truth, crop pixels."""
    truth = project(joints.astype(np.float64), rig.projections)
    return float(np.median(np.linalg.norm(person.keypoints - truth, axis=-1))) / person.crop.scale


@pytest.mark.parametrize("name", RIGS)
@pytest.mark.parametrize("place", [(0.0, 0.0, 2.6), (0.4, 0.1, 4.0)])
def test_a_person_is_found_and_then_followed_with_one_run(model, name, place):
    rig: StereoRig = RIGS[name]()
    joints = standing_at(*place)
    eye = estimator(model, rig)
    left, right = picture(rig, joints)
    found = first_seen(eye, left, right)
    assert eye.timing.runs in (3, 4)
    assert eye.following
    (followed,) = eye.estimate(left, right)
    assert eye.timing.runs == 1
    assert found.id == followed.id == 0
    for person in (found, followed):
        assert lateral_error(person, joints, rig) < 0.7
        pixel_m = person.crop.scale * place[2] ** 2 / (rig.focal_length * rig.baseline)
        assert np.nanmedian(np.abs(person.joints - joints)[:, 2]) < 1.0 * pixel_m
        assert person.joints.dtype == person.confidence.dtype == np.float32
        assert person.score > 0.8


def test_results_have_the_promised_shapes(model):
    rig = pinhole_rig()
    (person,) = estimator(model, rig).estimate(*picture(rig, standing_at(0, 0, 2.5)))
    assert person.joints.shape == person.joints_initial.shape == (17, 3)
    assert person.confidence.shape == (17,)
    assert person.covariance.shape == (17, 3, 3)
    assert person.keypoints.shape == (2, 17, 2)
    assert person.valid.all()


def test_nobody_is_nobody(model):
    rig = pinhole_rig()
    eye = estimator(model, rig)
    for _ in range(5):
        assert eye.estimate(*picture(rig, None)) == []
        assert eye.timing.runs == 2
    assert not eye.following


def test_a_walking_person_keeps_its_id_and_its_window_moves_along(model):
    rig = pinhole_rig((1280, 720), 700.0, 0.12)
    eye = estimator(model, rig)
    runs = []
    for i in range(20):
        joints = standing_at(-1.2 + 0.1 * i, 0, 3.5 - 0.03 * i)  # 3 m/s sideways at 30 Hz
        (person,) = eye.estimate(*picture(rig, joints), stamp=i * FRAME)
        assert person.id == 0
        assert lateral_error(person, joints, rig) < 0.7
        runs.append(eye.timing.runs)
    assert runs[1:] == [1] * 19


def test_one_who_vanishes_is_lost_and_found_again_in_the_same_call(model):
    rig = pinhole_rig()
    eye = estimator(model, rig)
    assert eye.estimate(*picture(rig, standing_at(-0.8, 0, 3)), stamp=0.0)[0].id == 0
    (jumped,) = eye.estimate(*picture(rig, standing_at(1.0, 0, 4)), stamp=FRAME)
    assert eye.timing.runs >= 4
    assert jumped.id == 1, "two metres in a thirtieth of a second: somebody else"


@pytest.mark.parametrize(("gap_s", "expected"), [(0.3, 0), (0.65, 0), (1.2, 1)])
def test_a_short_absence_keeps_the_id_and_a_long_one_does_not(model, gap_s, expected):
    rig = pinhole_rig()
    eye = estimator(model, rig)
    scene, empty = picture(rig, standing_at(0, 0, 3)), picture(rig, None)
    assert eye.estimate(*scene, stamp=0.0)[0].id == 0
    assert eye.estimate(*empty, stamp=0.1) == []
    assert not eye.following
    assert eye.estimate(*scene, stamp=gap_s)[0].id == expected


def test_without_stamps_pairs_are_a_thirtieth_of_a_second_apart(model):
    rig = pinhole_rig()
    eye = estimator(model, rig)
    scene, empty = picture(rig, standing_at(0, 0, 3)), picture(rig, None)
    eye.estimate(*scene)
    for _ in range(10):
        eye.estimate(*empty)
    assert eye.estimate(*scene)[0].id == 0
    for _ in range(30):
        eye.estimate(*empty)
    assert eye.estimate(*scene)[0].id == 1


def test_time_that_goes_back_starts_anew(model):
    rig = pinhole_rig()
    eye = estimator(model, rig)
    scene = picture(rig, standing_at(0, 0, 3))
    eye.estimate(*scene, stamp=100.0)
    (person,) = eye.estimate(*scene, stamp=5.0)
    assert person.id == 0
    assert eye.timing.runs > 1


def test_the_same_pairs_give_the_same_people(model):
    rig = pinhole_rig()
    scenes = [picture(rig, j) for j in (None, standing_at(0, 0, 3), standing_at(0.1, 0, 3), None, standing_at(1, 0, 5))]
    eye = estimator(model, rig)
    first = [eye.estimate(*scene) for scene in scenes]
    eye.reset()
    second = [eye.estimate(*scene) for scene in scenes]
    for a, b in zip(first, second):
        assert [p.id for p in a] == [p.id for p in b]
        for p, q in zip(a, b):
            np.testing.assert_array_equal(p.joints, q.joints)


def test_a_small_person_far_away_is_found_in_a_tile(model):
    rig = pinhole_rig((1280, 720), 700.0, 0.12)
    eye = estimator(model, rig)
    joints = standing_at(3.2, 0.3, 6.5)
    scene = picture(rig, joints)
    assert eye.estimate(*scene) == [], "too small in the whole view, and the first tile is in the middle"
    assert lateral_error(first_seen(eye, *scene), joints, rig) < 0.7


def test_someone_near_a_wide_rig_is_found_beyond_the_first_disparities(model):
    rig = pinhole_rig((800, 600), 560.0, 0.4)
    eye = estimator(model, rig)
    half = standing_at(0, 0.35, 1.05)
    scenes = [eye.estimate(*picture(rig, half)) for _ in range(6)]
    assert scenes[-1]
    assert scenes[-1][0].joints[6, 2] == pytest.approx(1.05, abs=0.03)


def test_a_partly_hidden_person_is_kept_by_hysteresis(model):
    rig = pinhole_rig()
    eye = estimator(model, rig, min_confidence=0.95)
    joints = standing_at(0, 0, 3)
    assert eye.estimate(*picture(rig, joints))
    hidden = [view.copy() for view in picture(rig, joints)]
    for view in hidden:
        view[265:] = 40  # knees and ankles are gone
    (person,) = eye.estimate(*hidden)
    assert 0.6 * 0.95 <= person.score < 0.95
    eye.reset()
    assert eye.estimate(*hidden) == [], "who is not followed must be seen better than that"


def test_grey_pictures_run(model):
    rig = pinhole_rig()
    left, right = picture(rig, standing_at(0, 0, 3))
    assert estimator(model, rig).estimate(left[..., 0].copy(), right[..., 0].copy()) == []


def test_crops_can_be_observed(model):
    rig = pinhole_rig()
    eye = estimator(model, rig)
    seen = []
    eye.observer = lambda crops, projections, stage: seen.append((crops.shape, projections.shape, stage))
    eye.estimate(*picture(rig, standing_at(0, 0, 2.6)))
    assert seen == [((2, 128, 128, 3), (2, 3, 4), stage) for stage in ("coarse", "fine", "fine")]


def test_warming_up_leaves_no_trace(model):
    rig = pinhole_rig()
    eye = estimator(model, rig)
    eye.warm_up()
    assert not eye.following
    assert eye.providers == ["CPUExecutionProvider"]
    assert eye.card.name == "blob"


GOOD = np.zeros((480, 640, 3), np.uint8)


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [
        (GOOD.astype(np.float32), GOOD, "left image is float32; expected uint8"),
        (GOOD, GOOD[..., :2], r"right image has shape \(480, 640, 2\)"),
        (GOOD[:0], GOOD[:0], "left image is empty"),
        (GOOD, GOOD[..., 0], "expected equal shapes"),
        (GOOD[::2, ::2], GOOD[::2, ::2], "left image is 320x240, its calibration is for 640x480"),
        (GOOD[0, 0], GOOD, r"left image has shape \(3,\)"),
        (None, GOOD, "left image is a NoneType"),
        ([[1, 2]], GOOD, "left image is a list"),
    ],
)
def test_images_that_are_no_pair_are_refused(model, left, right, sentence):
    with pytest.raises(ValueError, match=sentence):
        estimator(model, pinhole_rig()).estimate(left, right)


def test_a_confidence_that_is_none_is_refused(model):
    with pytest.raises(ValueError, match=r"min_confidence is 1\.5; expected 0 to 1"):
        estimator(model, pinhole_rig(), min_confidence=1.5)


@pytest.mark.parametrize("stamp", [float("nan"), float("inf")])
def test_a_stamp_that_is_no_time_is_refused(model, stamp):
    rig = pinhole_rig()
    with pytest.raises(ValueError, match="expected the capture time in seconds"):
        estimator(model, rig).estimate(*picture(rig, None), stamp=stamp)
