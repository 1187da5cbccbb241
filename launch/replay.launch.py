# SPDX-License-Identifier: Apache-2.0
"""Plays a recording into the mapping nodes. Arguments of mapping.launch.py, such as rviz:=true, may be given too."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

MAPPING = Path(__file__).resolve().parent / "mapping.launch.py"


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument("input", description="Sequence folder, TUM folder, rosbag2 folder or .mcap file."),
        DeclareLaunchArgument("rate", default_value="1.0", description="Speed; 2 plays twice as fast."),
        DeclareLaunchArgument("loop", default_value="false", description="Begin again at the end."),
    ]
    # The included file sees the arguments given on the command line by itself.
    mapping = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(MAPPING)))
    replay_node = Node(
        package="neuralfusion_ros",
        executable="replay_node",
        name="replay_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "input": ParameterValue(LaunchConfiguration("input"), value_type=str),
                "rate": ParameterValue(LaunchConfiguration("rate"), value_type=float),
                "loop": ParameterValue(LaunchConfiguration("loop"), value_type=bool),
                "clock": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
            },
        ],
        output="screen",
    )
    return LaunchDescription([*arguments, mapping, replay_node])
