# SPDX-License-Identifier: Apache-2.0
"""All experiments, in the order of --help. A new one is a file of `experiments` and a line here."""

from __future__ import annotations

from neuralfusion_ros.evaluation.experiment import Experiment
from neuralfusion_ros.evaluation.experiments.ablation import Ablation
from neuralfusion_ros.evaluation.experiments.families import FamilyComparison
from neuralfusion_ros.evaluation.experiments.fine_mesh import FineMesh
from neuralfusion_ros.evaluation.experiments.frames import FrameCounts
from neuralfusion_ros.evaluation.experiments.holdout import Holdout
from neuralfusion_ros.evaluation.experiments.latent import LatentPictures
from neuralfusion_ros.evaluation.experiments.models import ModelComparison
from neuralfusion_ros.evaluation.experiments.noise import NoiseLadder
from neuralfusion_ros.evaluation.experiments.objects import ObjectProtocol
from neuralfusion_ros.evaluation.experiments.orders import FrameOrders
from neuralfusion_ros.evaluation.experiments.outliers import OutlierLadder
from neuralfusion_ros.evaluation.experiments.rooms import RoomComparison
from neuralfusion_ros.evaluation.experiments.side_by_side import SideBySide
from neuralfusion_ros.evaluation.experiments.sizes import SizeComparison
from neuralfusion_ros.evaluation.experiments.thin import ThinThings

EXPERIMENTS: tuple[type[Experiment], ...] = (
    RoomComparison,
    Holdout,
    NoiseLadder,
    OutlierLadder,
    FamilyComparison,
    FrameCounts,
    FrameOrders,
    ThinThings,
    SizeComparison,
    FineMesh,
    LatentPictures,
    SideBySide,
    ObjectProtocol,
    ModelComparison,
    Ablation,
)
