"""Every parameter: described, ranged, with the default that the shipped file shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from rcl_interfaces.msg import ParameterType

from rsb_pose_ros.node.parameters import ParameterError, Parameters

ROOT = Path(__file__).resolve().parents[2]
NAMES = [entry.name for entry in fields(Parameters)]


@pytest.fixture
def make_node() -> Iterator[Any]:
    """Makes bare nodes with parameter overrides."""
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(**values: Any) -> Any:
        overrides = [rclpy.parameter.Parameter(name, value=value) for name, value in values.items()]
        nodes.append(rclpy.create_node("parameters", context=context, parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_described_and_numbers_have_a_range(make_node: Any, name: str) -> None:
    node = make_node()
    Parameters.declare(node)
    described = node.describe_parameter(name)
    assert len(described.description) > 15
    ranges = {
        ParameterType.PARAMETER_INTEGER: described.integer_range,
        ParameterType.PARAMETER_DOUBLE: described.floating_point_range,
    }
    if described.type in ranges:
        (limits,) = ranges[described.type]
        assert limits.from_value <= node.get_parameter(name).value <= limits.to_value


def test_the_shipped_file_says_the_ranges() -> None:
    lines = (ROOT / "config/stereo.yaml").read_text().splitlines()
    comments = {line.split(":")[0].strip(): line.split("#")[1] for line in lines if ": " in line and "#" in line[2:]}
    for entry in fields(Parameters):
        if entry.metadata["low"] is not None:
            assert f"{entry.metadata['low']:g} to {entry.metadata['high']:g}" in comments[entry.name]


def test_the_shipped_file_shows_the_defaults() -> None:
    content = yaml.safe_load((ROOT / "config/stereo.yaml").read_text())["/**"]["ros__parameters"]
    assert set(content) == set(NAMES)
    defaults = Parameters()
    assert {name: getattr(defaults, name) for name in NAMES} == content
    assert {name: type(getattr(defaults, name)) for name in NAMES} == {n: type(v) for n, v in content.items()}


def test_the_documentation_names_each() -> None:
    text = (ROOT / "docs/node.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in text] == []


def test_values_from_outside_are_read(make_node: Any) -> None:
    found = Parameters.declare(make_node(slop=0.02, providers=["cuda", "cpu"], transport="compressed"))
    assert (found.slop, found.providers, found.transport) == (0.02, ["cuda", "cpu"], "compressed")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"transport": "pigeon"}, "transport is 'pigeon'; expected one of raw, compressed"),
        ({"reliability": "maybe"}, "expected one of best_effort, reliable"),
        ({"model": ""}, "model is empty"),
    ],
)
def test_values_that_cannot_be_are_refused_with_a_sentence(
    make_node: Any, values: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        Parameters.declare(make_node(**values))


def test_foreign_parameters_are_passed_over() -> None:
    changes = [rclpy.parameter.Parameter("use_sim_time", value=True), rclpy.parameter.Parameter("slop", value=0.1)]
    assert Parameters().updated(changes).slop == 0.1
