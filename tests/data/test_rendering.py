"""The renderers agree with projective geometry: depth of surfaces, hidden faces, disparity between the views."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rsb_pose_ros.data.synthetic.kernels import PROJECTED, light_at, shadow
from rsb_pose_ros.data.synthetic.raster import draw
from rsb_pose_ros.data.synthetic.scenes import BACKGROUND, OBJECT, PERSON, cast
from tests.data.meshes import ball, light, noise_tiles, painted, room

SIZE = (320, 240)
CAMERA = np.array([280, 280, 159.5, 119.5], np.float32)
BASELINE = 0.12
BALL = np.array([0.1, 0.05, 2.0])


def view(origin_x: float, objects: np.ndarray | None = None):
    """(image, depth, kind) of a room with a ball, seen from a camera moved to the right."""
    scene = room(objects)
    origin, rotation = np.array([origin_x, 0, 0], np.float32), np.eye(3, dtype=np.float32)
    lighting = light(scene)
    image, depth, kind = cast(scene, lighting, CAMERA, origin, rotation, SIZE)
    vertices, faces, texture = ball(BALL, 0.4)
    material = np.array([[0, 2.0, 1, 1, 1]], np.float32)
    mesh = painted(vertices, faces, texture, np.ones((len(vertices), 1), np.float32), material, noise_tiles(1))
    draw(image, depth, kind, PERSON, mesh, lighting, CAMERA, origin, rotation)
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


def square(z: float, half: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(vertices, faces) of a square across the view at a depth, turned to the camera."""
    vertices = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]], np.float32)
    return vertices, np.array([[0, 2, 1], [0, 3, 2]], np.int32)  # clockwise on the picture


def test_a_later_layer_covers_where_its_field_is_positive():
    vertices, faces = square(2)
    fields = np.array([[1, -1], [1, 1], [1, 1], [1, -1]], np.float32)  # the second layer ends half-way across
    materials = np.array([[0, 1, 1, 0, 0], [0, 1, 0, 0, 1]], np.float32)
    image, depth = np.zeros((240, 320, 3), np.float32), np.full((240, 320), 9, np.float32)
    tiles = np.full_like(noise_tiles(1), 200)
    kind = np.zeros((240, 320), np.uint8)
    mesh = painted(vertices, faces, vertices[:, :2].copy(), fields, materials, tiles)
    zero, eye = np.zeros(3, np.float32), np.eye(3, dtype=np.float32)
    draw(image, depth, kind, PERSON, mesh, light(room()), CAMERA, zero, eye)
    assert image[120, 150, 0] > 100 and image[120, 150, 2] == 0
    assert image[120, 170, 2] > 100 and image[120, 170, 0] == 0


def falling(direction: tuple[float, float, float]) -> np.ndarray:
    """One white light (1, 6) from a direction."""
    towards = np.array(direction, np.float32)
    return np.array([[*(towards / np.linalg.norm(towards)), 0.5, 0.6, 0.7]], np.float32)


def test_light_falls_on_the_side_that_faces_it():
    scene = replace(room(), lights=falling((0, -1, 0)), ambient=np.zeros(3, np.float32))
    lighting = light(scene)
    arguments = (lighting.ambient, lighting.lights, lighting.lamp, lighting.maps, lighting.bases)
    up = light_at(0.0, 0.0, 3.0, 0.0, -1.0, 0.0, 0.0, *arguments)
    down = light_at(0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, *arguments)
    assert up == pytest.approx((0.5, 0.6, 0.7), rel=1e-5) and down == pytest.approx((0, 0, 0))


def test_shadows_lie_where_the_light_s_rays_meet_something():
    scene = replace(room(), lights=falling((1, -2, 0)), ambient=np.zeros(3, np.float32))
    sheet = np.stack(np.meshgrid(np.linspace(-0.2, 0.2, 40), [-0.3], np.linspace(2.8, 3.2, 40)), -1).reshape(-1, 3)
    lighting = light(scene, sheet.astype(np.float32), shadows=1)
    # The sheet is 1.3 m above the floor at y = 1: its shadow falls 0.65 m to the left of it.
    for x, shaded in ((-0.65, True), (-0.55, True), (-0.35, False), (-1.0, False), (0.0, False)):
        assert (shadow(lighting.maps, lighting.bases, 1, x, 1.0, 3.0) > 0.5) == shaded, x
    assert shadow(lighting.maps, lighting.bases, 1, 0.3, -0.9, 3.0) == 0  # above the sheet


def test_boxes_cast_shadows_too():
    scene = replace(
        room(np.array([[0.3, 0, 3.0, 0.15, 0.05, 0.15, 0, 0]], np.float32)),
        lights=falling((0, -1, 0)),
    )
    lighting = light(scene, shadows=1)
    assert shadow(lighting.maps, lighting.bases, 1, 0.3, 1.0, 3.0) > 0.9
    assert shadow(lighting.maps, lighting.bases, 1, 0.6, 1.0, 3.0) < 0.1


def test_a_projected_photograph_looks_like_itself_from_the_projector():
    photo = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    photo = cv2.normalize(cv2.GaussianBlur(photo, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    focal = 0.7
    projector = np.array([[focal, 0, 0.5, 0], [0, focal * 4 / 3, 0.5, 0], [0, 0, 1, 0]], np.float32)
    surfaces = np.tile(np.array([PROJECTED, 1, 1, 1, 1], np.float32), (6, 1))
    scene = replace(room(), photos=np.stack([photo, photo]), projector=projector, surfaces=surfaces)
    camera = np.array([399 * focal, 299 * focal * 4 / 3, 199.5, 149.5], np.float32)
    image, _, _ = cast(scene, light(scene), camera, np.zeros(3, np.float32), np.eye(3, dtype=np.float32), (400, 300))
    far_wall = (slice(110, 190), slice(130, 270))
    assert np.corrcoef(image[far_wall].ravel(), photo[far_wall].ravel())[0, 1] > 0.98
