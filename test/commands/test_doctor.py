# SPDX-License-Identifier: Apache-2.0
"""`neuralfusion doctor` as a process of its own beside real nodes: nothing there, then one fault after the other."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros import cli
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_pose

S = 1_000_000_000
LIMIT_S = 120.0
RELIABLE = QoSProfile(depth=20)

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def doctor(root, ros_env):
    """doctor(*words): begins to look, in a process of its own."""

    def begin(*words):
        command = [sys.executable, "-m", "neuralfusion_ros.cli", "doctor", *words]
        return subprocess.Popen(
            command, cwd=root, env=ros_env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return begin


class Bench:
    """A fusion node that wants reliable inputs, a translator node, and a camera in this process."""

    def __init__(self, camera, doctor):
        self._camera, self._doctor = camera, doctor
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self.node = rclpy.create_node("camera", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._stamp_ns = 100 * S
        self.pose_delay_s = 0

    def start(self, name, folder, root, env, **parameters):
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
        command = [sys.executable, "-m", f"neuralfusion_ros.nodes.{name}", "--ros-args", *words]
        with (folder / f"{name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, cwd=root, env=env, stdout=log, stderr=log))

    def publish(self, *outputs):
        """One frame, on those of the topics that are given."""
        self._stamp_ns += S // 5
        for output in outputs:
            output.publish(self._message(output.msg_type))

    def ask(self, *words, publish=()):
        """(exit code, its one line) of the doctor, while the camera publishes."""
        process = self._doctor(*words)
        end_s = time.monotonic() + LIMIT_S
        while process.poll() is None:
            assert time.monotonic() < end_s
            self.publish(*publish)
            self._executor.spin_once(timeout_sec=0.1)
        output, errors = process.communicate()
        # The middleware may have its own words about what killed processes left behind.
        assert output.count("\n") == 1 and "Traceback" not in errors, output + errors
        return process.returncode, output.strip()

    def ask_until(self, expected, *words, publish=()):
        """Asks again while the graph still settles: nodes need time to start, names to get about."""
        end_s = time.monotonic() + LIMIT_S
        while True:
            code, line = self.ask("--timeout", "3.5", *words, publish=publish)
            if expected in line or time.monotonic() > end_s:
                return code, line

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _message(self, kind):
        if kind is PoseStamped:
            return encode_pose(np.eye(4), self._stamp_ns - round(self.pose_delay_s * S), "odom")
        if kind is CameraInfo:
            return encode_camera(self._camera, self._stamp_ns, "optical")
        return encode_depth(np.full((120, 160), 1.5, np.float32), self._stamp_ns, "optical")


@pytest.fixture(scope="module")
def bench(camera, doctor, tmp_path_factory, model_file, root, ros_env):
    folder = tmp_path_factory.mktemp("doctor")
    bench = Bench(camera, doctor)
    try:
        common = {"model": model_file, "device": "cpu"}
        fusion = {"voxel_size": 0.05, "input_qos": "reliable", "max_wait_for_pose_s": 0.2}
        bench.start("fusion_node", folder, root, ros_env, **common, **fusion)
        bench.start("translator_node", folder, root, ros_env, **common)
        yield bench
    finally:
        bench.close()


def test_nothing_runs(doctor):
    process = doctor("--timeout", "4")
    output, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert errors and all(line.startswith("looking, seconds: ") for line in errors.splitlines())
    assert output.startswith("no /fusion_node, no node at all is there: start it") and output.count("\n") == 1


def test_ros_that_cannot_start_is_one_line(root, ros_env):
    command = [sys.executable, "-m", "neuralfusion_ros.cli", "doctor", "--timeout", "1"]
    env = {**ros_env, "ROS_DOMAIN_ID": "kitchen"}
    done = subprocess.run(command, cwd=root, env=env, text=True, capture_output=True, timeout=LIMIT_S)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("neuralfusion: error: ROS cannot start: ") and done.stderr.count("\n") == 1


def asked_with_patience(doctor, expected, *words):
    """(exit code, line) of the first doctor that says what is expected: names need time to get about."""
    for timeout_s in (3, 6, 12, 24):
        process = doctor("--timeout", str(timeout_s), *words)
        output, errors = process.communicate(timeout=LIMIT_S)
        if expected in output + errors:
            break
    # Without the lines about progress.
    return process.returncode, output.strip() or errors.splitlines()[-1]


def test_of_several_robots_one_must_be_chosen(doctor):
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    nodes = [rclpy.create_node("fusion_node", namespace=space, context=context) for space in ("left", "right")]
    try:
        both = "there are several nodes, /left/fusion_node, /right/fusion_node: choose one with --namespace"
        assert asked_with_patience(doctor, both) == (2, f"neuralfusion: error: {both}")
        silent = "/left/fusion_node told nothing on /diagnostics in "
        code, line = asked_with_patience(doctor, silent, "--namespace", "left")
        assert code == 1 and line.startswith(silent)
    finally:
        for node in nodes:
            node.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize("value", ["0", "-1", "nan", "1e9"])
def test_a_timeout_that_makes_no_sense_is_refused(capsys, value):
    assert cli.main(["doctor", "--timeout", value]) == 2
    assert capsys.readouterr().err.startswith("neuralfusion: error: --timeout must lie in 0..3600 s")


@pytest.mark.parametrize("option", ["--namespace", "--fusion", "--translator"])
def test_a_name_that_no_node_can_have_is_refused(capsys, option):
    assert cli.main(["doctor", option, "a b"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("neuralfusion: error: Invalid ") and "a b" in error and error.count("\n") == 1


def test_the_faults_are_found_one_after_the_other(bench):
    node = bench.node
    other = node.create_publisher(Image, "front/depth/image_rect", RELIABLE)
    similar = "remap depth/image to the right one of these: /front/depth/image_rect"
    code, line = bench.ask_until(similar)
    assert code == 1 and line.startswith("nobody publishes depth images on /depth/image: "), line
    assert line.endswith(similar)

    best_effort = node.create_publisher(Image, "depth/image", qos_profile_sensor_data)
    clash = "reliability is best_effort at the publisher /camera and reliable at /fusion_node: set input_qos"
    code, line = bench.ask_until(clash)
    assert code == 1 and line.startswith("QoS of /depth/image cannot match, ") and clash in line, line
    node.destroy_publisher(best_effort)
    node.destroy_publisher(other)

    image = node.create_publisher(Image, "depth/image", RELIABLE)
    info = node.create_publisher(CameraInfo, "depth/camera_info", RELIABLE)
    pose = node.create_publisher(PoseStamped, "pose", RELIABLE)
    code, line = bench.ask_until("no pose came", publish=(image, info))
    assert (code, "no pose came on /pose in " in line) == (1, True), line

    bench.pose_delay_s = 50
    code, line = bench.ask_until("older", publish=(pose, info, image))
    assert code == 1 and line.startswith("poses are ") and "s older than the images" in line, line

    bench.pose_delay_s = 0
    code, line = bench.ask_until("outputs (/translator_node/esdf_slice, ", publish=(pose, info, image))
    assert code == 1 and line.startswith("nobody subscribes to the outputs "), line

    node.create_subscription(MarkerArray, "translator_node/mesh", lambda _: None, RELIABLE, raw=True)
    code, line = bench.ask_until("all is well", publish=(pose, info, image))
    assert code == 0 and line.startswith("all is well: /fusion_node used "), line
    code, line = bench.ask_until("3 other nodes", "--namespace", "robot1")
    assert code == 1 and line.startswith("no /robot1/fusion_node, 3 other nodes are there"), line
