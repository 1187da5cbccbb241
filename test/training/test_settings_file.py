# SPDX-License-Identifier: Apache-2.0
"""Configuration files: every field can be set, everything else is refused in one line."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from neuralfusion_ros.mapping.model import Architecture
from neuralfusion_ros.training.settings import DataSettings, SettingsError, TrainingSettings
from neuralfusion_ros.training.settings_file import read_values, with_values

OTHER = TrainingSettings(
    7, 2.5, 3, 4, 2, 99, 2.0, 1e-3, 1e-4, 0.0, 5, 2.0, 10, "a.safetensors", "fusion", ("correction",),
    Architecture(3, 4, 5), DataSettings(2, 3, 20, (64, 128), 0.5),
)  # fmt: skip


def read(folder: Path, text: str) -> TrainingSettings:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return with_values(TrainingSettings(), read_values(path))


def test_every_field_can_be_set(tmp_path):
    default, other = asdict(TrainingSettings()), asdict(OTHER)
    assert all(other[name] != default[name] for name in default)  # so that a field that is ignored is noticed
    plain = json.loads(json.dumps(other))  # tuples become lists
    assert read(tmp_path, yaml.safe_dump(plain)) == OTHER


def test_what_is_not_named_stays(tmp_path):
    settings = read(tmp_path, "architecture:\n  fusion_width: 24\ndata: {pool: 5}\nclip_norm: 2\n")
    assert settings == TrainingSettings(
        architecture=Architecture(fusion_width=24), data=DataSettings(pool=5), clip_norm=2
    )
    assert read(tmp_path, "") == TrainingSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 5", "unknown key 'stepz'; known here: steps, minutes, seed,"),
        ("data: {pools: 5}", r"unknown key 'data\.pools'; known here: pool, refresh, frames, image_widths, stage"),
        ("7: 5", "unknown key '7';"),
        ("steps: many", "steps must be a whole number or null, not text 'many'"),
        ("learn: 5", "learn must be text, not 5"),
        ("steps: 5.5", "steps must be a whole number or null, not 5.5"),
        ("steps: true", "steps must be a whole number or null, not True"),
        ("streams: null", "streams must be a whole number, not None"),
        ("fusion_rate: 3e-3", r"fusion_rate must be a number, not text '3e-3'; YAML wants 0\.003 or 3\.0e-03"),
        ("fusion_rate: [1]", r"fusion_rate must be a number, not \[1\]"),
        ("fusion_rate: .nan", "fusion_rate must be in 0..1, got nan"),
        ("minutes: .inf", "minutes must be more than 0, got inf"),
        ("seed: -1", "seed must be in 0"),
        ("streams: 0", "streams must be at least 1, got 0"),
        ("architecture: 8", "architecture must hold keys and values, not 8"),
        ("architecture: {latent_channels: -1}", r"architecture\.latent_channels must be a whole number in 0\.\.4096"),
        ("without: [codes]", "without: there is no part .codes.; there are map_input,"),
        ("without: correction", "without must be a list of texts, not text .correction."),
        ("data: {image_widths: 640}", r"data\.image_widths must be a list of whole numbers, not 640"),
        ("data: {image_widths: [8]}", r"data\.image_widths must be widths in 64"),
        ("solid_weight: 0", r"solid_weight must be more than 0, got 0"),
        ("data: {stage_share: 1.5}", r"data\.stage_share must be in 0\.\.1, got 1\.5"),
        ("data: {frames: 17}", r"data\.frames must be at least 18, got 17"),
        ("- 5", r"config\.yaml must hold keys and values, not \[5\]"),
        ("steps: [", r"config\.yaml is not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", r"config\.yaml is not valid YAML"),
        ("steps: &a [*a]", "steps must be a whole number or null"),
        ("[" * 600, r"config\.yaml is not valid YAML"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(SettingsError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\xff")
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(SettingsError, match="cannot read"):
            read_values(path)
