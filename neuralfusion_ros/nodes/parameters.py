# SPDX-License-Identifier: Apache-2.0
"""The ROS parameters of all nodes: the one place that names them, their defaults, limits and meaning.

nodes/parameter_files.py writes config/default.yaml and docs/parameters.md from it. Needs no ROS;
nodes/declared_parameters.py hands them to a node.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from neuralfusion_ros.mapping.settings import MAX_WEIGHT, MapSettings
from neuralfusion_ros.messages.mesh_colours import COLOURS
from neuralfusion_ros.nodes.map_bounds import read_bounds
from neuralfusion_ros.nodes.map_storage import check_name
from neuralfusion_ros.nodes.ros_parameter import Parameter, ParameterError, parameter

# ROS cannot tell an empty list of strings from one of bytes.
NO_NAMES = ("",)


@dataclass(frozen=True)
class CommonParameters:
    """Parameters of both mapping nodes."""

    global_frame: str = parameter("odom", "Frame of the map, fixed in the world.")
    model: str = parameter("small", "Trained model: the name of a shipped one, or the path of a .safetensors file.")
    device: str = parameter(
        "auto", "Where the networks run; `auto` takes the GPU if there is one.", choices=("auto", "cpu", "cuda")
    )
    autostart: bool = parameter(True, "Configure and activate the lifecycle node at start, without a manager.")
    max_map_bytes: int = parameter(
        MapSettings.max_bytes,
        "Memory of the latent map.",
        unit="bytes",
        minimum=1 << 20,
        maximum=1 << 40,
    )
    map_directory: str = parameter(
        "~/.ros/neuralfusion",
        "The only folder that `~/save_map` and `~/save_mesh` write to and `~/load_map` reads from. Made when needed.",
    )

    def check(self) -> None:
        """Raises ParameterError when the values do not go together."""


@dataclass(frozen=True)
class FusionParameters(CommonParameters):
    """Parameters of fusion_node."""

    voxel_size: float = parameter(MapSettings.voxel_size_m, "Edge of a voxel.", unit="m", minimum=0.001, maximum=1.0)
    min_depth: float = parameter(
        MapSettings.min_depth_m, "Smaller depth is ignored.", unit="m", minimum=0.0, maximum=100.0, read_only=False
    )
    max_depth: float = parameter(
        MapSettings.max_depth_m, "Larger depth is ignored.", unit="m", minimum=0.01, maximum=100.0, read_only=False
    )
    depth_scale: float = parameter(
        0.001, "Metres per unit of a 16UC1 depth image.", unit="m", minimum=1e-6, maximum=1.0, read_only=False
    )
    cameras: tuple[str, ...] = parameter(
        NO_NAMES,
        "Names of several cameras that make one map, such as `[front, rear]`; each has its topics `NAME/depth/image`, "
        "`NAME/depth/camera_info` and, for pose_source `pose`, `NAME/pose`. Empty: one camera without a name.",
    )
    pose_source: str = parameter(
        "pose",
        "Where poses come from: topic `pose`, topic `odom`, or `/tf` and `/tf_static`.",
        choices=("pose", "odom", "tf"),
    )
    camera_mounting: str = parameter(
        "",
        "Where the camera sits on the body whose poses come on `pose` or `odom`: `x y z qx qy qz qw` of its optical "
        "frame in the body's frame, or `tf` to look it up in the transforms (`odom` only). Empty: the poses are those "
        "of the optical frame. Several cameras may have `NAME.camera_mounting` each.",
    )
    time_offset_s: float = parameter(
        0.0,
        "Added to the stamp of an image before its pose is looked up, for a known delay between the two.",
        unit="s",
        minimum=-10.0,
        maximum=10.0,
        read_only=False,
    )
    max_pose_jump_m: float = parameter(
        0.0,
        "Frames further away than this from the last one used are refused, until the pose comes back or `~/reset` or "
        "`~/resume` is called. 0: off.",
        unit="m",
        minimum=0.0,
        maximum=1000.0,
        read_only=False,
    )
    max_pose_jump_rad: float = parameter(
        0.0, "The same for the turn of the camera. 0: off.", unit="rad", minimum=0.0, maximum=3.15, read_only=False
    )
    image_rectified: str = parameter(
        "auto",
        "Whether the images are rectified: then the camera info's P counts, else K, and D is undone. `auto`: if the "
        "image topic has the word rect or rectified in its name.",
        choices=("auto", "yes", "no"),
    )
    input_qos: str = parameter(
        "sensor_data",
        "Quality of service of the image, camera info and pose subscriptions. Publishers that are best effort are "
        "heard with `sensor_data` alone.",
        choices=("sensor_data", "default", "reliable"),
    )
    max_queue_length: int = parameter(
        4, "Frames that wait for fusion. When full, the oldest is dropped and counted.", minimum=1, maximum=1000
    )
    pose_buffer_s: float = parameter(10.0, "Time for which poses are kept.", unit="s", minimum=0.1, maximum=3600.0)
    max_wait_for_pose_s: float = parameter(
        1.0,
        "Time for which a frame waits for its pose, on the clock of the wall. A slow simulation needs more.",
        unit="s",
        minimum=0.0,
        maximum=60.0,
        read_only=False,
    )
    max_pose_gap_s: float = parameter(
        0.2, "Largest distance in time of two poses to interpolate between.", unit="s", minimum=0.0, maximum=60.0
    )
    on_time_jump: str = parameter(
        "continue",
        "What happens to the map when the stamps of the images go back by more than a second, as when a recording or a "
        "simulation begins again. One image with a stamp of the future is no such thing.",
        choices=("continue", "reset"),
        read_only=False,
    )
    max_weight: float = parameter(
        MapSettings.max_weight,
        "Cap of the evidence in a voxel. Smaller forgets sooner.",
        unit="frames",
        minimum=1.0,
        maximum=MAX_WEIGHT,
        read_only=False,
    )
    when_full: str = parameter(
        "evict",
        "What happens when the map has used up its memory: `evict` drops the blocks that were out of sight for "
        "longest, `refuse` takes no new ones and counts them.",
        choices=("evict", "refuse"),
        read_only=False,
    )
    map_radius_m: float = parameter(
        0.0,
        "What is further away from the camera than this leaves the map. At least max_depth, or 0: never.",
        unit="m",
        minimum=0.0,
        maximum=10000.0,
        read_only=False,
    )
    map_bounds: str = parameter(
        "",
        "The box of the world that is mapped, as `x_min y_min z_min x_max y_max z_max`, each may be `-inf` or `inf`; "
        "rounded outwards to whole blocks of 8 voxels. Empty: everything.",
        unit="m",
        read_only=False,
    )
    map_name: str = parameter("map", "Name of the map's file in map_directory, without suffix.", read_only=False)
    publish_rate_hz: float = parameter(
        10.0,
        "Rate of `latent_blocks`. Not positive: off.",
        unit="Hz",
        minimum=-1000.0,
        maximum=1000.0,
        read_only=False,
    )
    camera_rate_hz: float = parameter(
        5.0, "Rate of `~/camera`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    statistics_period_s: float = parameter(
        10.0,
        "Time between two lines of statistics in the log. Not positive: off.",
        unit="s",
        minimum=-3600.0,
        maximum=3600.0,
    )

    def camera_names(self) -> list[str]:
        """The names of several cameras; none for a single one. Raises ParameterError."""
        names = [name for name in self.cameras if name]
        for name in names:
            if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or names.count(name) > 1:
                raise ParameterError(
                    f"cameras must be different names of letters, digits and _, not {', '.join(names)}"
                )
        return names

    def check(self) -> None:
        self.camera_names()
        self.map_settings()
        check_name("map_name", self.map_name)

    def map_settings(self) -> MapSettings:
        """What the mapper takes from here. Raises ParameterError when the values do not go together."""
        try:
            return MapSettings(
                voxel_size_m=self.voxel_size,
                min_depth_m=self.min_depth,
                max_depth_m=self.max_depth,
                max_weight=self.max_weight,
                max_bytes=self.max_map_bytes,
                evict=self.when_full == "evict",
                radius_m=self.map_radius_m,
                bounds_m=read_bounds(self.map_bounds),
            )
        except ValueError as error:
            raise ParameterError(str(error)) from error


@dataclass(frozen=True)
class TranslatorParameters(CommonParameters):
    """Parameters of translator_node."""

    mesh_rate_hz: float = parameter(
        1.0, "Rate of `~/mesh`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    mesh_colour: str = parameter(
        "height",
        "What the colours of `~/mesh` show: the height, the direction that the surface looks to, the light alone, the "
        "uncertainty of the surface, or the main components of the latent vectors.",
        choices=COLOURS,
        read_only=False,
    )
    tsdf_rate_hz: float = parameter(
        1.0, "Rate of `~/tsdf`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    grid_rate_hz: float = parameter(
        1.0,
        "Rate of `~/occupancy_grid`. Not positive: off.",
        unit="Hz",
        minimum=-1000.0,
        maximum=1000.0,
        read_only=False,
    )
    grid_min_height_m: float = parameter(
        0.1,
        "Lower end of what `~/occupancy_grid` looks at, z of the map.",
        unit="m",
        minimum=-1000.0,
        maximum=1000.0,
        read_only=False,
    )
    grid_max_height_m: float = parameter(
        1.0,
        "Upper end of what `~/occupancy_grid` looks at, z of the map.",
        unit="m",
        minimum=-1000.0,
        maximum=1000.0,
        read_only=False,
    )
    esdf_rate_hz: float = parameter(
        1.0, "Rate of `~/esdf_slice`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    esdf_height_m: float = parameter(
        0.5, "Height of `~/esdf_slice`, z of the map.", unit="m", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    esdf_max_distance_m: float = parameter(
        2.0,
        "Larger distances in `~/esdf_slice` are given as this one.",
        unit="m",
        minimum=0.01,
        maximum=1000.0,
        read_only=False,
    )
    tsdf_slice_rate_hz: float = parameter(
        1.0, "Rate of `~/tsdf_slice`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    tsdf_slice_height_m: float = parameter(
        0.5, "Height of `~/tsdf_slice`, z of the map.", unit="m", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    surface_rate_hz: float = parameter(
        1.0, "Rate of `~/surface`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0, read_only=False
    )
    mesh_name: str = parameter("mesh", "Name of the mesh's file in map_directory, without suffix.", read_only=False)
    max_blocks_per_slice: int = parameter(
        256,
        "Blocks translated at a time. Smaller reacts sooner, larger is faster in all.",
        minimum=1,
        maximum=1 << 20,
        read_only=False,
    )
    resend_timeout_s: float = parameter(
        1.0,
        "Time to wait for a full resend before asking again.",
        unit="s",
        minimum=0.01,
        maximum=3600.0,
        read_only=False,
    )
    niceness: int = parameter(
        5, "How much the work is put back when cores are scarce, so that fusion does not wait.", minimum=0, maximum=19
    )

    def check(self) -> None:
        low_m, high_m = self.grid_min_height_m, self.grid_max_height_m
        if low_m >= high_m:
            raise ParameterError(f"need grid_min_height_m < grid_max_height_m, got {low_m} and {high_m}")
        check_name("mesh_name", self.mesh_name)


@dataclass(frozen=True)
class ReplayParameters:
    """Parameters of replay_node."""

    input: str = parameter("", "Recording to play: a sequence folder, a TUM folder, a rosbag2 folder or an .mcap file.")
    rate: float = parameter(1.0, "Speed; 2 plays twice as fast.", minimum=0.01, maximum=100.0)
    loop: bool = parameter(False, "Begin again at the end.")
    clock: bool = parameter(False, "Publish `/clock` for nodes that run with `use_sim_time`.")
    global_frame: str = parameter("odom", "Frame of the published poses.")
    wait_for_subscriber_s: float = parameter(
        10.0,
        "Longest time to wait for a subscriber of the images before the first one is sent.",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
    )


NODES: dict[str, type[Any]] = {
    "fusion_node": FusionParameters,
    "translator_node": TranslatorParameters,
    "replay_node": ReplayParameters,
}


def parameters_of(kind: type[Any]) -> list[Parameter]:
    """The parameters of a dataclass above, in its order, each with its name and nodes."""
    return [
        replace(
            item.metadata["parameter"],
            name=item.name,
            nodes=tuple(node for node, its in NODES.items() if item.name in its.__dataclass_fields__),
        )
        for item in fields(kind)
    ]
