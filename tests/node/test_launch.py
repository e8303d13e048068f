"""The launch files, executed with stand-ins for the launch packages (which PyPI does not have).

The stand-ins record what a launch file says; names and keyword arguments are checked against launch's documentation.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INTERFACE = {
    "launch": {"LaunchDescription": {"initial_entities"}},
    "launch.actions": {
        "DeclareLaunchArgument": {"default_value", "description", "choices"},
        "OpaqueFunction": {"function", "args", "kwargs"},
        "SetEnvironmentVariable": {"name", "value"},
        "ExecuteProcess": {"cmd", "output", "condition"},
        "IncludeLaunchDescription": {"launch_arguments", "condition"},
    },
    "launch.conditions": {"IfCondition": set()},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource": set()},
    "launch.substitutions": {"LaunchConfiguration": {"default"}, "PathJoinSubstitution": set()},
    "launch_ros": {},
    "launch_ros.actions": {
        "Node": {
            "package",
            "executable",
            "name",
            "namespace",
            "parameters",
            "remappings",
            "output",
            "arguments",
            "condition",
        }
    },
    "launch_ros.substitutions": {"FindPackageShare": set()},
}
"""module → class → keyword arguments which launch and launch_ros document (Humble to Kilted)."""


class Recorded:
    """Any launch object: its arguments, and for a LaunchConfiguration the value in a context (a dict)."""

    allowed: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        unknown = set(kwargs) - self.allowed
        assert not unknown, f"{type(self).__name__} has no argument {unknown}"
        self.args, self.kwargs = args, kwargs

    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Executes a launch file of this package and gives (entities, the file's globals)."""
    for name, classes in INTERFACE.items():
        module = ModuleType(name)
        for kind, allowed in classes.items():
            setattr(module, kind, type(kind, (Recorded,), {"allowed": frozenset(allowed)}))
        monkeypatch.setitem(sys.modules, name, module)

    def execute(name: str) -> list[Any]:
        content = runpy.run_path(str(ROOT / "launch" / name))
        return content["generate_launch_description"]().args[0]

    yield execute


def kinds(entities: list[Any], kind: str) -> list[Any]:
    return [entity for entity in entities if type(entity).__name__ == kind]


def started(entities: list[Any], context: dict[str, str]) -> list[Any]:
    """What the opaque functions give in a context of launch arguments."""
    functions = [entity.kwargs["function"] for entity in kinds(entities, "OpaqueFunction")]
    return [entity for function in functions for entity in function(context)]


def defaults(entities: list[Any]) -> dict[str, Any]:
    return {a.args[0]: a.kwargs.get("default_value") for a in kinds(entities, "DeclareLaunchArgument")}


def test_arguments_are_declared_and_described(launch: Any) -> None:
    entities = launch("stereo.launch.py")
    expected = {"left_image", "right_image", "left_camera_info", "right_camera_info", "model", "params_file", "rviz"}
    assert expected | {"namespace", "use_sim_time", "transport", "shm"} <= set(defaults(entities))
    assert all(a.kwargs["description"] for a in kinds(entities, "DeclareLaunchArgument"))


def test_the_node_gets_topics_parameters_and_only_the_overrides_that_were_given(launch: Any) -> None:
    entities = launch("stereo.launch.py")
    context = {**defaults(entities), "shm": "false"}
    (node,) = started(entities, context)
    assert (node.kwargs["package"], node.kwargs["executable"]) == ("rsb_pose_ros", "pose_node")
    remapped = {topic: argument.args[0] for topic, argument in node.kwargs["remappings"]}
    assert remapped == {
        f"{side}/{topic}": f"{side}_{topic.removesuffix('_raw')}"
        for side in ("left", "right")
        for topic in ("image_raw", "camera_info")
    }
    file, overrides = node.kwargs["parameters"]
    assert file.args == ("params_file",)
    assert set(overrides) == {"use_sim_time"}
    (node,) = started(entities, {**context, "model": "/m.onnx", "transport": "compressed"})
    assert node.kwargs["parameters"][1]["model"] == "/m.onnx"
    assert node.kwargs["parameters"][1]["transport"] == "compressed"


def test_rviz_shows_the_namespace_and_the_topics_that_were_asked_for(launch: Any) -> None:
    (rviz,) = kinds(launch("stereo.launch.py"), "Node")
    assert rviz.kwargs["namespace"].args == ("namespace",)
    remapped = dict(rviz.kwargs["remappings"])
    displays = yaml.safe_load((ROOT / "config/skeleton.rviz").read_text())["Visualization Manager"]["Displays"]
    assert set(remapped) == {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert remapped["/stereo/rsb_pose/markers"] == "rsb_pose/markers"  # relative: in the namespace
    assert remapped["/stereo/left/image_raw"].args == ("left_image",)


def test_shared_memory_is_for_all_distributions_and_spares_the_users_own_profile(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    entities = launch("stereo.launch.py")
    context = {**defaults(entities), "shm": "true"}
    assert [v.args[0] for v in kinds(started(entities, context), "SetEnvironmentVariable")] == list(names)
    assert not kinds(started(entities, {**context, "shm": "false"}), "SetEnvironmentVariable")
    monkeypatch.setenv(names[0], "/mine.xml")
    assert not kinds(started(entities, context), "SetEnvironmentVariable")


def test_every_shipped_file_that_is_named_exists(launch: Any) -> None:
    for name in ("stereo.launch.py", "demo.launch.py"):
        launch(name)
        text = (ROOT / "launch" / name).read_text()
        for folder, file in [("config", "stereo.yaml"), ("config", "skeleton.rviz"), ("config", "fastdds_shm.xml")]:
            assert file not in text or (ROOT / folder / file).is_file()


def test_the_demo_plays_the_recording_into_the_stereo_launch_file(launch: Any) -> None:
    entities = launch("demo.launch.py")
    (player,) = kinds(entities, "ExecuteProcess")
    assert player.kwargs["cmd"][:3] == ["ros2", "bag", "play"]
    (include,) = kinds(entities, "IncludeLaunchDescription")
    given = dict(include.kwargs["launch_arguments"])
    assert given["use_sim_time"] == "true" and "--clock" in player.kwargs["cmd"]
    assert set(given) <= set(defaults(launch("stereo.launch.py")))


def test_rviz_shows_what_the_node_publishes() -> None:
    """In the namespace that the launch file gives by default."""
    content = yaml.safe_load((ROOT / "config/skeleton.rviz").read_text())["Visualization Manager"]
    displays = {d["Class"].split("/")[1]: d for d in content["Displays"]}
    assert displays["MarkerArray"]["Topic"]["Value"] == "/stereo/rsb_pose/markers"
    assert displays["PointCloud2"]["Topic"]["Value"] == "/stereo/rsb_pose/keypoints"
    assert {"Grid", "Image"} <= set(displays)
    assert content["Global Options"]["Fixed Frame"] == "stereo_left_optical"
