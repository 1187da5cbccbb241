# SPDX-License-Identifier: Apache-2.0
"""The message type of /tf and /tf_static, tf2_msgs/TFMessage, also where that package is not installed.

The wheels of ROS 2 have no tf2_msgs. What DDS needs to know of a type is its name, and raw subscriptions and
publishers handle bytes only. So the type support of a message that is there is copied and given the other name and
hash. Such a type serves for raw bytes alone: as an object the message does not exist.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, POINTER, Structure, addressof, c_char_p, c_uint8, c_void_p, cast, py_object, pythonapi
from functools import lru_cache
from typing import Any

from visualization_msgs.msg import MarkerArray

# REP-2011 hash of tf2_msgs/msg/TFMessage. All distributions that have hashes have this one.
TF_MESSAGE_HASH = "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"

_FAST_DDS = b"rosidl_typesupport_fastrtps_c"
_RENAMED = (b"visualization_msgs::msg", b"MarkerArray")
_TF_MESSAGE = (b"tf2_msgs::msg", b"TFMessage")
# What rclpy wants to find besides the type support. It is not used for raw bytes.
_CONVERSIONS = ("_CREATE_ROS_MESSAGE", "_CONVERT_FROM_PY", "_CONVERT_TO_PY", "_DESTROY_ROS_MESSAGE")


class NoTfType(RuntimeError):
    """There is no tf2_msgs, and this ROS is not the one for which the stand-in was made."""


class _TypeSupport(Structure):
    """rosidl_message_type_support_t, rosidl_runtime_c/message_type_support_struct.h."""

    _fields_ = (
        ("identifier", c_char_p),
        ("callbacks", c_void_p),
        ("find", c_void_p),
        ("hash", c_void_p),
        ("description", c_void_p),
        ("sources", c_void_p),
    )


class _Callbacks(Structure):
    """message_type_support_callbacks_t, rosidl_typesupport_fastrtps_cpp/message_type_support.h."""

    _fields_ = (
        ("namespace", c_char_p),
        ("name", c_char_p),
        ("serialize", c_void_p),
        ("deserialize", c_void_p),
        ("serialized_size", c_void_p),
        ("max_serialized_size", c_void_p),
        ("key", c_void_p),
    )


class _Hash(Structure):
    """rosidl_type_hash_t, rosidl_runtime_c/type_hash.h."""

    _fields_ = (("version", c_uint8), ("value", c_uint8 * 32))


_find_function = CFUNCTYPE(c_void_p, c_void_p, c_char_p)
_hash_function = CFUNCTYPE(c_void_p, c_void_p)
_capsule_pointer = pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = c_void_p, [py_object, c_char_p]
_new_capsule = pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = py_object, [c_void_p, c_char_p, c_void_p]


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
    """MarkerArray's type under the name of TFMessage. All that C code points to must live as long as the process."""
    original: Any = type(MarkerArray)
    original.__import_type_support__()
    support, callbacks = _copy_of(original._TYPE_SUPPORT)
    callbacks.namespace, callbacks.name = _TF_MESSAGE
    value = _Hash(1, (c_uint8 * 32)(*bytes.fromhex(TF_MESSAGE_HASH)))
    tell_hash = _hash_function(lambda _: addressof(value))
    support.callbacks, support.hash = addressof(callbacks), cast(tell_hash, c_void_p).value
    members = {name: getattr(original, name) for name in _CONVERSIONS}
    capsule = _new_capsule(addressof(support), None, None)
    kind = type("TFMessageType", (type,), {**members, "_TYPE_SUPPORT": capsule})
    return kind("TFMessage", (), {"_kept_alive": (support, callbacks, value, tell_hash)})


def _copy_of(capsule: Any) -> tuple[_TypeSupport, _Callbacks]:
    """Copies of a message's type support for Fast DDS. Raises NoTfType unless they look as they should."""
    general = _capsule_pointer(capsule, None)
    find = _find_function(_TypeSupport.from_address(general).find)
    found = find(general, _FAST_DDS)
    if not found:
        raise NoTfType("tf2_msgs is not installed and the middleware is not Fast DDS")
    support = _TypeSupport.from_buffer_copy(cast(found, POINTER(_TypeSupport)).contents)
    if support.identifier != _FAST_DDS:
        raise NoTfType("tf2_msgs is not installed and the middleware's type support is of an unknown kind")
    callbacks = _Callbacks.from_buffer_copy(cast(support.callbacks, POINTER(_Callbacks)).contents)
    if (callbacks.namespace, callbacks.name) != _RENAMED:
        raise NoTfType("tf2_msgs is not installed and the middleware's type support is laid out in an unknown way")
    return support, callbacks
