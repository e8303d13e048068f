"""Bad input, one kind after the other, to one running node: it says what was found and expected, and lives on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image

from tests.inference.blob_scene import picture, standing_at
from tests.node.running_node import RunningNode
from tests.node.stereo_camera import SIDES, StereoCamera, camera_info, image, stamp_of

pytestmark = pytest.mark.ros


def assert_still_answers(camera: StereoCamera) -> None:
    """A good pair gets its answer, and diagnostics are heard."""
    camera.forget()
    sent: set[int] = set()
    camera.until(
        lambda: len(camera.states) == 4 and any(stamp_of(p) in sent and p.poses for p in camera.received["poses"]),
        lambda: sent.add(camera.send_person(standing_at(0, 0, 3))),
    )


def views(camera: StereoCamera) -> tuple[np.ndarray, np.ndarray]:
    return picture(camera.rig, standing_at(0, 0, 3))


def wrong_size(camera: StereoCamera) -> tuple[Image, Image]:
    left, right = (view[:200, :300] for view in views(camera))
    return image(left.copy()), image(right.copy())


def unknown_encoding(camera: StereoCamera) -> tuple[Image, Image]:
    left, right = views(camera)
    return image(left, "hsv9000"), image(right)


def empty(camera: StereoCamera) -> tuple[Image, Image]:
    return Image(encoding="bgr8"), Image(encoding="bgr8")


def cut_short(camera: StereoCamera) -> tuple[Image, Image]:
    left, right = (image(view) for view in views(camera))
    right.data = right.data[:1000]
    return left, right


def two_kinds(camera: StereoCamera) -> tuple[Image, Image]:
    left, right = views(camera)
    return image(left), image(right[..., 0].copy(), "mono8")


@pytest.mark.parametrize(
    ("bad", "found", "expected"),
    [
        (wrong_size, "300x200", "320x240"),
        (unknown_encoding, "hsv9000", "bgr8"),
        (empty, "0x0", "positive width and height"),
        (cut_short, "1000 bytes", "230400"),
        (two_kinds, "(240, 320, 3)", "equal shapes"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_bad_image_is_named_and_the_next_pair_is_answered(
    shared: tuple[RunningNode, StereoCamera], bad: Callable[..., Any], found: str, expected: str
) -> None:
    node, camera = shared
    assert_still_answers(camera)

    def complained() -> bool:
        lines = [line for line in node.log.splitlines() if found in line]
        return any(expected in line and "image_raw" in line for line in lines)

    camera.until(complained, lambda: (camera.send_infos(), camera.send(*bad(camera))))
    camera.until(lambda: int(camera.values("images").get("refused: bad image", 0)) > 0)
    assert_still_answers(camera)
    assert node.alive


def refused_without_calibration(camera: StereoCamera) -> int:
    return int(camera.values("images").get("refused: no calibration", 0))


def no_calibration(camera: StereoCamera) -> list[Any]:
    infos = [camera_info(camera.rig, side) for side in (0, 1)]
    for info in infos:
        info.k, info.p = np.zeros(9), np.zeros(12)
    return infos


def zero_k(camera: StereoCamera) -> list[Any]:
    infos = [camera_info(camera.rig, side) for side in (0, 1)]
    infos[0].k = np.zeros(9)
    return infos


def positive_tx(camera: StereoCamera) -> list[Any]:
    infos = [camera_info(camera.rig, side) for side in (0, 1)]
    infos[1].p[3] = -infos[1].p[3]
    return infos


def swapped(camera: StereoCamera) -> list[Any]:
    return [camera_info(camera.rig, side) for side in (1, 0)]


def both_shifted(camera: StereoCamera) -> list[Any]:
    return [camera_info(camera.rig, 1), camera_info(camera.rig, 1)]


def millimetres(camera: StereoCamera) -> list[Any]:
    infos = [camera_info(camera.rig, side) for side in (0, 1)]
    infos[1].p[3] *= 1000
    return infos


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (no_calibration, "projection matrix P is zero"),
        (zero_k, "K is zero"),
        (positive_tx, "expected a negative value"),
        (swapped, "the topics look swapped"),
        (both_shifted, "both infos carry Tx"),
        (millimetres, "not millimetres"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_bad_calibration_is_refused_and_a_good_one_mends_it(
    shared: tuple[RunningNode, StereoCamera], bad: Callable[..., Any], sentence: str
) -> None:
    node, camera = shared
    assert_still_answers(camera)
    camera.until(lambda: sentence in camera.states["calibration"].message, lambda: camera.send_infos(*bad(camera)))
    assert camera.states["calibration"].level == b"\x02"
    assert all(f"{side}/camera_info" in camera.states["calibration"].message for side in SIDES)
    assert sentence in node.log
    left, right = (image(view) for view in views(camera))
    sent: set[int] = set()
    before = refused_without_calibration(camera)
    camera.until(
        lambda: refused_without_calibration(camera) > before + 2,
        lambda: sent.add(camera.send(left, right)),
    )
    assert not sent & {stamp_of(p) for p in camera.received["poses"]}
    assert_still_answers(camera)
    assert node.alive


def test_complaints_are_throttled(shared: tuple[RunningNode, StereoCamera]) -> None:
    """Thirty bad pairs a second must not write thirty lines a second."""
    node, camera = shared
    before = node.log.count("hsv9000")
    refused = int(camera.values("images")["pairs_refused"])
    camera.until(
        lambda: int(camera.values("images")["pairs_refused"]) > refused + 20,
        lambda: (camera.send_infos(), camera.send(*unknown_encoding(camera))),
    )
    assert node.log.count("hsv9000") - before <= 4
