# SPDX-License-Identifier: Apache-2.0
"""The work of the fusion node, with a stand-in for the mapper."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.mapper import FrameResult
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.nodes.block_sender import BlockSender
from neuralfusion_ros.nodes.camera_display import CameraDisplay
from neuralfusion_ros.nodes.camera_input import CameraInput
from neuralfusion_ros.nodes.fusion_work import FusionWork
from neuralfusion_ros.nodes.parameters import FusionParameters
from neuralfusion_ros.nodes.pose_source import TopicPoses
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.throttled_log import ThrottledLog


class FakeMapper:
    """Writes down what it gets; every frame makes one block. on_frame: called before."""

    def __init__(self):
        self.grid = BlockGrid(5, 0.05)
        self.depths, self.poses, self.images = [], [], []
        self.on_frame, self.refused = lambda: None, 0
        self.settings = FusionParameters().map_settings()
        self.removed = self.grid.keys[:0]

    def integrate(self, depth_m, T_world_camera, camera):
        self.on_frame()
        self.depths.append(float(depth_m.max()))
        self.poses.append(T_world_camera)
        self.images.append(depth_m)
        self.grid.allocate(torch.tensor([[len(self.depths), 0, 0]]))
        return FrameResult(1, 1, self.refused)

    def take_changed(self):
        return self.grid.keys

    def take_removed(self):
        removed, self.removed = self.removed, self.removed[:0]
        return removed

    def change(self, settings: MapSettings):
        """Drops the first block."""
        self.settings, self.removed = settings, self.grid.keys[:1].clone()
        self.grid.remove(torch.arange(len(self.removed)))

    def reset(self):
        self.grid.clear()


class Harness(SimpleNamespace):
    """The work, and what it is connected with."""

    def send(self, stamp_ns, depth_m=1.0, pose=True, shape=(120, 160)):
        """An image of one depth everywhere, with its pose if there is to be one."""
        if pose:
            self.poses.add(stamp_ns, np.eye(4))
        self.source.add_frame(stamp_ns, "camera", np.full(shape, depth_m, np.float32))


@pytest.fixture
def make(log, publisher, viewers, camera):
    """Makes the work, started unless said otherwise, and everything around it."""
    works = []

    def make(started=True, with_camera=True, **parameters):
        options = replace(FusionParameters(), max_wait_for_pose_s=0.3, max_queue_length=50, publish_rate_hz=1000.0)
        options = replace(options, **parameters)
        mapper: Any = FakeMapper()
        poses, rejections = TopicPoses(10, 0.5), Rejections(log)
        source, second = (
            CameraInput(name, poses, options, rejections, wake=lambda: work.wake()) for name in ("", "second")
        )
        sender, said = BlockSender(publisher, "odom", 0), ThrottledLog(log)
        display = CameraDisplay(viewers, "odom", 1000.0)
        work = FusionWork(mapper, sender, display, [source, second], options, rejections, said)
        works.append(work)
        if started:
            work.start()
        if with_camera:
            for each in (source, second):
                each.set_camera_info(encode_camera(camera, 0, "camera"))
        return Harness(
            work=work,
            source=source,
            second=second,
            mapper=mapper,
            poses=poses,
            rejections=rejections,
            publisher=publisher,
            viewers=viewers,
            log=log,
        )

    yield make
    for work in works:
        work.stop()
