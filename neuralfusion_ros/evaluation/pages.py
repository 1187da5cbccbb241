# SPDX-License-Identifier: Apache-2.0
"""Pages of results on disk: Markdown, JSON and pictures side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuralfusion_ros.evaluation.experiment import Page
from neuralfusion_ros.evaluation.tables import conditions_text
from neuralfusion_ros.mapping.mesh_file import write_mesh
from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.pictures.figure_file import save_figure


def page_text(page: Page, conditions: Mapping[str, object]) -> str:
    """The page as Markdown. conditions: the common ones; those of the page come after them and win."""
    every = conditions_text({**conditions, **page.conditions})
    return f"# {page.title}\n\n{page.text.rstrip()}\n\n{every}\n{page.body.rstrip()}\n"


def write_page(folder: Path, name: str, page: Page, text: str) -> None:
    """Writes NAME.md, NAME.json, NAME*.png and NAME*.ply, each aside and then renamed; the page comes last."""
    for suffix, figure in page.figures.items():
        save_figure(folder / f"{name}{suffix}.png", figure)
    for suffix, mesh in page.meshes.items():
        write_mesh(folder / f"{name}{suffix}.ply", mesh)
    with new_file(folder / f"{name}.json") as aside:
        aside.write_text(json.dumps(fit_for_json(page.numbers), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with new_file(folder / f"{name}.md") as aside:
        aside.write_text(text, encoding="utf-8")


def fit_for_json(value: Any) -> Any:
    """Numbers that JSON does not know become null: the distance to a mesh that is not there, for one."""
    if isinstance(value, Mapping):
        return {str(key): fit_for_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fit_for_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
