# SPDX-License-Identifier: Apache-2.0
"""The translated map: chunks without cracks, and only what changed.

A stand-in for the translator passes the running mean of a voxel on as its TSDF, so that shapes can be set directly.
"""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.chunks import CHUNK_BLOCKS
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS, read_states, voxel_rows
from neuralfusion_ros.mapping.meshing import Mesh, crossed_cells, mesh_cells
from neuralfusion_ros.mapping.surface_map import (
    SurfaceMap,
)
from neuralfusion_ros.mapping.translate import TranslatorNetwork
from neuralfusion_ros.mapping.voxel_state import EVIDENCE_FEATURES, FREE, MEAN, WEIGHT, n_channels

VOXEL_M = 0.05
TRUNCATION_M = TRUNCATION_VOXELS * VOXEL_M
LATENT_CHANNELS = 1
CHUNK_VOXELS = CHUNK_BLOCKS * BLOCK_SIZE
_MEAN = 1  # among the features of a voxel


class PassOn(TranslatorNetwork):
    """TSDF: the running mean of the voxel, growing upwards inside it. Occupancy: its latent number."""

    def decide(
        self, context: torch.Tensor, features: torch.Tensor, offset: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return features[:, _MEAN] + offset[..., 2] / TRUNCATION_VOXELS, torch.logit(features[:, EVIDENCE_FEATURES])


def surface_map(latent: BlockGrid, subdivision: int = 1) -> SurfaceMap:
    return SurfaceMap(latent, PassOn(LATENT_CHANNELS, width=1), subdivision, compiled=False)


def centres(latent: BlockGrid) -> torch.Tensor:
    """(n_blocks, 512, 3) centres of voxels in voxels."""
    return latent.keys[:, None] * BLOCK_SIZE + voxel_offsets() + 0.5


def cube_of_blocks(low: int, high: int) -> BlockGrid:
    latent = BlockGrid(n_channels(LATENT_CHANNELS), VOXEL_M)
    latent.allocate(torch.cartesian_prod(*[torch.arange(low, high)] * 3))
    return latent


def set_distance(latent: BlockGrid, distance_voxels: torch.Tensor) -> None:
    """Everything looked through once and seen once at this distance, so that all of it may carry a surface."""
    latent.values.zero_()
    latent.values[..., WEIGHT] = 1
    latent.values[..., FREE] = 1
    latent.values[..., MEAN] = (distance_voxels / TRUNCATION_VOXELS).clamp(-1, 1).half()


def sphere(centre: tuple[float, float, float] = (0.3, -0.2, 0.6), radius: float = 18.4, reach: int = 4) -> BlockGrid:
    """Across the corner of eight chunks; centre and radius in voxels."""
    latent = cube_of_blocks(-reach, reach)
    set_distance(latent, (centres(latent) - torch.tensor(centre)).norm(dim=-1) - radius)
    return latent


def plane(height: float = 2.3) -> BlockGrid:
    latent = cube_of_blocks(-4, 4)
    set_distance(latent, centres(latent)[..., 2] - height)
    return latent


def translated(latent: BlockGrid) -> SurfaceMap:
    surface = surface_map(latent)
    surface.mark_changed(latent.keys)
    surface.translate()
    return surface


def in_one_piece(surface: SurfaceMap, low: int, high: int) -> Mesh:
    """The mesh of the blocks [low, high) as one volume, from the values that the map holds."""
    size = (high - low) * BLOCK_SIZE
    voxels = torch.cartesian_prod(*[torch.arange(low * BLOCK_SIZE, high * BLOCK_SIZE)] * 3)
    tsdf = read_states(surface.grid, voxel_rows(surface.grid, voxels))[:, 0].reshape(size, size, size).numpy()
    return mesh_cells(tsdf, crossed_cells(tsdf, np.ones(tsdf.shape, bool)), np.full(3, low * BLOCK_SIZE), VOXEL_M)


def assert_same_surface(mesh: Mesh, expected: Mesh) -> None:
    """The same triangles with the same orientation, vertices within 1e-5 voxels, in any order."""
    assert len(mesh.triangles) == len(expected.triangles) > 0
    distance, number = cKDTree(expected.vertices / VOXEL_M).query(mesh.vertices / VOXEL_M)
    assert distance.max() < 1e-5
    assert np.array_equal(np.sort(number), np.arange(len(expected.vertices)))
    assert np.array_equal(in_order(number[mesh.triangles]), in_order(expected.triangles))


def in_order(triangles: np.ndarray) -> np.ndarray:
    """(T, 3) sorted triangles, each turned so that its lowest vertex comes first."""
    start = triangles.argmin(axis=1)[:, None]
    turned = np.take_along_axis(triangles, (start + np.arange(3)) % 3, axis=1)
    return turned[np.lexsort(turned.T)]


def faces_per_edge(mesh: Mesh) -> np.ndarray:
    edges = np.sort(mesh.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return np.unique(edges, axis=0, return_counts=True)[1]


@pytest.mark.parametrize("build", [sphere, plane])
def test_many_chunks_give_the_mesh_of_one_piece(build):
    latent = build()
    surface = translated(latent)
    reach = int(latent.keys.max()) + 1
    whole, welded = in_one_piece(surface, -reach, reach), surface.mesh()
    assert len(surface.chunk_meshes()) > 1
    assert_same_surface(welded, whole)


@pytest.mark.parametrize(
    ("centre", "radius"),
    [((0.3, -0.2, 0.6), 18.4), ((-0.41, 0.13, 0.77), 20.03), ((3.3, -4.9, 0.0), 15.1), ((0.5, 0.5, 0.5), 17.0)],
)
def test_a_sphere_across_eight_chunks_is_watertight(centre, radius):
    """The last one has voxels at distance zero exactly."""
    surface = translated(sphere(centre, radius))
    mesh = surface.mesh()
    assert len(surface.chunk_meshes()) == 8
    assert (faces_per_edge(mesh) == 2).all()
    edges = len(faces_per_edge(mesh))
    assert len(mesh.vertices) - edges + len(mesh.triangles) == 2  # Euler: one closed surface without handles
    distance = np.linalg.norm(mesh.vertices / VOXEL_M - centre, axis=1)
    np.testing.assert_allclose(distance, radius, atol=0.05)


def test_normals_point_to_free_space():
    mesh = translated(sphere()).mesh()
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(np.float64) for i in range(3))
    outwards = (a + b + c) / 3 - np.array([0.3, -0.2, 0.6]) * VOXEL_M
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), outwards) > 0).mean() > 0.999


