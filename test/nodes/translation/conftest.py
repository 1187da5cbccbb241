# SPDX-License-Identifier: Apache-2.0
"""The translator's work on a real map of a small room."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message

from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.model import load_model
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.messages.markers import ADD, DELETE_ALL, read_marker_array
from neuralfusion_ros.messages.point_cloud import read_point_cloud
from neuralfusion_ros.nodes.block_sender import BlockSender, model_hash
from neuralfusion_ros.nodes.latent_copy import LatentCopy
from neuralfusion_ros.nodes.parameters import TranslatorParameters
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.translation_work import Outputs, TranslationWork

VOXEL_M = 0.08
AT_ONCE_HZ = 1000.0
STAMP_NS = 5


class Room:
    """A map that grows frame by frame, as a list of messages."""

    def __init__(self, model, publisher, frame_of, camera):
        self.mapper = Mapper(model, MapSettings(voxel_size_m=VOXEL_M))
        self.publisher = publisher
        self.sender = BlockSender(publisher, "odom", model_hash(model.sha256))
        self.frame_of, self.camera = frame_of, camera

    def messages(self, *numbers, stamp_ns=STAMP_NS):
        for number in numbers:
            frame = self.frame_of(number)
            self.mapper.integrate(frame.depth_m, frame.T_world_camera, self.camera)
            self.sender.add(self.mapper.take_changed(), self.mapper.take_removed(), stamp_ns)
        return self.sent()

    def reset(self):
        self.mapper.reset()
        self.sender.start_new_map()
        return self.sent()

    def resend(self):
        self.sender.resend(self.mapper.grid)
        return self.sent()

    def sent(self):
        while self.sender.has_work:
            self.sender.send(self.mapper.grid, max_messages=8)
        messages, self.publisher.messages[:] = list(self.publisher.messages), []
        return messages

    def mesh(self):
        surface = SurfaceMap(self.mapper.grid, self.mapper.model.translator)
        surface.mark_changed(self.mapper.grid.keys)
        return surface.mesh()


class Translator:
    """The work of a translator node, whose publishers keep what they are given."""

    def __init__(self, model, log, publishers, options):
        self.mesh, self.tsdf, *whole_map, self.resend = publishers
        self.occupancy_grid, self.esdf_slice, self.tsdf_slice, self.surface = whole_map
        self.copy, self.rejections = LatentCopy(model, torch.device("cpu"), 1 << 28), Rejections(log)
        outputs = Outputs(
            self.mesh, self.tsdf, self.occupancy_grid, self.esdf_slice, self.tsdf_slice, self.surface, self.resend,
            sender_is_there=lambda: True,
        )  # fmt: skip
        self.options = options
        self.work = TranslationWork(self.copy, outputs, options, self.rejections)

    def hand_in(self, messages):
        for message in messages:
            self.work.add_message(message)

    def settled(self, newest_sequence):
        """All messages are applied and everything that viewers want is translated and sent."""
        work = self.work
        return self._between_two_steps(newest_sequence, lambda: not (work.mesh.is_old or work.tsdf.has_work))

    def planned(self, newest_sequence):
        """As settled, for the outputs that robots plan with."""
        whole_map = self.work.whole_map.values()
        return self._between_two_steps(newest_sequence, lambda: not any(output.is_old for output in whole_map))

    def _between_two_steps(self, newest_sequence, all_sent):
        def look():
            rounds = self.work.rounds
            return self.copy.sequence == newest_sequence and not rounds.waiting and not rounds.in_round and all_sent()

        return self.work.worker.submit(look).result(timeout=60)

    def shown_triangles(self):
        """Triangles that a viewer has after all messages."""
        shown: dict[int, int] = {}
        for message in self.mesh.messages:
            for marker in read_marker_array(message):
                if marker.action == DELETE_ALL:
                    shown.clear()
                elif marker.action == ADD:
                    shown[marker.id] = len(marker.points) // 3
                else:
                    shown.pop(marker.id, None)
        return sum(shown.values())

    def latest(self):
        """What the last messages for robots say: the grid, and the points of both clouds."""
        grid = deserialize_message(self.occupancy_grid.messages[-1], OccupancyGrid)
        return grid, *(read_point_cloud(output.messages[-1])[2] for output in (self.esdf_slice, self.surface))


@pytest.fixture(scope="module")
def model(untrained):
    return load_model(untrained)


@pytest.fixture
def room(model, publisher, frame_of, camera):
    return Room(model, publisher, frame_of, camera)


@pytest.fixture
def make(model, publisher, log):
    """A translator at work. viewers: of mesh and TSDF. planners: of what shows the whole map in one message."""
    made = []
    quick = replace(TranslatorParameters(), mesh_rate_hz=AT_ONCE_HZ, tsdf_rate_hz=AT_ONCE_HZ, grid_rate_hz=AT_ONCE_HZ)
    quick = replace(quick, esdf_rate_hz=AT_ONCE_HZ, tsdf_slice_rate_hz=AT_ONCE_HZ, surface_rate_hz=AT_ONCE_HZ)
    quick = replace(quick, resend_timeout_s=0.01, max_blocks_per_slice=40)

    def make(viewers=1, planners=0, started=True, **parameters):
        publishers = [type(publisher)() for _ in range(7)]
        for one, receivers in zip(publishers, [viewers] * 2 + [planners] * 4, strict=False):
            one.receivers = receivers
        made.append(Translator(model, log, publishers, replace(quick, **parameters)))
        if started:
            made[-1].work.start()
        return made[-1]

    yield make
    for the in made:
        the.work.stop()
