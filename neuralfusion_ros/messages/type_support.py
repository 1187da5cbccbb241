# SPDX-License-Identifier: Apache-2.0
"""What ROS's C code knows of a message type, laid out as in the headers of rosidl_runtime_c (Jazzy, Kilted)."""

from __future__ import annotations

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
    py_object,
    pythonapi,
)

UNBOUNDED_SEQUENCE_OF_MESSAGES = 145


class TypeSupport(Structure):
    """rosidl_message_type_support_t, message_type_support_struct.h. hash, description: functions."""

    _fields_ = (
        ("identifier", c_char_p),
        ("callbacks", c_void_p),
        ("find", c_void_p),
        ("hash", c_void_p),
        ("description", c_void_p),
        ("sources", c_void_p),
    )


class Callbacks(Structure):
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


class Members(Structure):
    """rosidl_typesupport_introspection_c__MessageMembers, message_introspection.h."""

    _fields_ = (
        ("namespace", c_char_p),
        ("name", c_char_p),
        ("count", c_uint32),
        ("bytes", c_size_t),
        ("has_key", c_bool),
        ("members", c_void_p),
        ("init", c_void_p),
        ("fini", c_void_p),
    )


class Member(Structure):
    """rosidl_typesupport_introspection_c__MessageMember. kind: type support of the message that it is."""

    _fields_ = (
        ("name", c_char_p),
        ("number", c_uint8),
        ("string_bound", c_size_t),
        ("kind", c_void_p),
        ("is_key", c_bool),
        ("is_array", c_bool),
        ("array_size", c_size_t),
        ("is_bounded", c_bool),
        ("offset", c_uint32),
        ("default_value", c_void_p),
        ("functions", c_void_p * 6),
    )


class Hash(Structure):
    """rosidl_type_hash_t, type_hash.h."""

    _fields_ = (("version", c_uint8), ("value", c_uint8 * 32))


class String(Structure):
    """rosidl_runtime_c__String, string.h."""

    _fields_ = (("data", c_char_p), ("size", c_size_t), ("capacity", c_size_t))

    @classmethod
    def of(cls, text: bytes) -> String:
        """A String that holds a text, which must stay alive."""
        return cls(text, len(text), len(text) + 1)


class FieldType(Structure):
    """type_description/field_type__struct.h. number: which kind of type."""

    _fields_ = (("number", c_uint8), ("capacity", c_uint64), ("string_capacity", c_uint64), ("message", String))


class Field(Structure):
    """type_description/field__struct.h."""

    _fields_ = (("name", String), ("type", FieldType), ("default_value", String))


class Fields(Structure):
    """A sequence of Field."""

    _fields_ = (("data", POINTER(Field)), ("size", c_size_t), ("capacity", c_size_t))


class OneDescription(Structure):
    """type_description/individual_type_description__struct.h."""

    _fields_ = (("name", String), ("fields", Fields))


class Descriptions(Structure):
    """A sequence of OneDescription."""

    _fields_ = (("data", POINTER(OneDescription)), ("size", c_size_t), ("capacity", c_size_t))


class Description(Structure):
    """type_description/type_description__struct.h: a type, and those that it is made of."""

    _fields_ = (("own", OneDescription), ("others", Descriptions))


find_function = CFUNCTYPE(c_void_p, c_void_p, c_char_p)
tell_function = CFUNCTYPE(c_void_p, c_void_p)

capsule_pointer = pythonapi.PyCapsule_GetPointer
capsule_pointer.restype, capsule_pointer.argtypes = c_void_p, [py_object, c_char_p]
new_capsule = pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = py_object, [c_void_p, c_char_p, c_void_p]