def test_chunks_hold_their_own_cells_only():
    surface = translated(plane())
    for chunk, mesh in surface.mesh_changed_chunks().items():
        voxels = mesh.vertices / VOXEL_M - 0.5
        low = np.array(chunk) * CHUNK_VOXELS
        assert (voxels >= low - 1e-3).all()
        assert (voxels <= low + CHUNK_VOXELS + 1e-3).all()


def test_growing_piece_by_piece_ends_in_the_same_mesh():
    latent, target = cube_of_blocks(-4, 4), sphere()
    surface = surface_map(latent)
    order = torch.randperm(latent.n_blocks, generator=torch.Generator().manual_seed(0))
    for rows in order.split(90):
        latent.values[rows] = target.values[target.find(latent.keys[rows])]
        surface.mark_changed(latent.keys[rows])
        surface.translate(max_blocks=70)
        surface.mesh_changed_chunks()
    assert_same_surface(surface.mesh(), translated(target).mesh())
    assert surface.pending == 0


def test_growing_by_allocation_ends_in_the_same_mesh():
    """As a robot explores: blocks that did not exist when their neighbours were translated."""
    target = sphere()
    latent = BlockGrid(n_channels(LATENT_CHANNELS), VOXEL_M)
    surface = surface_map(latent)
    for keys, values in zip(target.keys.split(60), target.values.split(60), strict=True):
        latent.set_blocks(keys, values)
        surface.mark_changed(keys)
        surface.translate()
        surface.mesh_changed_chunks()
    assert_same_surface(surface.mesh(), translated(target).mesh())


