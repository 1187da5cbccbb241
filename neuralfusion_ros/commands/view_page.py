# SPDX-License-Identifier: Apache-2.0
"""The web page of `neuralfusion view`, served by viser on this machine alone."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import viser
from matplotlib import colormaps

from neuralfusion_ros.commands.view_charts import Charts
from neuralfusion_ros.commands.view_mesh import triangles_glb
from neuralfusion_ros.commands.view_origin import own_pages_only
from neuralfusion_ros.commands.view_slice import MapSlice
from neuralfusion_ros.messages.line_markers import COLOURS, FRUSTUM
from neuralfusion_ros.messages.markers import ADD, DELETE_ALL, MarkerContent
from neuralfusion_ros.messages.mesh_colours import LATENT, UNCERTAINTY

HOST = "127.0.0.1"
_PICTURE_WIDTH = 320
_AMBIENT = 1.5  # the colours of the mesh are shaded already
_SLICE_HINT = "latent: principal components. uncertainty: from blue, none, to dark red, half a voxel."


class _LocalServer(viser.ViserServer):
    """viser offers every page to make a public address for it."""

    def request_share_url(self, verbose: bool = True) -> str | None:
        return None


class ViewPage:
    """port: where it would like to be; another one is taken when that is in use, 0 takes any. up: of the world.

    n_triangles: that are shown.
    """

    def __init__(self, port: int, up: tuple[float, float, float] = (0, 0, 1)) -> None:
        # A browser that goes away in the middle of a word is no news.
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        with redirect_stdout(io.StringIO()), own_pages_only():
            self._server = _LocalServer(HOST, port, label="neuralfusion", verbose=False)
        # Not dark: viser 1.1.1 draws a chart anew for it, and that chart never finds its scale.
        self._server.gui.configure_theme(show_logo=False, show_share_button=False)
        self._server.scene.configure_default_lights(cast_shadow=False)
        self._server.scene.add_light_ambient("/light", intensity=_AMBIENT)
        self._server.scene.set_up_direction(up)
        self._up = np.array(up, np.float64)
        self._triangles: dict[int, int] = {}
        self._chunks: dict[int, Any] = {}
        self._lines: dict[tuple[str, int], Any] = {}
        self._points: Any = None
        self._looked = self._slice_is_new = self._height_is_chosen = False
        self._make_panel()

    def __enter__(self) -> ViewPage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    @property
    def port(self) -> int:
        """Where it is."""
        return self._server.get_port()

    @property
    def n_triangles(self) -> int:
        """In the mesh that is shown."""
        return sum(self._triangles.values())

    def say(self, text: str) -> None:
        """Markdown at the top of the panel."""
        if text != self._text.content:
            self._text.content = text

    def show_mesh(self, markers: Sequence[MarkerContent]) -> None:
        """Takes in marker messages, oldest first; of several for one chunk only the last is sent to the page."""
        newest: dict[int, MarkerContent] = {}
        for marker in markers:
            if marker.action == DELETE_ALL:
                newest.clear()
                for number in list(self._chunks):
                    self._remove_chunk(number)
            else:
                newest[marker.id] = marker
        for number, marker in newest.items():
            if marker.action == ADD and len(marker.points):
                glb = triangles_glb(marker.points, marker.colours)
                self._chunks[number] = self._server.scene.add_glb(f"/mesh/{number}", glb, cast_shadow=False)
                self._triangles[number] = len(marker.points) // 3
            else:
                self._remove_chunk(number)

    def show_cameras(self, markers: Sequence[MarkerContent]) -> None:
        """Frustums and paths, as the fusion node sends them; only the last of each counts."""
        for (ns, number), marker in {(marker.ns, marker.id): marker for marker in markers}.items():
            if marker.action != ADD or ns not in COLOURS:
                if handle := self._lines.pop((ns, number), None):
                    handle.remove()
                continue
            points = marker.points
            pairs = points.reshape(-1, 2, 3) if ns == FRUSTUM else np.stack((points[:-1], points[1:]), axis=1)
            colour = tuple(round(255 * part) for part in COLOURS[ns])
            self._lines[ns, number] = self._server.scene.add_line_segments(
                f"/cameras/{ns}_{number}", pairs.astype(np.float32), colour, thickness=0.015
            )
            if ns == FRUSTUM:
                self._eye, self._corners = points[0], points[1:8:2]
                if not self._looked:
                    self._look_from_camera()
                    self._looked = True

    def show_depth(self, depth_m: npt.NDArray[np.float32]) -> None:
        """(H, W) metres, 0 = nothing was measured, which is black."""
        step = max(1, depth_m.shape[1] // _PICTURE_WIDTH)
        depth_m = depth_m[::step, ::step]
        seen = depth_m[depth_m > 0]
        near, far = np.percentile(seen, (1, 99)) if len(seen) else (0.0, 1.0)
        colours = colormaps["turbo"](1 - (depth_m - near) / max(far - near, 1e-3), bytes=True)[..., :3]
        self._depth.image = np.where(depth_m[..., None] > 0, colours, 0).astype(np.uint8)
        self._depth.label = f"Depth, {near:.1f} m (red) to {far:.1f} m (blue)"
        self._depth.visible = True

    def show_slice(self, of_map: MapSlice) -> None:
        """The slice at the height of the slider, if it is new."""
        low_m, mean_m, high_m = of_map.heights_m()
        if high_m > low_m and (low_m, high_m) != (self._height.min, self._height.max):
            self._height.min, self._height.max = low_m, high_m
            at_m = self._height.value if self._height_is_chosen else mean_m
            self._height.value = float(np.clip(at_m, low_m, high_m))
        wanted = self._slice_is_shown.value
        if not (of_map.is_old or self._slice_is_new) or not wanted:
            return
        self._slice_is_new = False
        part = of_map.at(self._height.value, self._slice_colours.value)
        self._points = self._server.scene.add_point_cloud(
            "/slice", part.positions_m, part.colours, point_size=of_map.voxel_size_m or 0.01,
            point_shading="flat", precision="float32",
        )  # fmt: skip

    def _remove_chunk(self, number: int) -> None:
        self._triangles.pop(number, None)
        if handle := self._chunks.pop(number, None):
            handle.remove()

    def _look_from_camera(self) -> None:
        """From a little behind the camera and above it, so that it is in view itself."""
        forward = self._corners.mean(axis=0) - self._eye
        forward /= max(float(np.linalg.norm(forward)), 1e-6)
        position, look_at = self._eye - 1.5 * forward + 0.8 * self._up, self._eye + 1.5 * forward
        start = self._server.initial_camera
        start.position, start.look_at = position, look_at
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = position, look_at

    def _make_panel(self) -> None:
        gui = self._server.gui
        self._text = gui.add_markdown("")
        self._depth = gui.add_image(np.zeros((3, 4, 3), np.uint8), label="Depth", visible=False)
        self.charts = Charts(gui)
        with gui.add_folder("Show"):
            mesh_is_shown = gui.add_checkbox("Mesh", True)
            cameras_are_shown = gui.add_checkbox("Cameras", True)
            self._slice_is_shown = gui.add_checkbox("Slice of the map", False)
            choices, axis = (LATENT, UNCERTAINTY), "xyz"[int(np.argmax(np.abs(self._up)))]
            self._slice_colours = gui.add_dropdown("Its colours", choices, hint=_SLICE_HINT, disabled=True)
            self._height = gui.add_slider(f"At {axis} (m)", -1.0, 3.0, 0.01, 0.5, disabled=True)
            go = gui.add_button("Go to the camera")
        for box, name in ((mesh_is_shown, "/mesh"), (cameras_are_shown, "/cameras")):
            box.on_update(partial(_set_visible, self._server.scene.add_frame(name, show_axes=False)))
        self._slice_is_shown.on_update(self._on_slice)
        self._slice_colours.on_update(self._on_slice)
        self._height.on_update(self._on_height)
        go.on_click(self._on_go)

    def _on_slice(self, _: Any) -> None:
        shown = self._slice_is_shown.value
        self._slice_is_new = shown
        self._height.disabled = self._slice_colours.disabled = not shown
        if self._points is not None:
            self._points.visible = shown

    def _on_height(self, event: Any) -> None:
        # Without a client the change is our own.
        self._height_is_chosen |= event.client is not None
        self._on_slice(event)

    def _on_go(self, _: Any) -> None:
        if self._looked:
            self._look_from_camera()


def _set_visible(node: Any, event: Any) -> None:
    """What a box is ticked for is seen."""
    node.visible = event.target.value
