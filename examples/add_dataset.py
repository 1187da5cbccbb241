# SPDX-License-Identifier: Apache-2.0
"""Read recordings of your own format, here one .npz file for each frame; it writes such files first.

For `neuralfusion fuse` and the others to read a format too, add its reader to datasets/open_recording.py.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.datasets.usable_frames import UnusableFrame, usable_frames
from neuralfusion_ros.mapping import Mapper, MapSettings, load_model


def read(file: Path) -> Frame:
    try:
        content = np.load(file)
        return Frame(int(content["stamp_ns"]), content["depth_m"], content["T_world_camera"])
    except (OSError, ValueError, KeyError) as error:
        raise UnusableFrame("unreadable", f"{file}: {error}") from error


def npz_frames(path: Path, rejected: Counter[str]) -> Iterator[Frame]:
    return usable_frames(path, (partial(read, file) for file in sorted(path.glob("*.npz"))), rejected)


with TemporaryDirectory() as folder:
    for number, frame in enumerate(demo_frames(3)):
        np.savez(Path(folder) / f"{number:04d}.npz", **vars(frame))
    (Path(folder) / "9999.npz").write_text("no image")
    mapper, rejected = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04)), Counter[str]()
    for frame in npz_frames(Path(folder), rejected):
        mapper.integrate(frame.depth_m, frame.T_world_camera, CAMERA)
    print(f"rejected {dict(rejected)}: {len(mapper.mesh().triangles)} triangles")
