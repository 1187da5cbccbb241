# SPDX-License-Identifier: Apache-2.0
"""Pictures of what the map holds: latent vectors as colours, beside what the translator reads from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import ExperimentError, Inputs, Page, figure_link, one_of, setting
from neuralfusion_ros.evaluation.latent_pictures import mesh_figure, slices_figure
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.places import Place
from neuralfusion_ros.evaluation.rooms import noisy_frames
from neuralfusion_ros.evaluation.tables import markdown_table
from neuralfusion_ros.mapping.latent_colours import LatentColours, fit_colours, surface_latents
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.training.sensor_families import LEVELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEXT = """The latent vectors of a map at noise {level} as colours: the three directions in which the vectors of all
voxels with evidence of a surface vary most are red, green and blue, from their 2nd to their 98th percentile. White is
known free space, grey is unknown. The slices go through the median of the mesh's vertices. Below each slice is what
the translator makes of it: outliers that stand in the map as lone coloured voxels should not be surface there.
"""


@dataclass(frozen=True)
class LatentPictures:
    """PCA colours on slices and on the mesh."""

    name: ClassVar[str] = "latent"
    summary: ClassVar[str] = "pictures of the latent vectors on slices and on the mesh"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Draws every room, with the first seed."""
        body, figures, rows = "", {}, []
        numbers: dict[str, Any] = {}
        conditions: dict[str, object] = {"seeds": bench.seeds[0]}
        for place in bench.places():
            conditions["image size"] = f"{place.camera.width}x{place.camera.height}"
            conditions["frames"] = f"{len(place.frames)} of each room"
            colours, drawn = self._draw(bench, place)
            for suffix, figure in drawn.items():
                figures[suffix] = figure
                body += figure_link(self.name, suffix, f"Latent vectors of {place.name}") + "\n"
            rows.append([place.name, *(f"{100 * share:.1f} %" for share in colours.explained)])
            numbers[place.name] = {"explained_variance": [float(share) for share in colours.explained]}
        header = ["share of the variance", *(f"direction {k + 1}" for k in range(max(map(len, rows)) - 1))]
        body += f"\n{markdown_table(header, rows)}"
        return Page("Latent vectors", _TEXT.format(level=self.level[0]), body, numbers, conditions, figures)

    def _draw(self, bench: Bench, place: Place) -> tuple[LatentColours, dict[str, Figure]]:
        mapper = Mapper(bench.load(), bench.settings, bench.device)
        frames = noisy_frames(place, LEVELS[self.level[0]], bench.seeds[0])
        with bench.progress(place.name, len(frames)) as advance:
            for frame in frames:
                mapper.integrate(frame.depth_m, frame.T_world_camera, place.camera)
                advance()
        made = mapper.mesh()
        mesh = Triangles(made.vertices, made.triangles)
        if not len(mesh.triangles):
            raise ExperimentError(f"{place.name}: the map has no surface to draw")
        colours = fit_colours(surface_latents(mapper.grid))
        title = f"{place.name}, noise {self.level[0]}, {len(frames)} frames"
        return colours, {
            f"_{place.name}_slices": slices_figure(mapper, colours, mesh, place.mesh, f"Slices through {title}"),
            f"_{place.name}_mesh": mesh_figure(mapper, colours, mesh, place, f"Mesh of {title}"),
        }
