# SPDX-License-Identifier: Apache-2.0
"""Colours of the mesh that show what the map holds."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.mapping import Mapper, MapSettings, load_model
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.messages.mesh_colours import COLOURS, uncertainty_colours
from neuralfusion_ros.nodes.mesh_painter import MeshPainter
from neuralfusion_ros.nodes.parameters import TranslatorParameters, parameters_of

VOXEL_M = 0.08


class Room:
    """A map of the shipped model that grows, and its mesh in chunks."""

    def __init__(self, frame_of, camera):
        self._frame_of, self._camera = frame_of, camera
        self.mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=VOXEL_M))
        self._surface = SurfaceMap(self.mapper.grid, self.mapper.model.translator)

    def grow(self, *numbers):
        """The chunks after further frames."""
        for number in numbers:
            frame = self._frame_of(number)
            self.mapper.integrate(frame.depth_m, frame.T_world_camera, self._camera)
        self._surface.mark_changed(self.mapper.take_changed())
        self._surface.translate()
        self._surface.mesh_changed_chunks()
        return list(self._surface.chunk_meshes().values())


@pytest.fixture
def room(frame_of, camera):
    return Room(frame_of, camera)


def test_latent_colours_are_found_once_and_kept_while_the_map_grows(room):
    painter, grid = MeshPainter("latent"), room.mapper.grid
    plain = MeshPainter("plain")
    few = room.grow(0)
    assert not painter.learn(few, grid)  # nothing was seen three times
    assert (painter.colours(few[0], grid) == plain.colours(few[0], grid)).all()
    many = room.grow(*range(1, 16), *range(16))
    assert painter.learn(many, grid)
    colours = painter.colours(many[0], grid)
    assert np.ptp(colours, axis=1).max() > 0.1, "grey is no colour"
    more = room.grow(*range(16))
    assert not painter.learn(more, grid)
    assert np.abs(painter.colours(many[0], grid) - colours).mean() < 0.05
    painter.start_new_map()
    assert (painter.colours(many[0], grid) == plain.colours(many[0], grid)).all()
    painter.choice = "height"
    assert not painter.learn(more, grid)


@pytest.mark.parametrize("choice", ["uncertainty", "latent"])
def test_chunks_agree_on_the_border_that_they_share(room, choice, monkeypatch):
    # The shade goes by the normals, which are those of each chunk alone.
    monkeypatch.setattr("neuralfusion_ros.nodes.mesh_painter.shaded", lambda mesh, hues: hues)
    painter, chunks = MeshPainter(choice), room.grow(*range(16), *range(16))
    painter.learn(chunks, room.mapper.grid)
    seen: dict[tuple[int, ...], np.ndarray] = {}
    shared = 0
    for mesh in chunks:
        colours = painter.colours(mesh, room.mapper.grid)
        for at, colour in zip(np.round(mesh.vertices / 1e-4).astype(int), colours, strict=True):
            other = seen.setdefault(tuple(at), colour)
            shared += other is not colour
            np.testing.assert_allclose(other, colour, atol=0.02)
    assert shared > 100


def test_uncertainty_runs_from_blue_to_red_and_ends_at_half_a_voxel():
    sure, unsure, more = uncertainty_colours(np.array([0.0, 0.5, 3.0], np.float32))
    assert sure[2] > 2 * sure[0] and unsure[0] > 2 * unsure[2] and (unsure == more).all()


def test_what_was_seen_once_is_less_sure_than_what_was_seen_often(room):
    def redness(*frames):
        chunks = room.grow(*frames)
        return np.concatenate([painter.colours(mesh, room.mapper.grid) for mesh in chunks])[:, 0].mean()

    painter = MeshPainter("uncertainty")
    assert redness(0) > 1.3 * redness(*[0] * 20)


def test_the_parameter_offers_every_colour():
    (parameter,) = (its for its in parameters_of(TranslatorParameters) if its.name == "mesh_colour")
    assert parameter.choices == COLOURS and parameter.default in COLOURS
