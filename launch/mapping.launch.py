# SPDX-License-Identifier: Apache-2.0
"""Starts fusion_node and translator_node, and RViz if wanted. Option `-s` of `ros2 launch` lists the arguments."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "neuralfusion_ros"
CONFIG = Path(__file__).resolve().parents[1] / "config"
# Run, not imported: with the import the package chooses the number of OpenMP threads, for all that is launched.
FOUND = find_spec(PACKAGE)
assert FOUND is not None and FOUND.origin is not None
PROFILE_VARIABLE = run_path(str(Path(FOUND.origin).parent / "commands" / "dds_profile.py"))["profile_variable"]()

ARGUMENTS = {
    "depth_image": ("depth/image", "Topic of the depth images, 16UC1 or 32FC1."),
    "camera_info": ("depth/camera_info", "Topic of their camera info."),
    "pose": ("pose", "Topic of the camera's poses, PoseStamped, for pose_source 'pose'."),
    "odom": ("odom", "Topic of the camera's poses, Odometry, for pose_source 'odom'."),
    "params_file": (str(CONFIG / "default.yaml"), "YAML file with the parameters of the nodes."),
    "namespace": ("", "Namespace of the nodes."),
    "use_sim_time": ("false", "Take the time from /clock."),
    "log_level": ("info", "debug, info, warn, error or fatal."),
    "rviz": ("false", "Start RViz with the layout of this package."),
}
RVIZ_TOPICS = [
    "fusion_node/camera",
    *(f"translator_node/{name}" for name in ("mesh", "occupancy_grid", "tsdf_slice", "esdf_slice")),
]


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    use_sim_time = {"use_sim_time": LaunchConfiguration("use_sim_time")}
    fusion_node = Node(
        package=PACKAGE,
        executable="fusion_node",
        name="fusion_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), use_sim_time],
        remappings=[
            ("depth/image", LaunchConfiguration("depth_image")),
            ("depth/camera_info", LaunchConfiguration("camera_info")),
            ("pose", LaunchConfiguration("pose")),
            ("odom", LaunchConfiguration("odom")),
        ],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    translator_node = Node(
        package=PACKAGE,
        executable="translator_node",
        name="translator_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), use_sim_time],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return LaunchDescription([*arguments, choose_transport(), fusion_node, translator_node, rviz(use_sim_time)])


def rviz(use_sim_time: dict[str, LaunchConfiguration]) -> Node | LogInfo:
    """RViz if it is wanted, or one line that says why it cannot be started."""
    wanted = IfCondition(LaunchConfiguration("rviz"))
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return LogInfo(
            msg="RViz is not started: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set). "
            "`neuralfusion view` shows the map on a web page.",
            condition=wanted,
        )
    # The layout has the names without namespace; relative ones belong to the namespace in which RViz runs.
    own = [(f"/{name}", name) for name in RVIZ_TOPICS]
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", str(CONFIG / "neuralfusion.rviz")],
        parameters=[use_sim_time],
        remappings=[*own, ("/depth/image", LaunchConfiguration("depth_image"))],
        condition=wanted,
    )


def choose_transport() -> SetEnvironmentVariable:
    """Large messages between processes need a large shared memory segment. A profile chosen by the user is kept."""
    profile = EnvironmentVariable(PROFILE_VARIABLE, default_value=str(CONFIG / "fastdds_shm.xml"))
    return SetEnvironmentVariable(PROFILE_VARIABLE, profile)
