# SPDX-License-Identifier: Apache-2.0
"""A folder appears whole or not at all."""

from pathlib import Path

import pytest

from neuralfusion_ros.datasets.new_folder import new_folder
from neuralfusion_ros.datasets.recording import RecordingError


def test_folder_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with new_folder(target) as folder:
        folder.mkdir()
        (folder / "file").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["file"]
    assert list(target.parent.iterdir()) == [target]


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "folder") as folder:
        folder.mkdir()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_existing_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="exists already"), new_folder(tmp_path):
        pytest.fail("the target exists")


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RecordingError, match="cannot be written"), new_folder(tmp_path / "file" / "folder"):
        pytest.fail("the parent is a file")
