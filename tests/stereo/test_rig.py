"""Rigs from every source of calibration, and every calibration that is refused."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml

from rsb_pose_ros.stereo import CalibrationError, Camera, StereoRig, project
from tests.inference.blob_scene import raw_pixels
from tests.stereo.rigs import BARREL, camera_infos, fisheye, intrinsics, parallel, verged

POINTS = np.array([[0.3, -0.2, 2.0], [-0.5, 0.4, 3.5], [0.0, 0.0, 1.2]])


def same_rig(a: StereoRig, b: StereoRig) -> None:
    np.testing.assert_allclose(a.projections, b.projections, atol=1e-6)
    for ours, theirs in zip(a.cameras, b.cameras):
        np.testing.assert_allclose(ours.matrix, theirs.matrix)
        np.testing.assert_allclose(ours.rectification, theirs.rectification, atol=1e-9)
        np.testing.assert_allclose(ours.distortion, theirs.distortion)
        assert ours.size == theirs.size


@pytest.mark.parametrize("make", [parallel, verged, fisheye])
def test_rectified_rays_of_raw_pixels_hit_the_rectified_projection(make):
    """Raw pixel → ray → rectified pixel must be where the 3D point is projected to: P, R, K and D belong together."""
    rig = make()
    for view, camera in enumerate(rig.cameras):
        raw = raw_pixels(camera, POINTS - [[view * rig.baseline, 0, 0]])
        rectified = camera.rays(raw) @ rig.projections[view][:, :3].T
        np.testing.assert_allclose(rectified[:, :2], project(POINTS, rig.projections)[view], atol=0.05)


def test_rectification_agrees_with_the_calibrated_pose_of_the_right_camera():
    """A point known in the unrectified left frame must appear in both raw images where R, T, K and D put it."""
    rotation, _ = cv2.Rodrigues(np.array([0.01, 0.08, -0.02]))
    translation = np.array([-0.25, 0.01, 0.02])
    K1, K2 = intrinsics((640, 480), 500), intrinsics((640, 480), 520, (3, 3))
    rig = StereoRig.from_calibration(K1, BARREL, K2, BARREL, rotation, translation, (640, 480))
    unrectified = np.array([[0.2, 0.1, 2.0]])
    expected_left, _ = cv2.projectPoints(unrectified, np.zeros(3), np.zeros(3), K1, BARREL)
    expected_right, _ = cv2.projectPoints(unrectified, cv2.Rodrigues(rotation)[0], translation, K2, BARREL)
    point = unrectified @ rig.cameras[0].rectification.T
    np.testing.assert_allclose(raw_pixels(rig.cameras[0], point), expected_left[:, 0], atol=1e-6)
    shifted = point - [[rig.baseline, 0, 0]]
    np.testing.assert_allclose(raw_pixels(rig.cameras[1], shifted), expected_right[:, 0], atol=1e-6)


@pytest.mark.parametrize("vergence", [0.0, 0.15, 0.3])
def test_strongly_verged_views_stay_in_the_picture(vergence):
    """cv2.stereoRectify's own principal points would throw them out: the raw centre must stay in the middle column."""
    rig = verged(baseline=0.6, vergence=vergence)
    middle = np.array([[319.5, 239.5]])
    centres = [c.rays(middle)[0] @ p[:, :3].T for c, p in zip(rig.cameras, rig.projections)]
    np.testing.assert_allclose([c[0] for c in centres], 319.5)
    assert np.mean([c[1] for c in centres]) == pytest.approx(239.5)
    assert rig.baseline == pytest.approx(np.linalg.norm([0.6, 0.004, -0.006]), rel=1e-6)


@pytest.mark.parametrize("make", [parallel, verged, fisheye])
def test_camera_infos_carry_the_whole_rig(make):
    rig = make()
    same_rig(StereoRig.from_camera_info(*camera_infos(rig)), rig)


def test_rectified_input_ignores_lens_and_rotation():
    rig = verged()
    for rectified in (StereoRig.from_camera_info(*camera_infos(rig), rectified=True), rig.with_rectified_input()):
        for view, camera in enumerate(rectified.cameras):
            pixels = raw_pixels(camera, POINTS - [[view * rig.baseline, 0, 0]])
            np.testing.assert_allclose(pixels, project(POINTS, rig.projections)[view], atol=1e-6)


