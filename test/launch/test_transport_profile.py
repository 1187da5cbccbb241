# SPDX-License-Identifier: Apache-2.0
"""The profile of the middleware that the launch files set."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"), ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE")],
)
def test_the_transport_profile_is_set_unless_the_user_chose_one(asked, monkeypatch, distribution, variable):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    (chosen,) = asked(ROOT / "launch" / "mapping.launch.py").of_kind("SetEnvironmentVariable")
    name, value = chosen.args
    assert (name, value.kind, value.args) == (variable, "EnvironmentVariable", (variable,))
    assert Path(value.options["default_value"]).name == "fastdds_shm.xml"


def test_a_launch_does_not_choose_the_threads_of_what_it_starts(asked, monkeypatch):
    """As the package does when it is imported."""
    monkeypatch.delitem(sys.modules, "neuralfusion_ros")
    asked(ROOT / "launch" / "mapping.launch.py")
    assert "neuralfusion_ros" not in sys.modules


def test_the_transport_profile_is_shared_memory_and_udp():
    profile = ElementTree.parse(ROOT / "config" / "fastdds_shm.xml").getroot()
    ns = {"dds": "http://www.eprosima.com"}
    kinds = {
        transport.findtext("dds:transport_id", "", ns): transport.findtext("dds:type", "", ns)
        for transport in profile.iterfind(".//dds:transport_descriptor", ns)
    }
    used = [item.text or "" for item in profile.iterfind(".//dds:userTransports/dds:transport_id", ns)]
    assert sorted(kinds[name] for name in used) == ["SHM", "UDPv4"]
    assert int(profile.findtext(".//dds:segment_size", "0", ns)) >= 64 << 20
    assert profile.find("dds:participant[@is_default_profile='true']", ns) is not None


def test_the_transport_profile_is_accepted(ros_env):
    ask = "import rclpy; rclpy.init(); rclpy.create_node('n').destroy_node(); rclpy.try_shutdown()"
    done = subprocess.run([sys.executable, "-c", ask], env=ros_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert not done.stderr, "Fast DDS reports what it does not accept on stderr"
