# SPDX-License-Identifier: Apache-2.0
"""The CDR writer and reader, against rclpy and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from neuralfusion_ros.messages.cdr import CdrReader, CdrWriter
from neuralfusion_ros.messages.errors import BadMessage

FIELDS = {
    "uint8": st.integers(0, 255),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "string": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "doubles": st.lists(st.floats(allow_nan=False), max_size=3),
    "header": st.tuples(st.text("abc/_", max_size=9), st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1)),
}
LETTERS = {"uint8": "B", "int32": "i", "uint32": "I"}
any_fields = st.lists(st.sampled_from(sorted(FIELDS)).flatmap(lambda kind: st.tuples(st.just(kind), FIELDS[kind])))


def write(fields):
    writer = CdrWriter()
    for kind, value in fields:
        if kind in LETTERS:
            writer.pack(LETTERS[kind], value)
        elif kind == "header":
            writer.header(*value)
        elif kind == "string":
            writer.string(value)
        else:
            writer.sequence(np.array(value, dtype=np.float64))
    return writer.finish()


def read(data, kinds):
    reader = CdrReader(data)
    return [
        reader.sequence(np.float64).ravel().tolist() if kind == "doubles" else getattr(reader, kind)() for kind in kinds
    ]


@given(any_fields)
def test_reader_gives_back_what_the_writer_wrote(fields):
    kinds, values = [kind for kind, _ in fields], [value for _, value in fields]
    assert read(write(fields), kinds) == values


@given(any_fields, st.data())
def test_a_message_cut_short_is_refused(fields, data):
    whole = write(fields)
    cut = data.draw(st.integers(0, len(whole) - 1))
    kinds = [kind for kind, _ in fields]
    with pytest.raises(BadMessage) as caught:
        read(whole[:cut], kinds)
    assert caught.value.reason == ("cdr" if cut < 4 else "truncated")


def test_rclpy_reads_strings_and_empty_and_filled_sequences():
    message = JointState(name=["a", "long"], velocity=[1.0, -2.5], effort=[])
    message.header.frame_id = "arm"
    writer = CdrWriter()
    writer.header("arm", 0)
    writer.pack("I", 2)
    writer.string("a")
    writer.string("long")
    for numbers in ([], [1.0, -2.5], []):
        writer.sequence(np.array(numbers, dtype=np.float64))
    assert deserialize_message(writer.finish(), JointState) == message


def test_rows_and_byte_order():
    writer = CdrWriter()
    writer.sequence(np.arange(6, dtype=">f4").reshape(2, 3))
    rows = CdrReader(writer.finish()).sequence(np.float32, 3)
    assert rows.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("start", [b"\x00\x00\x00\x00", b"\x00\x07\x00\x00", b"\x00\x01"])
def test_other_encapsulations_are_refused(start):
    with pytest.raises(BadMessage, match="cdr"):
        CdrReader(start)


def test_a_string_that_is_not_utf8_is_refused():
    with pytest.raises(BadMessage, match="UTF-8"):
        CdrReader(b"\x00\x01\x00\x00\x02\x00\x00\x00\xff\x00").string()
