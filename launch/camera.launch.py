# SPDX-License-Identifier: Apache-2.0
"""Starts a camera's driver, when it is installed, and the mapping. The launch files of the cameras fill in the rest."""

import shlex
from pathlib import Path
from runpy import run_path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, LogInfo, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

MAPPING = Path(__file__).resolve().parent / "mapping.launch.py"

ARGUMENTS = {
    "driver": ("true", "Start the camera's driver."),
    "driver_package": ("", "ROS package of the driver."),
    "driver_launch": ("", "Its launch file; of several names, the first that exists."),
    "driver_arguments": ("", "Arguments for it, such as 'fps:=15 depth_mode:=NFOV_UNBINNED'. Quotes keep blanks."),
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    mapping = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(MAPPING)))
    return LaunchDescription([*arguments, OpaqueFunction(function=start_driver), mapping])


def start_driver(context: LaunchContext) -> list[Any]:
    """The driver's launch file, or one line that says why the camera is expected to run already."""
    package, names, arguments, wanted = (
        LaunchConfiguration(name).perform(context)
        for name in ("driver_package", "driver_launch", "driver_arguments", "driver")
    )
    path = find_launch_file(package, names.split())
    if wanted != "true" or path is None:
        why = f"no {names} of package {package} is installed" if wanted == "true" else "driver:=false"
        return [LogInfo(msg=f"The driver is not started ({why}); the camera is expected to run already.")]
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        raise RuntimeError(f"driver_arguments cannot be read: {error}: {arguments}") from error
    pairs = [(name, value) for name, _, value in (word.partition(":=") for word in words)]
    include = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(path)), launch_arguments=pairs)
    # Drivers have arguments of the same names, such as params_file, which must not get ours. Such a group begins with
    # the environment of the shell, so the middleware's profile is set in it.
    transport = run_path(str(MAPPING))["choose_transport"]()
    return [GroupAction([transport, include], scoped=True, forwarding=False)]


def find_launch_file(package: str, names: list[str]) -> Path | None:
    """The first of the launch files that the package has."""
    try:
        folder = Path(get_package_share_directory(package)) / "launch"
    except (PackageNotFoundError, ValueError):
        return None
    return next((folder / name for name in names if (folder / name).is_file()), None)
