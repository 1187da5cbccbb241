# SPDX-License-Identifier: Apache-2.0
"""A running fusion node on simulated time, whose recording or simulation begins again."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_pose
from neuralfusion_ros.messages.stamps import ns_to_stamp, stamp_to_ns

pytestmark = pytest.mark.timeout(300)

# More than a second from the first to the last, so that going back is seen as a new beginning.
NUMBERS = (0, 6, 12)


@pytest.mark.parametrize("on_time_jump", ["continue", "reset"])
def test_a_simulation_that_begins_again(live, frame_of, camera, on_time_jump):
    robot = live(use_sim_time=True, on_time_jump=on_time_jump, max_pose_jump_m=0.5)
    image, info = robot.publisher(Image, "depth/image"), robot.publisher(CameraInfo, "depth/camera_info")
    pose, clock = robot.publisher(PoseStamped, "pose"), robot.publisher(Clock, "/clock")
    stamps: list[int] = []
    robot.robot.create_subscription(
        DiagnosticArray, "/diagnostics", lambda message: stamps.append(stamp_to_ns(message.header.stamp)), 10
    )
    info.publish(encode_camera(camera, 0, "camera"))
    robot.wait(lambda: robot.node._work.cameras[0].has_camera_info)
    map_ids = []
    for lap in range(2):
        for count, frame in enumerate(map(frame_of, NUMBERS)):
            clock.publish(Clock(clock=ns_to_stamp(frame.stamp_ns)))
            pose.publish(encode_pose(frame.T_world_camera, frame.stamp_ns, "odom"))
            image.publish(encode_depth(frame.depth_m, frame.stamp_ns, "camera"))
            expected = lap * len(NUMBERS) + count + 1
            robot.wait(lambda expected=expected: robot.values()["integrated"] == expected)
        map_ids.append(robot.values()["map_id"])
    assert robot.values()["rejected"] == 0
    assert (map_ids[0] == map_ids[1]) is (on_time_jump == "continue")
    robot.wait(lambda: frame_of(NUMBERS[-1]).stamp_ns in stamps)  # what the node publishes has simulated time
