# SPDX-License-Identifier: Apache-2.0
"""Read recordings of your own format, here one .npz file for each frame: `add_dataset.py [FOLDER]`.

Without a folder it writes one first. To have `neuralfusion fuse` and the others read a format as well, add its reader
to datasets/open_recording.py.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.datasets.recording import Frame, Recording
from neuralfusion_ros.datasets.usable_frames import UnusableFrame, check_size, usable_frames
from neuralfusion_ros.mapping import Mapper, MapSettings, load_model


class NpzFolder:
    def __init__(self, path: Path) -> None:
        self.name, self.camera, self.rejected = path.name, CAMERA, Counter[str]()
        self._path, self._files = path, sorted(path.glob("*.npz"))

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Frame]:
        return usable_frames(self._path, (partial(self._read, file) for file in self._files), self.rejected)

    def _read(self, file: Path) -> Frame:
        try:
            content = np.load(file)
            frame = Frame(int(content["stamp_ns"]), content["depth_m"], content["T_world_camera"])
        except (OSError, ValueError, KeyError) as error:
            raise UnusableFrame("unreadable", f"{file}: {error}") from error
        check_size(self.camera, *frame.depth_m.shape[::-1])
        return frame


with TemporaryDirectory() as folder:
    path = Path(sys.argv[1] if sys.argv[1:] else folder)
    if not sys.argv[1:]:
        for number, frame in enumerate(demo_frames(3)):
            np.savez(path / f"{number:04d}.npz", **vars(frame))
        (path / "9999.npz").write_text("no image")
    recording: Recording = NpzFolder(path)
    mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))
    for frame in recording:
        mapper.integrate(frame.depth_m, frame.T_world_camera, recording.camera)
    print(f"{len(recording)} files, rejected {dict(recording.rejected)}: {len(mapper.mesh().triangles)} triangles")
