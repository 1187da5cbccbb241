# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

import errno
import resource
from pathlib import Path

import pytest

from neuralfusion_ros.mapping.new_file import NotWritable, check_writable, make_folder, new_file


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "a.txt"
    with new_file(target) as aside:
        aside.write_text("whole")
        assert aside.parent == tmp_path and aside.suffix == ".txt"
        assert not target.exists()
    assert target.read_text() == "whole" and list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_of_half_a_file(tmp_path):
    def write_half():
        with new_file(tmp_path / "a.txt") as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match=r"a\.txt") as error, new_file(tmp_path / "a.txt") as aside:
            aside.write_bytes(bytes(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno == errno.EFBIG and list(tmp_path.iterdir()) == []


def test_where_no_file_can_be_written(tmp_path):
    (tmp_path / "folder.ply").mkdir()
    for name, message in (
        ("a.txt", "must end in .ply"),
        ("no/a.ply", "there is no folder"),
        ("folder.ply", "a folder"),
    ):
        with pytest.raises(NotWritable, match=message):
            check_writable(tmp_path / name, ".ply")
    check_writable(tmp_path / "a.PLY", ".ply")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.ply"]


def test_a_folder_that_takes_no_files_is_told_as_such():
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc")
    with pytest.raises(NotWritable, match=r"^/proc/x\.ply cannot be written: (folder /proc takes no|no permission)"):
        check_writable(Path("/proc/x.ply"), ".ply")


def test_a_folder_is_made_with_those_above_it_or_the_reason_is_told(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(NotWritable, match=r"^folder .*/file cannot be made: there is a file of that name$"):
        make_folder(tmp_path / "file")
    with pytest.raises(NotWritable, match=r"^folder .*/file/a cannot be made: Not a directory$"):
        make_folder(tmp_path / "file" / "a")
