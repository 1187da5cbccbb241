# SPDX-License-Identifier: Apache-2.0
"""The ROS parameters of all nodes: the one place that names them, their defaults, limits and meaning.

`python -m neuralfusion_ros.nodes.parameters` writes config/default.yaml and docs/parameters.md from it.
Needs no ROS; nodes/declared_parameters.py hands them to a node.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from neuralfusion_ros.mapping.settings import MAX_WEIGHT, MapSettings
from neuralfusion_ros.messages.mesh_colours import COLOURS

Value = bool | int | float | str | tuple[str, ...]

TYPE_NAMES = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "string array"}
# ROS cannot tell an empty list of strings from one of bytes.
NO_NAMES = ("",)
MADE_BY = "python -m neuralfusion_ros.nodes.parameters"


class ParameterError(ValueError):
    """A parameter was given a value that it cannot have. The message is one line."""


@dataclass(frozen=True)
class Parameter:
    """One ROS parameter.

    minimum, maximum: both or neither. choices: the only strings accepted; empty if any is. read_only: set at start
    and never changed. nodes: names of the nodes that have it.
    """

    default: Value
    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = True
    name: str = ""
    nodes: tuple[str, ...] = ()


def _parameter(default: Value, description: str, **more: Any) -> Any:
    """A dataclass field that is a ROS parameter."""
    return field(default=default, metadata={"parameter": Parameter(default, description, **more)})


@dataclass(frozen=True)
class CommonParameters:
    """Parameters of both mapping nodes."""

    global_frame: str = _parameter("odom", "Frame of the map, fixed in the world.")
    model: str = _parameter("small", "Trained model: the name of a shipped one, or the path of a .safetensors file.")
    device: str = _parameter(
        "auto", "Where the networks run; `auto` takes the GPU if there is one.", choices=("auto", "cpu", "cuda")
    )
    autostart: bool = _parameter(True, "Configure and activate the lifecycle node at start, without a manager.")
    max_map_bytes: int = _parameter(
        MapSettings.max_bytes,
        "Memory of the latent map.",
        unit="bytes",
        minimum=1 << 20,
        maximum=1 << 40,
    )


@dataclass(frozen=True)
class FusionParameters(CommonParameters):
    """Parameters of fusion_node."""

    voxel_size: float = _parameter(MapSettings.voxel_size_m, "Edge of a voxel.", unit="m", minimum=0.001, maximum=1.0)
    min_depth: float = _parameter(
        MapSettings.min_depth_m, "Smaller depth is ignored.", unit="m", minimum=0.0, maximum=100.0
    )
    max_depth: float = _parameter(
        MapSettings.max_depth_m, "Larger depth is ignored.", unit="m", minimum=0.01, maximum=100.0
    )
    depth_scale: float = _parameter(
        0.001, "Metres per unit of a 16UC1 depth image.", unit="m", minimum=1e-6, maximum=1.0
    )
    cameras: tuple[str, ...] = _parameter(
        NO_NAMES,
        "Names of several cameras that make one map, such as `[front, rear]`; each has its topics `NAME/depth/image`, "
        "`NAME/depth/camera_info` and, for pose_source `pose`, `NAME/pose`. Empty: one camera without a name.",
    )
    pose_source: str = _parameter(
        "pose",
        "Where poses come from: topic `pose`, topic `odom`, or `/tf` and `/tf_static`.",
        choices=("pose", "odom", "tf"),
    )
    camera_mounting: str = _parameter(
        "",
        "Where the camera sits on the body whose poses come on `pose` or `odom`: `x y z qx qy qz qw` of its optical "
        "frame in the body's frame, or `tf` to look it up in the transforms (`odom` only). Empty: the poses are those "
        "of the optical frame. Several cameras may have `NAME.camera_mounting` each.",
    )
    time_offset_s: float = _parameter(
        0.0,
        "Added to the stamp of an image before its pose is looked up, for a known delay between the two.",
        unit="s",
        minimum=-10.0,
        maximum=10.0,
    )
    max_pose_jump_m: float = _parameter(
        0.0,
        "Frames further away than this from the last one used are refused, until the pose comes back or `~/reset` or "
        "`~/resume` is called. 0: off.",
        unit="m",
        minimum=0.0,
        maximum=1000.0,
    )
    max_pose_jump_rad: float = _parameter(
        0.0, "The same for the turn of the camera. 0: off.", unit="rad", minimum=0.0, maximum=3.15
    )
    image_rectified: str = _parameter(
        "auto",
        "Whether the images are rectified: then the camera info's P counts, else K, and D is undone. `auto`: if the "
        "image topic has the word rect or rectified in its name.",
        choices=("auto", "yes", "no"),
    )
    input_qos: str = _parameter(
        "sensor_data",
        "Quality of service of the image, camera info and pose subscriptions. Publishers that are best effort are "
        "heard with `sensor_data` alone.",
        choices=("sensor_data", "default", "reliable"),
    )
    max_queue_length: int = _parameter(
        4, "Frames that wait for fusion. When full, the oldest is dropped and counted.", minimum=1, maximum=1000
    )
    pose_buffer_s: float = _parameter(10.0, "Time for which poses are kept.", unit="s", minimum=0.1, maximum=3600.0)
    max_wait_for_pose_s: float = _parameter(
        1.0,
        "Time for which a frame waits for its pose, on the clock of the wall. A slow simulation needs more.",
        unit="s",
        minimum=0.0,
        maximum=60.0,
    )
    max_pose_gap_s: float = _parameter(
        0.2, "Largest distance in time of two poses to interpolate between.", unit="s", minimum=0.0, maximum=60.0
    )
    on_time_jump: str = _parameter(
        "continue",
        "What happens to the map when the stamps of the images go back by more than a second, as when a recording or a "
        "simulation begins again.",
        choices=("continue", "reset"),
    )
    max_weight: float = _parameter(
        MapSettings.max_weight,
        "Cap of the evidence in a voxel. Smaller forgets sooner.",
        unit="frames",
        minimum=1.0,
        maximum=MAX_WEIGHT,
    )
    when_full: str = _parameter(
        "evict",
        "What happens when the map has used up its memory: `evict` drops the blocks that were out of sight for "
        "longest, `refuse` takes no new ones and counts them.",
        choices=("evict", "refuse"),
    )
    map_radius_m: float = _parameter(
        0.0,
        "What is further away from the camera than this leaves the map. At least max_depth, or 0: never.",
        unit="m",
        minimum=0.0,
        maximum=10000.0,
    )
    map_directory: str = _parameter(
        "~/.ros/neuralfusion", "The only folder that `~/save_map` writes to and `~/load_map` reads from."
    )
    map_name: str = _parameter("map", "Name of the map's file there, without suffix.", read_only=False)
    publish_rate_hz: float = _parameter(
        2.0, "Rate of `latent_blocks`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    camera_rate_hz: float = _parameter(
        5.0, "Rate of `~/camera`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    statistics_period_s: float = _parameter(
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
            )
        except ValueError as error:
            raise ParameterError(str(error)) from error


@dataclass(frozen=True)
class TranslatorParameters(CommonParameters):
    """Parameters of translator_node."""

    mesh_rate_hz: float = _parameter(
        1.0, "Rate of `~/mesh`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    mesh_colour: str = _parameter(
        "height",
        "What the colours of `~/mesh` show: the height, the direction that the surface looks to, the light alone, the "
        "uncertainty of the surface, or the main components of the latent vectors.",
        choices=COLOURS,
        read_only=False,
    )
    tsdf_rate_hz: float = _parameter(
        1.0, "Rate of `~/tsdf`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    grid_rate_hz: float = _parameter(
        1.0, "Rate of `~/occupancy_grid`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    grid_min_height_m: float = _parameter(
        0.1, "Lower end of what `~/occupancy_grid` looks at, z of the map.", unit="m", minimum=-1000.0, maximum=1000.0
    )
    grid_max_height_m: float = _parameter(
        1.0, "Upper end of what `~/occupancy_grid` looks at, z of the map.", unit="m", minimum=-1000.0, maximum=1000.0
    )
    esdf_rate_hz: float = _parameter(
        1.0, "Rate of `~/esdf_slice`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    esdf_height_m: float = _parameter(
        0.5, "Height of `~/esdf_slice`, z of the map.", unit="m", minimum=-1000.0, maximum=1000.0
    )
    esdf_max_distance_m: float = _parameter(
        2.0, "Larger distances in `~/esdf_slice` are given as this one.", unit="m", minimum=0.01, maximum=1000.0
    )
    tsdf_slice_rate_hz: float = _parameter(
        1.0, "Rate of `~/tsdf_slice`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    tsdf_slice_height_m: float = _parameter(
        0.5, "Height of `~/tsdf_slice`, z of the map.", unit="m", minimum=-1000.0, maximum=1000.0
    )
    surface_rate_hz: float = _parameter(
        1.0, "Rate of `~/surface`. Not positive: off.", unit="Hz", minimum=-1000.0, maximum=1000.0
    )
    mesh_path: str = _parameter("mesh.ply", "File that `~/save_mesh` writes.", read_only=False)
    max_blocks_per_slice: int = _parameter(
        256, "Blocks translated at a time. Smaller reacts sooner, larger is faster in all.", minimum=1, maximum=1 << 20
    )
    resend_timeout_s: float = _parameter(
        1.0, "Time to wait for a full resend before asking again.", unit="s", minimum=0.01, maximum=3600.0
    )
    niceness: int = _parameter(
        5, "How much the work is put back when cores are scarce, so that fusion does not wait.", minimum=0, maximum=19
    )

    def check(self) -> None:
        """Raises ParameterError when the values do not go together."""
        low_m, high_m = self.grid_min_height_m, self.grid_max_height_m
        if low_m >= high_m:
            raise ParameterError(f"need grid_min_height_m < grid_max_height_m, got {low_m} and {high_m}")


@dataclass(frozen=True)
class ReplayParameters:
    """Parameters of replay_node."""

    input: str = _parameter(
        "", "Recording to play: a sequence folder, a TUM folder, a rosbag2 folder or an .mcap file."
    )
    rate: float = _parameter(1.0, "Speed; 2 plays twice as fast.", minimum=0.01, maximum=100.0)
    loop: bool = _parameter(False, "Begin again at the end.")
    clock: bool = _parameter(False, "Publish `/clock` for nodes that run with `use_sim_time`.")
    global_frame: str = _parameter("odom", "Frame of the published poses.")
    wait_for_subscriber_s: float = _parameter(
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


def limits_text(parameter: Parameter) -> str:
    """Such as "0.1 to 5 m", "one of: a, b" or nothing."""
    if parameter.choices:
        return f"one of: {', '.join(parameter.choices)}"
    if parameter.minimum is None:
        return parameter.unit
    number = ",d" if isinstance(parameter.default, int) else ",g"
    return f"{parameter.minimum:{number}} to {parameter.maximum:{number}} {parameter.unit}".rstrip()


def yaml_text() -> str:
    """config/default.yaml: every parameter of every node with its default."""
    lines = [f"# The defaults of all parameters. Written by `{MADE_BY}`; copy it and change the copy."]
    for node, kind in NODES.items():
        # `/**/` makes the section hold in every namespace.
        lines += ["", f"/**/{node}:", "  ros__parameters:"]
        for parameter in parameters_of(kind):
            limits = limits_text(parameter)
            lines.append(f"    # {parameter.description}" + (f" [{limits}]" if limits else ""))
            lines.append(f"    {parameter.name}: {json.dumps(parameter.default)}")
    return "\n".join(lines) + "\n"


def markdown_text() -> str:
    """docs/parameters.md: one table for each node."""
    lines = [
        "# Parameters",
        "",
        f"Written by `{MADE_BY}` from `neuralfusion_ros/nodes/parameters.py`.",
        "",
        "All parameters are read when a node starts. Those marked * may be changed while it runs.",
    ]
    for node, kind in NODES.items():
        lines += ["", f"## {node}", "", "| name | type | default | limits | meaning |", "|---|---|---|---|---|"]
        for parameter in parameters_of(kind):
            name = f"`{parameter.name}`" + ("" if parameter.read_only else " *")
            cells = [name, TYPE_NAMES[type(parameter.default)], f"`{json.dumps(parameter.default)}`"]
            lines.append("| " + " | ".join([*cells, limits_text(parameter), parameter.description]) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes both files into the source tree that this file lies in."""
    root = Path(__file__).parents[2]
    if not (root / "package.xml").is_file():
        print(f"{root} is no source tree of this package: it has no package.xml", file=sys.stderr)
        return 2
    (root / "config" / "default.yaml").write_text(yaml_text(), encoding="utf-8")
    (root / "docs" / "parameters.md").write_text(markdown_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