def test_translation_is_bounded_and_reports_what_waits():
    latent = sphere()
    surface = surface_map(latent)
    surface.mark_changed(latent.keys[:1])
    assert 8 <= surface.pending <= 27  # the block and its neighbours
    surface.mark_changed(latent.keys)
    surface.mark_changed(latent.keys[:50])
    assert surface.pending == latent.n_blocks
    assert surface.translate(max_blocks=100) == 100
    assert surface.pending == latent.n_blocks - 100
    assert surface.translate() == latent.n_blocks - 100
    assert surface.translate() == 0


def test_only_chunks_near_a_change_are_returned():
    latent = plane()
    surface = translated(latent)
    assert len(surface.mesh_changed_chunks()) == len(surface.chunk_meshes()) == 4
    assert surface.mesh_changed_chunks() == {}
    surface.mark_changed(torch.tensor([[2, 2, 0]]))  # its neighbours too lie inside chunk (0, 0, 0)
    surface.translate()
    assert set(surface.mesh_changed_chunks()) == {(0, 0, 0)}
    surface.mark_changed(torch.tensor([[1, 2, 0]]))  # neighbour (0, 2, 0) is read by cells of chunk (-1, 0, 0)
    surface.translate()
    assert set(surface.mesh_changed_chunks()) == {(0, 0, 0), (-1, 0, 0)}


def test_settled_chunks_are_meshed_once_while_others_wait():
    """Piece by piece, each chunk comes when nothing around it waits any more, and not before."""
    latent = sphere()
    expected = translated(latent).mesh_changed_chunks()
    surface = surface_map(latent)
    surface.mark_changed(latent.keys)
    came: list[tuple[int, int, int]] = []
    while surface.pending:
        surface.translate(max_blocks=40)
        came += surface.mesh_changed_chunks(settled_only=True)
    assert 0 < len(came) == len(set(came))
    assert set(came) == set(expected)
    assert all(np.array_equal(mesh.vertices, expected[key].vertices) for key, mesh in surface.chunk_meshes().items())
    assert surface.mesh_changed_chunks() == {}


def test_a_chunk_that_lost_its_surface_is_returned_empty_once():
    latent = plane()
    surface = translated(latent)
    first = surface.mesh_changed_chunks()
    latent.values[..., MEAN] = 1
    surface.mark_changed(latent.keys)
    surface.translate()
    emptied = surface.mesh_changed_chunks()
    assert set(emptied) == set(first)
    assert all(len(mesh.triangles) == 0 for mesh in emptied.values())
    assert surface.chunk_meshes() == {}
    surface.mark_changed(latent.keys)
    surface.translate()
    assert surface.mesh_changed_chunks() == {}
    assert len(surface.mesh().triangles) == 0


def test_clear_empties_every_chunk():
    latent = plane()
    surface = translated(latent)
    before = surface.mesh_changed_chunks()
    surface.clear()
    assert surface.grid.n_blocks == 0
    emptied = surface.mesh_changed_chunks()
    assert set(emptied) == set(before)
    assert all(len(mesh.triangles) == 0 for mesh in emptied.values())
    assert len(surface.mesh().triangles) == 0
    surface.mark_changed(latent.keys)  # and it can start again
    assert len(surface.mesh().triangles) > 0


def test_no_faces_towards_space_that_was_never_seen():
    """A slab of observed voxels around a plane: its rims and its back are no surface."""
    latent = plane()
    unseen = (centres(latent)[..., 2] < 1) | (centres(latent)[..., :2].abs().amax(dim=-1) > 20)
    latent.values[unseen] = 0
    mesh = translated(latent).mesh()
    assert len(mesh.triangles) > 1000
    np.testing.assert_allclose(mesh.vertices[:, 2] / VOXEL_M, 2.3, atol=0.01)
    assert np.abs(mesh.vertices[:, :2]).max() <= 20 * VOXEL_M


