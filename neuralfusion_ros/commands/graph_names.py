# SPDX-License-Identifier: Apache-2.0
"""Which nodes run, and what topics they have, whatever namespace and remappings they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name

from neuralfusion_ros.commands.errors import CommandError


def joined(namespace: str, name: str) -> str:
    """The full name of a node."""
    return f"/{namespace.strip('/')}/{name}".replace("//", "/")


def other_nodes(node: Node) -> list[str]:
    """Full names of all nodes but this one."""
    found = node.get_node_names_and_namespaces()
    return sorted(joined(space, name) for name, space in found if name != node.get_name())


def _full_name(name: str, nodes: Iterable[str], namespace: str | None, near: str | None = None) -> str:
    """The node of that name in the namespace; without one, that near another one or the only one that there is.

    near: a namespace. A node that is not there gets the full name that it should have. Raises CommandError when there
    is a choice.
    """
    preferred = namespace if namespace is not None else near
    here = joined(preferred or "/", name)
    found = sorted({node for node in nodes if node.rpartition("/")[2] == name})
    if here in found and (preferred is not None or len(found) == 1):
        return here
    if namespace is not None or not found:
        return here
    if len(found) > 1:
        raise CommandError(f"there are several nodes, {', '.join(found)}: choose one with --namespace")
    return found[0]


def mapping_nodes(fusion: str, translator: str, nodes: Iterable[str], namespace: str | None) -> tuple[str, str]:
    """Full names of the two nodes; the translator is the one near the fusion node. Raises CommandError."""
    _check_names(fusion, translator, namespace)
    nodes = list(nodes)
    fusion = _full_name(fusion, nodes, namespace)
    return fusion, _full_name(translator, nodes, namespace, near=fusion.rpartition("/")[0])


def _check_names(fusion: str, translator: str, namespace: str | None) -> None:
    """Raises CommandError for a name that no node can have."""
    try:
        validate_node_name(fusion)
        validate_node_name(translator)
        validate_namespace(f"/{(namespace or '').strip('/')}")
    except NameValidationException as error:
        # The lines of its message: what is wrong, the name, a mark below it.
        raise CommandError(" ".join(str(error).split("\n")[:2])) from error


def topics_of(ask: Callable[[str, str], list[tuple[str, list[str]]]], node: str) -> list[tuple[str, list[str]]]:
    """What a node publishes or subscribes to, with the types; nothing when it is not there.

    ask: a method of a node such as get_publisher_names_and_types_by_node. node: full name.
    """
    namespace, _, name = node.rpartition("/")
    try:
        return ask(name, namespace or "/")
    except rclpy.node.NodeNameNonExistentError:
        return []
