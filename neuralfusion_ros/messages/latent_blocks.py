# SPDX-License-Identifier: Apache-2.0
"""The stream of map blocks between the fusion node and the translator node, as sensor_msgs/PointCloud2.

One point per block of 8x8x8 voxels: its smallest corner (so that any viewer shows where the map is), its coordinates,
the facts of the message repeated in every point, and the voxels' values as bytes. A message without blocks has no
`data` field, and a message with neither blocks nor removals is one header point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sensor_msgs.msg import PointCloud2

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS
from neuralfusion_ros.mapping.block_index import KEY_LIMIT, pack_keys
from neuralfusion_ros.mapping.compiled import has_numba
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.point_cloud import point_cloud_bytes, read_point_cloud

BLOCK, REMOVED, HEADER = 0, 1, 2  # values of the field `kind`
FIRST_OF_FULL = 1  # bit of the field `flags`

_FACTS = ("voxel_size", "map_id", "sequence", "model_hash", "n_blocks_total", "flags")
_POINT = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("i", "<i4"), ("j", "<i4"), ("k", "<i4"), ("voxel_size", "<f8")]
    + [(name, "<u4") for name in (*_FACTS[1:], "kind")]
)
_CHANNEL_BYTES = BLOCK_VOXELS * 2


@dataclass(frozen=True, eq=False)
class BlockMessage:
    """Changes of a latent map since the message before.

    map_id: uint32, random for every map; a new one after a reset. sequence: uint32, one more with every message.
    model_hash: uint32, first 4 bytes of the sha256 of the model that made the values.
    first_of_full: the whole map follows, beginning with this message. n_blocks_total: uint32, blocks in the sender's
    map after this message. keys: (B, 3) int32 coordinates of changed blocks. states: (B, 512, C) float16 values of
    their voxels. removed: (R, 3) int32 coordinates of blocks that are gone.
    """

    stamp_ns: int
    frame_id: str
    map_id: int
    sequence: int
    voxel_size_m: float
    model_hash: int
    first_of_full: bool
    n_blocks_total: int
    keys: npt.NDArray[np.int32]
    states: npt.NDArray[np.float16]
    removed: npt.NDArray[np.int32]


def encode_blocks(message: BlockMessage) -> bytes:
    """A serialised PointCloud2.

    Points of removed blocks are as large as the others of the message, so many removals are best sent in a message of
    their own. Raises ValueError when keys and states do not belong together.
    """
    n_blocks, n_removed = len(message.keys), len(message.removed)
    if message.states.shape[:2] != (n_blocks, BLOCK_VOXELS):
        raise ValueError(f"{n_blocks} block keys with states of shape {message.states.shape}")
    points = np.zeros(max(1, n_blocks + n_removed), dtype=_point_dtype(message.states.shape[2] if n_blocks else 0))
    points["kind"] = HEADER
    points["kind"][:n_blocks] = BLOCK
    points["kind"][n_blocks : n_blocks + n_removed] = REMOVED
    _fill_facts(points, message)
    _fill_keys(points[:n_blocks], message.keys, message.voxel_size_m)
    _fill_keys(points[n_blocks : n_blocks + n_removed], message.removed, message.voxel_size_m)
    if n_blocks:
        states = np.ascontiguousarray(message.states, dtype="<f2")
        points["data"][:n_blocks] = states.reshape(n_blocks, -1).view(np.uint8)
    return point_cloud_bytes(message.frame_id, message.stamp_ns, points)


def decode_blocks(message: PointCloud2 | bytes) -> BlockMessage:
    """The block message in a PointCloud2 or in its serialised bytes; all arrays may be parts of the message.

    Raises BadMessage 'latent_blocks' when it is not one, contradicts itself or holds values that are not finite.
    """
    try:
        frame_id, stamp_ns, points = read_point_cloud(message)
    except BadMessage as error:
        raise _bad(error.detail) from None
    _check_fields(points)
    facts = _common_facts(points)
    kind = points["kind"]
    keys, removed = _keys_of(points[kind == BLOCK]), _keys_of(points[kind == REMOVED])
    _check_rows(kind, np.concatenate((keys, removed)), int(facts["n_blocks_total"]))
    return BlockMessage(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        map_id=int(facts["map_id"]),
        sequence=int(facts["sequence"]),
        voxel_size_m=float(facts["voxel_size"]),
        model_hash=int(facts["model_hash"]),
        first_of_full=bool(int(facts["flags"]) & FIRST_OF_FULL),
        n_blocks_total=int(facts["n_blocks_total"]),
        keys=keys,
        states=_states_of(points, kind == BLOCK),
        removed=removed,
    )


def _point_dtype(channels: int) -> np.dtype[np.void]:
    data = [("data", "u1", (channels * _CHANNEL_BYTES,))] if channels else []
    return np.dtype(_POINT.descr + data)


def _fill_facts(points: npt.NDArray[np.void], message: BlockMessage) -> None:
    points["voxel_size"] = message.voxel_size_m
    points["map_id"] = message.map_id
    points["sequence"] = message.sequence
    points["model_hash"] = message.model_hash
    points["n_blocks_total"] = message.n_blocks_total
    points["flags"] = FIRST_OF_FULL if message.first_of_full else 0


def _fill_keys(points: npt.NDArray[np.void], keys: npt.NDArray[np.int32], voxel_size_m: float) -> None:
    corners_m = keys * (BLOCK_SIZE * voxel_size_m)
    for axis, (corner, key) in enumerate(zip("xyz", "ijk", strict=True)):
        points[corner], points[key] = corners_m[:, axis], keys[:, axis]


def _keys_of(points: npt.NDArray[np.void]) -> npt.NDArray[np.int32]:
    return np.stack([points[name] for name in "ijk"], axis=-1).astype(np.int32)


def _states_of(points: npt.NDArray[np.void], is_block: npt.NDArray[np.bool_]) -> npt.NDArray[np.float16]:
    """(B, 512, C) values; C is 0 when there are no blocks."""
    if not is_block.any():
        return np.zeros((0, BLOCK_VOXELS, 0), dtype=np.float16)
    # Mostly all of the points are blocks, and nothing has to be copied.
    data = points["data"] if is_block.all() else points["data"][is_block]
    # The bytes are little endian even in a big-endian cloud, where only the numbers around them are swapped.
    states = data.view("<f2").reshape(len(data), BLOCK_VOXELS, -1).astype(np.float16, copy=False)
    if not _are_finite(states):
        raise _bad("A block holds a value that is not finite.")
    return states


def _are_finite(states: npt.NDArray[np.float16]) -> bool:
    if not has_numba():
        return bool(np.isfinite(states).all())
    from neuralfusion_ros.mapping.compiled.block_states import all_finite  # importing numba takes a while

    return all_finite(states)


def _check_fields(points: npt.NDArray[np.void]) -> None:
    dtype = points.dtype
    for name in _POINT.names or ():
        if name not in (dtype.names or ()) or dtype[name].newbyteorder("<") != _POINT[name]:
            raise _bad(f"The cloud has no field '{name}' of type {_POINT[name]}.")
    if "data" not in (dtype.names or ()):
        if (points["kind"] == BLOCK).any():
            raise _bad("The cloud has blocks but no field 'data'.")
    elif dtype["data"].base != np.uint8 or dtype["data"].itemsize % _CHANNEL_BYTES:
        raise _bad("The field 'data' is not made of whole float16 channels of 512 voxels.")


def _common_facts(points: npt.NDArray[np.void]) -> np.void:
    """The first point, after checking that all others say the same about the message."""
    if len(points) == 0:
        raise _bad("The message has no points.")
    for name in _FACTS:
        if (points[name] != points[name][0]).any():
            raise _bad(f"The points of one message differ in '{name}'.")
    first: np.void = points[0]
    if not (np.isfinite(first["voxel_size"]) and first["voxel_size"] > 0):
        raise _bad(f"The voxel size is {first['voxel_size']}.")
    return first


def _check_rows(kind: npt.NDArray[np.uint32], keys: npt.NDArray[np.int32], n_blocks_total: int) -> None:
    if (kind > HEADER).any() or ((kind == HEADER).any() and len(kind) > 1):
        raise _bad("A point is neither a block, nor a removal, nor the only point of the message.")
    if (keys <= -KEY_LIMIT).any() or (keys >= KEY_LIMIT).any():
        raise _bad("A block lies outside the range of block coordinates.")
    if len(pack_keys(torch.from_numpy(keys)).unique()) < len(keys):
        raise _bad("A block occurs twice.")
    if n_blocks_total < np.count_nonzero(kind == BLOCK):
        raise _bad("The message has more blocks than the sender's map.")


def _bad(detail: str) -> BadMessage:
    return BadMessage("latent_blocks", detail)
