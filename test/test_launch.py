# SPDX-License-Identifier: Apache-2.0
"""The launch files and the configuration they name.

Where ROS's launch is installed they are run. Everywhere, they are executed with stand-ins that write down what the
files ask for, and everything they ask for must exist.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import runpy
import signal
import subprocess
import sys
import time
import types
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuralfusion_ros.nodes.parameters import NODES, CommonParameters, ReplayParameters, parameters_of

ROOT = Path(__file__).parents[1]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
IMPORTED = {
    "launch": ["LaunchDescription"],
    "launch.actions": ["DeclareLaunchArgument", "IncludeLaunchDescription", "SetEnvironmentVariable"],
    "launch.conditions": ["IfCondition"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["EnvironmentVariable", "LaunchConfiguration"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
}


@dataclass
class Asked:
    """One object that a launch file made: its class's name and arguments."""

    kind: str
    args: tuple[Any, ...]
    options: dict[str, Any]

    def everything(self):
        """This object and all that it holds."""
        yield self
        waiting = [*self.args, *self.options.values()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Asked):
                yield from value.everything()
            elif isinstance(value, dict):
                waiting += [*value.keys(), *value.values()]
            elif isinstance(value, (list, tuple)):
                waiting += value


@pytest.fixture
def asked(monkeypatch):
    """Executes a launch file with stand-ins and gives all objects that it made."""
    for module, names in IMPORTED.items():
        stand_in = types.ModuleType(module)
        for name in names:
            setattr(stand_in, name, lambda *args, kind=name, **options: Asked(kind, args, options))
        monkeypatch.setitem(sys.modules, module, stand_in)

    def execute(path: Path) -> list[Asked]:
        return list(runpy.run_path(str(path))["generate_launch_description"]().everything())

    return execute


def of_kind(asked: list[Asked], kind: str) -> list[Asked]:
    return [item for item in asked if item.kind == kind]


def included(path: Path, asked) -> list[Path]:
    return [Path(item.args[0]) for item in of_kind(asked(path), "PythonLaunchDescriptionSource")]


def test_the_launch_files_of_the_manual_are_there():
    assert [path.name for path in LAUNCH_FILES] == ["mapping.launch.py", "replay.launch.py"]


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_executable_exists(path, asked):
    ours = [node for node in of_kind(asked(path), "Node") if node.options["package"] == "neuralfusion_ros"]
    assert ours
    for node in ours:
        assert node.options["executable"] in NODES
        assert node.options["name"] == node.options["executable"]


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_launch_argument_is_declared_and_used(path, asked):
    own = asked(path)
    others = [item for other in included(path, asked) for item in asked(other)]
    declared = {item.args[0] for item in of_kind(own + others, "DeclareLaunchArgument")}
    used = {item.args[0] for item in of_kind(own + others, "LaunchConfiguration")}
    assert declared == used
    assert all(item.options["description"] for item in of_kind(own, "DeclareLaunchArgument"))


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_parameter_exists(path, asked):
    for node in of_kind(asked(path), "Node"):
        known = {"use_sim_time"}
        if node.options["executable"] in NODES:
            known |= {parameter.name for parameter in parameters_of(NODES[node.options["executable"]])}
        for parameters in node.options.get("parameters", []):
            assert isinstance(parameters, Asked) or set(parameters) <= known


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_file_exists(path, asked):
    named = [
        text
        for item in asked(path)
        for text in [*item.args, *item.options.values(), *item.options.get("arguments", [])]
        if isinstance(text, str) and text.startswith("/")
    ]
    assert named
    for name in named:
        assert Path(name).is_file(), name


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_remapped_topic_is_one_of_the_node(path, asked):
    for node in of_kind(asked(path), "Node"):
        source = "".join(file.read_text() for file in (ROOT / "neuralfusion_ros" / "nodes").glob("*.py"))
        for topic, _ in node.options.get("remappings", []):
            assert f'"{topic}"' in source, topic