def calibration() -> dict:
    rotation, _ = cv2.Rodrigues(np.array([0.0, 0.05, 0.01]))
    K = intrinsics((640, 480), 500)
    return {
        "K1": K.tolist(),
        "D1": BARREL.tolist(),
        "K2": (K + np.diag([3.0, 3.0, 0])).tolist(),
        "D2": BARREL.tolist(),
        "R": rotation.tolist(),
        "T": [-0.2, 0.001, 0.002],
        "image_size": [640, 480],
    }


def test_plain_yaml_and_opencv_file_storage_give_the_same_rig(tmp_path):
    content = calibration()
    plain, storage = tmp_path / "plain.yaml", tmp_path / "opencv.yml"
    plain.write_text(yaml.safe_dump(content))
    writer = cv2.FileStorage(str(storage), cv2.FILE_STORAGE_WRITE)
    for key in ("K1", "D1", "K2", "D2", "R", "T"):
        writer.write(key, np.array(content[key], np.float64))
    writer.write("image_width", 640)
    writer.write("image_height", 480)
    writer.release()
    size = content.pop("image_size")
    direct = StereoRig.from_calibration(**{k: np.array(v) for k, v in content.items()}, image_size=tuple(size))
    same_rig(StereoRig.from_yaml(plain), direct)
    same_rig(StereoRig.from_yaml(storage), direct)


def ros_yaml(info: SimpleNamespace) -> dict:
    def matrix(values, rows, cols):
        return {"rows": rows, "cols": cols, "data": [float(v) for v in values]}

    return {
        "image_width": info.width,
        "image_height": info.height,
        "camera_name": "stereo",
        "camera_matrix": matrix(info.k, 3, 3),
        "distortion_model": info.distortion_model,
        "distortion_coefficients": matrix(info.d, 1, len(info.d)),
        "rectification_matrix": matrix(info.r, 3, 3),
        "projection_matrix": matrix(info.p, 3, 4),
    }


def test_two_files_of_ros_camera_calibration_give_the_rig_of_the_camera_infos(tmp_path):
    rig = verged()
    for name, info in zip(("left", "right"), camera_infos(rig)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(ros_yaml(info)))
    same_rig(StereoRig.from_yaml(tmp_path / "left.yaml", tmp_path / "right.yaml"), rig)


def test_images_of_another_size_are_refused():
    rig = parallel()
    right = np.zeros((480, 640), np.uint8)
    with pytest.raises(ValueError, match="left image is 320x240, its calibration is for 640x480"):
        rig.check_image_size(right[::2, ::2], right)
    rig.check_image_size(right, right)


def change_p(side: int, row: int, column: int, value: float):
    def apply(infos):
        infos[side].p[row * 4 + column] = value

    return apply


def zero(side: int, field: str):
    def apply(infos):
        setattr(infos[side], field, np.zeros_like(getattr(infos[side], field)))

    return apply


def put(side: int, **values):
    def apply(infos):
        for key, value in values.items():
            setattr(infos[side], key, value)

    return apply


def swapped(infos):
    infos[0].p, infos[1].p = infos[1].p, infos[0].p


BAD_INFOS = {
    "left projection matrix P is zero": zero(0, "p"),
    "right projection matrix P is zero": zero(1, "p"),
    "right projection matrix P is not finite": change_p(1, 0, 3, np.nan),
    "left P has focal lengths": change_p(0, 0, 0, -5.0),
    "topics look swapped|both infos carry Tx": swapped,
    "both infos carry Tx": change_p(0, 0, 3, -60.0),
    "right P has Tx = 0": change_p(1, 0, 3, 0.0),
    "baseline's sign is wrong": change_p(1, 0, 3, 60.0),
    "differ in fx, fy or cy": change_p(1, 1, 1, 300.0),
    "millimetres": change_p(1, 0, 3, -60000.0),
    "left camera_info: K is zero": zero(0, "k"),
    "right camera_info: R is no rotation": zero(1, "r"),
    "distortion model 'magic' is unknown": put(0, distortion_model="magic"),
    "left camera_info: image size is 0x0": put(0, width=0, height=0),
    "left camera_info is for 640x480, the right one for 320x240": put(1, width=320, height=240),
    "right camera_info: distortion D contains values that are not finite": put(1, d=[np.nan] * 5),
}


