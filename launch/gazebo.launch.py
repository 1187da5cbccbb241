# SPDX-License-Identifier: Apache-2.0
"""Maps in a Gazebo world that runs already; starts the bridge of its clock and of an rgbd_camera.

Arguments of camera.launch.py and mapping.launch.py, such as rviz:=true, may be given too.
"""

import shlex
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / "config"

# These stand above the defaults of the included files, and below what is given on the command line.
DEFAULTS = {
    "driver_package": "ros_gz_bridge",
    "driver_launch": "ros_gz_bridge.launch.py",
    "depth_image": "/rgbd_camera/depth_image",
    "camera_info": "/rgbd_camera/camera_info",
    "params_file": str(CONFIG / "gazebo.yaml"),
    "driver_arguments": f"bridge_name:=depth_bridge config_file:={shlex.quote(str(CONFIG / 'gazebo_bridge.yaml'))}",
    "use_sim_time": "true",
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description="As in camera.launch.py and mapping.launch.py.")
        for name, value in DEFAULTS.items()
    ]
    camera = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(HERE / "camera.launch.py")))
    return LaunchDescription([*arguments, camera])
