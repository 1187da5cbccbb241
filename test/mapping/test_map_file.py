# SPDX-License-Identifier: Apache-2.0
"""Maps on disk: what is read is what was written, anything else is refused, and mapping goes on where it stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.map_file import MapFileError, StoredMap, _checksum, read_map, write_map
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.model import Architecture, LatentModel
from neuralfusion_ros.mapping.settings import MapSettings

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
SETTINGS = MapSettings(voxel_size_m=0.05)


def make_mapper(settings: MapSettings = SETTINGS, sha256: str = "a" * 64, latent_channels: int = 2) -> Mapper:
    torch.manual_seed(0)
    architecture = Architecture(latent_channels=latent_channels, fusion_width=8, translator_width=8)
    return Mapper(LatentModel(architecture, "tiny", sha256), settings)


def look(mapper: Mapper, *distances_m: float) -> None:
    for distance_m in distances_m:
        mapper.integrate(np.full((48, 64), distance_m, np.float32), np.eye(4), CAMERA)


def sorted_content(stored: StoredMap) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.tensor(np.lexsort(stored.keys.T.numpy()))
    return stored.keys[order], stored.values[order]


@pytest.fixture
def stored() -> StoredMap:
    mapper = make_mapper()
    look(mapper, 1.0, 1.5)
    return mapper.stored("odom")


def test_what_is_read_is_what_was_written(tmp_path, stored):
    write_map(tmp_path / "a.nfmap", stored)
    read = read_map(tmp_path / "a.nfmap")
    assert torch.equal(read.keys, stored.keys)
    assert torch.equal(read.values, stored.values)
    assert replace(read, keys=stored.keys, values=stored.values) == stored
    assert [path.name for path in tmp_path.iterdir()] == ["a.nfmap"]


def test_mapping_goes_on_where_it_stopped(tmp_path):
    through, first, again = make_mapper(), make_mapper(), make_mapper()
    look(through, 1.0, 1.5, 1.2)
    look(first, 1.0, 1.5)
    first.save(tmp_path / "a.nfmap", "odom")
    look(again, 2.0)
    again.take_changed()
    again.load(str(tmp_path / "a.nfmap"), "odom")
    assert len(again.take_changed()) == first.grid.n_blocks
    look(again, 1.2)
    for one, other in zip(sorted_content(through.stored("odom")), sorted_content(again.stored("odom")), strict=True):
        assert torch.equal(one, other)
    assert len(through.mesh().triangles) == len(again.mesh().triangles)


def test_an_empty_map_can_be_stored(tmp_path):
    make_mapper().save(tmp_path / "a.nfmap")
    mapper = make_mapper()
    look(mapper, 1.0)
    mapper.load(tmp_path / "a.nfmap")
    assert mapper.grid.n_blocks == 0


def test_a_file_that_cannot_be_loaded_changes_nothing(tmp_path):
    mapper = make_mapper()
    mapper.save(tmp_path / "a.nfmap", "odom")
    look(mapper, 1.0)
    before = mapper.stored("odom")
    with pytest.raises(ValueError, match="in frame 'odom', not 'map'"):
        mapper.load(tmp_path / "a.nfmap", "map")
    with pytest.raises(MapFileError, match="cannot read map"):
        mapper.load(tmp_path / "b.nfmap")
    assert torch.equal(mapper.grid.values, before.values)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make_mapper(sha256="b" * 64), "made with model aaaaaaaa..., not bbbbbbbb"),
        (make_mapper(MapSettings(voxel_size_m=0.04)), "voxels of 0.05 m, not 0.04 m"),
        (make_mapper(latent_channels=3), "voxels of 6 numbers, not 7"),
        (make_mapper(MapSettings(voxel_size_m=0.05, max_bytes=1 << 20)), "there is memory for 170"),
    ],
)
def test_a_map_that_does_not_fit_changes_nothing(stored, other, message):
    many = replace(stored, keys=stored.keys.repeat(4, 1), values=stored.values.repeat(4, 1, 1))
    look(other, 1.0)
    before = other.stored("odom")
    with pytest.raises(ValueError, match=message):
        other.restore(many)
    assert torch.equal(other.grid.values, before.values)


def test_every_changed_byte_is_noticed(tmp_path, stored):
    path = tmp_path / "a.nfmap"
    small = replace(stored, keys=stored.keys[:2], values=stored.values[:2])
    write_map(path, small)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in [*range(0, 600, 7), *rng.integers(600, len(content), 60)]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(MapFileError):
            read_map(path)
    for length in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(MapFileError):
            read_map(path)


def test_missing_and_foreign_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "a.nfmap"
    with pytest.raises(MapFileError, match="cannot read map"):
        read_map(path)
    path.mkdir()
    with pytest.raises(MapFileError, match="cannot read map"):
        read_map(path)
    foreign = tmp_path / "b.nfmap"
    save_file({"keys": torch.zeros(1)}, foreign)
    with pytest.raises(MapFileError, match="is not a latent map") as error:
        read_map(foreign)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": torch.zeros((2, 3), dtype=torch.int32)}, "a block twice"),
        ({"keys": torch.tensor([[0, 0, 0], [0, 0, 1 << 20]], dtype=torch.int32)}, "out of the range"),
        ({"keys": torch.zeros((2, 3), dtype=torch.int64)}, "do not fit"),
        ({"values": torch.zeros((3, 512, 6), dtype=torch.float16)}, "do not fit"),
        ({"values": torch.full((2, 512, 6), torch.nan, dtype=torch.float16)}, "no voxel can have"),
        ({"values": torch.full((2, 512, 6), -1, dtype=torch.float16)}, "no voxel can have"),
    ],
)
def test_content_that_no_map_has_is_refused(tmp_path, stored, changes, message):
    small = replace(stored, keys=stored.keys[:2], values=stored.values[:2])
    write_map(tmp_path / "a.nfmap", replace(small, **changes))
    with pytest.raises(MapFileError, match=message):
        read_map(tmp_path / "a.nfmap")


@pytest.mark.parametrize(
    ("tensors", "facts", "message"),
    [
        ({"values": None}, {}, "lacks values$"),
        ({"keys": None, "values": None}, {"frame_id": None}, "lacks frame_id, keys, values$"),
        ({}, {"model_sha256": None}, "lacks model_sha256$"),
        ({}, {"voxel_size_m": "small"}, "a voxel size that is no number: 'small'"),
        ({"values": torch.zeros((2, 512, 2), dtype=torch.float16)}, {}, "do not fit"),
        ({"values": torch.tensor(1.0, dtype=torch.float16)}, {}, "do not fit"),
        ({"values": torch.zeros((2, 512, 6), dtype=torch.bfloat16)}, {}, "do not fit"),
    ],
)
def test_a_file_of_another_program_with_a_right_checksum_is_refused(tmp_path, stored, tensors, facts, message):
    path = tmp_path / "a.nfmap"
    write_map(path, replace(stored, keys=stored.keys[:2], values=stored.values[:2]))
    with safe_open(path, "pt") as file:
        written = {"keys": file.get_tensor("keys"), "values": file.get_tensor("values")}
        told = {name: text for name, text in file.metadata().items() if name != "checksum"}
    tensors = {name: tensor for name, tensor in {**written, **tensors}.items() if tensor is not None}
    facts = {name: text for name, text in {**told, **facts}.items() if text is not None}
    save_file(tensors, path, {**facts, "checksum": _checksum(tensors, facts)})
    with pytest.raises(MapFileError, match=message) as error:
        read_map(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_map_that_cannot_be_written_leaves_the_old_file(tmp_path, stored, monkeypatch):
    path = tmp_path / "a.nfmap"
    write_map(path, stored)
    before = path.read_bytes()

    def fails(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("neuralfusion_ros.mapping.map_file.save_file", fails)
    with pytest.raises(OSError, match="No space left"):
        write_map(path, replace(stored, frame_id="map"))
    assert path.read_bytes() == before
    with pytest.raises(OSError):
        write_map(Path(tmp_path / "missing" / "a.nfmap"), stored)
