# SPDX-License-Identifier: Apache-2.0
"""The method: depth images and poses in, a learned latent map and its surface out. Imports no ROS.

What is named in __all__ is the Python interface, described in docs/python.md; the rest may change.

Read in this order: mapper (the steps of a frame), fusion_steps, extract, fuse, integrate, translate; then voxel_state
and block_grid. compiled/ has the same steps once more, as fast kernels for a CPU.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuralfusion_ros.mapping.camera import PinholeCamera
    from neuralfusion_ros.mapping.map_file import MapFileError
    from neuralfusion_ros.mapping.mapper import FrameResult, Mapper
    from neuralfusion_ros.mapping.meshing import Mesh
    from neuralfusion_ros.mapping.model import LatentModel, ModelError, load_model
    from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN, QueryResult
    from neuralfusion_ros.mapping.settings import MapSettings
    from neuralfusion_ros.mapping.surface_map import SurfaceMap

__all__ = [
    "FREE_SPACE",
    "OCCUPIED",
    "UNKNOWN",
    "FrameResult",
    "LatentModel",
    "MapFileError",
    "MapSettings",
    "Mapper",
    "Mesh",
    "ModelError",
    "PinholeCamera",
    "QueryResult",
    "SurfaceMap",
    "load_model",
]

# Each is imported when it is first asked for: torch takes seconds, and who only wants a file of this package, such as
# a node that replays a recording, need not wait for it.
_MODULES = {
    "FREE_SPACE": "query",
    "OCCUPIED": "query",
    "UNKNOWN": "query",
    "FrameResult": "mapper",
    "LatentModel": "model",
    "MapFileError": "map_file",
    "MapSettings": "settings",
    "Mapper": "mapper",
    "Mesh": "meshing",
    "ModelError": "model",
    "PinholeCamera": "camera",
    "QueryResult": "query",
    "SurfaceMap": "surface_map",
    "load_model": "model",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
