# SPDX-License-Identifier: Apache-2.0
"""neuralfusion replay: a mapper that is found late still gets the first frame."""

from __future__ import annotations

import time
from collections import defaultdict

import pytest
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.messages.stamps import stamp_to_ns
from neuralfusion_ros.nodes.qos import reliable


@pytest.fixture
def listener(node):
    """Notes the stamps of what comes on each topic."""
    node.stamps = defaultdict(list)

    def listen(kind, topic):
        node.create_subscription(
            kind, topic, lambda message: node.stamps[topic].append(stamp_to_ns(message.header.stamp)), reliable(50)
        )

    node.listen, node.spin = listen, lambda: node.executor.spin_once(timeout_sec=0.05)
    return node


def test_who_looks_at_the_images_does_not_take_the_first_frames_from_a_mapper(start, room_folder, listener):
    listener.listen(Image, "depth/image")
    process = start("replay", room_folder)
    while not listener.count_publishers("depth/image"):
        assert process.poll() is None
        listener.spin()
    late_s = time.monotonic() + 1.2  # longer than the time after which a replay used to begin
    while time.monotonic() < late_s:
        listener.spin()
    listener.listen(CameraInfo, "depth/camera_info")
    while process.poll() is None:
        listener.spin()
    said = process.communicate()[1]
    assert "waiting up to 10 s for a subscriber of /depth/image" in said.splitlines()[0]
    assert "\nplaying: 10 of 10, 0 s left\n" in said
    stamps_ns = [frame.stamp_ns for frame in open_recording(room_folder)]
    assert listener.stamps["depth/camera_info"] == listener.stamps["depth/image"] == stamps_ns
