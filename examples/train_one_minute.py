# SPDX-License-Identifier: Apache-2.0
"""Train a small network for a minute on made-up rooms: `train_one_minute.py [--minutes 1] [--output runs/minute]`.

A minute is enough to see the loss fall, not for a good map. docs/training.md has what a real training takes.
"""

import argparse
from pathlib import Path

from neuralfusion_ros.mapping import load_model
from neuralfusion_ros.mapping.model import Architecture
from neuralfusion_ros.training.run import Hooks, StepReport, train
from neuralfusion_ros.training.settings import DataSettings, TrainingSettings

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--minutes", type=float, default=1.0)
parser.add_argument("--output", type=Path, default=Path("runs/minute"), help="files to write, without suffix")
args = parser.parse_args()

settings = TrainingSettings(
    steps=None,  # as many as the time allows; the learning rate falls along the time
    minutes=args.minutes,
    streams=2,
    queries=2048,
    architecture=Architecture(latent_channels=4, fusion_width=16, translator_width=16),
    data=DataSettings(pool=1, refresh=1000, frames=18, image_widths=(160,)),
)


def show(report: StepReport) -> None:
    print(f"step {report.step}, {60 * report.minutes:.0f} s: loss {report.loss:.3f}")


outcome = train(settings, args.output, hooks=Hooks(on_step=show))
model = load_model(f"{args.output}.safetensors")
print(f"{outcome.step} steps; use it with: neuralfusion fuse INPUT --output mesh.ply --model {args.output}.safetensors")
