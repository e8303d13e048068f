"""What a subscriber gets from the real node, over real DDS: content, frames, stamps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from visualization_msgs.msg import Marker

from rsb_pose_ros.skeleton import BONES, INDEX, JOINT_COUNT, LEFT_RGB, RIGHT_RGB
from tests.inference.blob_scene import picture, picture_of_several, standing_at
from tests.node.running_node import RunningNode
from tests.node.stereo_camera import FRAME, OUTPUTS, image, stamp_of
from tests.node.test_model_state import set_parameter

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def answers(shared: Any) -> dict[str, tuple[Any, np.ndarray]]:
    """Output name → (message, true joints) of one moment at which the node answered on all topics."""
    _, camera = shared
    truth: dict[int, np.ndarray] = {}

    def send() -> None:
        joints = standing_at(0.1 * np.sin(len(truth)), 0.0, 3.0)
        truth[camera.send_person(joints)] = joints

    def complete() -> Any:
        clouds = [c for c in camera.received["keypoints"] if c.width]
        for cloud in reversed(clouds):
            stamp = stamp_of(cloud)
            poses = [p for p in camera.received["poses"] if stamp_of(p) == stamp]
            markers = [m for m in camera.received["markers"] if m.markers and stamp_of(m.markers[-1]) == stamp]
            if poses and markers:
                return {name: (found, truth[stamp]) for name, found in zip(OUTPUTS, (markers[0], poses[0], cloud))}
        return None

    return camera.until(complete, send)


def assert_near(found: Any, truth: np.ndarray) -> None:
    """The stand-in network is coarse in depth; a mix-up of joints, axes, views or units is off by far more."""
    error = np.abs(np.array(found) - truth)
    assert np.median(error) < 0.03 and error.max() < 0.2, f"metres, joint by joint:\n{error}"


def read_cloud(cloud: Any) -> np.ndarray:
    """Structured array of a cloud, by its own description of itself."""
    formats = {7: "<f4", 6: "<u4"}
    kind = np.dtype(
        {
            "names": [f.name for f in cloud.fields],
            "formats": [formats[f.datatype] for f in cloud.fields],
            "offsets": [f.offset for f in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    return np.frombuffer(bytes(cloud.data), kind)


def test_header_is_the_left_images_stamp_and_the_left_infos_frame(answers: Any) -> None:
    """And all outputs of a moment carry the same."""
    headers = [m.header for m in (answers["poses"][0], answers["keypoints"][0], *answers["markers"][0].markers)]
    assert {h.frame_id for h in headers} == {FRAME}
    assert len({(h.stamp.sec, h.stamp.nanosec) for h in headers}) == 1


def test_poses_are_the_joints_in_skeleton_order(answers: Any) -> None:
    message, truth = answers["poses"]
    assert len(message.poses) == JOINT_COUNT
    assert_near([(p.position.x, p.position.y, p.position.z) for p in message.poses], truth)
    assert all(p.orientation.w == 1 for p in message.poses)


def test_cloud_has_everything_in_one_message(answers: Any) -> None:
    cloud, truth = answers["keypoints"]
    points = read_cloud(cloud)
    assert cloud.width * cloud.height == JOINT_COUNT == len(points)
    assert cloud.row_step == len(cloud.data) == cloud.width * cloud.point_step
    assert_near(np.stack([points[axis] for axis in "xyz"], -1), truth)
    assert points["joint"].tolist() == list(range(JOINT_COUNT))
    assert len(set(points["body"].tolist())) == 1
    assert (points["confidence"] > 0.5).all()
    for term in ("xx", "yy", "zz"):
        np.testing.assert_allclose(points[f"cov_{term}"], 1e-4, rtol=1e-3)  # what the stand-in network says
    for term in ("xy", "xz", "yz"):
        np.testing.assert_allclose(points[f"cov_{term}"], 0, atol=1e-9)


def test_markers_show_joints_bones_and_a_label(answers: Any) -> None:
    message, truth = answers["markers"]
    added = {m.type: m for m in message.markers if m.action == Marker.ADD}
    assert set(added) == {Marker.SPHERE_LIST, Marker.LINE_LIST, Marker.TEXT_VIEW_FACING}
    spheres, bones = added[Marker.SPHERE_LIST], added[Marker.LINE_LIST]
    assert_near([(p.x, p.y, p.z) for p in spheres.points], truth)
    assert len(bones.points) == len(bones.colors) == 2 * len(BONES)
    assert len({(m.ns, m.id) for m in added.values()}) == 3
    for marker in added.values():
        assert marker.ns.startswith("body_")
        assert marker.pose.orientation.w == 1
        assert 0.3 <= marker.lifetime.sec + marker.lifetime.nanosec * 1e-9 <= 0.5


def test_colours_tell_left_from_right_and_fade_with_confidence(answers: Any) -> None:
    message, _ = answers["markers"]
    points = read_cloud(answers["keypoints"][0])
    colours = next(m for m in message.markers if m.type == Marker.SPHERE_LIST).colors
    for joint, expected in (("l_wrist", LEFT_RGB), ("r_wrist", RIGHT_RGB)):
        colour = colours[INDEX[joint]]
        np.testing.assert_allclose((colour.r, colour.g, colour.b), expected, atol=1e-3)
    assert all(0 < c.a <= 1 for c in colours)
    order = np.argsort(points["confidence"])
    assert colours[order[0]].a <= colours[order[-1]].a


def test_everything_is_deleted_once_and_never_again(shared: Any, answers: Any) -> None:
    """DELETEALL in every message would flicker."""
    _, camera = shared
    messages = camera.received["markers"]
    camera.until(lambda: len(messages) > 5, lambda: camera.send_person(standing_at(0, 0, 3)))
    assert sum(m.action == Marker.DELETEALL for message in messages for m in message.markers) <= 1


def test_id_stays_and_markers_are_deleted_when_the_person_leaves(shared: Any, answers: Any) -> None:
    _, camera = shared
    camera.forget()
    camera.until(lambda: len(camera.received["poses"]) > 3, lambda: camera.send_person(standing_at(0, 0, 3)))
    shown = {m.ns for message in camera.received["markers"] for m in message.markers if m.action == Marker.ADD}
    assert len(shown) == 1

    def gone() -> Any:
        return [m for message in camera.received["markers"] for m in message.markers if m.action == Marker.DELETE]

    deleted = camera.until(gone, lambda: camera.send_person(None))
    assert {m.ns for m in deleted} == shown
    assert {m.id for m in deleted} == {0, 1, 2}


def test_an_empty_room_is_said_to_be_empty(shared: Any, answers: Any) -> None:
    """A subscriber can tell "nobody there" from "no answer"."""
    _, camera = shared
    camera.forget()

    def empty() -> bool:
        return any(not p.poses for p in camera.received["poses"]) and any(
            not c.width for c in camera.received["keypoints"]
        )

    camera.until(empty, lambda: camera.send_person(None))


def test_diagnostics_name_provider_model_calibration_and_latency(shared: Any, answers: Any, model: Any) -> None:
    _, camera = shared
    camera.until(
        lambda: len(camera.states) == 4 and camera.states["latency"].values,
        lambda: camera.send_person(standing_at(0, 0, 3)),
    )
    assert camera.values("model")["provider"] == "CPUExecutionProvider"
    assert camera.values("model")["model"] == str(model)
    assert camera.values("calibration")["baseline_m"] == "0.1200"
    images = camera.values("images")
    assert int(images["pairs_received"]) >= int(images["pairs_processed"]) > 0
    assert {"pairs_dropped_for_newer", "pairs_refused", "pairs_hz"} <= set(images)
    latency = camera.values("latency")
    assert {f"{s}_{p}_ms" for s in ("wait", "decode", "network", "publish") for p in ("p50", "p95")} <= set(latency)
    assert all(camera.states[name].level == b"\x00" for name in ("model", "calibration"))


def test_diagnostics_say_how_sure_a_search_was_of_whom_it_did_not_believe_in(
    tmp_path: Any, camera: Any, model: Any
) -> None:
    def images() -> dict[str, str]:
        return camera.values("images")

    def half() -> None:
        """Somebody without legs, of whom the network is sure by no more than 80 %."""
        camera.send_infos()
        views = picture(camera.rig, standing_at(0, 0, 3))
        for view in views:
            view[view.shape[0] * 265 // 480 :] = 40
        camera.send(*map(image, views))

    options = {"model": model, "min_confidence": 0.95, "diagnostics_period": 0.2}
    with RunningNode(tmp_path / "node.log", "-r", f"__ns:=/{camera.namespace}", **options):
        camera.until(lambda: images().get("best_rejected", "none") != "none", half)
        sureness = float(images()["best_rejected"])
        assert 0.5 < sureness < 0.95 and images()["people"] == "0"
        assert set_parameter(camera, "min_confidence", sureness).successful
        camera.until(lambda: (images().get("people"), images().get("best_rejected")) == ("1", "none"), half)


def test_two_people_have_ids_of_their_own(tmp_path: Any, camera: Any, model: Any) -> None:
    """Whoever comes later is found beside the one who is followed, once the node may follow two."""
    near, far = standing_at(-0.9, 0.0, 3.0), standing_at(1.1, 0.0, 3.4)

    def send(*people: np.ndarray) -> None:
        camera.send_infos()
        camera.send(*(image(view) for view in picture_of_several(camera.rig, *people)))

    options = {"model": model, "diagnostics_period": 0.2, "smoothing": False}
    with RunningNode(tmp_path / "node.log", "-r", f"__ns:=/{camera.namespace}", **options):
        camera.until(lambda: any(p.poses for p in camera.received["poses"]), lambda: send(near))
        assert set_parameter(camera, "max_people", 2).successful
        camera.until(lambda: any(len(p.poses) == 34 for p in camera.received["poses"]), lambda: send(near, far))
        camera.until(
            lambda: any(c.width * c.height == 34 for c in camera.received["keypoints"]), lambda: send(near, far)
        )
        points = next(read_cloud(c) for c in camera.received["keypoints"] if c.width * c.height == 34)
        assert [sorted(set(points["body"][i : i + 17])) for i in (0, 17)] == [[0], [1]]
        assert_near(np.stack([points[axis] for axis in "xyz"], -1), np.concatenate([near, far]))
