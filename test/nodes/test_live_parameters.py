# SPDX-License-Identifier: Apache-2.0
"""Parameters of a running node, changed as `ros2 param set` does."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_pose

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def robot(live):
    return live(max_wait_for_pose_s=60.0)


@pytest.fixture
def change(robot):
    """Sets a parameter through the node's service; returns why not, or nothing."""
    client = robot.robot.create_client(SetParameters, "/fusion_node/set_parameters")
    robot.wait(client.service_is_ready)

    def change(name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        future = client.call_async(request)
        robot.wait(future.done)
        (result,) = future.result().results
        return "" if result.successful else result.reason

    return change


@pytest.fixture
def send(robot, frame_of, camera):
    """Sends a frame with its pose and camera info."""
    image, pose, info = (
        robot.publisher(kind, topic)
        for kind, topic in ((Image, "depth/image"), (PoseStamped, "pose"), (CameraInfo, "depth/camera_info"))
    )

    def send(number):
        frame = frame_of(number)
        info.publish(encode_camera(camera, frame.stamp_ns, "camera"))
        pose.publish(encode_pose(frame.T_world_camera, frame.stamp_ns, "odom"))
        image.publish(encode_depth(frame.depth_m, frame.stamp_ns, "camera"))

    return send


def test_a_change_takes_effect_and_a_senseless_one_is_refused(robot, change, send):
    send(0)
    robot.wait(lambda: robot.values()["integrated"] == 1)
    assert change("max_depth", 0.2) == ""
    send(1)
    robot.wait(lambda: robot.values().get("rejected.no_depth") == 1)
    assert "min depth < max depth" in change("max_depth", 0.05)
    assert "read-only" in change("voxel_size", 0.2)
    assert change("max_depth", 5.0) == ""
    send(2)
    robot.wait(lambda: robot.values()["integrated"] == 2)


def test_bounds_cut_the_map_at_once(robot, change, send):
    send(0)
    robot.wait(lambda: robot.values()["integrated"] == 1)
    before = robot.values()["blocks"]
    assert change("map_bounds", "-inf -inf -0.4 inf inf 0.4") == ""
    robot.wait(lambda: 0 < robot.values()["blocks"] < before)
    assert set(robot.node._work._mapper.grid.keys[:, 2].tolist()) == {-1, 0}


def test_a_node_that_was_shut_down_says_so(robot):
    assert robot.node.trigger_shutdown()
    assert robot.node._state_machine.current_state[0] == State.PRIMARY_STATE_FINALIZED
    heard = []
    robot.robot.create_subscription(
        DiagnosticArray, "/diagnostics", lambda message: heard.append(message.status[0].values[0].value), 10
    )
    robot.wait(lambda: "finalized" in heard)


def test_what_is_changed_while_the_node_rests_holds_afterwards(robot, change, send):
    node = robot.node
    assert node.trigger_deactivate() and change("max_depth", 0.2) == ""
    assert node.trigger_cleanup() and change("min_depth", 0.15) == ""
    assert node.trigger_configure() and node.trigger_activate()
    assert node._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE
    send(0)
    robot.wait(lambda: robot.values().get("rejected.no_depth") == 1)
