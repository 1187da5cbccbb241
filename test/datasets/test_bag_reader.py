# SPDX-License-Identifier: Apache-2.0
"""Bags as files: what is readable, and damage that must not escape as another error."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rosbags.typesys import Stores, get_typestore

from neuralfusion_ros.datasets import bag_reader
from neuralfusion_ros.datasets.bag_reader import IMAGE, POSE_STAMPED, TYPES, BagReader
from neuralfusion_ros.datasets.recording import Frame, RecordingError

READ_TYPES = [bag_reader.IMAGE, bag_reader.CAMERA_INFO, POSE_STAMPED, bag_reader.ODOMETRY, bag_reader.TF_MESSAGE]


def _layout(store: Stores, msgtype: str) -> dict[str, list[tuple[str, str]]]:
    """The fields of a type and of all types in it."""
    fields = get_typestore(store).fielddefs
    layout, waiting = {}, [msgtype]
    while waiting:
        name = waiting.pop()
        layout[name] = [(field, str(description)) for field, description in fields[name][1]]
        waiting += [inner for inner in fields if any(f"'{inner}'" in text for _, text in layout[name])]
    return layout


@pytest.mark.parametrize("store", [Stores.ROS2_FOXY, Stores.ROS2_HUMBLE, Stores.ROS2_JAZZY, Stores.ROS2_LYRICAL])
@pytest.mark.parametrize("msgtype", READ_TYPES)
def test_types_have_the_same_layout_in_every_distribution(store: Stores, msgtype: str) -> None:
    layout = _layout(store, msgtype)
    assert len(layout) >= 3
    assert layout == _layout(Stores.ROS2_KILTED, msgtype)


def test_messages_come_with_their_topics(make_bag: Callable, messages, frames: list[Frame]) -> None:
    path = make_bag([*messages.pose_entries(frames), *messages.pose_entries(frames[:2], "/other")])
    with BagReader(path) as bag:
        assert bag.topics(POSE_STAMPED) == {"/cam/pose": 5, "/other": 2}
        assert bag.topics(IMAGE) == {}
        assert [topic for topic, _ in bag.messages("/other")] == ["/other"] * 2
        assert list(bag.messages("/none")) == []
        assert "/other (geometry_msgs/msg/PoseStamped, 2)" in bag.summary()


def test_message_that_cannot_be_decoded_is_none(make_bag: Callable, messages, frames: list[Frame]) -> None:
    good = messages.pose_entries(frames[:1])
    with BagReader(make_bag([("/cam/pose", POSE_STAMPED, 0, b"\x00\x01\x00\x00\x05"), *good])) as bag:
        broken, intact = (message for _, message in bag.messages("/cam/pose"))
        assert broken is None
        assert bag.first("/cam/pose") == intact


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3"])
@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"SQLite format 3\x00" + bytes(100), bytes(1000)])
def test_garbage_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with (
        pytest.raises(RecordingError, match="cannot be read as a rosbag2 recording") as caught,
        BagReader(tmp_path / name),
    ):
        pytest.fail("this is no bag")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metadata", ["", "{", "rosbag2_bagfile_information: 3", "a: b"])
def test_bad_metadata_is_refused(tmp_path: Path, metadata: str) -> None:
    (tmp_path / "metadata.yaml").write_text(metadata)
    with pytest.raises(RecordingError, match="cannot be read"), BagReader(tmp_path):
        pytest.fail("this is no bag")


def test_damage_anywhere_is_an_error_of_the_recording(make_bag: Callable, messages, frames: list[Frame]) -> None:
    file = make_bag(messages.pose_entries(frames)) / "bag.mcap"
    content = file.read_bytes()
    survived = 0
    for position in range(0, len(content), 23):
        for damaged in (content[:position], content[:position] + b"\xff" + content[position + 1 :]):
            file.write_bytes(damaged)
            try:
                with BagReader(file) as bag:
                    survived += len(list(bag.messages("/cam/pose"))) == 5
            except RecordingError as error:
                assert "\n" not in str(error)
    assert survived > 0


def test_store_knows_every_type_that_is_read() -> None:
    assert all(msgtype in TYPES.types for msgtype in READ_TYPES)
