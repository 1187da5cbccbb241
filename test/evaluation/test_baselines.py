# SPDX-License-Identifier: Apache-2.0
"""Both TSDF fusions put a plane and a sphere where they are: errors of half a pixel or half a voxel show."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.method import FusedMap, FusionMethod
from neuralfusion_ros.evaluation.open3d_tsdf import WEIGHT_THRESHOLDS, Open3dTsdf
from neuralfusion_ros.evaluation.projective_tsdf import VARIANTS, ProjectiveTsdf

VOXEL_M = 0.04
SLANTED = [(0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (0.0, 0.6, 0.8), (-0.4, 0.3, 0.8)]


def make(kind: str) -> FusionMethod:
    if kind == "open3d":
        return Open3dTsdf(VOXEL_M, 4, max_depth_m=4.0)
    return ProjectiveTsdf(VOXEL_M, np.array([-0.8, -0.8, 0.2]), np.array([0.8, 0.8, 1.6]), max_depth_m=4.0)


def first_map(method: FusionMethod, frames: list[Frame], studio) -> FusedMap:
    """The reading with the narrowest band and the lowest threshold."""
    for frame in frames:
        method.integrate(frame, studio.camera)
    return next(iter(method.maps()))


def centres_around(points: np.ndarray) -> np.ndarray:
    return (np.unique(np.floor(points / VOXEL_M), axis=0) + 0.5) * VOXEL_M


@pytest.mark.parametrize("kind", ["open3d", "projective"])
@pytest.mark.parametrize("normal", SLANTED)
def test_plane_lies_at_the_plane(studio, kind, normal):
    plane = studio.plane(normal, 1.017)
    T_world_camera = studio.pose((0.013, -0.037, 0.009), (4, -7, 11))
    fused = first_map(make(kind), [studio.frame(plane, T_world_camera)] * 2, studio)
    error = plane.distance(fused.mesh().vertices) / VOXEL_M
    assert len(error) > 500
    # A single vertex is off by up to half a pixel on a slanted plane; a wrong convention shifts all of them.
    assert abs(error.mean()) < 0.02
    assert error.std() < 0.1


@pytest.mark.parametrize("kind", ["open3d", "projective"])
def test_query_agrees_with_the_mesh(studio, kind):
    plane = studio.plane((0.3, 0.2, 0.9), 1.0)
    fused = first_map(make(kind), [studio.frame(plane, studio.pose((0, 0, 0)))] * 2, studio)
    tsdf_m, known = fused.query(centres := centres_around(fused.mesh().vertices))
    assert known.mean() > 0.9
    # Distances are measured along the camera's z, not along the normal.
    expected = plane.distance(centres)[known] / plane.normal[2]
    assert np.abs(tsdf_m[known] - expected).mean() < 0.05 * VOXEL_M
    assert abs((tsdf_m[known] - expected).mean()) < 0.02 * VOXEL_M


@pytest.mark.parametrize("kind", ["open3d", "projective"])
def test_sphere_from_all_sides(studio, kind):
    sphere = studio.sphere((0.11, -0.07, 1.03), 0.4)
    poses = [studio.pose((0.11, -0.07, -0.1))]
    poses += [
        studio.pose((0.11 + 1.1 * np.sin(a), -0.07, 1.03 - 1.1 * np.cos(a)), (0, -np.degrees(a), 0)) for a in (2, 4)
    ]
    fused = first_map(make(kind), [studio.frame(sphere, T) for T in poses for _ in range(2)], studio)
    error = sphere.distance(fused.mesh().vertices) / VOXEL_M
    assert abs(error.mean()) < 0.1
    assert np.percentile(np.abs(error), 90) < 0.3


def test_weight_threshold_hides_what_was_seen_once(studio):
    frame = studio.frame(studio.plane((0, 0, 1), 1.0), studio.pose((0, 0, 0)))
    method = Open3dTsdf(VOXEL_M, 4, max_depth_m=4.0)
    for _ in range(3):
        method.integrate(frame, studio.camera)
    triangles = [len(fused.mesh().triangles) for fused in method.maps()]
    known = [fused.query(np.array([[0.02, 0.02, 0.98]]))[1][0] for fused in method.maps()]
    assert WEIGHT_THRESHOLDS == (1, 3, 5)
    assert triangles[0] > 0
    assert triangles[1:] == [0, 0]
    assert known == [True, False, False]


def test_projective_variants_differ_as_named(studio):
    wall = studio.frame(studio.plane((0, 0, 1), 1.0), studio.pose((0, 0, 0)))
    method = make("projective")
    outlier = Frame(0, wall.depth_m.copy(), wall.T_world_camera)
    outlier.depth_m[55:72, 72:90] = 0.53
    for frame in (outlier, wall, wall, wall):
        method.integrate(frame, studio.camera)
    behind_outlier = np.array([[0.02, 0.02, 0.54]])
    for variant, fused in zip(VARIANTS, method.maps(), strict=True):
        assert fused.name == variant.name
        tsdf_m, known = fused.query(behind_outlier)
        assert known[0] == (variant.carve or variant.min_sightings == 1)
        if variant.filtered:
            continue
        if variant.carve:  # one sighting just behind a surface, three as free space
            share = 0.75 - 0.25 * 0.01 / (variant.truncation_voxels * VOXEL_M)
            assert tsdf_m[0] == pytest.approx(share * variant.truncation_voxels * VOXEL_M, rel=1e-4)
        elif known[0]:
            assert tsdf_m[0] == pytest.approx(-0.01, abs=1e-5)


@pytest.mark.parametrize("kind", ["open3d", "projective"])
def test_empty_frames_make_an_empty_map(studio, kind):
    frame = Frame(0, np.zeros((119, 161), np.float32), studio.pose((0, 0, 0)))
    fused = first_map(make(kind), [frame], studio)
    assert len(fused.mesh().triangles) == 0
    assert not fused.query(np.array([[0.02, 0.02, 0.98]]))[1].any()
