# SPDX-License-Identifier: Apache-2.0
"""Map in one process, mesh in another: `stream_blocks.py`. The second process reads changed blocks from a pipe.

The same bytes may go through a socket. Between ROS nodes the topic `latent_blocks` does this, and mends losses too.
"""

import subprocess
import sys

import safetensors.torch as safetensors
import torch

from neuralfusion_ros.mapping import Mapper, MapSettings, SurfaceMap, load_model


def send() -> None:
    from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames

    mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))
    with subprocess.Popen([sys.executable, __file__, "receive"], stdin=subprocess.PIPE) as receiver:
        assert receiver.stdin
        for frame in demo_frames(4):
            mapper.integrate(frame.depth_m, frame.T_world_camera, CAMERA)
            keys, removed = mapper.take_changed(), mapper.take_removed()
            values = mapper.grid.values[mapper.grid.find(keys)]
            message = safetensors.save({"keys": keys, "values": values, "removed": removed})
            receiver.stdin.write(len(message).to_bytes(8, "little") + message)
    print(f"sender: {mapper.grid.n_blocks} blocks")


def receive() -> None:
    # A mapper that gets no images is an empty map of the right shape.
    copy = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))
    surface = SurfaceMap(copy.grid, copy.model.translator)
    while length := sys.stdin.buffer.read(8):
        message = safetensors.load(sys.stdin.buffer.read(int.from_bytes(length, "little")))
        copy.grid.set_blocks(message["keys"], message["values"])
        rows = copy.grid.find(message["removed"])
        copy.grid.remove(rows[rows >= 0])
        surface.remove(message["removed"])
        surface.mark_changed(message["keys"])
        print(f"receiver: {len(message['keys'])} of {copy.grid.n_blocks} blocks changed", end=", ")
        print(f"{len(surface.mesh().triangles)} triangles", flush=True)


torch.set_num_threads(1)
receive() if sys.argv[1:] == ["receive"] else send()
