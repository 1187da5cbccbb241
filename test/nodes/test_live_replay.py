# SPDX-License-Identifier: Apache-2.0
"""A recorded bag, played by the replay node, reaches the fusion node from every source of poses, and at any rate."""

from __future__ import annotations

import pytest

from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.nodes.parameters import ReplayParameters
from neuralfusion_ros.nodes.replay_node import ReplayNode

pytestmark = pytest.mark.timeout(300)

FRAMES = 6


@pytest.fixture
def bag(tmp_path, frame_of, camera):
    """A bag with images, camera infos, poses and /tf."""
    frames = map(frame_of, range(FRAMES))
    assert write_bag(tmp_path / "bag", camera, frames) == FRAMES
    return str(tmp_path / "bag")


@pytest.fixture
def play(live, bag):
    """Plays the bag into a fusion node with these parameters; returns the node when all has been played."""
    players = []

    def play(rate=1.0, clock=False, **parameters):
        robot = live(max_queue_length=50, max_wait_for_pose_s=20.0, **parameters)
        finished: list[int] = []
        players.append(ReplayNode(ReplayParameters(input=bag, rate=rate, clock=clock)))
        robot._executor.add_node(players[-1])
        players[-1].begin(finished.append)
        robot.wait(lambda: finished and robot.values()["queue_length"] == 0)
        assert finished == [0] and players[-1].published == FRAMES
        return robot

    yield play
    for player in players:
        player.end()
        player.destroy_node()


@pytest.mark.parametrize("pose_source", ["pose", "tf"])
@pytest.mark.parametrize("rate", [1.0, 20.0])
def test_every_frame_is_used(play, pose_source, rate):
    robot = play(rate, pose_source=pose_source)
    robot.wait(lambda: robot.values()["integrated"] == FRAMES)
    assert robot.values()["rejected"] == 0 and robot.values()["blocks"] > 20


def test_every_frame_is_used_with_the_recording_s_clock(play):
    robot = play(5.0, clock=True, pose_source="tf", use_sim_time=True)
    robot.wait(lambda: robot.values()["integrated"] == FRAMES)
    assert robot.values()["rejected"] == 0
