"""What tests of the synthetic data need: motion capture, pictures and baked bodies. Without them those tests are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsb_pose_ros.data.mocap import Motions
from rsb_pose_ros.data.synthetic.bodies import BodyPack
from rsb_pose_ros.data.synthetic.config import SyntheticConfig
from rsb_pose_ros.data.synthetic.generator import SyntheticPairs

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared"))
BODIES = ROOT / "cache/bodies.npz"
CONFIG = ROOT / "config/synthetic.yaml"


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "mocap/val.npz").exists():
        pytest.skip(f"{SHARED}: no motion capture and pictures there (set RSB_POSE_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def pack() -> BodyPack:
    if not BODIES.exists():
        pytest.skip(f"{BODIES}: not baked (tools/synthesize.py bake)")
    return BodyPack.load(BODIES)


@pytest.fixture(scope="session")
def motions(shared: Path) -> Motions:
    return Motions.load(shared / "mocap/val.npz")


@pytest.fixture(scope="session")
def pairs(shared: Path, pack: BodyPack) -> SyntheticPairs:
    return SyntheticPairs(SyntheticConfig.from_yaml(CONFIG), shared, BODIES, "val")
