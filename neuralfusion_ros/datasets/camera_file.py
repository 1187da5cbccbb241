# SPDX-License-Identifier: Apache-2.0
"""camera_info.json: the intrinsics beside the depth images of a sequence."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.mapping.camera import PinholeCamera

CAMERA_FILE = "camera_info.json"

_log = logging.getLogger(__name__)


def read_camera_file(path: Path, default_depth_scale: float = 1000.0) -> tuple[PinholeCamera, float]:
    """The camera and its depth scale (stored units per metre).

    Raises RecordingError when the file is missing, is no JSON, lacks a key or has a value out of range.
    """
    values = _read_object(path)
    try:
        camera = PinholeCamera(
            *(_integer(values, key) for key in ("width", "height")),
            *(_number(values, key) for key in ("fx", "fy", "cx", "cy")),
        )
        depth_scale = _number({"depth_scale": default_depth_scale, **values}, "depth_scale")
        if not (isfinite(depth_scale) and depth_scale > 0):
            raise ValueError(f"depth_scale must be positive, got {depth_scale}")
    except (ValueError, OverflowError) as error:
        raise RecordingError(f"{path}: {error}") from error
    if values.get("distortion_model", "none") not in ("", "none"):
        _log.warning("%s: the lens distortion is ignored; use rectified images", path)
    return camera, depth_scale


def write_camera_file(path: Path, camera: PinholeCamera) -> None:
    """Write the camera of depth images in millimetres."""
    values = {**asdict(camera), "depth_scale": 1000.0, "distortion_model": "none"}
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordingError(f"{path} is missing") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise RecordingError(f"{path} does not hold a JSON object")
    return values


def _number(values: dict[str, Any], key: str) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"'{key}' must be a number" if key in values else f"'{key}' is missing")
    return float(value)


def _integer(values: dict[str, Any], key: str) -> int:
    number = _number(values, key)
    if not number.is_integer():
        raise ValueError(f"'{key}' must be a whole number, got {number}")
    return int(number)
