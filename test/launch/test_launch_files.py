# SPDX-License-Identifier: Apache-2.0
"""Everything that the launch files ask for exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuralfusion_ros.nodes.parameters import NODES, ReplayParameters, parameters_of

ROOT = Path(__file__).parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
CAMERA = ROOT / "launch" / "camera.launch.py"


def test_the_launch_files_of_the_manual_are_there():
    cameras = {path.name.removesuffix(".launch.py") for path in LAUNCH_FILES} - {"mapping", "replay", "camera"}
    assert cameras == {"azure_kinect", "gazebo", "oakd", "orbbec", "realsense", "zed"}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_executable_exists(path, asked):
    ours = [node for node in asked.with_included(path).of_kind("Node") if node.options["package"] == "neuralfusion_ros"]
    assert ours
    for node in ours:
        assert node.options["executable"] in NODES
        assert node.options["name"] == node.options["executable"]


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_launch_argument_is_declared_and_used(path, asked):
    everything = asked.with_included(path)
    declared = {item.args[0] for item in everything.of_kind("DeclareLaunchArgument")}
    used = {item.args[0] for item in everything.of_kind("LaunchConfiguration")}
    if everything.of_kind("OpaqueFunction"):
        used |= asked.used_names(CAMERA)
    assert declared == used
    assert all(item.options["description"] for item in asked(path).of_kind("DeclareLaunchArgument"))


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_parameter_exists(path, asked):
    for node in asked(path).of_kind("Node"):
        known = {"use_sim_time"}
        if node.options["executable"] in NODES:
            known |= {parameter.name for parameter in parameters_of(NODES[node.options["executable"]])}
        for parameters in node.options.get("parameters", []):
            assert not isinstance(parameters, dict) or set(parameters) <= known


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_file_exists(path, asked):
    named = [
        text
        for item in asked(path)
        for value in [*item.args, *item.options.values(), *item.options.get("arguments", [])]
        if isinstance(value, str)
        for text in [value, value.rpartition(":=")[2]]
        if text.startswith(str(ROOT))
    ]
    assert named
    for name in named:
        assert Path(name).is_file(), name


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_remapped_topic_is_one_of_the_node(path, asked):
    for node in asked(path).of_kind("Node"):
        if node.options["executable"] == "rviz2":
            continue  # test_rviz.py
        source = "".join(file.read_text() for file in (ROOT / "neuralfusion_ros" / "nodes").glob("*.py"))
        for topic, _ in node.options.get("remappings", []):
            assert f'"{topic}"' in source, topic


def test_rviz_is_not_started_without_a_display(asked, monkeypatch):
    def about_rviz():
        found = asked(ROOT / "launch" / "mapping.launch.py")
        return [item for item in found if item.options.get("condition")]

    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        (line,) = about_rviz()
        assert line.kind == "LogInfo" and "no display" in line.options["msg"]
        assert "neuralfusion view" in line.options["msg"]
        monkeypatch.setenv(variable, ":0")
        (node,) = about_rviz()
        assert node.kind == "Node" and node.options["executable"] == "rviz2"
        assert node.options["condition"].args[0].args == line.options["condition"].args[0].args == ("rviz",)


def test_the_defaults_of_a_replay_are_those_of_its_node(asked):
    path = ROOT / "launch" / "replay.launch.py"
    defaults = {
        item.args[0]: item.options.get("default_value") for item in asked(path).of_kind("DeclareLaunchArgument")
    }
    node = ReplayParameters()
    assert defaults == {"input": None, "rate": str(node.rate), "loop": str(node.loop).lower()}
