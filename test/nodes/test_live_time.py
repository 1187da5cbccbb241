# SPDX-License-Identifier: Apache-2.0
"""A running fusion node on simulated time, whose recording or simulation begins again or is paused."""

from __future__ import annotations

import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_pose
from neuralfusion_ros.messages.stamps import ns_to_stamp, stamp_to_ns
from neuralfusion_ros.nodes.still_clock import StillClock

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


class Simulation:
    """Publishes clock, pose and image of the frames that it is asked for."""

    def __init__(self, robot, camera, frame_of):
        self._frame_of = frame_of
        self._clock, self._pose = robot.publisher(Clock, "/clock"), robot.publisher(PoseStamped, "pose")
        self._image, info = robot.publisher(Image, "depth/image"), robot.publisher(CameraInfo, "depth/camera_info")
        info.publish(encode_camera(camera, 0, "camera"))
        robot.wait(lambda: robot.node._work.cameras[0].has_camera_info)

    def show_image(self, number):
        frame = self._frame_of(number)
        self._clock.publish(Clock(clock=ns_to_stamp(frame.stamp_ns)))
        self._image.publish(encode_depth(frame.depth_m, frame.stamp_ns, "camera"))

    def tell_pose(self, number):
        frame = self._frame_of(number)
        self._pose.publish(encode_pose(frame.T_world_camera, frame.stamp_ns, "odom"))


def test_a_simulation_that_is_paused_is_told_in_one_line_and_goes_on(live, frame_of, camera, capfd):
    robot = live(use_sim_time=True, max_wait_for_pose_s=60.0)
    simulation = Simulation(robot, camera, frame_of)
    problems: list[str] = []
    robot.robot.create_subscription(
        DiagnosticArray, "/diagnostics", lambda message: problems.append(message.status[0].message), 10
    )
    simulation.tell_pose(0)
    simulation.show_image(0)
    robot.wait(lambda: robot.values()["integrated"] == 1)
    simulation.show_image(1)  # the pause falls between an image and its pose
    robot.wait(lambda: robot.values()["queue_length"] == 1)
    robot.wait(lambda: any("/clock stands still" in problem for problem in problems))
    told_s, busy_s = time.monotonic(), time.process_time()
    robot.wait(lambda: sum("/clock stands still" in problem for problem in problems) >= 4)
    assert time.process_time() - busy_s < 0.5 * (time.monotonic() - told_s)
    assert capfd.readouterr().err.count("/clock stands still: paused for") == 1
    problems.clear()
    simulation.tell_pose(1)
    simulation.tell_pose(2)
    simulation.show_image(2)
    robot.wait(lambda: robot.values()["integrated"] == 3)
    robot.wait(lambda: any("clock" not in problem for problem in problems))
    assert robot.values()["rejected"] == 0


class ClockByHand:
    def __init__(self, ros_time_is_active):
        self.ros_time_is_active, self.nanoseconds = ros_time_is_active, 0

    def now(self):
        return self


def test_only_simulated_time_that_stands_is_a_problem(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr("neuralfusion_ros.nodes.still_clock.time.monotonic", lambda: now_s[0])
    wall, simulated = ClockByHand(False), ClockByHand(True)
    still_wall, still = StillClock(wall), StillClock(simulated)

    def after(seconds, advance_ns):
        now_s[0] += seconds
        simulated.nanoseconds += advance_ns
        assert still_wall.problem() == ""
        return still.problem()

    assert after(0, 0) == after(1, 0) == ""
    assert after(1, 0) == "use_sim_time is set, but no message on /clock yet"
    assert after(1, 5_500_000_000) == after(1.9, 0) == ""
    assert after(1.1, 0) == "/clock stands still: paused for 3 s at 5.500 s of simulated time"
    assert after(1, 1) == ""
