# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to and from a pinhole camera, with distortion, binning and region of interest (REP-104).

One camera info serves two images. K and D describe the image as the lens made it, P the one that was rectified. So a
rectified image is read with P, and D is none of its business; any other image is read with K, after D was undone.
"""

from __future__ import annotations

from typing import NamedTuple

from sensor_msgs.msg import CameraInfo

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.rectification import Distortion
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import ns_to_stamp

# A radial coefficient of this size moves the corner pixel of a wide VGA camera by a few hundredths of a pixel.
DISTORTION_TOLERANCE = 1e-4
# Name in ROS -> number of coefficients, in the order of Distortion's fields.
MAX_COEFFICIENT = 1000.0
# In edges of the sensor. A focal length of one edge sees 53 degrees; the least that is accepted 178, the most half a
# degree. The middle of a rectified image may lie outside of it, but not far.
FOCAL_EDGES, CENTRE_EDGES = (0.01, 100.0), 10.0
DISTORTION_MODELS = {"plumb_bob": 5, "rational_polynomial": 8}


class _Region(NamedTuple):
    """The part of the sensor that the image shows, in unbinned pixels."""

    x: int
    y: int
    width: int
    height: int


def decode_camera(info: CameraInfo, expected_size: tuple[int, int], rectified: bool = False) -> PinholeCamera:
    """The camera of an image of expected_size = (width, height) pixels, without its distortion.

    rectified: the image is, so P counts; where a driver leaves P empty, K is taken for both. Binned pixels are taken
    as the mean of the pixels that they cover, so the centre of the first one lies (binning - 1) / 2 unbinned pixels
    inside the region.
    Raises BadMessage: 'intrinsics' or 'size'.
    """
    intrinsics = _intrinsics(info, rectified)
    fx, fy, cx, cy = intrinsics
    region = _region(info)
    bin_x, bin_y = max(1, info.binning_x), max(1, info.binning_y)
    size = (region.width // bin_x, region.height // bin_y)
    if size != tuple(expected_size) or min(size) == 0:
        detail = "The camera info is for {}x{} pixels, the image has {}x{}.".format(*size, *expected_size)
        raise BadMessage("size", detail)
    _check_scale(intrinsics, max(info.width, info.height))
    centre_x = (cx - region.x - (bin_x - 1) / 2) / bin_x
    centre_y = (cy - region.y - (bin_y - 1) / 2) / bin_y
    return PinholeCamera(*size, fx / bin_x, fy / bin_y, centre_x, centre_y)


def decode_distortion(info: CameraInfo) -> Distortion | None:
    """The distortion of an image that was not rectified; None if it has none to speak of. Raises BadMessage."""
    coefficients = [float(value) for value in info.d]
    # Written so that NaN counts as something.
    if all(abs(value) <= DISTORTION_TOLERANCE for value in coefficients):
        return None
    known = DISTORTION_MODELS.get(info.distortion_model)
    if known is None:
        names = " and ".join(DISTORTION_MODELS)
        detail = f"Only {names} distortion can be undone, not '{info.distortion_model}'; send rectified images."
        raise BadMessage("distortion", detail)
    used, others = coefficients[:known], coefficients[known:]
    if any(value != 0 for value in others) or not all(abs(value) <= MAX_COEFFICIENT for value in used):
        shown = ", ".join(f"{value:g}" for value in coefficients)
        raise BadMessage("distortion", f"These are no coefficients of {info.distortion_model} distortion: {shown}.")
    return Distortion(*used)


def encode_camera(camera: PinholeCamera, stamp_ns: int, frame_id: str) -> CameraInfo:
    """The CameraInfo of an undistorted camera."""
    info = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.header.stamp = ns_to_stamp(stamp_ns)
    info.header.frame_id = frame_id
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def _intrinsics(info: CameraInfo, rectified: bool) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of the whole sensor."""
    if rectified and info.p[0] != 0:
        fx, skew, cx, _, _, fy, cy, *_ = (float(value) for value in info.p)
    else:
        fx, skew, cx, _, fy, cy, *_ = (float(value) for value in info.k)
    if skew != 0:
        raise BadMessage("intrinsics", f"The camera matrix has skew {skew:g}, which a pinhole camera cannot have.")
    return fx, fy, cx, cy


def _check_scale(intrinsics: tuple[float, float, float, float], edge: int) -> None:
    """Raises BadMessage for what no camera has, as from a driver that sends garbage. edge: of the sensor, in pixels."""
    fx, fy, cx, cy = intrinsics
    low, high = (edges * edge for edges in FOCAL_EDGES)
    shown = f"fx={fx:g} fy={fy:g} cx={cx:g} cy={cy:g}"
    if not (low <= fx <= high and low <= fy <= high):
        detail = f"fx and fy must lie in {low:g}..{high:g} pixels for a sensor of {edge} pixels"
        raise BadMessage("intrinsics", f"The camera info is not usable: {detail}, got {shown}.")
    if not (abs(cx) <= CENTRE_EDGES * edge and abs(cy) <= CENTRE_EDGES * edge):
        detail = f"cx and cy must lie within {CENTRE_EDGES * edge:g} pixels for a sensor of {edge} pixels"
        raise BadMessage("intrinsics", f"The camera info is not usable: {detail}, got {shown}.")


def _region(info: CameraInfo) -> _Region:
    roi = info.roi
    if not any((roi.x_offset, roi.y_offset, roi.width, roi.height)):
        return _Region(0, 0, info.width, info.height)
    if roi.x_offset + roi.width > info.width or roi.y_offset + roi.height > info.height:
        raise BadMessage("size", "The region of interest of the camera info reaches beyond the sensor.")
    return _Region(roi.x_offset, roi.y_offset, roi.width, roi.height)
