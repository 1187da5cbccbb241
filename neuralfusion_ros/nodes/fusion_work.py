# SPDX-License-Identifier: Apache-2.0
"""The work of the fusion node: the frames of its cameras, fusion, and the stream of changed blocks. No topics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.new_file import make_folder
from neuralfusion_ros.messages.stamps import NS_PER_S
from neuralfusion_ros.nodes.block_sender import BlockSender
from neuralfusion_ros.nodes.camera_display import CameraDisplay
from neuralfusion_ros.nodes.camera_input import CameraInput, ReadyFrame
from neuralfusion_ros.nodes.diagnostics import Durations
from neuralfusion_ros.nodes.parameters import FusionParameters
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.schedule import Schedule
from neuralfusion_ros.nodes.throttled_log import ThrottledLog
from neuralfusion_ros.nodes.worker import Worker

_MESSAGES_AT_ONCE = 8
_RECEIVERS_LAG_S = 0.01
_IN_VAIN = 5  # frames without a block before it is told


class FusionWork:
    """Callbacks hand in what they receive and what is to be done; the map is touched by the worker alone.

    integrated: frames. blocks_refused: for want of memory. blocks_dropped: far away, or to make room.
    newest_ns: stamp of the newest integrated frame. n_blocks, map_bytes: size of the map.
    """

    def __init__(
        self,
        mapper: Mapper,
        sender: BlockSender,
        display: CameraDisplay,
        cameras: Sequence[CameraInput],
        parameters: FusionParameters,
        rejections: Rejections,
        log: ThrottledLog,
    ) -> None:
        self._mapper, self.sender, self.cameras, self._rejections = mapper, sender, list(cameras), rejections
        self._display = display
        self._log, self._options, self._settings = log, parameters, mapper.settings
        self._restarts = 0
        for camera in self.cameras:
            camera.on_restart = self._restart
        self._publishing = Schedule(parameters.publish_rate_hz)
        self.integrated = self.blocks_refused = self.blocks_dropped = self.newest_ns = 0
        self.n_blocks = self.map_bytes = self._used_in_vain = 0
        self._map_changed = False
        self.durations = Durations()
        self._worker = Worker(self._step, rejections.unexpected)

    def use(self, parameters: FusionParameters) -> None:
        """Goes on with other values of the parameters that may change. Raises ParameterError."""
        self._options, self._settings = parameters, parameters.map_settings()
        self._publishing = Schedule(parameters.publish_rate_hz)
        self._display.set_rate(parameters.camera_rate_hz)
        for camera in self.cameras:
            camera.use(parameters)
        self._worker.wake()

    def start(self) -> None:
        """Begins to work, with the map as it is and without frames from before."""
        for camera in self.cameras:
            camera.begin()
        self._worker = Worker(self._step, self._rejections.unexpected)
        self._worker.start()

    def stop(self) -> None:
        """Ends the work after the frame at hand."""
        self._worker.stop()

    def wake(self) -> None:
        """Something has come that a frame may have waited for."""
        self._worker.wake()

    def start_lap(self) -> None:
        """The cameras may have been moved."""
        for camera in self.cameras:
            camera.start_lap()

    def reset(self) -> Future[str]:
        """Forgets the map and begins another one."""

        def job() -> str:
            self._reset()
            self.start_lap()
            return "The map is empty."

        return self._worker.submit(job)

    def save_map(self, path: Path) -> Future[str]:
        """Writes the map to a file."""

        def job() -> str:
            make_folder(path.parent)
            self._mapper.save(path, self.sender.frame_id)
            return f"{self.n_blocks} blocks written to {path}."

        return self._worker.submit(job)

    def load_map(self, path: Path) -> Future[str]:
        """Replaces the map by that of a file, which is verified before."""

        def job() -> str:
            self._mapper.load(path, self.sender.frame_id)
            self._display.start_anew()
            self.sender.start_new_map()
            self._map_changed = True
            self._note_size()
            self.start_lap()
            return f"{self.n_blocks} blocks read from {path}."

        return self._worker.submit(job)

    def emptiness(self) -> str:
        """Why frames are used and the map is empty all the same, or nothing."""
        if self._used_in_vain < _IN_VAIN:
            return ""
        bounds = self._options.map_bounds.strip()
        why = f"all they see is outside map_bounds '{bounds}'" if bounds else "see blocks_refused and max_map_bytes"
        return f"frames are used, but the map stays empty: {why}"

    def camera_viewer_came(self) -> None:
        """Somebody new wants to see where the cameras are."""
        self._display.renew()
        self._worker.wake()

    def resend(self) -> None:
        """Sends the whole map once more."""
        self._worker.submit(lambda: self.sender.resend(self._mapper.grid))

    def _restart(self, last_ns: int, stamp_ns: int) -> None:
        """Time begins again, for all cameras. The worker learns it from the first frame that came after it."""
        text = f"time jumped back by {(last_ns - stamp_ns) / NS_PER_S:.1f} s"
        self._log.warn("restart", f"{text}; the map {'begins anew' if self._resets_on_restart else 'goes on'}")
        for camera in self.cameras:
            camera.restart(last_ns, stamp_ns)

    @property
    def _resets_on_restart(self) -> bool:
        return self._options.on_time_jump == "reset"

    def _reset(self) -> None:
        self._mapper.reset()
        self._display.start_anew()
        self.sender.start_new_map()
        self._note_size()

    def _step(self) -> float | None:
        """One frame of each camera, a few messages. Returns the seconds until there is more to do."""
        if self._mapper.settings != self._settings:
            self._change_settings()
        waits = [self._use_frame(camera) for camera in self.cameras]
        waits += [self._display.publish(), self._publish()]  # the smaller one first
        return min((wait for wait in waits if wait is not None), default=None)

    def _change_settings(self) -> None:
        n_blocks = self.n_blocks
        self._mapper.change(self._settings)
        self._note_size()
        self._map_changed |= self.n_blocks < n_blocks
        self.blocks_dropped += n_blocks - self.n_blocks

    def _use_frame(self, camera: CameraInput) -> float | None:
        """Integrates the camera's oldest frame if it can be used. Returns the seconds until something can change."""
        frame, wait_s = camera.take()
        if frame is not None:
            with self._rejections.gate(camera.name):
                self._integrate(frame)
                self._display.note(camera.name, frame)
                camera.integrated += 1
                camera.newest_s = time.monotonic()
        return wait_s

    def _integrate(self, frame: ReadyFrame) -> None:
        if frame.restarts != self._restarts:
            self._display.start_anew()
            if self._resets_on_restart:
                self._reset()
        self._restarts = frame.restarts
        begin_s = time.perf_counter()
        result = self._mapper.integrate(frame.depth_m, frame.T_world_camera, frame.camera)
        self.durations.add(time.perf_counter() - begin_s)
        self.integrated += 1
        self.newest_ns = frame.stamp_ns
        self._map_changed = True
        self._note_size()
        self._used_in_vain = 0 if self.n_blocks else self._used_in_vain + 1
        self.blocks_dropped += result.blocks_dropped
        if result.blocks_refused:
            self.blocks_refused += result.blocks_refused
            held = f"it holds {self.n_blocks} of at most {self._mapper.grid.max_blocks} ({self.map_bytes >> 20} MiB)"
            text = f"The map has no room for {result.blocks_refused} new blocks: {held}; see max_map_bytes."
            self._rejections.reject("map_full", text)

    def _publish(self) -> float | None:
        """Sends what changed when it is time. Returns the seconds until there is more to send."""
        if not self._publishing.enabled:
            return None
        if self._map_changed and self._publishing.take():
            self.sender.add(self._mapper.take_changed(), self._mapper.take_removed(), self.newest_ns)
            self._map_changed = False
        wait_s = self._publishing.wait_s() if self._map_changed else None
        if not self.sender.has_receivers():
            return wait_s
        if not self.sender.has_work:
            echo_s = self.sender.echo(self._mapper.grid)
            return echo_s if wait_s is None else wait_s
        sent = self.sender.send(self._mapper.grid, _MESSAGES_AT_ONCE)
        return 0.0 if sent else _RECEIVERS_LAG_S

    def _note_size(self) -> None:
        self.n_blocks, self.map_bytes = self._mapper.grid.n_blocks, self._mapper.grid.nbytes
