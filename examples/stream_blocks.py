# SPDX-License-Identifier: Apache-2.0
"""Map in one process, mesh in another. Between ROS nodes the topic `latent_blocks` does this, and mends losses too."""

import subprocess
import sys

import safetensors.torch as safetensors

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.mapping import Mapper, MapSettings, SurfaceMap, load_model

mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))  # without images: an empty map of the right shape


def send() -> None:
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
    surface = SurfaceMap(mapper.grid, mapper.model.translator)
    while length := sys.stdin.buffer.read(8):
        message = safetensors.load(sys.stdin.buffer.read(int.from_bytes(length, "little")))
        mapper.grid.set_blocks(message["keys"], message["values"])
        rows = mapper.grid.find(message["removed"])
        mapper.grid.remove(rows[rows >= 0])
        surface.remove(message["removed"])
        surface.mark_changed(message["keys"])
        print(f"receiver: {mapper.grid.n_blocks} blocks, {len(surface.mesh().triangles)} triangles", flush=True)


receive() if sys.argv[1:] == ["receive"] else send()
