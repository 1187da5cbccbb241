# SPDX-License-Identifier: Apache-2.0
"""Fuse a folder of depth images into a mesh and a map file: `fuse_folder.py [RECORDING] [--output room]`.

Without a recording it first writes one of its own: a made-up room as a sequence folder, see docs/recordings.md.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.sequence_folder import write_sequence_folder
from neuralfusion_ros.mapping import Mapper, MapSettings, load_model
from neuralfusion_ros.mapping.mesh_file import write_mesh

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("recording", nargs="?", type=Path, help="sequence folder, TUM folder or bag")
parser.add_argument("--output", type=Path, default=Path("room"), help="files to write, without suffix")
args = parser.parse_args()

with TemporaryDirectory() as folder:
    if args.recording is None:
        args.recording = Path(folder) / "room"
        write_sequence_folder(args.recording, CAMERA, demo_frames(5))
    recording = open_recording(args.recording)
    mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))
    for frame in recording:  # frames that cannot be used are counted in recording.rejected
        result = mapper.integrate(frame.depth_m, frame.T_world_camera, recording.camera)
        print(f"{frame.stamp_ns / 1e9:.2f} s: {result.rays} rays changed {result.voxels} voxels")

mesh = mapper.mesh()
write_mesh(args.output.with_suffix(".ply"), mesh)
mapper.save(args.output.with_suffix(".nfmap"))
print(f"{args.output}.ply: {len(mesh.triangles)} triangles; rejected frames: {dict(recording.rejected) or 'none'}")
