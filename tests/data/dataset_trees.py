"""Tiny MHAD and Human3.6M folders in the layout of the official archives, with dots where the joints are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from rsb_pose_ros.data import human36m
from rsb_pose_ros.data.recorded import CalibratedCamera
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT

FRAMES = 3
MHAD_OFFSETS_M = (0.0, 0.113, 0.226, 0.334)
# name, parent, offset in cm from the parent
MHAD_BONES = (
    ("Hips", None, (52.0, 87.3, -14.3)), ("Spine", "Hips", (0, 12, 0)), ("Spine1", "Spine", (0, 12, 0)),
    ("Neck", "Spine1", (0, 22, 0)), ("Head", "Neck", (0, 9, 0)), ("Head End", "Head", (0, 20, 0)),
    ("RightArm", "Spine1", (-18, 20, 0)), ("RightForeArm", "RightArm", (-28, 0, 0)),
    ("RightHand", "RightForeArm", (-25, 0, 0)), ("LeftArm", "Spine1", (18, 20, 0)),
    ("LeftForeArm", "LeftArm", (28, 0, 0)), ("LeftHand", "LeftForeArm", (25, 0, 0)),
    ("RightUpLeg", "Hips", (-10, 0, 0)), ("RightLeg", "RightUpLeg", (0, -42, 0)),
    ("RightFoot", "RightLeg", (0, -40, 0)), ("LeftUpLeg", "Hips", (10, 0, 0)), ("LeftLeg", "LeftUpLeg", (0, -42, 0)),
    ("LeftFoot", "LeftLeg", (0, -40, 0)),
)  # fmt: skip


@dataclass(frozen=True)
class Tree:
    """root: of the data set; world: (T, 17, 3) metres; cameras: by number or name."""

    root: Path
    world: np.ndarray
    cameras: dict


def dots(camera: CalibratedCamera, joints: np.ndarray) -> np.ndarray:
    """A dark picture (H, W) with a bright dot at each joint (J, 3) of the world."""
    finite = joints[np.isfinite(joints).all(-1)]
    rotation = cv2.Rodrigues(camera.rotation)[0]
    pixels = cv2.projectPoints(finite, rotation, camera.translation, camera.matrix, camera.distortion)[0][:, 0]
    picture = np.full(camera.size[::-1], 20, np.uint8)
    for x, y in pixels:
        cv2.circle(picture, (round(x * 16), round(y * 16)), 5 * 16, 250, -1, cv2.LINE_AA, 4)
    return picture


def mhad_tree(root: Path) -> Tree:
    """Subjects 1 and 8, one clip each."""
    calibration = root / "Calibration"
    calibration.mkdir(parents=True)
    world_rotation = cv2.Rodrigues(np.array([np.pi - 0.1, 0.05, 0.02]))[0]  # the world's y is up, the camera's down
    world_translation = np.array([-60.0, 900.0, 3100.0])
    rw = " ".join(f"{v:.9f}" for v in world_rotation.ravel())
    tw = " ".join(f"{v:.6f}" for v in world_translation)
    (calibration / "RwTw_l01.txt").write_text(f"Rw={rw} \nTw={tw} \n")
    file = cv2.FileStorage(str(calibration / "camcfg_l01.yml"), cv2.FILE_STORAGE_WRITE)
    cameras = {}
    for number, offset in enumerate(MHAD_OFFSETS_M, 1):
        matrix = np.array([[523.6 + number, 0, 330.0 + 5 * number], [0, 524.8 + number, 238.0], [0, 0, 1]])
        distortion = np.array([-0.3, 0.11, 1e-5, -1e-3])
        turn = np.array([0.004, -0.01, 0.003]) * (number - 1)
        place = np.concatenate([[-1000 * offset, 0.5 * number, -1.0], turn])
        file.startWriteStruct(f"Camera_{number}", cv2.FileNode_MAP)
        for name, value in (("K", matrix), ("Dist", distortion[None]), ("PosRel", place[None])):
            file.write(name, value)
        file.endWriteStruct()
        rotation = cv2.Rodrigues(turn)[0]
        cameras[number] = CalibratedCamera(
            matrix,
            np.append(distortion, 0),
            rotation @ world_rotation,
            (rotation @ world_translation + place[:3]) / 1000,
            (640, 480),
        )
    file.release()
    world = _mhad_clip(root, cameras, subject=1)
    _mhad_clip(root, cameras, subject=8)
    return Tree(root, world, cameras)


def _mhad_clip(root: Path, cameras: dict, subject: int) -> np.ndarray:
    clip, folder = f"s{subject:02d}_a01_r01", f"S{subject:02d}/A01/R01"
    place_cm, heading = np.array([5.0, 95.0, 20.0]), 25.0
    for name in ("Camera/Correspondences", "Mocap/SkeletalData"):
        (root / name).mkdir(parents=True, exist_ok=True)
    # Images come at a rate other than the motion capture's: image k goes with frame 2 k.
    rows = [f"{k} {k / 22:.4f} {2 * k} {2 * k / 480:.4f}" for k in range(FRAMES)]
    (root / f"Camera/Correspondences/corr_moc_img_{clip}.txt").write_text("\n".join(rows) + "\n")
    (root / f"Mocap/SkeletalData/skl_{clip}.bvh").write_text(_bvh(place_cm, heading, 2 * FRAMES))
    c, s = np.cos(np.radians(heading)), np.sin(np.radians(heading))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    at = {"Hips": np.zeros(3)}  # the root's channels say where it is, not its offset
    for name, parent, offset in MHAD_BONES[1:]:
        at[name] = at[parent] + turn @ np.array(offset, float)
    from rsb_pose_ros.data.mhad import BVH_JOINTS

    world = np.full((FRAMES, JOINT_COUNT, 3), np.nan)
    for k in range(FRAMES):
        moved = place_cm + np.array([2.0 * k * 1.5, 0, 0])  # 1.5 cm a frame of the motion capture
        for joint, bone in BVH_JOINTS.items():
            world[k, INDEX[joint]] = (at[bone] + moved) / 100
        world[k, INDEX["pelvis"]] = (at["Hips"] + moved) / 100
    for number, camera in cameras.items():
        images = root / f"Camera/Cluster01/Cam{number:02d}" / folder
        images.mkdir(parents=True)
        for k in range(FRAMES):
            cv2.imwrite(str(images / f"img_l01_c{number:02d}_{clip}_{k:05d}.pgm"), dots(camera, world[k]))
    return world


def _bvh(place: np.ndarray, heading: float, frames: int) -> str:
    children: dict = {}
    for bone in MHAD_BONES:
        children.setdefault(bone[1], []).append(bone)

    def block(bone: tuple, depth: int) -> list[str]:
        name, parent, offset = bone
        pad = "  " * depth
        offset_line = f"{pad}  OFFSET {offset[0]} {offset[1]} {offset[2]}"
        if name.endswith(" End"):
            return [f"{pad}End Site", f"{pad}{{", offset_line, f"{pad}}}"]
        channels = "3 Zrotation Yrotation Xrotation"
        if parent is None:
            channels = "6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
        kind = "ROOT" if parent is None else "JOINT"
        lines = [f"{pad}{kind} {name}", f"{pad}{{", offset_line, f"{pad}  CHANNELS {channels}"]
        for child in children.get(name, [(f"{name} End", name, (0, 1, 0))]):
            lines += block(child, depth + 1)
        return [*lines, f"{pad}}}"]

    joints = sum(not bone[0].endswith(" End") for bone in MHAD_BONES)
    rows = []
    for k in range(frames):
        x = place + np.array([1.5 * k, 0, 0])
        rows.append(" ".join(f"{v:.4f}" for v in [*x, 0, heading, 0, *[0] * 3 * (joints - 1)]))
    head = "\n".join(block(MHAD_BONES[0], 0))
    return f"HIERARCHY\n{head}\nMOTION\nFrames: {frames}\nFrame Time: 0.002083\n" + "\n".join(rows) + "\n"


H36M_PLACES = {
    "54138969": ((0.1407, -0.1501, -0.7552, 0.6223), (1841.1, 4955.3, 1563.4)),
    "55011271": ((0.6157, -0.7648, -0.1483, 0.1179), (1761.3, -5078.0, 1606.3)),
    "58860488": ((0.1465, -0.1465, 0.7653, -0.6094), (-1846.8, 5215.0, 1492.0)),
    "60457274": ((0.5834, -0.7853, 0.1455, -0.1475), (-1794.8, -3722.7, 1574.9)),
}
"""Where the cameras really stand before subject 1: camera to world as w, x, y, z, centre in millimetres."""


def human36m_tree(root: Path) -> Tree:
    """Subject 1, one clip: a video for the one camera of the first pair, frames for the other."""
    from cdflib.cdfwrite import CDF

    numbers = np.zeros(300)
    cameras = {}
    for index, name in enumerate(human36m.CAMERAS):
        (w, *xyz), centre = H36M_PLACES[name]
        rotation = Rotation.from_quat([*xyz, w]).as_matrix().T
        angles = Rotation.from_matrix(rotation).as_euler("XYZ")
        numbers[6 * index * 11 :][:6] = [*angles, *centre]
        f, c = (1145.0 + index, 1144.0), (512.5, 515.4)
        k1, k2, k3, p1, p2 = -0.2, 0.24, -0.002, -0.0009, -0.0014
        numbers[264 + 9 * index :][:9] = [*f, *c, k1, k2, k3, p1, p2]
        cameras[name] = CalibratedCamera(
            np.array([[f[0], 0, c[0]], [0, f[1], c[1]], [0, 0, 1]]),
            np.array([k1, k2, p1, p2, k3]),
            rotation,
            -rotation @ np.array(centre) / 1000,
            human36m.SIZES[name],
        )
    (root / "S1/MyPoseFeatures/D3_Positions").mkdir(parents=True)
    (root / "S1/Videos").mkdir()
    text = " ".join(f"{v:.9g}" for v in numbers)
    (root / "metadata.xml").write_text(f"<metadata><w0>[{text}]</w0></metadata>")
    generator = np.random.default_rng(0)
    pose = generator.uniform([-400, -300, 100], [400, 300, 1700], (32, 3))  # z up, millimetres
    poses = np.stack([pose + np.array([20 * k, 0, 0]) for k in range(FRAMES)])
    file = CDF(str(root / "S1/MyPoseFeatures/D3_Positions/Directions 1.cdf"), cdf_spec={"Majority": "row_major"})
    variable = {"Variable": "Pose", "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [FRAMES, 96]}
    file.write_var(variable, var_data=poses.reshape(1, FRAMES, 96))
    file.close()
    world = poses[:, human36m.JOINTS] / 1000
    first, second = human36m.PAIRS[0]
    size = cameras[first].size
    code = cv2.VideoWriter_fourcc(*"mp4v")
    video = cv2.VideoWriter(str(root / f"S1/Videos/Directions 1.{first}.mp4"), code, 50, size)
    frames = root / f"S1/Images/Directions 1.{second}"
    frames.mkdir(parents=True)
    for k in range(FRAMES):
        video.write(cv2.cvtColor(dots(cameras[first], world[k]), cv2.COLOR_GRAY2BGR))
        cv2.imwrite(str(frames / f"{k + 1:06d}.png"), dots(cameras[second], world[k]))
    video.release()
    return Tree(root, world, {name: cameras[name] for name in (first, second)})
