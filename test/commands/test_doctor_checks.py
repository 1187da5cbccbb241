# SPDX-License-Identifier: Apache-2.0
"""The doctor's checks: a healthy graph passes them all, and each fault is named by its own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from neuralfusion_ros.commands.doctor_checks import first_missing
from neuralfusion_ros.commands.doctor_snapshot import IMAGE, INFO, ODOMETRY, POSE, Endpoint, Input, Said, Snapshot

S = 1_000_000_000
FUSION, TRANSLATOR = "/fusion_node", "/translator_node"
STAMPS = tuple(range(10 * S, 15 * S, S // 10))


def an_input(topic, kind, frame_id="camera", **publisher):
    sender = replace(Endpoint("/camera", kind, "best_effort"), **publisher)
    return Input(topic, kind, (sender,), (Endpoint(FUSION, kind, "best_effort"),), STAMPS, frame_id)


BEFORE = {"state": "active", "received": "5", "integrated": "4", "rejected": "1", "dropped": "0", "device": "cpu"}
AFTER = BEFORE | {"received": "45", "integrated": "43", "rejected": "2", "rejected.no_pose": "2", "ms_p50": "80.0"}
HEALTHY = Snapshot(
    fusion=FUSION,
    translator=TRANSLATOR,
    seconds=5.0,
    nodes=("/camera", FUSION, "/rviz", TRANSLATOR),
    said={FUSION: Said(BEFORE, AFTER, 5), TRANSLATOR: Said({"state": "active"}, {"state": "active"}, 5)},
    parameters={"use_sim_time": False, "pose_source": "pose", "global_frame": "odom", "max_pose_gap_s": 0.2},
    inputs={
        IMAGE: an_input("/depth/image", IMAGE),
        INFO: an_input("/depth/camera_info", INFO),
        POSE: an_input("/pose", POSE, "odom"),
    },
    image_topics=("/depth/image",),
    block_receivers=(TRANSLATOR,),
    listeners={"/translator_node/mesh": 1, "/translator_node/tsdf": 0},
    domain="0",
)


def says(node=FUSION, problem="", **values):
    """The healthy graph with other last values of a node."""
    said = HEALTHY.said[node]
    return replace(HEALTHY, said={**HEALTHY.said, node: replace(said, last={**said.last, **values}, problem=problem)})


def idle(snapshot=HEALTHY, **values):
    """The same, but no frame came through while it was watched."""
    said = snapshot.said[FUSION]
    return replace(snapshot, said={**snapshot.said, FUSION: replace(said, last=BEFORE | values)})


def with_input(kind, snapshot=HEALTHY, **changes):
    return replace(snapshot, inputs={**snapshot.inputs, kind: replace(snapshot.inputs[kind], **changes)})


def with_publisher(kind, own=None, **changes):
    found = HEALTHY.inputs[kind]
    own = replace(found.subscriptions[0], **(own or {}))
    return with_input(kind, publishers=(replace(found.publishers[0], **changes),), subscriptions=(own,))


def with_parameters(snapshot=HEALTHY, **changes):
    return replace(snapshot, parameters={**snapshot.parameters, **changes})


def shifted(offset_s):
    return tuple(stamp + round(offset_s * S) for stamp in STAMPS)


def with_tf(*links, **moving):
    """links: (parent, child). moving: {child: stamps} of those that came on /tf."""
    stamps = {link: moving.get(link[1], ()) for link in links}
    return with_parameters(replace(idle(), tf_links=stamps), pose_source="tf")


FAULTS = [
    (replace(HEALTHY, nodes=()), "no /fusion_node, no node at all is there: start it"),
    (replace(HEALTHY, nodes=("/camera",)), "no /fusion_node, 1 other nodes are there"),
    (replace(HEALTHY, nodes=(FUSION, FUSION)), "2 nodes are called /fusion_node: stop"),
    (replace(HEALTHY, said={}), "/fusion_node told nothing on /diagnostics in 5 s"),
    (says(state="inactive"), "/fusion_node is inactive, not active: activate it"),
    (says(state="unconfigured"), "/fusion_node is unconfigured, not active: configure, then activate it"),
    (says(state="finalized"), "/fusion_node is finalized, it was shut down for good: start it anew"),
    (with_parameters(use_sim_time=True), "use_sim_time is set but nobody publishes /clock"),
    (with_parameters(replace(HEALTHY, clock_publishers=1), use_sim_time=True), "/clock stood still for 5 s"),
    (says(paused="True"), "/fusion_node is paused: call the service /fusion_node/resume"),
    (replace(HEALTHY, inputs={}), "/fusion_node subscribes no topic of type sensor_msgs/msg/Image"),
    (with_input(IMAGE, publishers=()), "nobody publishes depth images on /depth/image: start the camera or remap"),
    (
        replace(with_input(IMAGE, publishers=()), image_topics=("/front/rgb", "/front/depth/image")),
        "on /depth/image: start the camera or remap; remap depth/image to the right one of these: /front/depth/image,",
    ),
    (
        with_publisher(IMAGE, type="sensor_msgs/msg/CompressedImage"),
        "/camera publishes sensor_msgs/msg/CompressedImage on /depth/image, not sensor_msgs/msg/Image",
    ),
    (
        with_publisher(IMAGE, own={"reliability": "reliable"}),
        "QoS of /depth/image cannot match, reliability is best_effort at the publisher /camera and reliable at "
        "/fusion_node: set input_qos to sensor_data",
    ),
    (with_publisher(POSE, own={"durability": "transient_local"}), "QoS of /pose cannot match, durability is volatile"),
    (with_publisher(INFO, own={"deadline_s": 0.1}, deadline_s=math.inf), "deadline is inf s at the publisher /camera"),
    (with_input(INFO, publishers=()), "nobody publishes camera infos on /depth/camera_info"),
    (with_input(INFO, idle(), stamps_ns=()), "no camera info came on /depth/camera_info in 5 s although /camera"),
    (with_input(IMAGE, idle(), stamps_ns=()), "no depth image came on /depth/image in 5 s although /camera publishes"),
    (with_input(POSE, publishers=()), "nobody publishes poses on /pose: start the localisation"),
    (with_input(POSE, idle(), stamps_ns=()), "no pose came on /pose in 5 s although /camera publishes it"),
    (with_parameters(pose_source="odom"), "subscribes no topic of type nav_msgs/msg/Odometry"),
    (with_tf(), "nothing on /tf and /tf_static"),
    (
        with_tf(("odom", "base"), ("mount", "camera")),
        "frame 'camera' of the images is not connected to 'odom', nothing joins the two trees: publish",
    ),
    (with_tf(("odom", "base")), "not connected to 'odom', tf does not know 'camera'"),
    (
        with_tf(("odom", "base"), ("base", "camera"), base=shifted(-5.5)),
        "transforms from 'base' to 'odom' are 5.50 s older than the images: give both",
    ),
    (with_input(POSE, frame_id="map"), "poses are in the frame 'map' but the map is in 'odom': set global_frame"),
    (with_input(POSE, idle(), stamps_ns=shifted(-5.5)), "poses are 5.50 s older than the images: give both"),
    (with_input(POSE, idle(), stamps_ns=shifted(1000)), "poses are 1000.00 s newer than the images"),
    (
        says(problem="no frame could be used", integrated="4", rejected="31", **{"rejected.no_pose": "30"}),
        "30 of 30 frames were rejected, 30 no_pose (no frame could be used): see the log of /fusion_node",
    ),
    (says(integrated="10", dropped="30"), "30 of 36 frames were dropped because fusion takes 80.0 ms for one"),
    (says(blocks_refused="7"), "the map is full, new blocks are refused: raise max_map_bytes"),
    (says(problem="it is odd"), "/fusion_node says: it is odd: see its log"),
    (
        replace(HEALTHY, nodes=(FUSION,), block_receivers=(), listeners={}),
        "no /translator_node, nobody makes a mesh of the map: start it",
    ),
    (says(TRANSLATOR, state="inactive"), "/translator_node is inactive, not active"),
    (says(TRANSLATOR, problem="model: not the same"), "/translator_node says: model: not the same: start it"),
    (
        replace(HEALTHY, listeners={"/translator_node/mesh": 0, "/translator_node/tsdf": 0}),
        "nobody subscribes to the outputs (/translator_node/mesh, /translator_node/tsdf)",
    ),
    (replace(HEALTHY, has_gpu=True), "/fusion_node uses the CPU although a GPU is there"),
]


@pytest.mark.parametrize(("snapshot", "line"), FAULTS, ids=[line[:40] for _, line in FAULTS])
def test_a_fault_is_named_in_one_line(snapshot, line):
    found = first_missing(snapshot)
    assert found is not None and line in found
    assert "\n" not in found and ": " in found


WELL = {
    "all": HEALTHY,
    "a running clock": with_parameters(replace(HEALTHY, clock_publishers=1, clock_ticks=9), use_sim_time=True),
    "a best-effort subscription": with_publisher(IMAGE, reliability="reliable", durability="transient_local"),
    "a second publisher that fits": with_input(
        IMAGE, publishers=(Endpoint("/odd", "x"), *HEALTHY.inputs[IMAGE].publishers)
    ),
    "messages that only the node got": with_input(INFO, stamps_ns=()),
    "poses without a frame": with_input(POSE, frame_id=""),
    "poses at other moments of frames that are used": with_input(POSE, stamps_ns=shifted(9)),
    "poses that come seldom": with_input(POSE, idle(), stamps_ns=shifted(-0.7)[::20]),
    "poses between images": with_input(POSE, idle(), stamps_ns=shifted(0.05)),
    "the CPU as it was asked for": with_parameters(replace(HEALTHY, has_gpu=True), device="cpu"),
    "the GPU": says(device="cuda"),
    "another program that reads the map": replace(
        HEALTHY, nodes=(FUSION,), block_receivers=("/planner",), listeners={}
    ),
    "tf that cannot be read here": with_parameters(pose_source="tf"),
    "joined frames": with_tf(("odom", "base"), ("base", "mount"), ("mount", "camera"), base=STAMPS),
    "frames that are joined above both": with_tf(("earth", "odom"), ("earth", "base"), ("base", "camera"), base=STAMPS),
    "stale transforms of a wheel": with_tf(
        ("odom", "base"), ("base", "camera"), ("base", "wheel"), base=STAMPS, wheel=shifted(-100)
    ),
    "a slash before a frame's name": with_parameters(
        with_input(IMAGE, with_tf(("odom", "camera")), frame_id="/camera"), global_frame="/odom"
    ),
    "odometry": with_parameters(
        replace(HEALTHY, inputs={**HEALTHY.inputs, ODOMETRY: an_input("/odom", ODOMETRY, "odom")}), pose_source="odom"
    ),
}


@pytest.mark.parametrize("name", WELL)
def test_what_is_well_is_not_complained_about(name):
    assert first_missing(WELL[name]) is None


def test_the_first_fault_is_named():
    both = replace(with_input(IMAGE, publishers=()), listeners={})
    found = first_missing(both)
    assert found is not None and found.startswith("nobody publishes depth images")


def test_numbers_that_grew():
    said = Said({"a": "3", "b.x": "1", "b.y": "4"}, {"a": "5", "b.x": "2", "b.y": "9", "b.z": "", "b.w": "7"})
    assert (said.grew("a"), said.grew("missing")) == (2, 0)
    assert said.grown("b.") == {"w": 7, "y": 5, "x": 1}
    assert list(said.grown("b.")) == ["w", "y", "x"]
