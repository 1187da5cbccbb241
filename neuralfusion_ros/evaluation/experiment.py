# SPDX-License-Identifier: Apache-2.0
"""What every experiment is: a name, some settings, and a run that ends in a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuralfusion_ros.evaluation.bench import Bench
    from neuralfusion_ros.mapping.meshing import Mesh

T = TypeVar("T")


class ExperimentError(ValueError):
    """An experiment cannot run as asked. The message is one line."""


class Inputs(Enum):
    """What an experiment measures on, besides what it makes itself."""

    NONE = auto()
    ROOMS = auto()
    ROOM_ARGUMENTS = auto()
    RECORDING = auto()


@dataclass(frozen=True)
class Page:
    """What an experiment found. text: what was done and how it was measured. body: tables and pictures, Markdown.

    numbers: the same for machines, fit for JSON. conditions: what must be known to repeat it, beside the common ones.
    figures, meshes: by what follows the experiment's name in the file name; `figure_link` shows a figure.
    """

    title: str
    text: str
    body: str
    numbers: Any
    conditions: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    meshes: Mapping[str, Mesh] = field(default_factory=dict)


class Experiment(Protocol):
    """One comparison. Implementations are frozen dataclasses; their fields, made by `setting`, become options."""

    name: ClassVar[str]
    summary: ClassVar[str]
    inputs: ClassVar[Inputs]

    def run(self, bench: Bench) -> Page:
        """Measures. Raises ExperimentError, RecordingError or ModelError."""
        ...


def setting(default: T, parse: Callable[[str], T], text: str) -> T:
    """A field that the command line can set. parse: raises ValueError with a short reason. text: for --help."""
    result: T = field(default=default, metadata={"parse": parse, "text": text})
    return result


def figure_link(experiment: str, suffix: str, alt: str) -> str:
    """Markdown that shows a figure on the experiment's page."""
    return f"![{alt}]({experiment}{suffix}.png)\n"


def names(text: str) -> tuple[str, ...]:
    """'a,b' to ('a', 'b')."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise ValueError("expected at least one name")
    return found


def one_of(known: Mapping[str, Any]) -> Callable[[str], tuple[str, ...]]:
    """A parser of names that must be among the known ones."""

    def parse(text: str) -> tuple[str, ...]:
        if unknown := sorted(set(names(text)) - set(known)):
            raise ValueError(f"there is no {', '.join(unknown)}; known: {', '.join(known)}")
        return names(text)

    return parse


def whole_numbers(least: int) -> Callable[[str], tuple[int, ...]]:
    """A parser of '1,2' with a smallest value."""

    def parse(text: str) -> tuple[int, ...]:
        found = tuple(int(word) for word in names(text))
        if min(found) < least:
            raise ValueError(f"must be at least {least}, got {min(found)}")
        return found

    return parse


def numbers_within(low: float, high: float) -> Callable[[str], tuple[float, ...]]:
    """A parser of '0.1,0.2' with limits."""

    def parse(text: str) -> tuple[float, ...]:
        found = tuple(float(word) for word in names(text))
        if not all(low <= value <= high for value in found):
            raise ValueError(f"must lie in {low:g}..{high:g}, got {text}")
        return found

    return parse


def image_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """'320x240,640x480' to ((320, 240), (640, 480))."""
    found = []
    for word in names(text):
        width, separator, height = word.partition("x")
        if not separator or not width.isdigit() or not height.isdigit() or min(int(width), int(height)) < 16:
            raise ValueError(f"expected WIDTHxHEIGHT of at least 16x16, got {word}")
        found.append((int(width), int(height)))
    return tuple(found)
