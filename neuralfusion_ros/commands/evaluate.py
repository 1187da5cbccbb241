# SPDX-License-Identifier: Apache-2.0
"""neuralfusion evaluate: measure maps against the truth and against plain TSDF fusion."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.map_options import add_map_options, chosen_device, map_settings
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.evaluation.bench import METHODS, Bench
from neuralfusion_ros.evaluation.experiment import Experiment, Inputs, image_sizes, names, whole_numbers
from neuralfusion_ros.evaluation.ground_truth import SAMPLES
from neuralfusion_ros.evaluation.pages import page_text, write_page
from neuralfusion_ros.evaluation.places import default_rooms
from neuralfusion_ros.evaluation.registry import EXPERIMENTS
from neuralfusion_ros.evaluation.score_store import ScoreStore
from neuralfusion_ros.mapping.model import load_model

_EXAMPLE = """examples:
  neuralfusion evaluate rooms data/synth_room_00 data/synth_room_01 --levels mild,hard
  neuralfusion evaluate noise --rooms procedural:0,procedural:1 --seeds 0,1,2
  neuralfusion evaluate holdout data/kitchen

Prints the page and writes it to docs/results/EXPERIMENT.md, the bare numbers to a .json file and the plots to .png
files beside it. A room is a sequence folder with gt_mesh.ply, or procedural:SEED or procedural:SEED:small, which need
no data. `neuralfusion evaluate EXPERIMENT --help` lists the options of an experiment."""


_COMMON = ("voxel_size", "max_depth", "frames", "seeds", "image_size", "samples", "methods")
_OWN_MODELS = ("models", "ablation")  # they say themselves which models they measured
_FOLDERS = re.compile(r"[^=,]*/")
_ROOM_HELP = "sequence folder with gt_mesh.ply, or procedural:SEED"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure maps against the truth and against plain TSDF fusion",
        description="Measure the learned map and plain TSDF fusion alike.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    experiments = parser.add_subparsers(metavar="EXPERIMENT", required=True)
    for experiment in EXPERIMENTS:
        added = experiments.add_parser(experiment.name, help=experiment.summary)
        _add_inputs(added, experiment.inputs)
        for field in _settings(experiment):
            many = "+" if field.name == "models" else None
            added.add_argument(
                _option(field.name), metavar="V,V", nargs=many, help=f"{field.metadata['text']} ({_default(field)})"
            )
        _add_common_options(added)
        added.set_defaults(run=run, experiment=experiment)


def _add_inputs(parser: argparse.ArgumentParser, inputs: Inputs) -> None:
    if inputs is Inputs.RECORDING:
        parser.add_argument("inputs", metavar="RECORDING", nargs=1, help="any recording that `fuse` takes")
    elif inputs is Inputs.ROOM_ARGUMENTS:
        parser.add_argument("inputs", metavar="ROOM", nargs="+", help=_ROOM_HELP)
    elif inputs is Inputs.ROOMS:
        parser.add_argument("--rooms", metavar="R,R", help=f"{_ROOM_HELP} (default: those of the data folder, or two)")


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    add_map_options(parser)
    parser.add_argument("--frames", metavar="N", type=int, help="use N frames, spread over the sequence (default all)")
    parser.add_argument("--seeds", metavar="S,S", default="0", help="of noise and scenes (default %(default)s)")
    parser.add_argument(
        "--image-size", metavar="WxH", default="640x480", help="of procedural scenes (default %(default)s)"
    )
    parser.add_argument(
        "--samples", metavar="N", type=int, default=SAMPLES, help="points on true surfaces (default %(default)s)"
    )
    parser.add_argument("--methods", choices=METHODS, default="all", help="what to measure (default %(default)s)")
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="keep what TSDF scores there, and take it from there in later runs, for example with another model",
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("docs/results"), help="folder to write (default %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the experiment, print its page and write it. Raises CommandError and what experiments raise."""
    experiment = _experiment(args)
    bench = _bench(args)
    args.output.mkdir(parents=True, exist_ok=True)
    page = experiment.run(bench)
    text = page_text(page, _conditions(args, bench))
    print(text, end="")
    write_page(args.output, experiment.name, page, text)
    return 0


