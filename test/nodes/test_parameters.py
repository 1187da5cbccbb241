# SPDX-License-Identifier: Apache-2.0
"""Parameters, config/default.yaml, docs/parameters.md and a real node say the same."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import yaml
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.nodes.declared_parameters import (
    declare_mountings,
    declare_parameters,
    read_parameters,
    refuse_contradictions,
    warn_of_unknown,
)
from neuralfusion_ros.nodes.parameter_files import markdown_text, yaml_text
from neuralfusion_ros.nodes.parameters import (
    NODES,
    FusionParameters,
    TranslatorParameters,
    parameters_of,
)
from neuralfusion_ros.nodes.pose_inputs import PoseInputs
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.ros_parameter import ParameterError

PRESETS = ["azure_kinect", "gazebo", "oakd", "orbbec", "realsense", "tum", "zed"]
EVERY_PARAMETER = [(kind, parameter) for kind in NODES.values() for parameter in parameters_of(kind)]
RANGES = [(kind, parameter) for kind, parameter in EVERY_PARAMETER if parameter.minimum is not None]
CHOICES = [(kind, parameter) for kind, parameter in EVERY_PARAMETER if parameter.choices]


def named(cases):
    return [f"{kind.__name__}-{parameter.name}" for kind, parameter in cases]


@pytest.fixture(scope="module")
def context():
    import rclpy

    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    yield context
    context.try_shutdown()


@pytest.fixture
def make_node(context):
    """Makes a node with ROS arguments."""
    from rclpy.node import Node

    nodes = []

    def make(*ros_args, name="fusion_node"):
        quiet = {"start_parameter_services": False, "enable_rosout": False}
        nodes.append(Node(name, context=context, cli_args=["--ros-args", *ros_args], **quiet))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


def test_the_written_files_are_up_to_date(root):
    assert (root / "config" / "default.yaml").read_text() == yaml_text()
    assert (root / "docs" / "parameters.md").read_text() == markdown_text()


def test_the_yaml_file_holds_the_defaults(root):
    sections = yaml.safe_load((root / "config" / "default.yaml").read_text())
    defaults = {f"/**/{node}": {"ros__parameters": asdict(kind())} for node, kind in NODES.items()}
    assert sections == json.loads(json.dumps(defaults))


def test_every_parameter_is_described_and_its_default_is_allowed():
    for _, parameter in EVERY_PARAMETER:
        assert parameter.description.endswith(".")
        low, high = parameter.minimum, parameter.maximum
        assert (low is None) == (high is None)
        if low is not None and high is not None:
            assert isinstance(parameter.default, int | float) and low <= parameter.default <= high
        if parameter.choices:
            assert parameter.default in parameter.choices


def test_a_parameter_knows_its_nodes():
    by_name = {parameter.name: parameter.nodes for parameter in parameters_of(FusionParameters)}
    assert by_name["voxel_size"] == ("fusion_node",)
    assert by_name["model"] == ("fusion_node", "translator_node")


@pytest.mark.parametrize("kind", NODES.values())
def test_a_node_gets_the_defaults(make_node, kind):
    node = make_node()
    declare_parameters(node, kind)
    assert read_parameters(node, kind) == kind()


@pytest.mark.parametrize("namespace", ["/", "/robot/front"])
@pytest.mark.parametrize("name", NODES)
def test_a_parameter_file_reaches_the_node_in_any_namespace(make_node, tmp_path, name, namespace):
    changed = {"fusion_node": "voxel_size", "translator_node": "mesh_rate_hz", "replay_node": "rate"}[name]
    sections = yaml.safe_load(yaml_text())
    sections[f"/**/{name}"]["ros__parameters"][changed] = 0.125
    (tmp_path / "parameters.yaml").write_text(yaml.safe_dump(sections))
    node = make_node("--params-file", str(tmp_path / "parameters.yaml"), "-r", f"__ns:={namespace}", name=name)
    declare_parameters(node, NODES[name])
    assert read_parameters(node, NODES[name]) == NODES[name](**{changed: 0.125})


@pytest.mark.parametrize(("kind", "parameter"), RANGES, ids=named(RANGES))
@pytest.mark.parametrize("side", ["below", "above"])
def test_a_value_out_of_range_is_refused_at_start(make_node, kind, parameter, side):
    span = parameter.maximum - parameter.minimum
    value = parameter.minimum - span if side == "below" else parameter.maximum + span
    node = make_node("-p", f"{parameter.name}:={type(parameter.default)(value)}")
    with pytest.raises(ParameterError, match=parameter.name) as refused:
        declare_parameters(node, kind)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("kind", "parameter"), CHOICES, ids=named(CHOICES))
def test_an_unknown_choice_is_refused_and_the_choices_are_named(make_node, kind, parameter):
    node = make_node("-p", f"{parameter.name}:=nonsense")
    with pytest.raises(ParameterError, match=", ".join(parameter.choices)):
        declare_parameters(node, kind)


@pytest.mark.parametrize("value", ["1", "large", "[1.0]", ".nan", ".inf"])
def test_a_value_that_is_no_usable_double_is_refused(make_node, value):
    node = make_node("-p", f"voxel_size:={value}")
    with pytest.raises(ParameterError, match="voxel_size"):
        declare_parameters(node, FusionParameters)


@pytest.mark.parametrize("kind", [FusionParameters, TranslatorParameters])
def test_only_parameters_without_read_only_can_be_changed_later(make_node, kind):
    node = make_node()
    declare_parameters(node, kind)
    refuse_contradictions(node, kind)
    for parameter in parameters_of(kind):
        (result,) = node.set_parameters([Parameter(parameter.name, value=parameter.default)])
        assert result.successful != parameter.read_only, parameter.name
        assert result.successful or "read-only" in result.reason


def test_a_changed_parameter_is_read(make_node):
    node = make_node(name="translator_node")
    declare_parameters(node, TranslatorParameters)
    refuse_contradictions(node, TranslatorParameters)
    node.set_parameters([Parameter("mesh_name", value="other"), Parameter("mesh_rate_hz", value=3.0)])
    assert read_parameters(node, TranslatorParameters) == TranslatorParameters(mesh_name="other", mesh_rate_hz=3.0)


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        (FusionParameters, "max_depth", 0.05, "min depth < max depth"),
        (FusionParameters, "max_depth", 1000.0, "max_depth"),
        (FusionParameters, "max_depth", "far", "Wrong parameter type"),
        (FusionParameters, "map_radius_m", 1.0, "radius >= max depth"),
        (FusionParameters, "map_bounds", "0 0 0 1 1", "is not 'x_min y_min z_min x_max y_max z_max'"),
        (FusionParameters, "map_bounds", "0 0 0 1 -1 1", "min < max along every axis"),
        (FusionParameters, "map_bounds", 3.0, "Wrong parameter type"),
        (FusionParameters, "on_time_jump", "stop", "one of continue, reset"),
        (FusionParameters, "map_name", "../evil", "map_name must be 1 to 100 letters"),
        (TranslatorParameters, "mesh_name", "", "mesh_name must be 1 to 100 letters"),
        (TranslatorParameters, "grid_min_height_m", 1.5, "grid_min_height_m < grid_max_height_m"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_with_the_reason(make_node, kind, name, value, why):
    node = make_node()
    declare_parameters(node, kind)
    refuse_contradictions(node, kind)
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert not result.successful and why in result.reason and "\n" not in result.reason
    assert read_parameters(node, kind) == kind()


def test_values_that_go_together_may_be_changed_together(make_node):
    node = make_node()
    declare_parameters(node, FusionParameters)
    refuse_contradictions(node, FusionParameters)
    both = [Parameter("min_depth", value=6.0), Parameter("max_depth", value=8.0)]
    assert node.set_parameters_atomically(both).successful
    assert read_parameters(node, FusionParameters).min_depth == 6.0


def test_ros_tools_are_told_description_and_limits(make_node):
    node = make_node()
    declare_parameters(node, FusionParameters)
    voxel_size, device, queue = node.describe_parameters(["voxel_size", "device", "max_queue_length"])
    assert voxel_size.description == "Edge of a voxel."
    assert voxel_size.additional_constraints == "0.001 to 1 m"
    assert voxel_size.floating_point_range[0].to_value == 1.0
    assert device.additional_constraints == "one of: auto, cpu, cuda"
    assert queue.integer_range[0].from_value == 1


def test_the_defaults_make_the_default_map_except_that_a_robot_maps_on_when_memory_is_full():
    assert FusionParameters().map_settings() == MapSettings(evict=True)
    assert FusionParameters(when_full="refuse", map_radius_m=7.0).map_settings() == MapSettings(radius_m=7.0)


def test_depth_limits_in_the_wrong_order_are_a_parameter_error():
    with pytest.raises(ParameterError, match="min depth < max depth"):
        FusionParameters(min_depth=3.0, max_depth=2.0).map_settings()


@pytest.mark.parametrize(
    ("given", "names"), [("[front, rear_2]", ["front", "rear_2"]), ("['']", []), (None, []), ("in a file", [])]
)
def test_the_names_of_cameras_may_be_empty(make_node, tmp_path, given, names):
    (tmp_path / "empty.yaml").write_text("/**:\n  ros__parameters:\n    cameras: []\n")
    words = [] if given is None else ["-p", f"cameras:={given}"]
    node = make_node(*(["--params-file", str(tmp_path / "empty.yaml")] if given == "in a file" else words))
    declare_parameters(node, FusionParameters)
    assert read_parameters(node, FusionParameters).camera_names() == names


@pytest.mark.parametrize("names", [("front", "front"), ("a/b",), ("1st",), ("le ft",)])
def test_names_that_are_no_topics_are_refused(names):
    with pytest.raises(ParameterError, match="cameras must be different names"):
        FusionParameters(cameras=names).camera_names()


def test_every_camera_has_a_mounting_of_its_own_or_the_common_one(make_node):
    node = make_node("-p", "front.camera_mounting:=tf")
    expected = {"front": "tf", "rear": "1 2 3 0 0 0 1"}
    for _ in range(2):  # as when the node is configured once more
        assert declare_mountings(node, ["front", "rear"], "1 2 3 0 0 0 1") == expected
    with pytest.raises(ParameterError, match="side"):
        declare_mountings(make_node("-p", "side.camera_mounting:=5"), ["side"], "")


def test_a_parameter_that_is_misspelt_is_told_once_with_the_right_name(make_node, tmp_path, log, monkeypatch):
    text = "/**:\n  ros__parameters:\n    on_time_jmp: reset\n    qos_overrides: {x: {publisher: {depth: 1}}}\n"
    (tmp_path / "parameters.yaml").write_text(text)
    words = ("voxel_sise:=0.1", "front.camera_mounting:=tf", "reer.camera_mounting:=tf", "use_sim_time:=true", "q:=1")
    node = make_node("--params-file", str(tmp_path / "parameters.yaml"), *(w for x in words for w in ("-p", x)))
    monkeypatch.setattr(node, "get_logger", lambda: log)
    declare_parameters(node, FusionParameters)
    warn_of_unknown(node)
    assert log.lines == [
        "there is no parameter on_time_jmp, it is ignored: did you mean on_time_jump?",
        "there is no parameter q, it is ignored: `ros2 param list` shows those there are",
        "there is no parameter voxel_sise, it is ignored: did you mean voxel_size?",
    ]
    del log.lines[:]
    declare_mountings(node, ["front", "rear"], "")
    warn_of_unknown(node, mountings=True)
    assert log.lines == [
        "there is no parameter reer.camera_mounting, it is ignored: did you mean rear.camera_mounting?"
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_accepted_by_the_node(make_node, root, log, name):
    node = make_node("--params-file", str(root / "config" / f"{name}.yaml"), "-r", "__ns:=/robot")
    declare_parameters(node, FusionParameters)
    options = read_parameters(node, FusionParameters)
    options.map_settings()
    preset = yaml.safe_load((root / "config" / f"{name}.yaml").read_text())["/**/fusion_node"]["ros__parameters"]
    assert {key: getattr(options, key) for key in preset} == preset
    inputs = PoseInputs(options, {"": options.camera_mounting}, QoSProfile(depth=1), Rejections(log), print)
    assert [topic.name for topic in inputs.topics] == (["pose"] if name == "tum" else ["/tf", "/tf_static"])
