# SPDX-License-Identifier: Apache-2.0
"""What the user sees when a node cannot start: one line, exit code 2."""

from __future__ import annotations

import os
import signal

import pytest

from neuralfusion_ros.cli import main as command_line
from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.nodes import fusion_node, replay_node, translator_node


def lines(capfd):
    return [line for line in capfd.readouterr().err.splitlines() if line]


@pytest.mark.parametrize(
    ("node", "parameters", "problem"),
    [
        (fusion_node, ["model:=nothing"], "no model named 'nothing'"),
        (translator_node, ["model:=/no/such.safetensors"], "cannot read model /no/such.safetensors"),
        (fusion_node, ["voxel_size:=5.0"], "out of range Min: 0.001, Max: 1.0"),
        (fusion_node, ["voxel_size:=wide"], "expecting type 'DOUBLE'"),
        (fusion_node, ["input_qos:=perfect"], "input_qos must be one of sensor_data, default, reliable"),
        (fusion_node, ["min_depth:=4.0", "max_depth:=3.0"], "need 0 <= min depth < max depth"),
        (fusion_node, ["camera_mounting:=0 0 0 0 0 0 2"], "quaternion has length 2, not 1"),
        (fusion_node, ["camera_mounting:=tf"], "camera_mounting 'tf' does not go with pose_source 'pose'"),
        (fusion_node, ["pose_source:=tf", "camera_mounting:=tf"], "camera_mounting does not go with pose_source 'tf'"),
        (translator_node, ["grid_min_height_m:=2.0"], "need grid_min_height_m < grid_max_height_m, got 2.0 and 1.0"),
        (replay_node, [], "parameter input is not set"),
        (replay_node, ["input:=/no/such"], "/no/such is missing"),
    ],
)
def test_bad_parameters_end_a_node_with_one_line(capfd, untrained, node, parameters, problem):
    if not any(parameter.startswith("model") for parameter in parameters) and node is not replay_node:
        parameters = [*parameters, f"model:={untrained}"]
    words = [word for parameter in parameters for word in ("-p", parameter)]
    assert node.main(["--ros-args", *words]) == 2
    (line,) = lines(capfd)
    assert problem in line


@pytest.mark.parametrize(
    "args", [["--wrong"], ["wrong"], ["--ros-args", "--wrong"], ["--ros-args", "-p", "wrong"]], ids=str
)
def test_wrong_arguments_end_a_node_with_code_2(capfd, args):
    try:
        code: object = fusion_node.main(args)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert "fusion_node: error: " in lines(capfd)[-1]


def test_help_has_an_example(capfd):
    with pytest.raises(SystemExit) as end:
        translator_node.main(["--help"])
    assert end.value.code == 0
    assert "example: translator_node --ros-args" in capfd.readouterr().out


def test_the_replay_command_plays_until_a_signal(tmp_path, camera, frame_of, monkeypatch):
    write_bag(tmp_path / "bag", camera, [frame_of(0), frame_of(20)])
    begin = replay_node.ReplayNode.begin

    def begin_and_interrupt(self, finish):
        begin(self, finish)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(replay_node.ReplayNode, "begin", begin_and_interrupt)
    before = signal.getsignal(signal.SIGINT)
    assert command_line(["replay", str(tmp_path / "bag"), "--loop", "--clock"]) == 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("words", "problem"),
    [(["/no/such"], "/no/such is missing"), (["x", "--rate", "0"], "--rate must lie in 0.01..100")],
)
def test_the_replay_command_refuses_bad_input_in_one_line(capfd, words, problem):
    assert command_line(["replay", *words]) == 2
    (line,) = lines(capfd)
    assert problem in line
