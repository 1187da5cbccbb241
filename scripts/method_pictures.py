# SPDX-License-Identifier: Apache-2.0
"""Draws the four steps of the method for docs/method.md, and the colours of the mesh for docs/live_view.md.

`.venv/bin/python scripts/method_pictures.py RECORDING [FOLDER]` writes extract.png, fuse.png, integrate.png,
translate.png, from FRAMES frames spread over a recording, and colours.png, from the demo's room.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image as Picture

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.latent_pictures import slice_points
from neuralfusion_ros.mapping import Mapper, MapSettings, PinholeCamera, load_model
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS, RaySamples, extract, read_states, voxel_rows
from neuralfusion_ros.mapping.fuse import network_inputs
from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.mapping.ray_image import RayImage, make_rays
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, WEIGHT
from neuralfusion_ros.nodes.mesh_painter import MeshPainter
from neuralfusion_ros.pictures.picture import render_mesh
from neuralfusion_ros.pictures.surface_colours import by_vertex
from neuralfusion_ros.pictures.viewpoint import Doubles, up_direction

FRAMES = 24
VOXEL_M = 0.02
TRUNCATION_MM = 1000 * TRUNCATION_VOXELS * VOXEL_M
DOCS = Path(__file__).resolve().parents[1] / "docs" / "method"
Image = npt.NDArray[np.float32]


def main() -> int:
    """Maps the frames but for the last; draws what the last one does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=DOCS)
    options = parser.parse_args()
    recording, folder = open_recording(options.recording), options.folder
    folder.mkdir(parents=True, exist_ok=True)
    *earlier, last = islice(recording, 0, FRAMES * (len(recording) // FRAMES), len(recording) // FRAMES)
    camera, up = recording.camera, up_direction(frame.T_world_camera for frame in [*earlier, last])
    mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=VOXEL_M))
    for frame in earlier:
        mapper.integrate(frame.depth_m, frame.T_world_camera, camera)
    rays = make_rays(torch.from_numpy(last.depth_m), camera, mapper.settings)
    with torch.no_grad():
        samples = extract(mapper.grid, rays, torch.tensor(last.T_world_camera, dtype=torch.float32))
        updates = mapper.model.fusion(network_inputs(rays, samples))
    figures = {
        "extract": extract_figure(last, rays, samples),
        "fuse": fuse_figure(rays, updates.correction.numpy(), updates.confidence.numpy()),
        "integrate": integrate_figure(earlier[0], mapper, last, camera, up),
        "translate": translate_figure(mapper, up),
        "colours": colours_figure(),
    }
    for name, figure in figures.items():
        with new_file(folder / f"{name}.png") as aside:
            figure.savefig(aside, dpi=80)
            small = Picture.open(aside).convert("RGB").quantize(256, Picture.Quantize.FASTOCTREE)  # half the size
            small.save(aside, optimize=True)
    return 0


def extract_figure(frame: Frame, rays: RayImage, samples: RaySamples) -> Figure:
    """The depth image, and from above the samples along the rays of its middle row."""
    figure, (left, right) = two_panels()
    image(left, np.where(frame.depth_m > 0, frame.depth_m, np.nan), "depth image, the white row is drawn beside", "m")
    row = rays.camera.height // 2
    left.axhline(row * len(frame.depth_m) / rays.camera.height, color="white", linewidth=1.5)
    points = rays.points_m[row].numpy()
    steps = np.arange(-TRUNCATION_VOXELS, TRUNCATION_VOXELS + 1) * VOXEL_M
    directions = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-6)
    at = points[:, None] + steps[:, None] * directions[:, None]
    valid = rays.valid[row].numpy()[:, None] & np.ones(len(steps), bool)
    known = valid & (samples.states[row, :, :, WEIGHT].numpy() > 0)
    mean_mm = samples.states[row, :, :, MEAN].numpy() * TRUNCATION_MM
    right.scatter(at[valid & ~known, 0], at[valid & ~known, 2], s=2, color="0.75")
    dots = right.scatter(at[known, 0], at[known, 2], s=2, c=mean_mm[known], cmap="RdBu", vmin=-80, vmax=80)
    right.plot(0, 0, "k^")
    right.annotate("camera", (0, 0), (6, 0), textcoords="offset points")
    right.set(title="what the map already knows along the rays", xlabel="to the right [m]", ylabel="ahead [m]")
    right.set_aspect("equal")
    figure.colorbar(dots, ax=right, label="signed distance in the map [mm]", shrink=0.8)
    return figure


