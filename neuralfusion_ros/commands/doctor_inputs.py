# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with an input of the fusion node: nobody sends it, it does not fit, nothing comes.

The functions return one line, what is wrong and what to do, or None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from neuralfusion_ros.commands.doctor_snapshot import Endpoint, Input, Link, Snapshot

_NS_PER_S = 1e9


def not_published(snapshot: Snapshot, kind: str, what: str, remedy: str = "start the camera or remap") -> str | None:
    """Nobody publishes an input of this type."""
    found = snapshot.inputs.get(kind)
    if found is None:
        return f"{snapshot.fusion} subscribes no topic of type {kind}: restart it"
    return None if found.publishers else f"nobody publishes {what} on {found.topic}: {remedy}"


def does_not_fit(snapshot: Snapshot, kind: str) -> str | None:
    """No publisher of the input can reach the node, for its type or its quality of service."""
    found = snapshot.inputs[kind]
    reasons = [_mismatch(publisher, own, found) for publisher in found.publishers for own in found.subscriptions]
    return None if not reasons or None in reasons else reasons[0]


def _mismatch(publisher: Endpoint, own: Endpoint, found: Input) -> str | None:
    if publisher.type != own.type:
        return f"{publisher.node} publishes {publisher.type} on {found.topic}, not {own.type}: remap to another topic"
    policy = _incompatible_policy(publisher, own)
    if policy is None:
        return None
    name, offered, wanted = policy
    remedy = "set input_qos to sensor_data" if name == "reliability" else f"publish with {name} {wanted}"
    return (
        f"QoS of {found.topic} cannot match, {name} is {offered} at the publisher {publisher.node} and {wanted} at "
        f"{own.node}: {remedy}"
    )


def _incompatible_policy(publisher: Endpoint, own: Endpoint) -> tuple[str, str, str] | None:
    """(policy, what is offered, what is wanted) of the first policy by which the two do not connect."""
    if (publisher.reliability, own.reliability) == ("best_effort", "reliable"):
        return "reliability", publisher.reliability, own.reliability
    if (publisher.durability, own.durability) == ("volatile", "transient_local"):
        return "durability", publisher.durability, own.durability
    if publisher.deadline_s > own.deadline_s:
        return "deadline", f"{publisher.deadline_s:g} s", f"{own.deadline_s:g} s"
    return None


def nothing_came(snapshot: Snapshot, kind: str, what: str, remedy: str) -> str | None:
    """No message of the input came, here or at the node."""
    found = snapshot.inputs[kind]
    if found.stamps_ns or snapshot.said[snapshot.fusion].grew("integrated"):
        return None
    nodes = ", ".join(sorted({publisher.node for publisher in found.publishers}))
    return f"no {what} came on {found.topic} in {snapshot.seconds:.0f} s although {nodes} publishes it: {remedy}"


def seconds_off(images_ns: Sequence[int], poses_ns: Sequence[int], near_s: float) -> float | None:
    """How much later the newest of the poses is than the newest of the images; negative: earlier.

    None when that is no more than near_s and the time between two of them, or when there are none.
    """
    if not images_ns or not poses_ns:
        return None
    off_s = (poses_ns[-1] - images_ns[-1]) / _NS_PER_S
    return off_s if abs(off_s) > near_s + _longest_step_s(images_ns) + _longest_step_s(poses_ns) else None


def _longest_step_s(stamps_ns: Sequence[int]) -> float:
    return max((abs(after - before) for before, after in pairwise(stamps_ns)), default=0) / _NS_PER_S


def way(frame: str, other: str, links: Iterable[Link]) -> list[Link] | None:
    """The links, in any direction, that lead from one frame to another; None when they are not joined."""
    neighbours: dict[str, dict[str, Link]] = {}
    for link in links:
        for a, b in (link, link[::-1]):
            neighbours.setdefault(a, {})[b] = link
    ways: dict[str, list[Link]] = {frame: []}
    edge = [frame]
    while edge:
        here = edge.pop()
        new = {there: [*ways[here], link] for there, link in neighbours.get(here, {}).items() if there not in ways}
        ways |= new
        edge += new
    return ways.get(other)
