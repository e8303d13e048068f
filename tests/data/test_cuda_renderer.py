"""The GPU's kernels draw what the CPU draws: in numba's simulator, on a picture small enough for it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.data.conftest import ROOT

COMPARISON = """
import numpy as np
from dataclasses import replace
from rsb_pose_ros.data.synthetic import cuda_renderer
from rsb_pose_ros.data.synthetic.raster import draw
from rsb_pose_ros.data.synthetic.scenes import OBJECT, PERSON, cast
from tests.data.meshes import light, noise_tiles, painted, room
from tests.data.test_rendering import falling

size, camera = (24, 20), np.array([18, 18, 11.5, 9.5], np.float32)
objects = np.array([[-0.7, 0.6, 2.4, 0.25, 0.4, 0.2, 0.4, 0], [0.6, 0.5, 2.0, 0.2, 0.5, 0.2, 0, 1]], np.float32)
scene = replace(room(objects), lights=falling((0.5, -1, -0.4)), ambient=np.full(3, 0.4, np.float32))
corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float) @ np.array(
    [[0.36, 0.1, 0.2], [-0.1, 0.4, 0], [-0.2, -0.02, 0.36]]) + [0.1, 0, 2.2]
faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                  [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.int32)
vertices = corners.astype(np.float32)
outward = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
inside = (outward * (vertices[faces].mean(1) - vertices.mean(0))).sum(1) < 0
faces[inside] = faces[inside][:, ::-1]
fields = np.stack([np.ones(8), np.linspace(-1, 1, 8)], 1).astype(np.float32)
materials = np.array([[0, 1, 1, 0.9, 0.8], [1, 2, 0.5, 1, 0.7]], np.float32)
mesh = painted(vertices, faces, vertices[:, :2].copy(), fields, materials, noise_tiles(2))
mesh.outfit.materials[:, 5] = 0.1
lighting = light(scene, vertices, shadows=1)
origin, rotation = np.array([0.05, 0, 0], np.float32), np.eye(3, dtype=np.float32)
image, depth, kind = cast(scene, lighting, camera, origin, rotation, size)
draw(image, depth, kind, PERSON, mesh, lighting, camera, origin, rotation)
gpu = cuda_renderer.render_view(scene, lighting, [(mesh, PERSON)], camera, origin, rotation, size)
assert set(np.unique(kind)) == {0, 1, 2}, np.unique(kind)
same = np.abs(gpu[0] - image).max(-1) <= 1
assert same.mean() >= 0.999, same.mean()
assert np.abs(gpu[1] - depth).max() < 1e-4 and (gpu[2] == kind).all()
print("same")
"""


def test_both_devices_draw_the_same():
    environment = os.environ | {
        "NUMBA_ENABLE_CUDASIM": "1",
        "NUMBA_DISABLE_JIT": "1",  # the simulator calls them as plain Python
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ros2_ws/src")]),
    }
    done = subprocess.run([sys.executable, "-c", COMPARISON], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "same" in done.stdout
