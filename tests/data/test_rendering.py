"""The renderers agree with projective geometry: depth of surfaces, hidden faces, disparity between the views."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsb_pose_ros.data.synthetic.raster import draw, vertex_light
from rsb_pose_ros.data.synthetic.scenes import BACKGROUND, OBJECT, PERSON, cast
from tests.data.meshes import ball, noise_tiles, room

SIZE = (320, 240)
CAMERA = np.array([280, 280, 159.5, 119.5], np.float32)
BASELINE = 0.12
BALL = np.array([0.1, 0.05, 2.0])


def view(origin_x: float, objects: np.ndarray | None = None):
    """(image, depth, kind) of a room with a ball, seen from a camera moved to the right."""
    scene = room(objects)
    origin = np.array([origin_x, 0, 0], np.float32)
    image, depth, kind = cast(
        scene.room, scene.objects, scene.surfaces, scene.levels, scene.photo, scene.ambient, scene.lights, scene.shadow,
        CAMERA, origin, np.eye(3, dtype=np.float32), SIZE,
    )  # fmt: skip
    vertices, faces, texture = ball(BALL, 0.4)
    fields = np.ones((len(vertices), 1), np.float32)
    material = np.array([[0, 2.0, 1, 1, 1]], np.float32)
    light = np.ones_like(vertices)
    draw(image, depth, kind, PERSON, vertices - origin, faces, light, texture, fields, material, noise_tiles(1), CAMERA)
    return image, depth, kind


def test_the_side_towards_the_camera_is_seen():
    _, depth, kind = view(0.0)
    x, y = (CAMERA[2:] + CAMERA[:2] * BALL[:2] / BALL[2]).round().astype(int)
    assert kind[y, x] == PERSON
    assert depth[y, x] == pytest.approx(1.6, abs=0.01)


def test_walls_lie_where_the_room_says():
    _, depth, kind = view(0.0)
    assert kind[10, 160] == BACKGROUND
    assert depth[10, 160] == pytest.approx(1.5 * 280 / 109.5, rel=1e-3)  # ceiling
    assert depth[:, 20].max() == pytest.approx(2 * 280 / 139.5, rel=1e-3)  # left wall
    assert depth[120, 40:60].max() == pytest.approx(5.0, rel=1e-3)


def test_boxes_and_cylinders_hide_what_is_behind():
    objects = np.array([[0.1, 0, 1.2, 0.1, 0.5, 0.1, 0, 0], [-0.6, 0, 1.5, 0.1, 0.5, 0.1, 0, 1]], np.float32)
    _, depth, kind = view(0.0, objects)
    box, post = round(159.5 + 280 * 0.1 / 1.1), round(159.5 - 280 * 0.6 / 1.5)
    assert kind[120, box] == OBJECT and depth[120, box] == pytest.approx(1.1, rel=1e-3)
    assert kind[120, post] == OBJECT and 1.4 < depth[120, post] < 1.5


def test_block_matching_finds_the_rendered_disparity():
    left, depth, _ = view(0.0)
    right, _, _ = view(BASELINE)
    grey = [cv2.cvtColor(np.clip(i, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY) for i in (left, right)]
    found = cv2.StereoSGBM_create(0, 48, 7, P1=400, P2=1600).compute(*grey) / 16.0
    error = np.abs(found - CAMERA[0] * BASELINE / depth)[found > 0]
    assert len(error) > 0.5 * depth.size
    assert np.median(error) < 0.5
    assert (error < 1).mean() > 0.85


def test_a_later_layer_covers_where_its_field_is_positive():
    vertices = np.array([[-1, -1, 2], [1, -1, 2], [1, 1, 2], [-1, 1, 2]], np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2]], np.int32)  # clockwise on the picture: towards the camera
    fields = np.array([[1, -1], [1, 1], [1, 1], [1, -1]], np.float32)  # the second layer ends half-way across
    materials = np.array([[0, 1, 1, 0, 0], [0, 1, 0, 0, 1]], np.float32)
    image, depth = np.zeros((240, 320, 3), np.float32), np.full((240, 320), 9, np.float32)
    tiles = np.full_like(noise_tiles(1), 200)
    kind = np.zeros((240, 320), np.uint8)
    draw(
        image,
        depth,
        kind,
        PERSON,
        vertices,
        faces,
        np.ones_like(vertices),
        vertices[:, :2].copy(),
        fields,
        materials,
        tiles,
        CAMERA,
    )
    assert image[120, 150].tolist() == [200, 0, 0]
    assert image[120, 170].tolist() == [0, 0, 200]


def test_light_falls_on_the_side_that_faces_it():
    normals = np.array([[0, -1, 0], [0, 1, 0]], np.float32)
    lit = vertex_light(normals, np.full(3, 0.2, np.float32), np.array([[0, -1, 0, 0.5, 0.6, 0.7]], np.float32))
    assert lit[0] == pytest.approx([0.7, 0.8, 0.9]) and lit[1] == pytest.approx([0.2, 0.2, 0.2])
