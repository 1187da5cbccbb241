# SPDX-License-Identifier: Apache-2.0
"""Maps with an Azure Kinect.

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
    "driver_package": "azure_kinect_ros_driver",
    "driver_launch": "driver.launch.py",
    "depth_image": "/depth/image_raw",
    "camera_info": "/depth/camera_info",
    "params_file": str(CONFIG / "azure_kinect.yaml"),
    "driver_arguments": "depth_mode:=NFOV_UNBINNED fps:=30 point_cloud:=false rgb_point_cloud:=false",
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description="As in camera.launch.py and mapping.launch.py.")
        for name, value in DEFAULTS.items()
    ]
    camera = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(HERE / "camera.launch.py")))
    return LaunchDescription([*arguments, camera])
