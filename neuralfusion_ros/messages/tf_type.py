# SPDX-License-Identifier: Apache-2.0
"""The message type of /tf and /tf_static, tf2_msgs/TFMessage, also where that package is not installed.

The wheels of ROS 2 have no tf2_msgs. Raw subscriptions and publishers handle bytes only; what ROS needs besides is the
type's name, hash and description, and in Jazzy its members. So the type support of TransformStamped is copied and given
those of TFMessage, which is a sequence of it. Such a type serves for raw bytes alone: as an object the message does not
exist.
"""

from __future__ import annotations

from ctypes import addressof, c_uint8, c_void_p, cast
from functools import lru_cache
from typing import Any

from geometry_msgs.msg import TransformStamped
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.messages import type_support as c

# REP-2011 hash of tf2_msgs/msg/TFMessage. All distributions that have hashes have this one.
TF_MESSAGE_HASH = "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"

_FAST_DDS = b"rosidl_typesupport_fastrtps_c"
_INTROSPECTION = b"rosidl_typesupport_introspection_c"
_RENAMED = (b"geometry_msgs::msg", b"TransformStamped")
_TF_MESSAGE = (b"tf2_msgs::msg", b"TFMessage")
_UNKNOWN_LAYOUT = "tf2_msgs is not installed and the middleware's type support is laid out in an unknown way"
# What rclpy wants to find besides the type support. It is not used for raw bytes.
_CONVERSIONS = ("_CREATE_ROS_MESSAGE", "_CONVERT_FROM_PY", "_CONVERT_TO_PY", "_DESTROY_ROS_MESSAGE")


class NoTfType(RuntimeError):
    """There is no tf2_msgs, and this ROS is not the one for which the stand-in was made."""


@lru_cache(maxsize=1)
def tf_message_type() -> type[Any]:
    """The type to subscribe to or to publish with, for raw bytes. Raises NoTfType."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return _stand_in()
    found: type[Any] = TFMessage
    return found


def _stand_in() -> type[Any]:
    """TransformStamped's type as TFMessage. All that C code points to must live as long as the process."""
    original = _imported(TransformStamped)
    support, callbacks = _copy_of(original)
    callbacks.namespace, callbacks.name = _TF_MESSAGE
    type_hash = c.Hash(1, (c_uint8 * 32)(*bytes.fromhex(TF_MESSAGE_HASH)))
    description = _describe(support)
    members_support, *members = _members(original)
    supports = {_FAST_DDS: addressof(support), _INTROSPECTION: addressof(members_support)}
    find = c.find_function(lambda _, identifier: supports.get(identifier))
    tell_hash = c.tell_function(lambda _: addressof(type_hash))
    tell_description = c.tell_function(lambda _: addressof(description))
    support.callbacks = addressof(callbacks)
    functions = (find, tell_hash, tell_description)
    support.find, support.hash, support.description = (cast(function, c_void_p).value for function in functions)
    kept_alive = (support, callbacks, type_hash, description, members_support, members, functions)
    attributes = {name: getattr(original, name) for name in _CONVERSIONS}
    capsule = c.new_capsule(addressof(support), None, None)
    kind = type("TFMessageType", (type,), {**attributes, "_TYPE_SUPPORT": capsule})
    return kind("TFMessage", (), {"_kept_alive": kept_alive})


def _imported(message: type[Any]) -> Any:
    """What rclpy knows of a message."""
    kind: Any = type(message)
    kind.__import_type_support__()
    return kind


def _found(kind: Any, identifier: bytes) -> c.TypeSupport:
    """A message's type support of one sort. Raises NoTfType."""
    general = c.capsule_pointer(kind._TYPE_SUPPORT, None)
    found = c.find_function(c.TypeSupport.from_address(general).find)(general, identifier)
    if not found:
        raise NoTfType("tf2_msgs is not installed and the middleware is not Fast DDS")
    support = c.TypeSupport.from_address(found)
    if support.identifier != identifier:
        raise NoTfType(_UNKNOWN_LAYOUT)
    return support


def _copy_of(kind: Any) -> tuple[c.TypeSupport, c.Callbacks]:
    """Copies of a message's type support for Fast DDS. Raises NoTfType unless they look as they should."""
    support = c.TypeSupport.from_buffer_copy(_found(kind, _FAST_DDS))
    callbacks = c.Callbacks.from_buffer_copy(c.Callbacks.from_address(support.callbacks))
    if (callbacks.namespace, callbacks.name) != _RENAMED:
        raise NoTfType(_UNKNOWN_LAYOUT)
    return support, callbacks


def _members(transform: Any) -> tuple[c.TypeSupport, c.Members, c.Member]:
    """The members of TFMessage, made of those of another message that is one sequence. Raises NoTfType."""
    support = c.TypeSupport.from_buffer_copy(_found(_imported(MarkerArray), _INTROSPECTION))
    members = c.Members.from_buffer_copy(c.Members.from_address(support.callbacks))
    if members.count != 1:
        raise NoTfType(_UNKNOWN_LAYOUT)
    member = c.Member.from_buffer_copy(c.Member.from_address(members.members))
    if member.name != b"markers" or not member.is_array:
        raise NoTfType(_UNKNOWN_LAYOUT)
    member.name, member.kind = b"transforms", addressof(_found(transform, _INTROSPECTION))
    members.namespace, members.name = (text.replace(b"::", b"__") for text in _TF_MESSAGE)
    members.members, support.callbacks = addressof(member), addressof(members)
    return support, members, member


def _describe(transform_support: c.TypeSupport) -> c.Description:
    """The description of TFMessage: one field `transforms`, a sequence of TransformStamped."""
    transform = c.Description.from_address(c.tell_function(transform_support.description)(addressof(transform_support)))
    its_parts = [transform.others.data[number] for number in range(transform.others.size)]
    parts = sorted([transform.own, *its_parts], key=lambda part: bytes(part.name.data))
    others = (c.OneDescription * len(parts))(*parts)
    kind = c.FieldType(c.UNBOUNDED_SEQUENCE_OF_MESSAGES, 0, 0, transform.own.name)
    fields = (c.Field * 1)(c.Field(c.String.of(b"transforms"), kind, c.String.of(b"")))
    own = c.OneDescription(c.String.of(b"tf2_msgs/msg/TFMessage"), c.Fields(fields, 1, 1))
    return c.Description(own, c.Descriptions(others, len(parts), len(parts)))