def _experiment(args: argparse.Namespace) -> Experiment:
    """The experiment with the settings that were given."""
    chosen: type[Experiment] = args.experiment
    given = {}
    for field in _settings(chosen):
        text = getattr(args, field.name)
        if text is not None:
            words = " ".join(text) if isinstance(text, list) else text
            given[field.name] = _parsed(_option(field.name), words, field.metadata["parse"])
    return chosen(**given)


def _bench(args: argparse.Namespace) -> Bench:
    """What the common options ask for. A model that is missing is found now, not after minutes."""
    for name, least in (("frames", 1), ("samples", 100)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise CommandError(f"--{name} must be at least {least}, got {value}")
    bench = Bench(
        progress=progress,
        settings=map_settings(args),
        device=chosen_device(args),
        model=args.model,
        methods=args.methods,
        inputs=_inputs(args),
        frames=args.frames,
        seeds=_parsed("--seeds", args.seeds, whole_numbers(0)),
        image_size=_parsed("--image-size", args.image_size, image_sizes)[0],
        samples=args.samples,
        store=ScoreStore(args.keep) if args.keep else None,
    )
    if bench.with_learned:
        load_model(args.model, bench.device)
    return bench


def _inputs(args: argparse.Namespace) -> tuple[str, ...]:
    if args.experiment.inputs is Inputs.ROOMS:
        return default_rooms() if args.rooms is None else tuple(_parsed("--rooms", args.rooms, names))
    return tuple(getattr(args, "inputs", ()))


def _parsed(option: str, text: str, parse: Any) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from error


def _conditions(args: argparse.Namespace, bench: Bench) -> dict[str, object]:
    """What every page says about how it was made."""
    conditions: dict[str, object] = {
        "command": f"`{_command_line(args, bench)}`",
        "voxel size": f"{bench.settings.voxel_size_m} m",
        "seeds": ", ".join(map(str, bench.seeds)),
    }
    if bench.inputs:
        conditions["data"] = ", ".join(bench.input_names())
    if bench.with_learned and args.experiment.name not in _OWN_MODELS:
        model = bench.load()
        conditions["model"] = f"{model.name}, sha256 {model.sha256[:12]}, on {bench.device}"
    return conditions


def _command_line(args: argparse.Namespace, bench: Bench) -> str:
    """The command with every option that matters, and the inputs' names instead of their places on this machine."""
    words = ["neuralfusion", "evaluate", args.experiment.name]
    if args.experiment.inputs is Inputs.ROOMS:
        words += ["--rooms", ",".join(bench.input_names())]
    else:
        words += bench.input_names()
    for name in (*(field.name for field in _settings(args.experiment)), *_COMMON):
        value = getattr(args, name)
        if value is not None:
            words += [_option(name), *_words(name, value)]
    return shlex.join(words)


def _words(name: str, value: Any) -> list[str]:
    """The value as on the command line; of files only the names."""
    every = value if isinstance(value, list) else [str(value)]
    return [_FOLDERS.sub("", word) for word in every] if name in ("models", "objects", "runs") else every


def _settings(experiment: type[Experiment]) -> Iterable[Field[Any]]:
    return fields(experiment)  # type: ignore[arg-type]  # every experiment is a dataclass, which no Protocol can say


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _default(field: Field[Any]) -> str:
    """The default as on the command line."""
    default: tuple[Any, ...] = field.default  # type: ignore[assignment]  # every setting has one
    if not default:
        return "default: --model" if field.name == "models" else "default: none"
    words = ("x".join(map(str, value)) if isinstance(value, tuple) else f"{value}" for value in default)
    return f"default {','.join(words)}"
