# SPDX-License-Identifier: Apache-2.0
"""The rehearsal goes all the way: a step that it leaves out is one that the first blocks wait for."""

import torch

from neuralfusion_ros.mapping.model import load_model
from neuralfusion_ros.messages.markers import read_marker_array
from neuralfusion_ros.nodes.rehearsal import rehearse


def test_one_block_becomes_a_mesh():
    (message,) = rehearse(load_model("small"), torch.device("cpu"))
    (marker,) = read_marker_array(message)
    assert len(marker.points) == len(marker.colours) > 100
