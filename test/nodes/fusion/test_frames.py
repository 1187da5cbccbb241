# SPDX-License-Identifier: Apache-2.0
"""Frames wait for their pose, are used in order, or are rejected with the reason."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo

from neuralfusion_ros.mapping.rectification import Distortion, rectify
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.nodes.fusion_report import FusionReport

S = 1_000_000_000


def test_frames_are_used_in_order(make, wait_until):
    the = make()
    for number in range(10):
        the.send(S + number, depth_m=1 + number / 10)
    wait_until(lambda: the.work.integrated == 10)
    assert the.mapper.depths == sorted(the.mapper.depths)
    assert the.work.newest_ns == S + 9 and not the.rejections.counts


def test_a_frame_waits_for_its_pose(make, wait_until):
    the = make(max_wait_for_pose_s=60.0)
    the.send(S, pose=False)
    the.send(2 * S, pose=False)
    the.poses.add(S, np.eye(4))
    the.work.wake()
    wait_until(lambda: the.work.integrated == 1)
    the.poses.add(2 * S, np.eye(4))
    the.work.wake()
    wait_until(lambda: the.work.integrated == 2)


def test_a_pose_that_never_comes_is_told_with_both_times(make, wait_until):
    the = make()
    the.poses.add(S, np.eye(4))
    the.send(2 * S, pose=False)
    wait_until(lambda: the.rejections.counts == {"no_pose": 1})
    assert "no pose at 2.000000 s: the last pose is at 1.000000 s" in the.log.lines[0]
    assert the.work.integrated == 0 and len(the.source.queue) == 0


def test_a_pose_before_the_first_is_not_waited_for(make, wait_until):
    the = make(max_wait_for_pose_s=60.0)
    the.poses.add(5 * S, np.eye(4))
    the.source.add_frame(S, "camera", np.ones((120, 160), np.float32))
    wait_until(lambda: the.rejections.counts == {"no_pose": 1})


def test_frames_that_overflow_while_they_wait_for_a_pose_say_so(make, wait_until):
    the = make(max_wait_for_pose_s=60.0, max_queue_length=1)
    the.send(S, pose=False)
    wait_until(lambda: the.source.queue.oldest() is None or the.source.queue.oldest().missing is not None)
    the.send(2 * S, pose=False)
    assert the.rejections.counts == {"no_pose": 1}


def test_without_camera_info_nothing_is_used(make, wait_until):
    the = make(with_camera=False)
    the.send(S)
    wait_until(lambda: the.rejections.counts == {"no_camera_info": 1})
    assert not the.source.has_camera_info


@pytest.mark.parametrize("reason", ["size", "intrinsics", "distortion"])
def test_a_camera_info_that_cannot_be_used_rejects_the_frame(make, camera, wait_until, reason):
    the = make()
    info: CameraInfo = encode_camera(camera, 0, "camera")
    if reason == "size":
        info.width += 1
    elif reason == "intrinsics":
        info.k[0] = 0.0
    else:
        info.d, info.distortion_model = [0.1, 0.0, 0.0, 0.0], "equidistant"
    the.source.set_camera_info(info)
    the.send(S)
    wait_until(lambda: the.rejections.counts == {reason: 1})
    the.source.set_camera_info(encode_camera(camera, 0, "camera"))
    the.send(2 * S)
    wait_until(lambda: the.work.integrated == 1)


def test_the_distortion_of_a_lens_is_undone(make, camera, wait_until):
    the, lens = make(), Distortion(-0.2, 0.03)
    info = encode_camera(camera, 0, "camera")
    info.d = [lens.k1, lens.k2, 0.0, 0.0, 0.0]
    the.source.set_camera_info(info)
    depth_m = np.linspace(1, 4, 160 * 120, dtype=np.float32).reshape(120, 160)
    the.poses.add(S, np.eye(4))
    the.source.add_frame(S, "camera", depth_m)
    wait_until(lambda: the.work.integrated == 1)
    np.testing.assert_array_equal(the.mapper.images[0], rectify(depth_m, camera, lens))
    assert (the.mapper.images[0] != depth_m).any()


@pytest.mark.parametrize("depth_m", [0.0, 0.05, 9.0])
def test_an_image_without_usable_depth_is_refused(make, depth_m):
    the = make(started=False)
    with pytest.raises(BadMessage, match=r"between 0\.1 and 5 m") as error:
        the.send(S, depth_m=depth_m)
    assert error.value.reason == "no_depth"


def test_time_that_goes_backwards_is_refused_and_then_forgotten(make, wait_until):
    the = make()
    the.send(10 * S)
    for stamp_ns in (10 * S, 10 * S - S // 2):
        with pytest.raises(BadMessage, match=r"came after that of 10\.0") as error:
            the.send(stamp_ns)
        assert error.value.reason == "time_backwards"
    the.send(10 * S + 1)
    wait_until(lambda: the.work.integrated == 2)


def shifted(x):
    T = np.eye(4)
    T[0, 3] = x
    return T


def test_the_pose_is_looked_up_at_the_shifted_time(make, wait_until):
    the = make(time_offset_s=-0.25)
    the.poses.add(S, shifted(0.0))
    the.poses.add(S + S // 2, shifted(1.0))
    the.send(S + S // 2, pose=False)
    wait_until(lambda: the.work.integrated == 1)
    assert the.mapper.poses[0][0, 3] == pytest.approx(0.5)


def test_a_pose_that_jumps_is_refused_until_it_comes_back(make, wait_until):
    the = make(max_pose_jump_m=0.5)
    for number, x in enumerate((0.0, 0.4, 3.0, 3.1, 0.8)):
        the.poses.add(S + number, shifted(x))
        the.send(S + number, pose=False)
    wait_until(lambda: the.work.integrated == 3)
    assert the.rejections.counts == {"pose_jump": 2}
    assert "moved 2.600 m and turned 0.000 rad since the last frame used; allowed are 0.5 m" in the.log.lines[0]


def test_a_pose_out_of_reach_is_refused_and_does_not_count_as_the_last_one(make, wait_until):
    the = make(max_pose_jump_m=0.5)
    for number, x in enumerate((0.0, 1e9, 0.1)):
        the.poses.add(S + number, shifted(x))
        the.send(S + number, pose=False)
    wait_until(lambda: the.work.integrated == 2)
    assert the.rejections.counts == {"pose": 1}
    assert "The pose is out of reach: the camera is at (1e+09, 0, 0) m" in the.log.lines[0]


@pytest.mark.parametrize("way", ["reset", "resume", "begin again"])
def test_the_user_or_a_new_lap_may_move_the_camera(make, wait_until, way):
    the = make(max_pose_jump_rad=0.1, max_pose_jump_m=0.1)
    the.send(50 * S)
    wait_until(lambda: the.work.integrated == 1)
    if way == "reset":
        the.work.reset().result(timeout=10)
    elif way == "resume":
        the.work.start_lap()
    stamp_ns = 20 * S if way == "begin again" else 51 * S
    the.poses.add(stamp_ns, shifted(9.0))
    the.send(stamp_ns, pose=False)
    wait_until(lambda: the.work.integrated == 2)


def test_a_recording_that_begins_again_is_used_again(make, wait_until):
    the = make()
    for lap in range(2):
        for number in range(3):
            the.send((50 + number) * S, depth_m=1 + lap)
        wait_until(lambda expected=3 * (lap + 1): the.work.integrated == expected)
    assert the.mapper.depths == [1, 1, 1, 2, 2, 2] and not the.rejections.counts
    assert the.work.n_blocks == 6
    assert the.log.lines == ["time jumped back by 2.0 s; the map goes on"]


def test_a_map_may_begin_anew_with_its_recording_once_for_all_cameras(make, wait_until):
    the = make(on_time_jump="reset")
    image = np.ones((120, 160), np.float32)
    map_ids = set()
    for lap in range(3):
        for number, stamp_ns in enumerate((50 * S, 52 * S)):
            the.poses.add(stamp_ns, np.eye(4))
            for camera in (the.source, the.second):
                camera.add_frame(stamp_ns, "camera", image)
            wait_until(lambda expected=4 * lap + 2 * (number + 1): the.work.integrated == expected)
        assert the.work.n_blocks == 4
        map_ids.add(the.work.sender.map_id)
    assert len(map_ids) == 3 and not the.rejections.counts
    assert the.log.lines == ["time jumped back by 2.0 s; the map begins anew"]


@pytest.mark.parametrize("odd_ns", [1000 * S, 100 * 365 * 86400 * S])
def test_one_stamp_of_the_future_is_no_new_beginning(make, wait_until, odd_ns):
    the = make(on_time_jump="reset")
    the.send(50 * S)
    wait_until(lambda: the.work.integrated == 1)
    map_id = the.work.sender.map_id
    the.send(odd_ns, pose=False)
    for number in (1, 2):
        the.send((50 + number) * S)
    wait_until(lambda: the.work.integrated == 3)
    assert the.work.sender.map_id == map_id and the.work.n_blocks == 3 and the.source.restarts == 0
    assert the.rejections.counts == {"no_pose": 1}
    the.send(50 * S)  # no later than the last one used: now it begins again
    wait_until(lambda: the.work.integrated == 4)
    assert the.work.sender.map_id != map_id and the.work.n_blocks == 1


def test_when_the_worker_lags_the_oldest_frames_are_dropped(make):
    the = make(started=False, max_queue_length=3)
    for number in range(5):
        the.send(S + number)
    assert the.rejections.counts == {"queue_full": 2}
    assert the.source.queue.oldest().stamp_ns == S + 2


def test_an_unforeseen_error_costs_one_frame(make, wait_until):
    the = make()
    the.mapper.on_frame = lambda: 1 // 0
    the.send(S)
    the.send(2 * S)
    wait_until(lambda: the.rejections.counts == {"internal": 2})
    assert len(the.log.lines) == 1 and "ZeroDivisionError" in the.log.lines[0]
    the.mapper.on_frame = lambda: None
    the.send(3 * S)
    wait_until(lambda: the.work.integrated == 1)


def test_frames_that_leave_the_map_empty_are_told(make, wait_until):
    the = make(map_bounds="100 100 100 101 101 101")
    the.mapper.grid.allocate = lambda keys: 0
    for number in range(4):
        the.send(S + number)
    wait_until(lambda: the.work.integrated == 4)
    assert the.work.emptiness() == ""
    the.send(2 * S)
    wait_until(lambda: the.work.integrated == 5)
    assert the.work.emptiness().endswith("all they see is outside map_bounds '100 100 100 101 101 101'")
    del the.mapper.grid.allocate
    the.send(3 * S)
    wait_until(lambda: the.work.integrated == 6)
    assert the.work.emptiness() == ""


def test_what_a_waiting_frame_waits_for_is_told(make, wait_until, monkeypatch):
    monkeypatch.setattr("neuralfusion_ros.nodes.fusion_report._PATIENCE_S", 0.0)
    the = make(max_wait_for_pose_s=60.0)
    report = FusionReport(the.work, the.rejections, lambda name: name)
    the.source.newest_image_s = time.monotonic() + 60.0
    the.second.newest_s = time.monotonic() + 60.0
    the.poses.add(S, np.eye(4))
    the.send(2 * S, pose=False)
    wait_until(lambda: the.source.queue.oldest().missing is not None)
    assert report.problem().startswith("no frame could be used, no_pose: no pose at 2.000000 s")