def test_the_defaults_of_a_replay_are_those_of_its_node(asked):
    path = ROOT / "launch" / "replay.launch.py"
    defaults = {
        item.args[0]: item.options.get("default_value") for item in of_kind(asked(path), "DeclareLaunchArgument")
    }
    node = ReplayParameters()
    assert defaults == {"input": None, "rate": str(node.rate), "loop": str(node.loop).lower()}


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"), ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE")],
)
def test_the_transport_profile_is_set_unless_the_user_chose_one(asked, monkeypatch, distribution, variable):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    (chosen,) = of_kind(asked(ROOT / "launch" / "mapping.launch.py"), "SetEnvironmentVariable")
    name, value = chosen.args
    assert (name, value.kind, value.args) == (variable, "EnvironmentVariable", (variable,))
    assert Path(value.options["default_value"]).name == "fastdds_shm.xml"


def test_the_transport_profile_is_shared_memory_and_udp():
    profile = ElementTree.parse(ROOT / "config" / "fastdds_shm.xml").getroot()
    ns = {"dds": "http://www.eprosima.com"}
    kinds = {
        transport.findtext("dds:transport_id", "", ns): transport.findtext("dds:type", "", ns)
        for transport in profile.iterfind(".//dds:transport_descriptor", ns)
    }
    used = [item.text or "" for item in profile.iterfind(".//dds:userTransports/dds:transport_id", ns)]
    assert sorted(kinds[name] for name in used) == ["SHM", "UDPv4"]
    assert int(profile.findtext(".//dds:segment_size", "0", ns)) >= 64 << 20
    assert profile.find("dds:participant[@is_default_profile='true']", ns) is not None


def test_the_transport_profile_is_accepted(ros_env):
    ask = "import rclpy; rclpy.init(); rclpy.create_node('n').destroy_node(); rclpy.try_shutdown()"
    done = subprocess.run([sys.executable, "-c", ask], env=ros_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert not done.stderr, "Fast DDS reports what it does not accept on stderr"


def test_rviz_shows_the_topics_of_the_nodes():
    layout = yaml.safe_load((ROOT / "config" / "neuralfusion.rviz").read_text())["Visualization Manager"]
    assert layout["Global Options"]["Fixed Frame"] == CommonParameters().global_frame
    topics = {display["Class"].split("/")[1]: display.get("Topic", {}).get("Value") for display in layout["Displays"]}
    assert topics == {
        "Grid": None,
        "MarkerArray": "/translator_node/mesh",
        "PointCloud2": "/translator_node/tsdf",
        "Image": "/depth/image",
        "Pose": "/pose",
    }
    (cloud,) = (display for display in layout["Displays"] if display["Name"] == "TSDF")
    assert cloud["Channel Name"] == "tsdf"


RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
service = LaunchService()
source = PythonLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""


@pytest.mark.skipif(importlib.util.find_spec("launch_ros") is None, reason="needs ROS's launch_ros")
def test_launched_for_real_both_nodes_appear_and_stop_cleanly(ros_env, tmp_path):
    import rclpy

    command = [sys.executable, "-c", RUN, str(ROOT / "launch" / "mapping.launch.py"), "namespace:=robot"]
    output = tmp_path / "output.txt"
    rclpy.init(args=[])
    observer = rclpy.create_node("observer")
    # A group of its own: launch expects that Ctrl-C reaches its nodes too, as it does in a terminal.
    process = subprocess.Popen(
        command, env=ros_env, stdout=output.open("w"), stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        wanted = {("fusion_node", "/robot"), ("translator_node", "/robot")}
        deadline = time.monotonic() + 60
        while not wanted <= set(observer.get_node_names_and_namespaces()):
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        observer.destroy_node()
        rclpy.try_shutdown()
    assert process.returncode == 0, output.read_text()
    assert output.read_text().count("process has finished cleanly") == 2, output.read_text()
