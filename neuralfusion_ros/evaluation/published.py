# SPDX-License-Identifier: Apache-2.0
"""Numbers that the NeuralFusion paper publishes (Weder et al., CVPR 2021, figures 4 and 7). Not measured here."""

from __future__ import annotations

from neuralfusion_ros.evaluation.tables import markdown_table

_SHAPENET = (
    ("TSDF Fusion", "11.0", "0.78", "88.06", "0.659", "0.79"),
    ("TSDF + 2D denoising", "27.0", "0.84", "87.48", "0.650", "0.78"),
    ("TSDF + 3D denoising", "8.2", "0.61", "94.76", "0.816", "0.89"),
    ("RoutedFusion", "5.9", "0.50", "94.77", "0.785", "0.87"),
    ("NeuralFusion", "2.9", "0.27", "97.00", "0.890", "0.94"),
)
_MODELNET = (
    ("1 %", "TSDF Fusion", "34.51", "1.17", "85.17", "0.645"),
    ("1 %", "RoutedFusion", "5.43", "0.57", "95.21", "0.837"),
    ("1 %", "NeuralFusion", "2.27", "0.29", "97.57", "0.884"),
    ("5 %", "TSDF Fusion", "80.72", "2.02", "73.86", "0.432"),
    ("5 %", "RoutedFusion", "9.84", "0.68", "94.46", "0.803"),
    ("5 %", "NeuralFusion", "4.91", "0.22", "98.05", "0.851"),
    ("10 %", "TSDF Fusion", "102.50", "2.43", "67.47", "0.341"),
    ("10 %", "RoutedFusion", "14.25", "0.77", "92.95", "0.764"),
    ("10 %", "NeuralFusion", "3.35", "0.22", "98.48", "0.865"),
)
_SCORES = ("MSE e-5", "MAD e-2", "Acc %", "IoU")


def published_tables() -> str:
    """Both tables as Markdown, marked as what they are."""
    return (
        "**Another data set, another reference, another mask: to be read beside ours, not compared with them.**\n\n"
        "ShapeNet, depth noise 0.005, no outliers (figure 4):\n\n"
        f"{markdown_table(['method', *_SCORES, 'F1'], _SHAPENET)}\n"
        "ModelNet with outliers, a network trained for each share (figure 7). Shares are the paper's nominal ones:\n"
        "the seeds from which outliers grow; the outliers themselves are more:\n\n"
        f"{_modelnet()}"
    )


def _modelnet() -> str:
    rows = [[f"{share}, {method}", *scores] for share, method, *scores in _MODELNET]
    return markdown_table(["outliers, method", *_SCORES], rows)
