# SPDX-License-Identifier: Apache-2.0
"""The checks of `neuralfusion doctor`, in the order in which a graph comes to life.

Each looks at a snapshot and returns one line, what is missing and what to do, or None. A check may rely on those
before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from neuralfusion_ros.commands.doctor_inputs import (
    does_not_fit,
    not_published,
    nothing_came,
    seconds_off,
    way,
)
from neuralfusion_ros.commands.doctor_snapshot import IMAGE, INFO, ODOMETRY, POSE, Link, Snapshot
from neuralfusion_ros.mapping.transforms import frame_name

Check = Callable[[Snapshot], str | None]

_NAMED_TOPICS = 3


def first_missing(snapshot: Snapshot) -> str | None:
    """The first thing that is missing, with what to do; None when all is well."""
    return next((line for check in CHECKS if (line := check(snapshot))), None)


def fusion_runs(snapshot: Snapshot) -> str | None:
    """There is a fusion node, and only one."""
    count = snapshot.nodes.count(snapshot.fusion)
    if count > 1:
        return (
            f"{count} nodes are called {snapshot.fusion}: stop those that are left over, or start each in a namespace"
        )
    if count == 1:
        return None
    seen = f"{len(snapshot.nodes)} other nodes are there" if snapshot.nodes else "no node at all is there"
    return (
        f"no {snapshot.fusion}, {seen}: start it, or look where it runs, with its ROS_DOMAIN_ID "
        f"(here {snapshot.domain}) and --namespace"
    )


def fusion_is_active(snapshot: Snapshot) -> str | None:
    """The fusion node answers and is active."""
    return _not_active(snapshot, snapshot.fusion)


def clock_runs(snapshot: Snapshot) -> str | None:
    """With use_sim_time there is a running clock."""
    if snapshot.parameters.get("use_sim_time") is not True or snapshot.clock_ticks:
        return None
    if not snapshot.clock_publishers:
        return (
            "use_sim_time is set but nobody publishes /clock: play the bag with --clock, or set use_sim_time to false"
        )
    return f"use_sim_time is set but /clock stood still for {snapshot.seconds:.0f} s: let the simulation or bag run on"


def fusion_is_not_paused(snapshot: Snapshot) -> str | None:
    """Nobody has paused the fusion node."""
    if snapshot.said[snapshot.fusion].last.get("paused") != "True":
        return None
    return f"{snapshot.fusion} is paused: call the service {snapshot.fusion}/resume"


def depth_is_published(snapshot: Snapshot) -> str | None:
    """Somebody publishes the depth images."""
    line = not_published(snapshot, IMAGE, "depth images")
    topic = snapshot.inputs[IMAGE].topic if IMAGE in snapshot.inputs else ""
    others = [other for other in snapshot.image_topics if other != topic]
    if not line or not others:
        return line
    similar = get_close_matches(topic, others, _NAMED_TOPICS, 0.0)
    return f"{line}; remap depth/image to the right one of these: {', '.join(similar)}"


def depth_fits(snapshot: Snapshot) -> str | None:
    """The depth images have the right type and can reach the node."""
    return does_not_fit(snapshot, IMAGE)


def info_is_there(snapshot: Snapshot) -> str | None:
    """Camera infos are published, fit and come."""
    line = not_published(snapshot, INFO, "camera infos") or does_not_fit(snapshot, INFO)
    return line or nothing_came(snapshot, INFO, "camera info", "look whether the driver is calibrated and runs")


def depth_comes(snapshot: Snapshot) -> str | None:
    """Depth images come."""
    if snapshot.said[snapshot.fusion].grew("received"):
        return None
    return nothing_came(snapshot, IMAGE, "depth image", "look whether the camera runs and the bag plays")


def poses_come(snapshot: Snapshot) -> str | None:
    """Poses are published, fit and come; or, with tf, transforms do."""
    kind = _pose_type(snapshot)
    if kind is None:
        no_tf = snapshot.tf_links is not None and not snapshot.tf_links
        return "nothing on /tf and /tf_static: start the localisation and the robot's description" if no_tf else None
    source = "start the localisation, remap the topic, or set pose_source"
    line = not_published(snapshot, kind, "poses", source) or does_not_fit(snapshot, kind)
    return line or nothing_came(snapshot, kind, "pose", "look whether the localisation runs")


def frames_are_connected(snapshot: Snapshot) -> str | None:
    """The camera's frame is joined to the map's frame, or the poses are given in that."""
    target = str(snapshot.parameters.get("global_frame", ""))
    kind = _pose_type(snapshot)
    if kind is not None:
        frame = frame_name(snapshot.inputs[kind].frame_id)
        if frame in ("", frame_name(target)) or not target:
            return None
        return f"poses are in the frame '{frame}' but the map is in '{target}': set global_frame to '{frame}'"
    camera = frame_name(snapshot.inputs[IMAGE].frame_id)
    if snapshot.tf_links is None or not camera or _way_to(snapshot, camera) is not None:
        return None
    target = frame_name(target)
    known = {frame for link in snapshot.tf_links for frame in link}
    unknown = [f"tf does not know '{frame}'" for frame in (camera, target) if frame not in known]
    why = " and ".join(unknown) or "nothing joins the two trees"
    return f"frame '{camera}' of the images is not connected to '{target}', {why}: publish the missing transform"


def poses_are_in_time(snapshot: Snapshot) -> str | None:
    """Poses, or the transforms between camera and map, and images have the same clock and come together."""
    if snapshot.said[snapshot.fusion].grew("integrated"):
        return None
    near_s = float(snapshot.parameters.get("max_pose_gap_s", 0.2))
    for what, stamps_ns in _stamps_of_poses(snapshot).items():
        off_s = seconds_off(snapshot.inputs[IMAGE].stamps_ns, stamps_ns, near_s)
        if off_s is not None:
            return (
                f"{what} {abs(off_s):.2f} s {'older' if off_s < 0 else 'newer'} than the images: give both drivers the "
                "same clock (use_sim_time, NTP or PTP), or raise max_wait_for_pose_s if they come late"
            )
    return None


def frames_are_used(snapshot: Snapshot) -> str | None:
    """Most frames are integrated, neither rejected nor dropped."""
    said = snapshot.said[snapshot.fusion]
    used, rejected, dropped = (said.grew(key) for key in ("integrated", "rejected", "dropped"))
    if rejected > used:
        reasons = ", ".join(f"{count} {reason}" for reason, count in said.grown("rejected.").items())
        detail = f" ({said.problem})" if said.problem else ""
        return (
            f"{rejected} of {rejected + used} frames were rejected, {reasons}{detail}: see the log of {snapshot.fusion}"
        )
    if dropped > used:
        return (
            f"{dropped} of {dropped + used} frames were dropped because fusion takes {said.last.get('ms_p50')} ms for "
            "one: use a larger voxel_size, a smaller max_depth or a GPU, or send fewer images"
        )
    if said.grew("blocks_refused"):
        return "the map is full, new blocks are refused: raise max_map_bytes, or call ~/reset"
    return f"{snapshot.fusion} says: {said.problem}: see its log" if said.problem else None


def translator_works(snapshot: Snapshot) -> str | None:
    """There is an active translator node that follows the map."""
    if snapshot.translator not in snapshot.nodes:
        others = ", ".join(snapshot.block_receivers)
        return None if others else f"no {snapshot.translator}, nobody makes a mesh of the map: start it"
    line = _not_active(snapshot, snapshot.translator)
    said = snapshot.said.get(snapshot.translator)
    if line or said is None or not said.problem:
        return line
    return f"{snapshot.translator} says: {said.problem}: start it with the model and the namespace of the fusion node"


def outputs_are_wanted(snapshot: Snapshot) -> str | None:
    """Somebody subscribes to what the translator node makes."""
    if snapshot.translator not in snapshot.nodes or any(snapshot.listeners.values()):
        return None
    topics = ", ".join(snapshot.listeners) or f"{snapshot.translator}/mesh"
    return f"nobody subscribes to the outputs ({topics}), so none is made: open RViz or start what needs them"


def gpu_is_used(snapshot: Snapshot) -> str | None:
    """A GPU is not left idle, unless that was asked for."""
    device = snapshot.said[snapshot.fusion].last.get("device", "")
    if not snapshot.has_gpu or device != "cpu" or snapshot.parameters.get("device") == "cpu":
        return None
    return f"{snapshot.fusion} uses the CPU although a GPU is there: install a build of torch with CUDA and restart it"


CHECKS: Sequence[Check] = (
    fusion_runs,
    fusion_is_active,
    clock_runs,
    fusion_is_not_paused,
    depth_is_published,
    depth_fits,
    info_is_there,
    depth_comes,
    poses_come,
    frames_are_connected,
    poses_are_in_time,
    frames_are_used,
    translator_works,
    outputs_are_wanted,
    gpu_is_used,
)


def _not_active(snapshot: Snapshot, node: str) -> str | None:
    said = snapshot.said.get(node)
    if said is None:
        return f"{node} told nothing on /diagnostics in {snapshot.seconds:.0f} s: it hangs or just starts, see its log"
    state = said.last.get("state", "unknown")
    if state == "active":
        return None
    if state == "finalized":
        return f"{node} is finalized, it was shut down for good: start it anew"
    steps = "activate" if state == "inactive" else "configure, then activate"
    return f"{node} is {state}, not active: {steps} it with ros2 lifecycle set, or start it with autostart"


def _pose_type(snapshot: Snapshot) -> str | None:
    """Type of the poses; None with tf."""
    return {"tf": None, "odom": ODOMETRY}.get(str(snapshot.parameters.get("pose_source")), POSE)


def _stamps_of_poses(snapshot: Snapshot) -> dict[str, tuple[int, ...]]:
    """{words for the poses, or for each transform on the way from the camera to the map: their stamps}."""
    kind = _pose_type(snapshot)
    if kind is not None:
        return {"poses are": snapshot.inputs[kind].stamps_ns}
    links = snapshot.tf_links or {}
    on_way = _way_to(snapshot, frame_name(snapshot.inputs[IMAGE].frame_id)) or []
    return {f"transforms from '{child}' to '{parent}' are": links[parent, child] for parent, child in on_way}


def _way_to(snapshot: Snapshot, camera: str) -> list[Link] | None:
    """The transforms between the map's frame and the camera's."""
    return way(camera, frame_name(str(snapshot.parameters.get("global_frame", ""))), snapshot.tf_links or ())
