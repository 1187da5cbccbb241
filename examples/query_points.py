# SPDX-License-Identifier: Apache-2.0
"""Ask a map whether points are free, occupied or unknown, and how far the surface is: `query_points.py [RECORDING]`.

Without a recording it maps a made-up room. The points lie on the ray through the middle of the first image.
"""

import sys

import numpy as np

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.mapping import FREE_SPACE, OCCUPIED, UNKNOWN, Mapper, MapSettings, load_model

WORDS = {FREE_SPACE: "free", OCCUPIED: "occupied", UNKNOWN: "unknown"}
STEPS_M = (-0.40, -0.15, -0.10, -0.05, 0.05, 0.10, 1.00)  # along the ray, from the measured point on

recording = open_recording(sys.argv[1]) if len(sys.argv) > 1 else None
camera = recording.camera if recording else CAMERA
frames = list(recording or demo_frames(5))
mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))
for frame in frames:
    mapper.integrate(frame.depth_m, frame.T_world_camera, camera)

first = frames[0]
v, u = camera.height // 2, camera.width // 2
depths_m = float(np.median(first.depth_m[v - 5 : v + 6, u - 5 : u + 6])) + np.array(STEPS_M)
in_camera = depths_m[:, None] * np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
points = in_camera @ first.T_world_camera[:3, :3].T + first.T_world_camera[:3, 3]

answer = mapper.query(points)
print("depth [m]  state     signed distance [m]  occupancy")
for depth_m, state, distance_m, occupancy in zip(depths_m, answer.state, answer.tsdf_m, answer.occupancy, strict=True):
    print(f"{depth_m:9.2f}  {WORDS[int(state)]:8s}  {distance_m:19.3f}  {occupancy:9.2f}")
