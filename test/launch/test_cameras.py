# SPDX-License-Identifier: Apache-2.0
"""The launch files of cameras: their driver, their preset and their topics."""

from __future__ import annotations

import runpy
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from neuralfusion_ros.commands.dds_profile import profile_variable
from neuralfusion_ros.nodes.camera_input import is_rectified

ROOT = Path(__file__).parents[2]
CAMERA = ROOT / "launch" / "camera.launch.py"
CAMERAS = ["azure_kinect", "gazebo", "oakd", "orbbec", "realsense", "zed"]


def driver_of(name, asked, **changes):
    """What camera.launch.py does about the driver of a camera."""
    asked(CAMERA)
    context = {**asked.defaults_of(ROOT / "launch" / f"{name}.launch.py"), **changes}
    (action,) = runpy.run_path(str(CAMERA))["start_driver"](context)
    return action


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Makes a package that has a launch file."""

    def make(package, launch_file):
        for path in ("ament_index/resource_index/packages", f"{package}/launch"):
            (tmp_path / "share" / path).mkdir(parents=True)
        (tmp_path / "share/ament_index/resource_index/packages" / package).touch()
        path = tmp_path / "share" / package / "launch" / launch_file
        path.touch()
        monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
        return str(path)

    return make


@pytest.mark.parametrize("name", CAMERAS)
def test_a_driver_that_is_not_installed_is_told_in_one_line(name, asked, monkeypatch, tmp_path):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    line = driver_of(name, asked)
    package = asked.defaults_of(ROOT / "launch" / f"{name}.launch.py")["driver_package"]
    assert line.kind == "LogInfo" and f"of package {package} is installed" in line.options["msg"]


@pytest.mark.parametrize("name", CAMERAS)
def test_an_installed_driver_is_started_with_its_arguments_and_without_ours(name, asked, install):
    defaults = asked.defaults_of(ROOT / "launch" / f"{name}.launch.py")
    path = install(defaults["driver_package"], defaults["driver_launch"].split()[-1])
    group = driver_of(name, asked)
    assert group.kind == "GroupAction" and group.options == {"scoped": True, "forwarding": False}
    transport, include = group.args[0]
    assert (transport.kind, transport.args[0]) == ("SetEnvironmentVariable", profile_variable())
    assert include.args[0].args == (path,)
    given = shlex.join(f"{name}:={value}" for name, value in include.options["launch_arguments"])
    assert given == defaults["driver_arguments"]


def test_arguments_of_a_driver_may_have_blanks(asked, install):
    install("realsense2_camera", "rs_launch.py")
    group = driver_of("realsense", asked, driver_arguments="fps:=15 config_file:='/home/my robot/a.yaml'")
    pairs = group.args[0][-1].options["launch_arguments"]
    assert pairs == [("fps", "15"), ("config_file", "/home/my robot/a.yaml")]
    with pytest.raises(RuntimeError, match="driver_arguments cannot be read: No closing quotation"):
        driver_of("realsense", asked, driver_arguments="config_file:='/home/my robot")


def test_the_bridge_of_a_package_in_a_folder_with_blanks_finds_its_file(asked, install, tmp_path):
    install("ros_gz_bridge", "ros_gz_bridge.launch.py")
    for folder in ("launch", "config"):
        shutil.copytree(ROOT / folder, tmp_path / "my robot" / folder)
    defaults = asked.defaults_of(tmp_path / "my robot" / "launch" / "gazebo.launch.py")
    group = driver_of("gazebo", asked, driver_arguments=defaults["driver_arguments"])
    arguments = dict(group.args[0][-1].options["launch_arguments"])
    assert Path(arguments["config_file"]) == tmp_path / "my robot" / "config" / "gazebo_bridge.yaml"


def test_a_driver_that_is_not_wanted_is_not_started(asked, install):
    install("realsense2_camera", "rs_launch.py")
    assert driver_of("realsense", asked, driver="false").kind == "LogInfo"


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_comes_with_its_preset_and_topics(name, asked):
    defaults = asked.defaults_of(ROOT / "launch" / f"{name}.launch.py")
    assert Path(defaults["params_file"]) == ROOT / "config" / f"{name}.yaml"
    image, info = Path(defaults["depth_image"]), Path(defaults["camera_info"])
    assert image.is_absolute() and image.parent == info.parent and info.name == "camera_info"
    choice = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())["/**/fusion_node"]["ros__parameters"]
    assert is_rectified(choice.get("image_rectified", "auto"), str(image)) is (name not in {"azure_kinect", "orbbec"})


def test_the_topics_of_the_bridge_are_those_of_the_mapping(asked):
    bridged = yaml.safe_load((ROOT / "config" / "gazebo_bridge.yaml").read_text())
    defaults = asked.defaults_of(ROOT / "launch" / "gazebo.launch.py")
    topics = {item["ros_topic_name"] for item in bridged}
    assert topics == {"/clock", defaults["depth_image"], defaults["camera_info"]}
    assert defaults["use_sim_time"] == "true"
