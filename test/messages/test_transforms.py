# SPDX-License-Identifier: Apache-2.0
"""Bytes of a TFMessage, held against a second implementation of CDR, and the type that carries them."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore
from type_description_interfaces.msg import FieldType
from type_description_interfaces.srv import GetTypeDescription

from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.tf_type import TF_MESSAGE_HASH, tf_message_type
from neuralfusion_ros.messages.transforms import decode_transforms, encode_transforms

TURNED = pose_matrix((1.0, -2.0, 3.5), (0.5, -0.5, 0.5, -0.5))
TWO = [("odom", "base_link", 12_000_000_034, np.eye(4)), ("base_link", "a camera", 5, TURNED)]


@pytest.fixture(scope="module")
def store():
    return get_typestore(Stores.ROS2_KILTED)


def test_what_rosbags_writes_is_read(store):
    kinds = store.types
    header, time = kinds["std_msgs/msg/Header"], kinds["builtin_interfaces/msg/Time"]
    transform = kinds["geometry_msgs/msg/Transform"](
        kinds["geometry_msgs/msg/Vector3"](1.0, -2.0, 3.5), kinds["geometry_msgs/msg/Quaternion"](0.5, -0.5, 0.5, -0.5)
    )
    stamped = kinds["geometry_msgs/msg/TransformStamped"](header(time(12, 34), "odom"), "camera", transform)
    message = kinds["tf2_msgs/msg/TFMessage"]([stamped, stamped])
    data = bytes(store.serialize_cdr(message, "tf2_msgs/msg/TFMessage"))
    first, second = decode_transforms(data)
    assert first == second and first[:3] == ("odom", "camera", 12_000_000_034)
    np.testing.assert_allclose(first.matrix(), TURNED, atol=1e-12)


def test_what_is_written_rosbags_reads(store):
    message = store.deserialize_cdr(encode_transforms(TWO), "tf2_msgs/msg/TFMessage")
    assert [item.child_frame_id for item in message.transforms] == ["base_link", "a camera"]
    assert message.transforms[0].header.stamp.nanosec == 34
    assert message.transforms[1].transform.translation.y == -2.0


@pytest.mark.parametrize("numbers", [(0, 0, 0, 0, 0, 0, 2), (float("nan"), 0, 0, 0, 0, 0, 1)])
def test_a_transform_that_is_none_is_refused_by_name(numbers):
    transform = decode_transforms(encode_transforms(TWO))[1]._replace(numbers=numbers)
    with pytest.raises(BadMessage, match="from 'a camera' to 'base_link'") as error:
        transform.matrix()
    assert error.value.reason == "transform"


@given(st.binary(max_size=40), st.integers(0, 300))
def test_damaged_bytes_are_refused_or_read(junk, cut):
    good = encode_transforms(TWO)
    try:
        decode_transforms(good[:cut] + junk)
    except BadMessage:
        return
    assert cut >= 8 or len(junk) >= 4


def test_the_hash_is_that_of_the_definition(store):
    assert store.hash_rihs01("tf2_msgs/msg/TFMessage") == f"RIHS01_{TF_MESSAGE_HASH}"


WITHOUT_TF2 = pytest.mark.skipif(importlib.util.find_spec("tf2_msgs") is not None, reason="tf2_msgs is installed")


@WITHOUT_TF2
def test_the_stand_in_is_made_once():
    assert tf_message_type() is tf_message_type()
    assert tf_message_type().__name__ == "TFMessage"


def test_other_nodes_see_the_type_as_what_it_is(node, store):
    """Name and hash come by discovery; whoever asks for the description gets the one that gives that hash."""
    node.create_subscription(tf_message_type(), "/tf", lambda data: None, 10, raw=True)
    (info,) = node.get_subscriptions_info_by_topic("/tf")
    assert info.topic_type == "tf2_msgs/msg/TFMessage"
    assert bytes(info.topic_type_hash.value).hex() == TF_MESSAGE_HASH
    client = node.create_client(GetTypeDescription, f"{node.get_fully_qualified_name()}/get_type_description")
    request = GetTypeDescription.Request(type_name=info.topic_type, type_hash=f"RIHS01_{TF_MESSAGE_HASH}")
    answer = client.call_async(request)
    node.executor.spin_until_future_complete(answer, timeout_sec=30)
    result = answer.result()
    assert result.successful, result.failure_reason
    described = result.type_description
    assert described.type_description.type_name == "tf2_msgs/msg/TFMessage"
    (field,) = described.type_description.fields
    assert (field.name, field.type.type_id) == ("transforms", FieldType.FIELD_TYPE_NESTED_TYPE_UNBOUNDED_SEQUENCE)
    assert field.type.nested_type_name == "geometry_msgs/msg/TransformStamped"
    names = [part.type_name for part in described.referenced_type_descriptions]
    assert names == sorted(names) and len(names) == 6 and "std_msgs/msg/Header" in names
