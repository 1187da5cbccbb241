# SPDX-License-Identifier: Apache-2.0
"""Pictures of a latent map: slices through it, and its mesh seen from above and through the camera."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import open3d as o3d
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuralfusion_ros.evaluation.holdout import rays_through_pixels
from neuralfusion_ros.evaluation.method import FloatArray, Triangles
from neuralfusion_ros.evaluation.places import Place
from neuralfusion_ros.evaluation.surfaces import ray_scene
from neuralfusion_ros.mapping.latent_colours import LatentColours, latents_at
from neuralfusion_ros.mapping.mapper import Mapper

Image = npt.NDArray[np.float32]
_FREE_COLOUR, _UNKNOWN_COLOUR = 1.0, 0.82
_AXES = "xyz"
_TOP_PIXEL_M = 0.01
_MARGIN_M = 0.3
_HEAD_SHARE = 0.75


def slices_figure(mapper: Mapper, colours: LatentColours, mesh: Triangles, within: Triangles, title: str) -> Figure:
    """Three slices: above the latent vectors, below what the translator makes of them.

    mesh: of the map, through whose median they go. within: the place, which with a margin is the part that is drawn.
    """
    figure = Figure(figsize=(15, 9.5), layout="constrained")
    panels = figure.subplots(2, 3)
    low, high = within.vertices.min(0) - _MARGIN_M, within.vertices.max(0) + _MARGIN_M
    drawn = None
    for axis, at_m in enumerate(np.median(mesh.vertices, axis=0)):
        points, extent = slice_points(axis, float(at_m), low, high, mapper.settings.voxel_size_m)
        panels[0, axis].imshow(latent_image(mapper, colours, points), origin="lower", extent=extent)
        panels[0, axis].set_title(f"latent vectors, {_AXES[axis]} = {at_m:.2f} m")
        panels[1, axis].set_facecolor(str(_UNKNOWN_COLOUR))
        limit_m = mapper.settings.voxel_size_m * 4
        drawn = panels[1, axis].imshow(
            _distance_image(mapper, points), "RdBu", origin="lower", extent=extent, vmin=-limit_m, vmax=limit_m
        )
        panels[1, axis].set_title("translated signed distance (grey: unknown)")
        for panel in panels[:, axis]:
            _label(panel, axis)
    if drawn is not None:
        figure.colorbar(drawn, ax=panels[1, :].tolist(), label="signed distance [m]", shrink=0.8)
    figure.suptitle(title)
    return figure


def slice_points(
    axis: int, at_m: float, low: FloatArray, high: FloatArray, voxel_size_m: float
) -> tuple[npt.NDArray[np.float64], tuple[float, float, float, float]]:
    """(rows, columns, 3) voxel centres of the slice across `axis`, and left, right, bottom, top of its picture.

    Columns run along the first of the other axes, rows along the second.
    """
    right, up = (k for k in range(3) if k != axis)
    first, last = np.floor(low / voxel_size_m).astype(int), np.floor(high / voxel_size_m).astype(int)
    columns, rows = np.arange(first[right], last[right] + 1), np.arange(first[up], last[up] + 1)
    points = np.empty((len(rows), len(columns), 3))
    points[..., axis] = at_m
    points[..., right], points[..., up] = np.meshgrid((columns + 0.5) * voxel_size_m, (rows + 0.5) * voxel_size_m)
    edges = (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1)
    left, end, bottom, top = (float(edge * voxel_size_m) for edge in edges)
    return points, (left, end, bottom, top)


def latent_image(mapper: Mapper, colours: LatentColours, points: npt.NDArray[np.float64]) -> Image:
    """(rows, columns, 3) colours; white where the map knows free space only, grey where it knows nothing."""
    voxels = latents_at(mapper.grid, points.reshape(-1, 3))
    image = np.full((len(voxels.weight), 3), _UNKNOWN_COLOUR, np.float32)
    image[voxels.free > 0] = _FREE_COLOUR
    image[voxels.weight > 0] = colours.colours(voxels.latent[voxels.weight > 0])
    return image.reshape(points.shape)


def mesh_figure(mapper: Mapper, colours: LatentColours, mesh: Triangles, place: Place, title: str) -> Figure:
    """The mesh in the colours of its latent vectors, from above without the ceiling and through the camera."""
    figure = Figure(figsize=(15, 7), layout="constrained")
    above, through = figure.subplots(1, 2)
    rays, extent = _rays_from_above(place.mesh)
    above.imshow(mesh_image(mapper, colours, mesh, rays), origin="lower", extent=extent)
    above.set_title("from above, cut below the ceiling")
    _label(above, 2)
    through.imshow(
        mesh_image(mapper, colours, mesh, rays_through_pixels(place.camera, place.frames[0][1].T_world_camera))
    )
    through.set_title("through the camera of the first frame")
    through.set_xlabel("u [pixel]")
    through.set_ylabel("v [pixel]")
    figure.suptitle(title)
    return figure


def mesh_image(mapper: Mapper, colours: LatentColours, mesh: Triangles, rays: Image) -> Image:
    """(H, W, 3) colours that (H, W, 6) rays see: those of the voxel at the hit, darker where the surface is slanted."""
    hits = ray_scene(mesh).cast_rays(o3d.core.Tensor(rays))
    distance = hits["t_hit"].numpy()
    hit = np.isfinite(distance)
    image = np.ones((*distance.shape, 3), np.float32)
    points = rays[hit][:, :3] + distance[hit][:, None] * rays[hit][:, 3:]
    directions = rays[hit][:, 3:] / np.linalg.norm(rays[hit][:, 3:], axis=1, keepdims=True)
    slant = np.abs(np.einsum("nc,nc->n", directions, hits["primitive_normals"].numpy()[hit]))
    voxels = latents_at(mapper.grid, points.astype(np.float64))
    seen = np.where(voxels.weight[:, None] > 0, colours.colours(voxels.latent), np.float32(_UNKNOWN_COLOUR))
    image[hit] = seen * (0.35 + 0.65 * slant[:, None])
    return image


def _distance_image(mapper: Mapper, points: npt.NDArray[np.float64]) -> Image:
    """(rows, columns) metres, NaN where unknown."""
    return mapper.query(points.reshape(-1, 3)).tsdf_m.reshape(points.shape[:2])


def _rays_from_above(within: Triangles) -> tuple[Image, tuple[float, float, float, float]]:
    """(H, W, 6) rays straight down from below the ceiling; z is up. Beside them left, right, bottom, top."""
    low, high = within.vertices.min(0), within.vertices.max(0)
    x = np.arange(low[0], high[0], _TOP_PIXEL_M)
    y = np.arange(low[1], high[1], _TOP_PIXEL_M)
    rays = np.zeros((len(y), len(x), 6), np.float32)
    rays[..., 0], rays[..., 1] = np.meshgrid(x, y)
    rays[..., 2] = low[2] + _HEAD_SHARE * (high[2] - low[2])
    rays[..., 5] = -1
    return rays, (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))


def _label(panel: Axes, axis: int) -> None:
    right, up = (name for k, name in enumerate(_AXES) if k != axis)
    panel.set_xlabel(f"{right} [m]")
    panel.set_ylabel(f"{up} [m]")
