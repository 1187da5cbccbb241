# SPDX-License-Identifier: Apache-2.0
"""Maps with a Stereolabs ZED camera. Another model: driver_arguments:=camera_model:=zedm.

Arguments of camera.launch.py and mapping.launch.py, such as rviz:=true, may be given too.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / "config"

# These stand above the defaults of the included files, and below what is given on the command line.
DEFAULTS = {
    "driver_package": "zed_wrapper",
    "driver_launch": "zed_camera.launch.py",
    "depth_image": "/zed/zed_node/depth/depth_registered",
    "camera_info": "/zed/zed_node/depth/camera_info",
    "params_file": str(CONFIG / "zed.yaml"),
    "driver_arguments": "camera_model:=zed2i camera_name:=zed",
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description="As in camera.launch.py and mapping.launch.py.")
        for name, value in DEFAULTS.items()
    ]
    camera = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(HERE / "camera.launch.py")))
    return LaunchDescription([*arguments, camera])
