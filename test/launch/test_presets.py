# SPDX-License-Identifier: Apache-2.0
"""The presets in config/."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from neuralfusion_ros.nodes.parameters import NODES, parameters_of

ROOT = Path(__file__).parents[2]
PRESETS = ["azure_kinect", "gazebo", "oakd", "orbbec", "realsense", "tum", "zed"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_changes_known_parameters_only(name):
    sections = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    for section, content in sections.items():
        known = {parameter.name for parameter in parameters_of(NODES[section.removeprefix("/**/")])}
        assert set(content) == {"ros__parameters"} and set(content["ros__parameters"]) <= known


def test_every_configuration_is_a_preset_or_tested_elsewhere():
    names = {path.stem for path in (ROOT / "config").glob("*.yaml")}
    assert names == {*PRESETS, "default", "gazebo_bridge"}
