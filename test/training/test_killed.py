# SPDX-License-Identifier: Apache-2.0
"""A run that is really killed, as a process of its own with a worker."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from neuralfusion_ros.training.checkpoint import read_checkpoint
from neuralfusion_ros.training.run import Hooks, OutputFiles, StepReport, train

CONFIG = """
{steps: 500, streams: 1, queries: 64, checkpoint_steps: 2, data: {pool: 1, frames: 18, image_widths: [64]},
 architecture: {latent_channels: 2, fusion_width: 4, translator_width: 4}}
"""


def wait_for(condition, what: str, timeout_s: float = 250.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.timeout(300)
def test_a_killed_run_leaves_a_checkpoint_to_go_on_from_and_no_process(tmp_path, root):
    (tmp_path / "config.yaml").write_text(CONFIG)
    output = tmp_path / "mine"
    files = OutputFiles(output)
    words = ["train", "--config", tmp_path / "config.yaml", "--output", output, "--device", "cpu", "--workers", "1"]
    run = subprocess.Popen(
        [sys.executable, "-m", "neuralfusion_ros.cli", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: files.checkpoint.exists() or run.poll() is not None, "a checkpoint")
        assert run.poll() is None, run.stderr and run.stderr.read()
        children = children_of(run.pid)
        assert children
    finally:
        run.kill()
        run.communicate()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "the end of the workers")
    kept = read_checkpoint(files.checkpoint)
    assert kept.step % 2 == 0
    # The process with a worker and this one without go the same way.
    taken: list[StepReport] = []
    here = train(kept.settings, tmp_path / "here", hooks=Hooks(taken.append, lambda: len(taken) == kept.step))
    weights = {f"average.{name}": tensor for name, tensor in here.model.state_dict().items()}
    assert all(torch.equal(kept.tensors[name], tensor) for name, tensor in weights.items())
