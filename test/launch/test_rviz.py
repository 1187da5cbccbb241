# SPDX-License-Identifier: Apache-2.0
"""The layout for RViz: RViz knows what it names, and the nodes publish it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS
from neuralfusion_ros.messages.esdf_cloud import ESDF_POINT
from neuralfusion_ros.messages.line_markers import FRUSTUM, PATH
from neuralfusion_ros.messages.markers import NAMESPACE
from neuralfusion_ros.messages.tsdf_cloud import TSDF_POINT
from neuralfusion_ros.nodes.parameters import CommonParameters, FusionParameters

ROOT = Path(__file__).parents[2]
LAYOUT = yaml.safe_load((ROOT / "config" / "neuralfusion.rviz").read_text())
MANAGER = LAYOUT["Visualization Manager"]
DISPLAYS = {display["Name"]: display for display in MANAGER["Displays"]}

# What each kind of display can show.
TYPES = {
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/Map": "nav_msgs/msg/OccupancyGrid",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
}
# The properties of RViz's own plugins. It silently passes over those that it does not know.
PROPERTIES = {
    "Grid": "Alpha, Cell Size, Color, Line Style, Normal Cell Count, Offset, Plane, Plane Cell Count, Reference Frame",
    "MarkerArray": "Namespaces, Topic",
    "Map": "Alpha, Color Scheme, Draw Behind, Topic, Update Topic, Use Timestamp",
    "Image": "Max Value, Median window, Min Value, Normalize Range, Topic",
    "PointCloud2": "Alpha, Autocompute Intensity Bounds, Channel Name, Color Transformer, Decay Time, Invert Rainbow, "
    "Max Color, Max Intensity, Min Color, Min Intensity, Position Transformer, Selectable, Size (Pixels), Size (m), "
    "Style, Topic, Use Fixed Frame, Use rainbow",
}
CHOICES = {
    "Style": {"Points", "Squares", "Flat Squares", "Spheres", "Boxes", "Tiles"},
    "Color Transformer": {"Intensity", "AxisColor", "FlatColor", "RGB8", "RGBF32"},
    "Position Transformer": {"XYZ"},
    "Color Scheme": {"map", "costmap", "raw"},
}
TOOLS = {"Interact", "MoveCamera", "Select", "FocusCamera", "Measure", "SetInitialPose", "SetGoal", "PublishPoint"}
QOS = {
    "Durability Policy": {"Volatile", "Transient Local", "System Default"},
    "History Policy": {"Keep Last", "Keep All", "System Default"},
    "Reliability Policy": {"Reliable", "Best Effort", "System Default"},
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


def test_the_topics_are_those_of_the_nodes(graph):
    assert MANAGER["Global Options"]["Fixed Frame"] == CommonParameters().global_frame
    displays = {name: display for name, display in DISPLAYS.items() if "Topic" in display}
    assert set(displays) == {"Mesh", "Cameras", "Occupancy grid", "TSDF slice", "Distance slice", "Depth"}
    known = dict(graph[0].get_topic_names_and_types())
    for display in displays.values():
        topic = display["Topic"]
        assert known.get(topic["Value"]) == [TYPES[display["Class"]]], f"{display['Name']}: {topic['Value']}"
        for info in graph[0].get_publishers_info_by_topic(topic["Value"]):
            offered = info.qos_profile
            assert offered.reliability.name == "RELIABLE" or topic["Reliability Policy"] == "Best Effort"
            assert offered.durability.name == "TRANSIENT_LOCAL" or topic["Durability Policy"] == "Volatile"


@contextmanager
def launched(name, rules):
    """A bare node with the remappings that a launch file gives it."""
    import rclpy
    from rclpy.node import Node

    words = [word for rule in rules for word in ("-r", rule)]
    context = rclpy.Context()
    rclpy.init(args=["--ros-args", *words], context=context)
    node = Node(name, context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize("namespace", ["", "robot1"])
@pytest.mark.parametrize("file", ["mapping", "realsense"])
def test_rviz_hears_the_topics_that_are_in_use(file, namespace, asked):
    path = ROOT / "launch" / f"{file}.launch.py"
    context = {**asked.defaults_of(path), "namespace": namespace}
    nodes = {node.options["executable"]: node for node in asked.with_included(path).of_kind("Node")}

    def resolved(executable, *topics):
        node = nodes[executable]
        rules = [f"__ns:=/{node.options['namespace'].perform(context)}"] if namespace else []
        for old, new in node.options.get("remappings", []):
            rules.append(f"{old}:={new if isinstance(new, str) else new.perform(context)}")
        with launched(executable, rules) as bare:
            return {bare.resolve_topic_name(topic) for topic in topics}

    shown = {display["Topic"]["Value"] for display in DISPLAYS.values() if "Topic" in display}
    own = {
        node: [f"~/{topic.rpartition('/')[2]}" for topic in shown if topic.startswith(f"/{node}/")]
        for node in ("fusion_node", "translator_node")
    }
    in_use = resolved("fusion_node", "depth/image", *own["fusion_node"])
    in_use |= resolved("translator_node", *own["translator_node"])
    assert len(in_use) == len(shown) == 6
    assert resolved("rviz2", *shown) == in_use


def test_clouds_are_coloured_by_fields_that_they_have():
    channels = {
        display["Topic"]["Value"]: display["Channel Name"]
        for display in DISPLAYS.values()
        if display["Class"] == "rviz_default_plugins/PointCloud2"
    }
    fields = {"/translator_node/tsdf_slice": TSDF_POINT.fields, "/translator_node/esdf_slice": ESDF_POINT.fields}
    assert channels.keys() == fields.keys()
    assert all(channel in (fields[topic] or {}) for topic, channel in channels.items())


def test_the_namespaces_are_those_of_the_markers():
    namespaces = [set(display["Namespaces"]) for display in DISPLAYS.values() if "Namespaces" in display]
    assert namespaces == [{NAMESPACE}, {FRUSTUM, PATH}]


@pytest.mark.parametrize("name", DISPLAYS)
def test_rviz_knows_the_displays_and_their_properties(name):
    display = DISPLAYS[name]
    package, _, plugin = display["Class"].partition("/")
    assert package == "rviz_default_plugins"
    assert set(display) - {"Class", "Name", "Enabled", "Value"} <= set(PROPERTIES[plugin].split(", "))
    assert display["Enabled"] is display["Value"]
    assert all(display.get(key) in {None, *values} for key, values in CHOICES.items())
    if topic := display.get("Topic"):
        assert set(topic) <= {"Depth", "Filter size", "Value", *QOS}
        assert all(topic[key] in values for key, values in QOS.items())


def test_rviz_knows_the_panels_the_tools_and_the_view():
    panels = {panel["Class"] for panel in LAYOUT["Panels"]}
    assert panels <= {f"rviz_common/{name}" for name in ("Displays", "Views", "Time", "Selection", "Tool Properties")}
    assert {tool["Class"] for tool in MANAGER["Tools"]} <= {f"rviz_default_plugins/{name}" for name in TOOLS}
    view = MANAGER["Views"]["Current"]
    assert (view["Class"], view["Value"]) == ("rviz_default_plugins/Orbit", "Orbit (rviz)")


def test_what_one_wants_to_see_is_on():
    on = {name for name, display in DISPLAYS.items() if display["Enabled"]}
    assert on == {"Grid", "Mesh", "Cameras", "Occupancy grid", "TSDF slice", "Depth"}


def test_the_colours_of_the_slice_reach_over_the_truncation_at_the_usual_voxel_size():
    display, voxel_size_m = DISPLAYS["TSDF slice"], FusionParameters().voxel_size
    reach_m = pytest.approx(TRUNCATION_VOXELS * voxel_size_m)
    assert (-display["Min Intensity"], display["Max Intensity"]) == (reach_m, reach_m)
    assert not display["Autocompute Intensity Bounds"] and display["Size (m)"] == voxel_size_m