def fuse_figure(rays: RayImage, correction: Image, confidence: Image) -> Figure:
    """What the fusion network says of every ray: a shift, and how much it believes the measured point."""
    figure, (left, right) = two_panels()
    valid = rays.valid.numpy()
    shift_mm = np.where(valid, correction * TRUNCATION_MM, np.nan)
    image(left, shift_mm, "shift of the surface, towards the camera is blue", "mm", "RdBu", 30)
    of_surface = np.where(valid, confidence[..., TRUNCATION_VOXELS], np.nan)
    image(right, of_surface, "confidence at the measured point", "", "viridis")
    return figure


def integrate_figure(first: Frame, mapper: Mapper, last: Frame, camera: PinholeCamera, up: Doubles) -> Figure:
    """A level slice of the running means after one frame, and after all."""
    fresh = Mapper(mapper.model, mapper.settings)
    fresh.integrate(first.depth_m, first.T_world_camera, camera)
    mapper.integrate(last.depth_m, last.T_world_camera, camera)
    points, extent = level_slice(mapper, up)
    figure, panels = two_panels()
    for panel, of, count in zip(panels, (fresh, mapper), (1, FRAMES), strict=True):
        states = read_states(of.grid, voxel_rows(of.grid, torch.from_numpy(np.floor(points / VOXEL_M)).long())).numpy()
        seen = (states[..., WEIGHT] > 0) | (states[..., FREE] > 0)
        mean_mm = np.where(states[..., WEIGHT] > 0, states[..., MEAN], 1.0) * TRUNCATION_MM
        title = f"running mean after {count} frame{'s' * (count > 1)}"
        slice_panel(panel, np.where(seen, mean_mm, np.nan), extent, title)
    return figure


def translate_figure(mapper: Mapper, up: Doubles) -> Figure:
    """The same slice, translated, and the mesh."""
    points, extent = level_slice(mapper, up)
    figure, (left, right) = two_panels()
    distance_mm = 1000 * mapper.query(points.reshape(-1, 3)).tsdf_m.reshape(points.shape[:2])
    slice_panel(left, distance_mm, extent, "translated signed distance")
    right.imshow(render_mesh(mapper.mesh(), up, size=(800, 600)))
    right.set_title("mesh")
    right.axis("off")
    return figure


def colours_figure() -> Figure:
    """The demo's room in the colours that the translator's parameter `mesh_colour` offers; plain is left out."""
    figure = Figure(figsize=(12, 8.2), layout="constrained")
    mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.03))
    for frame in demo_frames(40):
        mapper.integrate(frame.depth_m, frame.T_world_camera, CAMERA)
    mesh = mapper.mesh()
    painter = MeshPainter("latent")
    painter.learn([mesh], mapper.grid)
    for number, choice in enumerate(("height", "normal", "uncertainty", "latent")):
        painter.choice = choice
        panel = figure.add_subplot(2, 2, number + 1)
        panel.imshow(render_mesh(mesh, size=(800, 560), paint=by_vertex(painter.colours(mesh, mapper.grid))))
        panel.set_title(choice)
        panel.axis("off")
    return figure


def two_panels() -> tuple[Figure, tuple[Axes, Axes]]:
    """An empty figure of two panels side by side."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    return figure, (left, right)


def image(panel: Axes, values: Image, title: str, unit: str, colours: str = "turbo_r", limit: float = 0.0) -> None:
    """An image with its scale. limit: the scale runs from -limit to limit; 0: as the values do."""
    drawn = panel.imshow(values, colours, vmin=-limit if limit else None, vmax=limit or None)
    panel.set_title(title)
    panel.axis("off")
    panel.figure.colorbar(drawn, ax=panel, label=unit, shrink=0.8)


def level_slice(mapper: Mapper, up: Doubles) -> tuple[npt.NDArray[np.float64], tuple[float, float, float, float]]:
    """Voxel centres of a slice at half the height of the mesh, and its extent."""
    vertices = mapper.mesh().vertices.astype(np.float64)
    low, high = vertices.min(0), vertices.max(0)
    axis = int(np.argmax(np.abs(up)))
    return slice_points(axis, float((low[axis] + high[axis]) / 2), low - 0.1, high + 0.1, VOXEL_M)


def slice_panel(panel: Axes, values_mm: Image, extent: tuple[float, float, float, float], title: str) -> None:
    """Signed distances in a level plane, grey where nothing is known."""
    panel.set_facecolor("0.85")
    limit = TRUNCATION_MM
    drawn = panel.imshow(values_mm, "RdBu", origin="lower", extent=extent, vmin=-limit, vmax=limit)
    panel.set(title=title, xlabel="[m]", ylabel="[m]")
    panel.figure.colorbar(drawn, ax=panel, label="signed distance [mm]", shrink=0.8)


if __name__ == "__main__":
    sys.exit(main())