@pytest.mark.parametrize("sentence", BAD_INFOS)
def test_a_calibration_that_gives_no_correct_point_is_refused(sentence):
    infos = camera_infos(verged())
    BAD_INFOS[sentence](infos)
    with pytest.raises(CalibrationError, match=sentence):
        StereoRig.from_camera_info(*infos)


def test_a_vertical_baseline_in_p_is_refused():
    infos = camera_infos(parallel())
    infos[1].p[3], infos[1].p[7] = 0.0, -60.0
    with pytest.raises(CalibrationError, match="vertical baseline"):
        StereoRig.from_camera_info(*infos)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"T": [0.2, 0, 0]}, "swapped cameras"),
        ({"T": [-0.01, 0.2, 0]}, "vertical baseline"),
        ({"T": [-200.0, 0, 0]}, "baseline is 200 m"),
        ({"T": [-0.2, 0]}, "expected numbers of shape"),
        ({"K1": None}, "K1"),
        ({"K1": "none"}, "K1"),
        ({"K2": np.zeros((3, 3)).tolist()}, "focal lengths"),
        ({"T": [-0.2, float("nan"), 0]}, "three finite numbers"),
        ({"image_size": None}, "no image_size"),
        ({"image_size": 640}, "image_size"),
        ({"image_size": "640x480"}, "image_size"),
        ({"image_size": {"width": 640, "height": 480}}, "image_size"),
        ({"image_size": [640, 480, 3]}, "image_size"),
    ],
)
def test_a_calibration_file_that_is_wrong_is_refused(tmp_path, change, sentence):
    path = tmp_path / "calibration.yaml"
    path.write_text(yaml.safe_dump({**calibration(), **change}))
    with pytest.raises(CalibrationError, match=sentence):
        StereoRig.from_yaml(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("K1: [", "not valid YAML"), ("- 1\n- 2\n", "expected a mapping"), ("K1: [1]\n", "has no D1, K2, D2, R, T")],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path, text, sentence):
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=sentence):
        StereoRig.from_yaml(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"R": np.zeros(3)}, r"R: found .*expected numbers of shape \(3, 3\)"),  # a Rodrigues vector
        ({"R": 2 * np.eye(3)}, "is no rotation"),
        ({"R": np.diag([1.0, 1.0, -1.0])}, "is no rotation"),
        ({"image_size": (480, 640, 3)}, r"image_size is \(480, 640, 3\); expected \(width, height\)"),  # image.shape
    ],
)
def test_what_is_no_calibration_of_opencv_is_refused(change, sentence):
    values = {**{key: np.array(value) for key, value in calibration().items()}, **change}
    with pytest.raises(CalibrationError, match=sentence):
        StereoRig.from_calibration(**values)


def test_no_distortion_is_given_as_in_opencv():
    known = {**calibration(), "D1": None, "D2": None}
    same_rig(
        StereoRig.from_calibration(**known),
        StereoRig.from_calibration(**{**known, "D1": np.zeros(0), "D2": np.zeros(0)}),
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CalibrationError, match=r"nowhere\.yaml: cannot be read"):
        StereoRig.from_yaml(tmp_path / "nowhere.yaml")


def test_ros_files_without_projection_are_refused(tmp_path):
    contents = [ros_yaml(info) for info in camera_infos(parallel())]
    del contents[1]["projection_matrix"]
    for name, content in zip(("left", "right"), contents):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(CalibrationError, match=r"right\.yaml: projection_matrix"):
        StereoRig.from_yaml(tmp_path / "left.yaml", tmp_path / "right.yaml")


def test_a_fisheye_edge_behind_the_camera_is_said():
    rig = verged(focal=110.0, distortion=np.zeros(4), model="equidistant")
    with pytest.raises(CalibrationError, match="behind the camera"):
        rig.view_bounds()


def test_distortion_with_a_wrong_number_of_coefficients_is_refused():
    with pytest.raises(CalibrationError, match="coefficients"):
        Camera(intrinsics((640, 480), 500), np.zeros(3), np.eye(3), (640, 480))
    with pytest.raises(CalibrationError, match="coefficients"):
        Camera(intrinsics((640, 480), 300), np.zeros(5), np.eye(3), (640, 480), "equidistant")
