# SPDX-License-Identifier: Apache-2.0
"""`neuralfusion doctor` about /tf: a robot and a fusion node, each a process of its own, and the doctor in this one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuralfusion_ros import cli

LIMIT_S = 120.0
ROBOT = Path(__file__).with_name("tf_robot.py")

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def start(root, ros_env, tmp_path):
    """start(*words): a process of Python. All are ended after the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(*words, **streams):
        log = (tmp_path / f"{len(running)}.log").open("wb")
        options = {"stdout": log, "stderr": subprocess.STDOUT, "text": True, **streams}
        env = {**ros_env, "PYTHONPATH": str(root)}
        running.append(subprocess.Popen([sys.executable, *map(str, words)], cwd=tmp_path, env=env, **options))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def ask_until(capsys):
    """ask_until(words): (exit code, line) of the first doctor that says them; nodes need time to start."""

    def ask(words):
        end_s = time.monotonic() + LIMIT_S
        while True:
            code = cli.main(["doctor", "--timeout", "3.5"])
            line = capsys.readouterr().out
            assert line.count("\n") == 1
            if words in line or time.monotonic() > end_s:
                return code, line

    return ask


def test_each_fault_of_tf_is_named(start, ask_until, model_file):
    robot = start(ROBOT, stdin=subprocess.PIPE)

    def tell(fixed, age_s):
        robot.stdin.write(json.dumps([fixed, age_s]) + "\n")
        robot.stdin.flush()

    parameters = {"model": model_file, "device": "cpu", "voxel_size": 0.1, "pose_source": "tf"}
    words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    start("-m", "neuralfusion_ros.nodes.fusion_node", "--ros-args", *words)

    unknown = "frame 'camera' of the images is not connected to 'odom', tf does not know 'camera': publish"
    code, line = ask_until("tf does not know")
    assert code == 1 and line.startswith(unknown), line

    tell([["rig", "camera"]], 0.0)
    apart = "frame 'camera' of the images is not connected to 'odom', nothing joins the two trees: publish"
    code, line = ask_until("two trees")
    assert code == 1 and line.startswith(apart), line

    tell([["base_link", "rig"], ["rig", "camera"]], 3.0)
    code, line = ask_until("older")
    assert code == 1 and line.startswith("transforms from 'base_link' to 'odom' are "), line
    (age_s,) = re.findall(r"are ([0-9.]+) s older than the images", line)
    assert 2.5 < float(age_s) < 3.5

    tell([], 0.0)
    code, line = ask_until("all is well")
    assert code == 0 and line.startswith("all is well: /fusion_node used "), line