def test_no_faces_from_voxels_seen_only_from_far_behind():
    latent = plane()
    latent.values[..., FREE] = 0
    latent.values[..., MEAN] = torch.where(centres(latent)[..., 2] < 2.3, -0.6, 0.2).half()
    assert len(translated(latent).mesh().triangles) == 0


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.3, 0.5, 0.8), (1.0, 1.0, 1.0)])
def test_a_surface_at_any_slant_has_no_holes(normal):
    """The band of a plane alone. A cell that it cuts reaches up to 1.73 voxels = 0.43 truncations behind it."""
    latent = cube_of_blocks(-3, 3)
    direction = torch.tensor(normal) / torch.tensor(normal).norm()
    set_distance(latent, centres(latent) @ direction - 0.37)
    latent.values[..., FREE] = 0
    mesh = translated(latent).mesh()
    counts = faces_per_edge(mesh)
    rim = 2 * 3 * 48 * 2  # edges with one face: no more than the outline of the cube's cross-section has
    assert (counts <= 2).all()
    assert 0 < (counts == 1).sum() < rim


@pytest.mark.parametrize("subdivision", [1, 2, 3])
def test_a_finer_surface_lies_in_the_same_place(subdivision):
    """A plane through eight chunks: every part of a voxel gets its own value, in its own place."""
    surface = surface_map(plane(2.3), subdivision)
    surface.mark_changed(surface.latent.keys)
    mesh = surface.mesh()
    cells = (64 * subdivision - 1) ** 2
    assert len(mesh.triangles) == 2 * cells
    assert len(mesh.vertices) == (64 * subdivision) ** 2
    np.testing.assert_allclose(mesh.vertices[:, 2], 2.3 * VOXEL_M, atol=2e-3 * VOXEL_M)
    assert mesh.vertices[:, 0].max() == pytest.approx((32 - 0.5 / subdivision) * VOXEL_M, abs=1e-6)
    assert surface.grid.n_blocks == surface.latent.n_blocks * subdivision**3


def test_an_empty_map_has_no_surface():
    surface = surface_map(BlockGrid(n_channels(LATENT_CHANNELS), VOXEL_M))
    assert len(surface.mesh().triangles) == 0
    assert surface.mesh_changed_chunks() == {}


def test_surface_voxels_are_the_observed_ones_near_the_surface():
    latent = sphere()
    latent.values[centres(latent)[..., 0] > 10] = 0
    surface = translated(latent)
    found = surface.surface_voxels()
    centre = np.array([0.3, -0.2, 0.6])
    distance = np.linalg.norm(found.positions_m / VOXEL_M - centre, axis=1) - 18.4
    expected = distance * VOXEL_M
    np.testing.assert_allclose(found.tsdf_m, expected, atol=1e-3 * VOXEL_M * TRUNCATION_VOXELS)
    assert np.abs(distance).max() <= TRUNCATION_VOXELS
    assert found.positions_m[:, 0].max() < 10 * VOXEL_M
    assert (found.weight == 2).all()
    near = ((centres(latent) - torch.tensor(centre)).norm(dim=-1) - 18.4).abs() < 0.97 * TRUNCATION_VOXELS
    assert len(found.tsdf_m) >= int((near & (centres(latent)[..., 0] <= 10)).sum())


def test_surface_voxels_of_some_blocks():
    surface = translated(plane())
    keys = torch.tensor([[0, 0, 0], [99, 0, 0], [1, -2, 0]])
    found = surface.surface_voxels(keys)
    blocks = np.unique(np.floor(found.positions_m / (BLOCK_SIZE * VOXEL_M)).astype(int), axis=0)
    assert blocks.tolist() == [[0, 0, 0], [1, -2, 0]]
    assert len(surface.surface_voxels(keys[1:2]).tsdf_m) == 0
