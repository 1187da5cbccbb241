# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: help, versions, and what becomes of errors."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from neuralfusion_ros import __version__, cli
from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.mapping.mesh_file import write_mesh
from neuralfusion_ros.mapping.meshing import Mesh

COMMANDS = ("fuse", "render", "compare", "demo", "replay", "doctor", "record", "train", "evaluate")


def test_help_names_every_command_and_imports_none(root):
    code = (
        "import sys; from neuralfusion_ros.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'torch', 'open3d', 'numpy', 'rclpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert all(f"\n    {name} " in done.stdout for name in COMMANDS)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("module", ["nodes.replay_node", "commands.record", "commands.doctor_gather"])
def test_torch_is_not_loaded_where_it_is_not_needed(root, module):
    code = f"import sys, neuralfusion_ros.{module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_it_is_no_error_when_nobody_reads_what_is_printed(root, tmp_path):
    for name in ("a.ply", "b.ply"):
        write_mesh(tmp_path / name, Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32)))
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "neuralfusion_ros.cli", "compare", "a.ply", "b.ply", "--json"]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=env, stdout=writes, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main([command, "--help"])
    assert exit.value.code == 0
    assert f"neuralfusion {command} " in capsys.readouterr().out.partition("example")[2]


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"neuralfusion {__version__}\n"


@pytest.mark.parametrize(
    "words", [[], ["nonsense"], ["fuse"], ["fuse", "--voxel-size", "wide", "x", "--output", "y.ply"]]
)
def test_wrong_words_are_one_line(words, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(words)
    output = capsys.readouterr()
    assert exit.value.code == 2
    assert output.out == "" and output.err.startswith("neuralfusion: error: ") and output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        (["render", "m.ply", "--output", "p.png", "--nonsense"], "neuralfusion render"),
        (["render", "m.ply"], "neuralfusion render"),
        (["--nonsense"], "neuralfusion"),
        (["nonsense"], "neuralfusion"),
    ],
)
def test_wrong_words_name_the_help_that_lists_the_right_ones(words, help_of, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    assert capsys.readouterr().err.endswith(f" (see {help_of} --help)\n")


def raising(monkeypatch, error):
    """Makes `neuralfusion fuse` raise."""

    def add_parser(subparsers):
        def run(args):
            raise error

        subparsers.add_parser("fuse").set_defaults(run=run)

    monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(add_parser=add_parser))


@pytest.mark.parametrize(
    "error", [RecordingError("no\n such recording"), OSError("no such recording"), ImportError("no such recording")]
)
def test_errors_for_the_user_are_one_line(monkeypatch, capsys, error):
    raising(monkeypatch, error)
    assert cli.main(["fuse"]) == 2
    assert capsys.readouterr().err == "neuralfusion: error: no such recording\n"


def test_errors_in_the_program_are_not_hidden(monkeypatch):
    raising(monkeypatch, ValueError("a mistake of ours"))
    with pytest.raises(ValueError, match="a mistake of ours"):
        cli.main(["fuse"])


def test_a_request_to_end_is_quiet_and_cleans_up(monkeypatch, capsys):
    before, cleaned = signal.getsignal(signal.SIGTERM), []

    def run(args):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)

    add_parser = SimpleNamespace(add_parser=lambda subparsers: subparsers.add_parser("fuse").set_defaults(run=run))
    monkeypatch.setattr(cli, "import_module", lambda name: add_parser)
    assert cli.main(["fuse"]) == 143
    assert (cleaned, capsys.readouterr().err) == ([True], "")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("told", [True, False], ids=["as its cause", "in passing"])
def test_a_signal_that_a_library_turned_into_an_error_is_still_one(monkeypatch, capsys, number, code, told):
    def load(name):
        try:
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt as stop:
                raise RuntimeError("half loaded") from stop if told else None
        except RuntimeError as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr(cli, "import_module", load)
    assert cli.main(["fuse"]) == code
    assert capsys.readouterr().err == ""


def test_interruption_is_quiet(monkeypatch, capsys):
    raising(monkeypatch, KeyboardInterrupt())
    assert cli.main(["fuse"]) == 130
    assert capsys.readouterr().err == ""
