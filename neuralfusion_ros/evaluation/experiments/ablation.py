# SPDX-License-Identifier: Apache-2.0
"""What each learned part of the method earns: variants without it, trained alike and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import ExperimentError, Inputs, Page, names, one_of, setting, whole_numbers
from neuralfusion_ros.evaluation.experiments.models import RUNS_TEXT, models_page, score_models
from neuralfusion_ros.mapping.model import Architecture
from neuralfusion_ros.training.checkpoint import read_checkpoint
from neuralfusion_ros.training.run import Hooks, OutputFiles, Place, train
from neuralfusion_ros.training.sensor_families import LEVELS
from neuralfusion_ros.training.settings import DataSettings, TrainingSettings

_TEXT = """Every variant is trained from nothing for {steps} steps with the seeds {seeds}, on images 320 wide, then
measured at noise {level}. That is far shorter than a released model: variants are compared, not what they could become.

- full: everything.
- no map input: the fusion network sees the ray and its surroundings, not what the map knows along the ray.
- no correction: it does not move the measured surface. no confidence: every measurement counts the same.
- constant codes: no fusion network. Each place along the ray adds the same code, so that the latent vector of a voxel
  is a histogram of its distances.
- evidence: no fusion network and no latent vectors; the translator sees weight, mean, variance and free votes.
- learned weights: the fusion network corrects and weighs, the result is the running mean: no latent vectors, no
  translator. In the manner of RoutedFusion (Weder et al., CVPR 2020).
- latent N: vectors of another length than 8.
- rooms only: no single things seen from all around. one thing: nothing but a single thing, from all around.
"""
_BASE = TrainingSettings(queries=4096, data=DataSettings(frames=36, image_widths=(320,)))
_NEVER = 1 << 40  # more streams than any training takes
_NO_NETWORK = replace(_BASE, learn="translator")
VARIANTS: dict[str, TrainingSettings] = {
    "full": _BASE,
    "no map input": replace(_BASE, without=("map_input",)),
    "no correction": replace(_BASE, without=("correction",)),
    "no confidence": replace(_BASE, without=("confidence",)),
    "constant codes": _NO_NETWORK,
    "evidence": replace(_NO_NETWORK, architecture=Architecture(latent_channels=0)),
    "learned weights": replace(_BASE, without=("vectors", "translator")),
    **{f"latent {n}": replace(_BASE, architecture=Architecture(latent_channels=n)) for n in (1, 2, 4, 16)},
    "rooms only": replace(_BASE, data=replace(_BASE.data, stage_share=0.0)),
    "one thing": replace(_BASE, data=replace(_BASE.data, stage_share=1.0, refresh=_NEVER)),
}


@dataclass(frozen=True)
class Ablation:
    """Trains the variants that are not trained yet, then scores them."""

    name: ClassVar[str] = "ablation"
    summary: ClassVar[str] = "what each learned part earns: trains variants and compares them"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    variants: tuple[str, ...] = setting(tuple(VARIANTS), one_of(VARIANTS), "variants to train")
    steps: tuple[int, ...] = setting((500,), whole_numbers(1), "steps of each training")
    training_seeds: tuple[int, ...] = setting((0, 1, 2), whole_numbers(0), "seeds of the trainings")
    runs: tuple[str, ...] = setting(("runs/ablation",), names, "folder of the trainings; what is there is not repeated")
    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Trains and measures. Raises also what training raises."""
        groups = {variant: self._trained(bench, variant) for variant in self.variants}
        runs, conditions = score_models(bench, groups, self.level[0])
        seeds = ", ".join(map(str, self.training_seeds))
        text = _TEXT.format(steps=self.steps[0], seeds=seeds, level=self.level[0])
        return models_page(self.name, "Ablation", f"{text}\n{RUNS_TEXT}\n", runs, conditions)

    def _trained(self, bench: Bench, variant: str) -> tuple[str, ...]:
        """The weights of a variant, one file for each seed."""
        files = []
        for seed in self.training_seeds:
            output = Path(self.runs[0]) / f"{variant.replace(' ', '_')}_{seed}"
            settings = replace(VARIANTS[variant], steps=self.steps[0], seed=seed)
            files.append(str(_train(bench, settings, output, f"{variant}, seed {seed}")))
        return tuple(files)


def _train(bench: Bench, settings: TrainingSettings, output: Path, label: str) -> Path:
    """Trains to the end, from a checkpoint if there is one. Returns the weights."""
    files = OutputFiles(output)
    resume = read_checkpoint(files.checkpoint) if files.checkpoint.exists() else None
    if resume is not None and resume.settings != settings:
        raise ExperimentError(f"{files.checkpoint} is of a training with other settings; remove it, or set --runs")
    done = resume.step if resume else 0
    assert settings.steps is not None
    if done < settings.steps:
        with bench.progress(f"training {label}", settings.steps - done) as advance:
            train(settings, output, Place(bench.device), resume, Hooks(on_step=lambda report: advance()))
    return files.weights
