# SPDX-License-Identifier: Apache-2.0
"""Maps with an Orbbec camera. Not a Gemini 330: driver_launch:=femto_bolt.launch.py or the like.

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
    "driver_package": "orbbec_camera",
    "driver_launch": "gemini_330_series.launch.py",
    "depth_image": "/camera/depth/image_raw",
    "camera_info": "/camera/depth/camera_info",
    "params_file": str(CONFIG / "orbbec.yaml"),
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description="As in camera.launch.py and mapping.launch.py.")
        for name, value in DEFAULTS.items()
    ]
    camera = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(HERE / "camera.launch.py")))
    return LaunchDescription([*arguments, camera])
