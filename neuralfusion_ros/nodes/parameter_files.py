# SPDX-License-Identifier: Apache-2.0
"""The files that are made from nodes/parameters.py: config/default.yaml and docs/parameters.md.

`python -m neuralfusion_ros.nodes.parameter_files` writes both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from neuralfusion_ros.nodes.parameters import NODES, parameters_of
from neuralfusion_ros.nodes.ros_parameter import limits_text

TYPE_NAMES = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "string array"}
MADE_BY = "python -m neuralfusion_ros.nodes.parameter_files"


def yaml_text() -> str:
    """config/default.yaml: every parameter of every node with its default."""
    lines = [f"# The defaults of all parameters. Written by `{MADE_BY}`; copy it and change the copy."]
    for node, kind in NODES.items():
        # `/**/` makes the section hold in every namespace.
        lines += ["", f"/**/{node}:", "  ros__parameters:"]
        for parameter in parameters_of(kind):
            limits = limits_text(parameter)
            lines.append(f"    # {parameter.description}" + (f" [{limits}]" if limits else ""))
            lines.append(f"    {parameter.name}: {json.dumps(parameter.default)}")
    return "\n".join(lines) + "\n"


def markdown_text() -> str:
    """docs/parameters.md: one table for each node."""
    lines = [
        "# Parameters",
        "",
        f"Written by `{MADE_BY}` from `neuralfusion_ros/nodes/parameters.py`.",
        "",
        "All parameters are read when a node starts. Those marked * may be changed while it runs.",
    ]
    for node, kind in NODES.items():
        lines += ["", f"## {node}", "", "| name | type | default | limits | meaning |", "|---|---|---|---|---|"]
        for parameter in parameters_of(kind):
            name = f"`{parameter.name}`" + ("" if parameter.read_only else " *")
            cells = [name, TYPE_NAMES[type(parameter.default)], f"`{json.dumps(parameter.default)}`"]
            lines.append("| " + " | ".join([*cells, limits_text(parameter), parameter.description]) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes both files into the source tree that this file lies in."""
    root = Path(__file__).parents[2]
    if not (root / "package.xml").is_file():
        print(f"{root} is no source tree of this package: it has no package.xml", file=sys.stderr)
        return 2
    (root / "config" / "default.yaml").write_text(yaml_text(), encoding="utf-8")
    (root / "docs" / "parameters.md").write_text(markdown_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
