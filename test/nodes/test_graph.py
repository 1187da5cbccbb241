# SPDX-License-Identifier: Apache-2.0
"""The nodes as processes of their own, over real topics and services, from a recording to a mesh."""

from __future__ import annotations

import array
import signal
import subprocess
import sys
import time
from itertools import count

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from safetensors.numpy import load
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.mapping.mesh_file import read_mesh
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.markers import DELETE_ALL, read_marker_array
from neuralfusion_ros.messages.poses import encode_pose
from neuralfusion_ros.messages.stamps import stamp_to_ns

FRAMES = 12
S = 1_000_000_000
LIMIT_S = 90.0
FUSION, TRANSLATOR, REPLAY, LOOP = "fusion_node", "translator_node", "replay_node", "loop_node"

pytestmark = pytest.mark.timeout(300)


class Graph:
    """The processes, and a node of this process that talks to them. It receives while it waits."""

    def __init__(self, folder, root, env, camera):
        self.folder, self._root, self._env, self._camera = folder, root, env, camera
        self.processes = {}
        self.values, self.problems = {}, {}
        self.markers, self.tsdf_points, self.loop_stamps = [], 0, []
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self.node = rclpy.create_node("watcher", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        reliable = QoSProfile(depth=100)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable)
        self.node.create_subscription(MarkerArray, "translator_node/mesh", self._on_markers, reliable, raw=True)
        self.node.create_subscription(PointCloud2, "translator_node/tsdf", self._on_tsdf, reliable)
        self.image = self.node.create_publisher(Image, "depth/image", reliable)
        self.info = self.node.create_publisher(CameraInfo, "depth/camera_info", reliable)
        self.pose = self.node.create_publisher(PoseStamped, "pose", reliable)

    def start(self, name, module, *ros_args, **parameters):
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
        command = [sys.executable, "-m", f"neuralfusion_ros.nodes.{module}", "--ros-args", *ros_args, *words]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(command, cwd=self._root, env=self._env, stdout=log, stderr=log)

    def wait(self, condition, limit_s=LIMIT_S):
        end_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end_s, f"it did not happen in time; the nodes say {self.values} {self.problems}"
            self._executor.spin_once(timeout_sec=0.05)

    def number(self, node, key):
        return int(self.values.get(node, {}).get(key) or 0)

    def call(self, service, kind=Trigger, request=None):
        client = self.node.create_client(kind, service)
        self.wait(client.service_is_ready)
        answer = client.call_async(request or kind.Request())
        self.wait(answer.done)
        self.node.destroy_client(client)
        return answer.result()

    def change_state(self, node, transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(f"/{node}/change_state", ChangeState, request).success

    def send(self, frame, pose=True, info=None):
        """Publishes a frame like a camera."""
        if pose:
            self.pose.publish(encode_pose(frame.T_world_camera, frame.stamp_ns, "odom"))
        self.info.publish(info or encode_camera(self._camera, frame.stamp_ns, "camera"))
        self.image.publish(encode_depth(frame.depth_m, frame.stamp_ns, "camera"))

    def in_step(self, translator):
        """The translator has the map of the fusion node, which has no more work."""
        fusion, theirs = self.values.get(FUSION, {}), self.values.get(translator, {})
        same = all(fusion.get(key) == theirs.get(key) for key in ("blocks", "map_id"))
        at_work = self.number(FUSION, "queue_length") + self.number(FUSION, "blocks_to_send")
        sent = self.number(FUSION, "sequence") == self.number(translator, "sequence") + 1
        return same and sent and not at_work and theirs.get("in_step") == "True"

    def end(self, name, signal_number):
        self.processes[name].send_signal(signal_number)
        return self.processes[name].wait(LIMIT_S)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _on_diagnostics(self, message):
        for status in message.status:
            self.values[status.name] = {value.key: value.value for value in status.values}
            self.problems[status.name] = (status.level, status.message)

    def _on_markers(self, data):
        self.markers += read_marker_array(data)

    def _on_tsdf(self, cloud):
        self.tsdf_points += cloud.width


@pytest.fixture(scope="module")
def graph(tmp_path_factory, untrained, camera, frame_of, ros_env, root):
    """All processes, started at once because each needs seconds to import torch. The tests follow their life."""
    folder = tmp_path_factory.mktemp("graph")
    write_bag(folder / "bag", camera, (frame_of(number) for number in range(FRAMES)))
    graph = Graph(folder, root, ros_env, camera)
    try:
        common = {"model": untrained, "device": "cpu"}
        fusion = {
            "map_directory": folder / "maps",
            "voxel_size": 0.05,
            "max_queue_length": 100,
            "max_wait_for_pose_s": 3.0,
            "publish_rate_hz": 10.0,
        }
        graph.start(FUSION, FUSION, **common, **fusion, input_qos="reliable", statistics_period_s=1.0)
        mesh = {"map_directory": folder, "mesh_rate_hz": 5.0, "tsdf_rate_hz": 5.0}
        graph.start(TRANSLATOR, TRANSLATOR, **common, **mesh)
        graph.start(REPLAY, REPLAY, input=folder / "bag", rate=2.0, wait_for_subscriber_s=200.0)
        topics = [
            word for topic in ("depth/image", "depth/camera_info", "pose") for word in ("-r", f"{topic}:=loop/{topic}")
        ]
        loop = {"input": folder / "bag", "rate": 50.0, "loop": True, "clock": True, "wait_for_subscriber_s": 3600.0}
        graph.start(LOOP, REPLAY, "-r", f"__node:={LOOP}", "-r", "/clock:=loop/clock", *topics, **loop)
        yield graph
    finally:
        graph.close()


def test_a_recording_becomes_a_mesh_and_a_tsdf(graph):
    graph.wait(lambda: graph.processes[REPLAY].poll() is not None, limit_s=200.0)
    assert graph.processes[REPLAY].returncode == 0, graph.log(REPLAY)
    assert f"played {FRAMES} frames of bag; left out: none" in graph.log(REPLAY)
    graph.wait(lambda: graph.number(FUSION, "integrated") == FRAMES and graph.in_step(TRANSLATOR))
    assert graph.number(FUSION, "received") == FRAMES and graph.number(FUSION, "rejected") == 0
    graph.wait(lambda: sum(len(marker.points) for marker in graph.markers) and graph.tsdf_points)
    answer = graph.call(f"/{TRANSLATOR}/save_mesh")
    triangles = len(read_mesh(graph.folder / "mesh.ply").triangles)
    assert triangles > 500
    assert answer.success and answer.message == f"Wrote {triangles} triangles to {graph.folder / 'mesh.ply'}."


def test_a_translator_that_starts_late_ends_with_the_same_map(graph):
    """Cleaned up through the lifecycle it forgets all, and starts again in the middle of the stream."""
    before = len(read_mesh(graph.folder / "mesh.ply").triangles)
    del graph.markers[:]
    for transition in ("DEACTIVATE", "CLEANUP"):
        assert graph.change_state(TRANSLATOR, getattr(Transition, f"TRANSITION_{transition}")), transition
    graph.wait(lambda: graph.values[TRANSLATOR] == {"state": "unconfigured"})
    for transition in ("CONFIGURE", "ACTIVATE"):
        assert graph.change_state(TRANSLATOR, getattr(Transition, f"TRANSITION_{transition}")), transition
    graph.wait(lambda: graph.in_step(TRANSLATOR))
    assert graph.number(TRANSLATOR, "resends") >= 1
    graph.wait(lambda: sum(len(marker.points) for marker in graph.markers))
    assert graph.call(f"/{TRANSLATOR}/save_mesh").success
    assert len(read_mesh(graph.folder / "mesh.ply").triangles) == pytest.approx(before, rel=0.01)


def test_the_colours_of_the_mesh_change_while_the_node_runs(graph):
    def set_colour(value):
        parameter = Parameter("mesh_colour", value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        (result,) = graph.call(f"/{TRANSLATOR}/set_parameters", SetParameters, request).results
        return result

    before = np.concatenate([marker.colours for marker in graph.markers])
    del graph.markers[:]
    assert set_colour("uncertainty").successful
    graph.wait(lambda: sum(len(marker.points) for marker in graph.markers) >= 1500)
    now = np.concatenate([marker.colours for marker in graph.markers])
    assert np.abs(before[:, :3].mean(axis=0) - now[:, :3].mean(axis=0)).max() > 0.05
    refused = set_colour("pink")
    assert not refused.successful and "must be one of height, normal, plain, uncertainty, latent" in refused.reason


def with_change(message, path, value):
    """A message with one field, however deep, set to another value."""
    *parents, name = path.split(".")
    target = message
    for parent in parents:
        target = getattr(target, parent)
    setattr(target, name, value)
    return message


def bad_messages(graph, frame_of, camera):
    """Reason -> a function that sends what is to be rejected for it.

    The frames whose camera info is bad have no pose, so that a good camera info from before does not let them pass.
    """
    frame, later = frame_of(100), count(110)
    stamp_ns, depth_m = frame.stamp_ns, frame.depth_m

    def image(depth_m=depth_m, stamp_ns=stamp_ns):
        return encode_depth(depth_m, stamp_ns, "camera")

    def pose():
        return encode_pose(frame.T_world_camera, stamp_ns, "odom")

    def info(path, value):
        return with_change(encode_camera(camera, stamp_ns, "camera"), path, value)

    def fisheye():
        return with_change(info("d", [0.3] * 4), "distortion_model", "equidistant")

    no_focal_length = [float("nan"), *info("d", [0.0] * 5).k[1:]]
    return {
        "encoding": lambda: graph.image.publish(with_change(image(), "encoding", "rgb8")),
        "truncated": lambda: graph.image.publish(with_change(image(), "data", array.array("B", image().data[:-1]))),
        "no_depth": lambda: graph.image.publish(image(np.full((120, 160), np.nan))),
        "pose": lambda: graph.pose.publish(with_change(pose(), "pose.position.x", float("inf"))),
        "quaternion": lambda: graph.pose.publish(with_change(pose(), "pose.orientation.w", 5.0)),
        "size": lambda: graph.image.publish(image(depth_m[::2, ::2])),
        "time_backwards": lambda: graph.image.publish(image(stamp_ns=stamp_ns - S // 2)),
        "no_pose": lambda: graph.image.publish(image(stamp_ns=stamp_ns + S // 2)),
        "intrinsics": lambda: graph.send(frame_of(next(later)), pose=False, info=info("k", no_focal_length)),
        "distortion": lambda: graph.send(frame_of(next(later)), pose=False, info=fisheye()),
    }


def integrate_one_more(graph, frame_of, number):
    """Sends good frames, from `number` on, until one is used. Returns the number of the next."""
    before = graph.number(FUSION, "integrated")
    while graph.number(FUSION, "integrated") == before:
        graph.send(frame_of(number))
        number += 1
        received = graph.number(FUSION, "received")
        graph.wait(lambda received=received: graph.number(FUSION, "received") > received)
        graph.wait(lambda: graph.number(FUSION, "queue_length") == 0)
    return number


def test_bad_messages_are_counted_and_leave_the_map_alone(graph, frame_of, camera):
    def saved_map():
        assert graph.call(f"/{FUSION}/save_map").success
        file = graph.folder / "maps" / "map.nfmap"
        arrays = load(file.read_bytes())
        file.unlink()
        return {name: array.tobytes() for name, array in arrays.items()}

    before, integrated = saved_map(), graph.number(FUSION, "integrated")
    messages = bad_messages(graph, frame_of, camera)
    with_bad_info = {reason: messages.pop(reason) for reason in ("intrinsics", "distortion")}
    for send in messages.values():
        send()
    graph.wait(lambda: all(graph.number(FUSION, f"rejected.{reason}") == 1 for reason in messages))
    for reason, send in with_bad_info.items():
        # An image may overtake its camera info; the next one does not.
        while graph.number(FUSION, f"rejected.{reason}") == 0:
            rejected = graph.number(FUSION, "rejected")
            send()
            graph.wait(lambda rejected=rejected: graph.number(FUSION, "rejected") > rejected)
    graph.wait(lambda: graph.problems[FUSION][0] != b"\0")
    assert "no frame could be used, " in graph.problems[FUSION][1]
    assert saved_map() == before and graph.number(FUSION, "integrated") == integrated
    log = graph.log(FUSION)
    assert "no pose at 110.500000 s" in log and "Traceback" not in log
    integrate_one_more(graph, frame_of, 200)
    graph.wait(lambda: graph.problems[FUSION] == (b"\0", "ok"))


def test_a_paused_node_ignores_images(graph, frame_of):
    number = integrate_one_more(graph, frame_of, 300)
    assert graph.call(f"/{FUSION}/pause").success
    graph.wait(lambda: graph.values[FUSION]["paused"] == "True")
    before = {key: graph.number(FUSION, key) for key in ("received", "integrated", "rejected")}
    for paused in range(3):
        graph.send(frame_of(number + paused))
    # Poses are taken in all the same; the bad one shows when the images before it have come, too.
    graph.pose.publish(with_change(encode_pose(np.eye(4), 0, "odom"), "pose.position.x", float("nan")))
    graph.wait(lambda: graph.number(FUSION, "rejected") == before["rejected"] + 1)
    answer = graph.call(f"/{FUSION}/resume")
    assert answer.success and answer.message == "Images are used again."
    graph.send(frame_of(number + 10))
    graph.wait(lambda: graph.number(FUSION, "integrated") > before["integrated"])
    assert graph.number(FUSION, "integrated") <= before["integrated"] + 4


def test_a_saved_map_comes_back_and_grows_on(graph, frame_of):
    answer = graph.call(f"/{FUSION}/load_map")
    assert not answer.success and answer.message.startswith("cannot read map")
    before = graph.values[FUSION]
    answer = graph.call(f"/{FUSION}/save_map")
    file = graph.folder / "maps" / "map.nfmap"
    assert answer.success and answer.message == f"{before['blocks']} blocks written to {file}."
    assert graph.call(f"/{FUSION}/reset").success
    graph.wait(lambda: graph.number(FUSION, "blocks") == 0)
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    answer = graph.call(f"/{FUSION}/load_map")
    assert not answer.success and "nfmap" in answer.message
    file.write_bytes(content)
    answer = graph.call(f"/{FUSION}/load_map")
    assert answer.success and answer.message == f"{before['blocks']} blocks read from {file}."
    graph.wait(lambda: graph.in_step(TRANSLATOR) and graph.values[TRANSLATOR]["blocks"] == before["blocks"])
    assert graph.values[FUSION]["map_id"] != before["map_id"]
    integrate_one_more(graph, frame_of, 390)


def test_a_reset_empties_every_map(graph, frame_of):
    before = graph.values[FUSION]["map_id"]
    del graph.markers[:]
    answer = graph.call(f"/{FUSION}/reset")
    assert answer.success and answer.message == "The map is empty."
    graph.wait(lambda: graph.in_step(TRANSLATOR) and graph.values[FUSION]["map_id"] != before)
    assert graph.number(TRANSLATOR, "blocks") == 0
    graph.wait(lambda: any(marker.action == DELETE_ALL for marker in graph.markers))
    answer = graph.call(f"/{TRANSLATOR}/save_mesh")
    assert not answer.success and answer.message == "The map has no surface; nothing was written."
    integrate_one_more(graph, frame_of, 400)
    graph.wait(lambda: graph.in_step(TRANSLATOR) and graph.number(TRANSLATOR, "blocks") > 0)


def test_signals_end_every_node_in_the_middle_of_its_work(graph, frame_of):
    graph.node.create_subscription(
        Image, "loop/depth/image", lambda image: graph.loop_stamps.append(stamp_to_ns(image.header.stamp)), 100
    )
    graph.wait(lambda: any(b < a for a, b in zip(graph.loop_stamps, graph.loop_stamps[1:], strict=False)))
    assert graph.end(LOOP, signal.SIGINT) == 0, graph.log(LOOP)
    before = graph.number(FUSION, "received")
    for number in range(500, 540):
        graph.send(frame_of(number))
    graph.wait(lambda: graph.number(FUSION, "received") > before)
    assert graph.end(FUSION, signal.SIGINT) == 0, graph.log(FUSION)
    assert graph.end(TRANSLATOR, signal.SIGTERM) == 0, graph.log(TRANSLATOR)
    for name in (LOOP, TRANSLATOR, FUSION):
        assert "Traceback" not in graph.log(name) and "terminate" not in graph.log(name)
    assert " images, " in graph.log(FUSION).splitlines()[-1], "the last line has the statistics"
