# SPDX-License-Identifier: Apache-2.0
"""Several processes that train the same networks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from neuralfusion_ros.training.checkpoint import read_checkpoint
from neuralfusion_ros.training.errors import TrainingError
from neuralfusion_ros.training.process_group import ProcessGroup, process_group

CONFIG = """
{steps: 3, streams: 2, queries: 64, architecture: {latent_channels: 2, fusion_width: 4, translator_width: 4},
 data: {pool: 1, frames: 18, image_widths: [64]}}
"""
pytestmark = pytest.mark.timeout(300)  # two processes that import torch, on a busy machine
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def ranks(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Tensors]]:
    """The output folder of a run of two processes, and what each has seen."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "config.yaml").write_text(CONFIG)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    script = [str(root / "test" / "training" / "two_processes.py"), str(folder), str(folder / "config.yaml")]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [*torchrun, f"--master-port={port}", *script], env=env, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("3 steps from seed 0") == 1  # one process speaks for all
    return folder, [load_file(folder / f"rank_{rank}.safetensors") for rank in range(2)]


def test_all_processes_end_with_the_same_weights(ranks):
    folder, (first, second) = ranks
    assert int(first["size"]) == int(second["size"]) == 2
    names = [name for name in first if name.startswith("average.")]
    assert len(names) > 5
    assert all(torch.equal(first[name], second[name]) for name in names)
    written = load_file(folder / "mine.safetensors")
    assert all(torch.equal(first[f"average.{name}"], tensor) for name, tensor in written.items())


def test_gradients_and_loss_are_the_mean_over_data_that_differ(ranks):
    _, (first, second) = ranks
    assert not torch.equal(first["loss.own"], second["loss.own"])
    gradients = [name for name in first if name.startswith("own.")]
    assert len(gradients) > 5
    for own in ["loss.own", *gradients]:
        mean = "loss.mean" if own == "loss.own" else own.replace("own", "mean")
        assert torch.equal(first[mean], second[mean])
        torch.testing.assert_close(first[mean], (first[own] + second[own]) / 2)
    assert any(not torch.equal(first[name], second[name]) for name in gradients)


def test_the_checkpoint_counts_the_streams_of_all_processes(ranks):
    folder, _ = ranks
    checkpoint = read_checkpoint(folder / "mine.checkpoint.safetensors")
    assert (checkpoint.step, checkpoint.streams) == (3, [2, 2])


class Others(ProcessGroup):
    """A group whose other processes add what is given."""

    def __init__(self, size: int, others: torch.Tensor) -> None:
        super().__init__(0, size)
        self._others = others

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        return values + self._others.to(values.dtype)


def test_processes_without_a_loss_do_not_count():
    parameter = torch.zeros(2, requires_grad=True)
    parameter.grad = torch.tensor([3.0, 5.0])
    # Sums of the others: loss, how many have one, gradient.
    group = Others(3, torch.tensor([1.0, 1.0, 1.0, 1.0]))
    assert group.average_gradients([parameter], torch.tensor(2.0)) == 1.5
    assert parameter.grad.tolist() == [2.0, 3.0]
    parameter.grad = None
    assert Others(3, torch.tensor([4.0, 2.0, 6.0, 8.0])).average_gradients([parameter], None) == 2.0
    assert parameter.grad is not None and parameter.grad.tolist() == [3.0, 4.0]
    assert Others(3, torch.zeros(4)).average_gradients([parameter], None) is None


def test_processes_agree_on_the_clock_and_on_stopping():
    assert ProcessGroup().agree(3.0, False) == (3.0, False)
    assert Others(2, torch.tensor([0.0, 1.0])).agree(3.0, False) == (3.0, True)
    assert Others(2, torch.tensor([0.0, 0.0])).agree(3.0, False) == (3.0, False)
    late = Others(2, torch.tensor([3.0, 0.0]))
    late.rank = 1
    assert late.agree(99.0, False) == (3.0, False)
    assert Others(3, torch.tensor([0, 5, 6])).gather(4) == [4, 5, 6]


def test_a_process_on_its_own_is_a_group_of_one(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with process_group(torch.device("cpu")) as group:
        assert (group.rank, group.size, group.is_first) == (0, 1, True)


def test_processes_that_cannot_find_each_other(monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="cannot find each other"), process_group(torch.device("cpu")):
        pass
