"""Z-buffer rasteriser for meshes: visibility first, then each pixel's texture, folds and light, perspective-correct."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.synthetic.kernels import find_visible, shade, to_camera
from rsb_pose_ros.data.synthetic.lighting import Lighting
from rsb_pose_ros.data.synthetic.textures import FOLDS

NOTHING = -1


def draw(  # type: ignore[no-untyped-def]
    image, depth, kind, label: int, mesh, lighting: Lighting, camera, origin, rotation
) -> None:
    """Draw a mesh (person.Mesh) into image (H, W, 3), depth (H, W) and kind (H, W), in place.

    camera: (fx, fy, cx, cy); origin: (3,) optical centre in the scene; rotation: (3, 3) camera ← scene; float32 all.
    """
    outfit = mesh.outfit
    pixels = to_camera(mesh.vertices, origin, rotation, camera)
    winner = np.full(depth.shape, NOTHING, np.int32)
    find_visible(pixels, mesh.faces, depth, winner)
    shade(
        image, kind, label, winner, pixels, mesh.vertices, mesh.normals, mesh.faces, outfit.albedo, outfit.texture,
        outfit.fields, outfit.materials, outfit.levels, FOLDS, camera[0], lighting.ambient, lighting.lights,
        lighting.lamp, lighting.maps, lighting.bases,
    )  # fmt: skip
