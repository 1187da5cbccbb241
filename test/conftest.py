# SPDX-License-Identifier: Apache-2.0
"""What all tests share. The environment is set here, before any test imports rclpy."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from neuralfusion_ros.commands.dds_profile import profile_variable

ROOT = Path(__file__).parents[1]

_log_folder = tempfile.TemporaryDirectory(prefix="ros_log_")

# A domain for each process, so that test runs and xdist workers side by side do not hear each other. Domains above
# 101 use ports that the system also hands out to others.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_LOG_DIR"] = _log_folder.name
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


_SHARED_MEMORY = Path("/dev/shm")
_LOCK = "_el"  # Fast DDS locks the file of that name beside a segment for as long as a process uses it


def _segments() -> set[str]:
    """Names of Fast DDS's segments of shared memory, in use or left behind."""
    return {lock.name.removesuffix(_LOCK) for lock in _SHARED_MEMORY.glob(f"fastdds_*{_LOCK}")}


def _remove_segments(names: set[str]) -> None:
    """Removes those that no process uses: a process that is killed, as some tests do, leaves 70 MB behind."""
    for name in names:
        lock = _SHARED_MEMORY / f"{name}{_LOCK}"
        with suppress(OSError), lock.open() as file:  # in use, or gone meanwhile
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in (_SHARED_MEMORY / name, _SHARED_MEMORY / f"sem.{name}_mutex", lock):
                path.unlink(missing_ok=True)


_segments_before = _segments()


_STUCK_S = 400.0  # above the longest timeout of a test
_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """The real stderr: while tests run pytest catches what is written there."""
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that its timeout does not end, in native code for example, ends its worker, which shows all stacks."""
    faulthandler.dump_traceback_later(_STUCK_S, file=item.config.stash[_STDERR], exit=True)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """The same for what cleans up, which has no timeout of its own once the test's has passed."""
    faulthandler.dump_traceback_later(_STUCK_S, file=item.config.stash[_STDERR], exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Once, after all workers have ended."""
    if not hasattr(session.config, "workerinput"):
        _remove_segments(_segments() - _segments_before)


@pytest.fixture
def remove_segments() -> Callable[[set[str]], None]:
    """Removes segments of shared memory with these names that no process uses."""
    return _remove_segments


@pytest.fixture(scope="session")
def root() -> Path:
    """The source tree."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of test recordings; the test is skipped where there is none."""
    folder = Path(os.environ.get("NEURALFUSION_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; set NEURALFUSION_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def ros_env() -> dict[str, str]:
    """The environment for a child process that is to meet this process on ROS topics."""
    env = dict(os.environ)
    # Set for this interpreter by the ROS wheels; the child sets its own.
    for name in ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH"):
        env.pop(name, None)
    # As the launch files do. Not for this process, where it makes every node slower to create.
    env[profile_variable()] = str(ROOT / "config" / "fastdds_shm.xml")
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return env


@pytest.fixture
def node() -> Iterator[Any]:
    """A ROS node in a context of its own. It receives while `node.executor` spins."""
    import rclpy  # only here: most tests need no ROS
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node("test_node", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield node
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
