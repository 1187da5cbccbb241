# SPDX-License-Identifier: Apache-2.0
"""The transforms of a running robot, from /tf and /tf_static.

Our own instead of tf2_ros: it is not in the wheels, its listener in Python takes much more of the processor, and a
gap between two transforms is to be told instead of bridged.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from neuralfusion_ros.mapping.poses import Matrix, NoPose
from neuralfusion_ros.mapping.transforms import Transforms
from neuralfusion_ros.messages.stamps import NS_PER_S
from neuralfusion_ros.messages.transforms import decode_transforms
from neuralfusion_ros.nodes.rejections import Rejections

_DEPTH = 100

TF, TF_STATIC = "/tf", "/tf_static"


def tf_qos(is_static: bool) -> QoSProfile:
    """As all publishers of transforms offer; the fixed ones are kept for those who come later."""
    return QoSProfile(
        depth=_DEPTH,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_static else DurabilityPolicy.VOLATILE,
    )


class TransformListener:
    """Callbacks hand in what they receive as bytes; any thread may ask.

    keep_s: for how long transforms are kept. max_gap_s: those further apart are not interpolated. jump_back_ns: a
    larger step back of time is a recording that begins again. wake: called when something new is known.
    """

    def __init__(
        self, keep_s: float, max_gap_s: float, jump_back_ns: int, rejections: Rejections, wake: Callable[[], None]
    ) -> None:
        self._transforms = Transforms(round(max_gap_s * NS_PER_S), round(keep_s * NS_PER_S), jump_back_ns)
        self._rejections, self._wake = rejections, wake
        self._lock = Lock()

    def on_tf(self, data: bytes) -> None:
        """Takes a message of /tf."""
        self._receive(data, is_static=False)

    def on_tf_static(self, data: bytes) -> None:
        """Takes a message of /tf_static."""
        self._receive(data, is_static=True)

    def at(self, frame: str, root: str, stamp_ns: int) -> Matrix:
        """(4, 4) pose of the image's frame in `root` at that moment. Raises NoPose."""
        if not frame:
            raise NoPose("gap", "the image has no frame_id, so no transform can be found for it")
        with self._lock:
            return self._transforms.at(frame, root, stamp_ns)

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets moving transforms from before the jump; stamp_ns: the first moment after it."""
        with self._lock:
            self._transforms.time_jumped_back(stamp_ns)

    def _receive(self, data: bytes, is_static: bool) -> None:
        """A transform that is not valid does not spoil the others of its message."""
        with self._rejections.gate():
            for transform in decode_transforms(data):
                with self._rejections.gate(), self._lock:
                    if is_static:
                        self._transforms.add_fixed(transform.child, transform.parent, transform.matrix())
                    else:
                        self._transforms.add_moving(
                            transform.child, transform.parent, transform.stamp_ns, transform.matrix()
                        )
        self._wake()
