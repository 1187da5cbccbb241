# SPDX-License-Identifier: Apache-2.0
"""Settings from plain values, as they stand in a configuration file or a checkpoint. Nothing is guessed."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import yaml

from neuralfusion_ros.training.settings import SettingsError

Settings = TypeVar("Settings")
_KINDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    int | None: "a whole number or null",
    float | None: "a number or null",
    tuple[int, ...]: "a list of whole numbers",
    tuple[str, ...]: "a list of texts",
}


def read_values(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file. Raises SettingsError for anything else."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold keys and values, not {_shown(values)}")
    return values


def with_values(base: Settings, values: Mapping[Any, Any], inside: str = "") -> Settings:
    """`base`, a dataclass, with some of its fields replaced; inner dataclasses are mappings of their own.

    inside: what stands before a key in messages. Raises SettingsError for unknown keys and wrong types.
    """
    kinds = get_type_hints(type(base))
    known = [field.name for field in fields(cast(Any, base))]
    changes = {}
    for key, value in values.items():
        if key not in known:
            raise SettingsError(f"unknown key {reprlib.repr(f'{inside}{key}')}; known here: {', '.join(known)}")
        changes[key] = _converted(value, kinds[key], getattr(base, key), inside + key)
    try:
        return cast(Settings, replace(cast(Any, base), **changes))
    except ValueError as error:
        raise SettingsError(f"{inside}{error}") from error


def _converted(value: object, kind: Any, current: object, name: str) -> Any:
    """The value of the field `name`, if it is of the field's kind."""
    if is_dataclass(current):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{name} must hold keys and values, not {_shown(value)}")
        return with_values(current, value, f"{name}.")
    if value is None and kind in (int | None, float | None):
        return None
    if kind is str:
        if isinstance(value, str):
            return value
    elif kind in (tuple[int, ...], tuple[str, ...]):
        wanted = int if kind == tuple[int, ...] else str
        if isinstance(value, list) and all(type(item) is wanted for item in value):
            return tuple(value)
    # bool is a kind of int in Python, but not here.
    elif type(value) is int or (type(value) is float and kind in (float, float | None)):
        return value
    raise SettingsError(f"{name} must be {_KINDS[kind]}, not {_shown(value)}{_hint(value, kind)}")


def _shown(value: object) -> str:
    return "text " + reprlib.repr(value) if isinstance(value, str) else reprlib.repr(value)


def _hint(value: object, kind: Any) -> str:
    if isinstance(value, str) and kind in (float, float | None):
        try:
            return f"; YAML wants {float(value)!r} or {float(value):.1e}"
        except ValueError:
            pass
    return ""
