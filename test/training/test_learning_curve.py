# SPDX-License-Identifier: Apache-2.0
"""The learning curve as a table and as a picture."""

import numpy as np
from PIL import Image

from neuralfusion_ros.training.learning_curve import CurveRow, LearningCurve


def test_rows_are_means_since_the_row_before(tmp_path):
    curve = LearningCurve([CurveRow(2, 0.5, 0.25)])
    for loss in (1.0, 2.0, 3.0):
        curve.add(loss)
    curve.end_row(5, 1.234)
    curve.end_row(5, 1.5)  # no steps, no row
    curve.write_table(tmp_path / "curve.csv")
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines == [
        "step,minutes,loss",
        "2,0.50,0.25000",
        "5,1.23,2.00000",
    ]


def test_the_picture_shows_the_losses(tmp_path):
    shown = []
    for slope in (0.0, 1.0):
        LearningCurve([CurveRow(k, 1.0, 1 + slope * k) for k in range(9)]).draw(tmp_path / "curve.png")
        with Image.open(tmp_path / "curve.png") as picture:
            shown.append(np.asarray(picture.convert("RGB")))
    assert shown[0].shape == shown[1].shape == (450, 800, 3)
    assert (shown[0] != shown[1]).any()
    LearningCurve().draw(tmp_path / "empty.png")
