# SPDX-License-Identifier: Apache-2.0
"""The mapping launched for real, where ROS's launch is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
service = LaunchService()
source = PythonLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""


@pytest.mark.skipif(importlib.util.find_spec("launch_ros") is None, reason="needs ROS's launch_ros")
def test_launched_for_real_both_nodes_appear_and_stop_cleanly(ros_env, tmp_path):
    import rclpy

    command = [sys.executable, "-c", RUN, str(ROOT / "launch" / "mapping.launch.py"), "namespace:=robot"]
    output = tmp_path / "output.txt"
    rclpy.init(args=[])
    observer = rclpy.create_node("observer")
    # A group of its own: launch expects that Ctrl-C reaches its nodes too, as it does in a terminal.
    process = subprocess.Popen(
        command, env=ros_env, stdout=output.open("w"), stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        wanted = {("fusion_node", "/robot"), ("translator_node", "/robot")}
        deadline = time.monotonic() + 60
        while not wanted <= set(observer.get_node_names_and_namespaces()):
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        observer.destroy_node()
        rclpy.try_shutdown()
    assert process.returncode == 0, output.read_text()
    assert output.read_text().count("process has finished cleanly") == 2, output.read_text()
