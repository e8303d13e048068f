"""What colcon and pip install, and that the package's parts agree on names, versions and licences."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "ros2_ws/src/rsb_pose_ros"
PIP_ONLY = {"onnxruntime"}
"""Modules of the robot's part that have no rosdep key; README says how to install them."""
ROSDEP = {"cv2": "python3-opencv", "numpy": "python3-numpy", "yaml": "python3-yaml"}


@pytest.fixture(scope="module")
def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


@pytest.fixture(scope="module")
def setup_arguments() -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    caught: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **arguments: caught.update(arguments))
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return caught


def test_names_version_and_licence_agree(manifest: ElementTree.Element, setup_arguments: dict[str, Any]) -> None:
    assert manifest.findtext("name") == setup_arguments["name"] == SOURCE.name
    assert manifest.findtext("version") == setup_arguments["version"]
    assert manifest.findtext("license") == setup_arguments["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert f"[{setup_arguments['version']}]" in (ROOT / "CHANGELOG.md").read_text()
    assert manifest.find("export").findtext("build_type") == "ament_python"


def test_everything_that_a_robot_needs_is_installed(setup_arguments: dict[str, Any]) -> None:
    installed = {Path(folder) / Path(f).name for folder, files in setup_arguments["data_files"] for f in files}
    share = Path("share/rsb_pose_ros")
    expected = [file for pattern in ("launch/*", "config/**/*", "models/*") for file in ROOT.glob(pattern)]
    missing = [f for f in expected if f.is_file() and share / f.relative_to(ROOT) not in installed]
    assert missing == []
    assert Path("share/ament_index/resource_index/packages/rsb_pose_ros") in installed
    assert share / "package.xml" in installed
    packages = {
        f"rsb_pose_ros.{init.parent.relative_to(SOURCE)}".replace("/", ".") for init in SOURCE.rglob("__init__.py")
    }
    assert {p.removesuffix("..").removesuffix(".") for p in packages} == set(setup_arguments["packages"])


def test_the_nodes_executable_leads_to_a_function(setup_arguments: dict[str, Any]) -> None:
    (script,) = setup_arguments["entry_points"]["console_scripts"]
    name, module, function = re.fullmatch(r"(\w+) = ([\w.]+):(\w+)", script).groups()
    assert name == "pose_node"
    source = (ROOT / "ros2_ws/src").joinpath(*module.split(".")).with_suffix(".py")
    assert function in {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_no_project_table_beside_setup_py() -> None:
    """colcon would report success and install no executable."""
    assert not re.search(r"^\[project\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def imported(file: Path) -> set[str]:
    """Top-level names of all modules that a file imports, wherever it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"rsb_pose_ros"}


def files_of(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        place = SOURCE / room
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


def test_what_the_node_imports_is_declared(manifest: ElementTree.Element) -> None:
    declared = {tag.text for tag in manifest if tag.tag.endswith("depend")}
    needed = set().union(*(imported(file) for file in files_of("node", "stereo", "images.py", "skeleton.py")))
    assert {ROSDEP.get(name, name) for name in needed - PIP_ONLY} <= declared
    assert all(name in (ROOT / "README.md").read_text() for name in PIP_ONLY)


def test_what_runs_on_a_robot_never_imports_torch() -> None:
    guilty = [f for f in files_of("node", "inference", "stereo", "images.py") if "torch" in imported(f)]
    assert guilty == []


def test_layers_point_one_way() -> None:
    """node may use inference; inference knows nothing of node, ROS or recordings."""
    text = "\n".join(file.read_text() for file in files_of("inference", "stereo", "images.py", "skeleton.py"))
    assert not re.search(r"^\s*(from|import) (rclpy|rsb_pose_ros\.(node|bags|training|model))\b", text, re.MULTILINE)
