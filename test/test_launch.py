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

from neuralfusion_ros.messages.esdf_cloud import ESDF_POINT
from neuralfusion_ros.messages.line_markers import FRUSTUM, PATH
from neuralfusion_ros.messages.markers import NAMESPACE
from neuralfusion_ros.messages.tsdf_cloud import TSDF_POINT
from neuralfusion_ros.nodes.camera_input import is_rectified
from neuralfusion_ros.nodes.parameters import NODES, CommonParameters, ReplayParameters, parameters_of

ROOT = Path(__file__).parents[1]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
CAMERA = ROOT / "launch" / "camera.launch.py"
CAMERAS = ["azure_kinect", "gazebo", "oakd", "orbbec", "realsense", "zed"]
PRESETS = [*CAMERAS, "tum"]
IMPORTED = {
    "launch": ["LaunchContext", "LaunchDescription"],
    "launch.actions": [
        *("DeclareLaunchArgument", "GroupAction", "IncludeLaunchDescription"),
        *("LogInfo", "OpaqueFunction", "SetEnvironmentVariable"),
    ],
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

    def perform(self, context):
        """What a LaunchConfiguration stands for; context: the values of all arguments."""
        return context[self.args[0]]

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


def used_names(path: Path, asked) -> set[str]:
    """The arguments that the functions of a launch file look up when it runs."""
    source = path.read_text() if of_kind(asked(path), "OpaqueFunction") else ""
    return {name for name in runpy.run_path(str(path)).get("ARGUMENTS", {}) if source.count(f'"{name}"') > 1}


def with_included(path: Path, asked) -> list[Asked]:
    """What a launch file and all that it includes ask for."""
    own = asked(path)
    others = [Path(item.args[0]) for item in of_kind(own, "PythonLaunchDescriptionSource")]
    return own + [item for other in others for item in with_included(other, asked)]


def defaults_of(path: Path, asked) -> dict[str, Any]:
    """The arguments' values when none is given. The first that is declared counts."""
    declared = of_kind(with_included(path, asked), "DeclareLaunchArgument")
    return {item.args[0]: item.options.get("default_value") for item in reversed(declared)}


def test_the_launch_files_of_the_manual_are_there():
    cameras = {path.name.removesuffix(".launch.py") for path in LAUNCH_FILES} - {"mapping", "replay", "camera"}
    assert cameras == set(CAMERAS)


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_executable_exists(path, asked):
    ours = [
        node for node in of_kind(with_included(path, asked), "Node") if node.options["package"] == "neuralfusion_ros"
    ]
    assert ours
    for node in ours:
        assert node.options["executable"] in NODES
        assert node.options["name"] == node.options["executable"]


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_launch_argument_is_declared_and_used(path, asked):
    everything = with_included(path, asked)
    declared = {item.args[0] for item in of_kind(everything, "DeclareLaunchArgument")}
    used = {item.args[0] for item in of_kind(everything, "LaunchConfiguration")}
    if of_kind(everything, "OpaqueFunction"):
        used |= used_names(CAMERA, asked)
    assert declared == used
    assert all(item.options["description"] for item in of_kind(asked(path), "DeclareLaunchArgument"))


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
    for node in of_kind(asked(path), "Node"):
        source = "".join(file.read_text() for file in (ROOT / "neuralfusion_ros" / "nodes").glob("*.py"))
        for topic, _ in node.options.get("remappings", []):
            assert f'"{topic}"' in source, topic


def driver_of(name, asked, **changes):
    """What camera.launch.py does about the driver of a camera."""
    asked(CAMERA)
    context = {**defaults_of(ROOT / "launch" / f"{name}.launch.py", asked), **changes}
    (action,) = runpy.run_path(str(CAMERA))["start_driver"](context)
    return action


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Makes a package that has a launch file."""

    def make(package, launch_file):
        for path in ("ament_index/resource_index/packages", f"{package}/launch"):
            (tmp_path / "share" / path).mkdir(parents=True)
        (tmp_path / "share/ament_index/resource_index/packages" / package).touch()
        path = tmp_path / "share" / package / "launch" / launch_file
        path.touch()
        monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
        return str(path)

    return make


@pytest.mark.parametrize("name", CAMERAS)
def test_a_driver_that_is_not_installed_is_told_in_one_line(name, asked, monkeypatch, tmp_path):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    line = driver_of(name, asked)
    package = defaults_of(ROOT / "launch" / f"{name}.launch.py", asked)["driver_package"]
    assert line.kind == "LogInfo" and f"of package {package} is installed" in line.options["msg"]


@pytest.mark.parametrize("name", CAMERAS)
def test_an_installed_driver_is_started_with_its_arguments_and_without_ours(name, asked, install):
    defaults = defaults_of(ROOT / "launch" / f"{name}.launch.py", asked)
    path = install(defaults["driver_package"], defaults["driver_launch"].split()[-1])
    group = driver_of(name, asked)
    assert group.kind == "GroupAction" and group.options == {"scoped": True, "forwarding": False}
    (include,) = group.args[0]
    assert include.args[0].args == (path,)
    given = " ".join(f"{name}:={value}" for name, value in include.options["launch_arguments"])
    assert given == defaults["driver_arguments"]


def test_a_driver_that_is_not_wanted_is_not_started(asked, install):
    install("realsense2_camera", "rs_launch.py")
    assert driver_of("realsense", asked, driver="false").kind == "LogInfo"


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_comes_with_its_preset_and_topics(name, asked):
    defaults = defaults_of(ROOT / "launch" / f"{name}.launch.py", asked)
    assert Path(defaults["params_file"]) == ROOT / "config" / f"{name}.yaml"
    image, info = Path(defaults["depth_image"]), Path(defaults["camera_info"])
    assert image.is_absolute() and image.parent == info.parent and info.name == "camera_info"
    choice = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())["/**/fusion_node"]["ros__parameters"]
    assert is_rectified(choice.get("image_rectified", "auto"), str(image)) is (name not in {"azure_kinect", "orbbec"})


def test_the_topics_of_the_bridge_are_those_of_the_mapping(asked):
    bridged = yaml.safe_load((ROOT / "config" / "gazebo_bridge.yaml").read_text())
    defaults = defaults_of(ROOT / "launch" / "gazebo.launch.py", asked)
    topics = {item["ros_topic_name"] for item in bridged}
    assert topics == {"/clock", defaults["depth_image"], defaults["camera_info"]}
    assert defaults["use_sim_time"] == "true"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_changes_known_parameters_only(name):
    sections = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    for section, content in sections.items():
        known = {parameter.name for parameter in parameters_of(NODES[section.removeprefix("/**/")])}
        assert set(content) == {"ros__parameters"} and set(content["ros__parameters"]) <= known


def test_every_configuration_is_a_preset_or_tested_elsewhere():
    names = {path.stem for path in (ROOT / "config").glob("*.yaml")}
    assert names == {*PRESETS, "default", "gazebo_bridge"}


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


def test_a_launch_does_not_choose_the_threads_of_what_it_starts(asked, monkeypatch):
    """As the package does when it is imported."""
    monkeypatch.delitem(sys.modules, "neuralfusion_ros")
    asked(ROOT / "launch" / "mapping.launch.py")
    assert "neuralfusion_ros" not in sys.modules


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


# What each kind of display can show.
RVIZ_TYPES = {
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/Map": "nav_msgs/msg/OccupancyGrid",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
}


@pytest.fixture(scope="module")
def graph():
    """The active mapping nodes, in this process, in which /depth/image has a subscriber."""
    import rclpy

    from neuralfusion_ros.nodes.fusion_node import FusionNode
    from neuralfusion_ros.nodes.translator_node import TranslatorNode

    rclpy.init(args=["--ros-args", "-p", "device:=cpu"])
    nodes = [FusionNode(), TranslatorNode()]
    failed: list[int] = []
    for node in nodes:
        node.begin(failed.append)
    assert not failed
    yield nodes
    for node in nodes:
        node.end()
        node.destroy_node()
    rclpy.try_shutdown()


def test_rviz_shows_the_topics_of_the_nodes(graph):
    layout = yaml.safe_load((ROOT / "config" / "neuralfusion.rviz").read_text())["Visualization Manager"]
    assert layout["Global Options"]["Fixed Frame"] == CommonParameters().global_frame
    displays = {display["Name"]: display for display in layout["Displays"] if "Topic" in display}
    assert set(displays) == {"Mesh", "Cameras", "Occupancy grid", "TSDF", "Distance slice", "Depth"}
    known = dict(graph[0].get_topic_names_and_types())
    for display in displays.values():
        topic = display["Topic"]
        assert known.get(topic["Value"]) == [RVIZ_TYPES[display["Class"]]], f"{display['Name']}: {topic['Value']}"
        for info in graph[0].get_publishers_info_by_topic(topic["Value"]):
            offered = info.qos_profile
            assert offered.reliability.name == "RELIABLE" or topic["Reliability Policy"] == "Best Effort"
            assert offered.durability.name == "TRANSIENT_LOCAL" or topic["Durability Policy"] == "Volatile"


def test_rviz_colours_clouds_by_fields_that_they_have():
    layout = yaml.safe_load((ROOT / "config" / "neuralfusion.rviz").read_text())["Visualization Manager"]
    channels = {
        display["Topic"]["Value"]: display["Channel Name"]
        for display in layout["Displays"]
        if display["Class"] == "rviz_default_plugins/PointCloud2"
    }
    fields = {"/translator_node/tsdf": TSDF_POINT.fields, "/translator_node/esdf_slice": ESDF_POINT.fields}
    assert channels.keys() == fields.keys()
    assert all(channel in (fields[topic] or {}) for topic, channel in channels.items())


def test_rviz_knows_the_namespaces_of_the_markers():
    layout = yaml.safe_load((ROOT / "config" / "neuralfusion.rviz").read_text())["Visualization Manager"]
    namespaces = [set(display["Namespaces"]) for display in layout["Displays"] if "Namespaces" in display]
    assert namespaces == [{NAMESPACE}, {FRUSTUM, PATH}]


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
