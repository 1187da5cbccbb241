# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: its description, its rooms and what may be imported where, and that colcon builds it."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

import neuralfusion_ros

PACKAGE = "neuralfusion_ros"
ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / PACKAGE).rglob("*.py"))
OTHER_FOLDERS = ("examples", "launch", "scripts", "test")
ALL_PYTHON = [
    ROOT / "setup.py",
    *CODE,
    *(path for name in OTHER_FOLDERS for path in sorted((ROOT / name).rglob("*.py"))),
]
NOT_SOURCE = {".venv", ".venv-jazzy", ".git", "build", "install", "log", "dist", "runs", "demo_output", "site"}

# Which rooms a room may import from, beside itself. Dependencies point inwards, to mapping/.
MAY_IMPORT = {
    "mapping": set(),
    "models": set(),
    "datasets": {"mapping"},
    "pictures": {"mapping"},
    "messages": {"mapping"},
    "training": {"mapping", "datasets"},
    "evaluation": {"mapping", "datasets", "training", "pictures"},
    "benchmark": {"mapping", "messages", "datasets", "evaluation"},
    "nodes": {"mapping", "messages", "datasets"},
    "commands": {"mapping", "messages", "datasets", "nodes", "training", "pictures", "evaluation", "benchmark"},
    "cli.py": {"commands"},
    "__init__.py": set(),
}
ROOMS_WITH_ROS = {"messages", "nodes", "commands"}

# Modules whose distribution has another name.
DISTRIBUTIONS = {"PIL": "pillow", "open3d": "open3d-cpu", "skimage": "scikit-image", "yaml": "pyyaml"}
SYSTEM_PACKAGES = {"PIL": "python3-pil", "numpy": "python3-numpy", "scipy": "python3-scipy"} | {
    "matplotlib": "python3-matplotlib",
    "skimage": "python3-skimage",
    "yaml": "python3-yaml",
}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / PACKAGE).parts[0]


def imports(path: Path) -> list[str]:
    """Full names of all imported modules, wherever in the file the import stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found += [f"{module}.{alias.name}" for alias in node.names] if module == PACKAGE else [module]
    return found


def is_ros(module: str) -> bool:
    top = module.split(".")[0]
    return top.endswith(("_msgs", "_srvs", "_interfaces")) or top in {
        *(
            "rclpy",
            "ament_index_python",
            "cv_bridge",
            "sensor_msgs_py",
            "tf2_ros",
            "launch",
            "launch_ros",
            "rosbag2_py",
        ),
        *("rosidl_runtime_py", "message_filters"),
    }


@pytest.fixture(scope="module")
def description():
    return parse_package(str(ROOT / "package.xml"))


@pytest.fixture
def distribution(monkeypatch):
    """What setup.py hands to setuptools."""
    # setuptools must come first: it brings distutils where Python has none.
    import setuptools  # noqa: F401
    from distutils.core import run_setup  # isort: skip

    monkeypatch.chdir(ROOT)
    return run_setup("setup.py", stop_after="init")


def console_scripts(distribution) -> dict[str, str]:
    pairs = (line.split("=") for line in distribution.entry_points["console_scripts"])
    return {name.strip(): target.strip() for name, target in pairs}


def test_package_xml_is_valid_and_ament_python(description):
    assert description.name == PACKAGE
    assert description.get_build_type() == "ament_python"
    assert description.licenses == ["Apache-2.0"]
    description.validate()


def test_one_version_everywhere(description, distribution):
    assert description.version == distribution.get_version() == neuralfusion_ros.__version__
    assert f"## [{description.version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["neuralfusion", "fusion_node", "translator_node", "replay_node"])
def test_every_command_has_a_main(distribution, script):
    module, function = console_scripts(distribution)[script].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_pip_installs_nothing_behind_rosdep(distribution):
    # A cv_bridge from pip, for one, is another, broken package.
    assert distribution.install_requires == ["setuptools"]


def test_models_and_typing_marker_are_shipped(distribution):
    assert distribution.package_data == {PACKAGE: ["py.typed"], f"{PACKAGE}.models": ["*.safetensors", "*.json"]}
    assert (ROOT / PACKAGE / "py.typed").is_file()
    assert {path.parent.name for path in CODE if path.name == "__init__.py"} >= set(MAY_IMPORT) - {
        "cli.py",
        "__init__.py",
    }


def test_every_imported_package_is_declared(description):
    declared = {depend.name for depend in description.exec_depends}
    lines = [
        line
        for name in ("requirements.txt", "requirements-view.txt")
        for line in (ROOT / name).read_text().splitlines()
    ]
    requirements = {re.split("[=<>;]", line)[0].lower() for line in lines}
    for path in [*CODE, *(ROOT / "launch").glob("*.py")]:
        for module in imports(path):
            top = module.split(".")[0]
            if top == PACKAGE or top in sys.stdlib_module_names:
                continue
            if is_ros(module):
                assert top in declared, f"{path}: {top} is not in package.xml"
            else:
                assert DISTRIBUTIONS.get(top, top) in requirements, f"{path}: {top} is in no requirements file"
                assert top not in SYSTEM_PACKAGES or SYSTEM_PACKAGES[top] in declared


@pytest.mark.parametrize("room", sorted({room_of(path) for path in CODE}))
def test_dependencies_point_inwards(room):
    for path in (path for path in CODE if room_of(path) == room):
        for module in imports(path):
            top, *inside = module.split(".")
            if top == PACKAGE and inside and inside[0] != "__version__":
                assert inside[0] in MAY_IMPORT[room] | {room}, f"{path} imports {module}"
            assert room in ROOMS_WITH_ROS or not is_ros(module), f"{path} imports {module}"


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_unsafe_loading(path):
    forbidden_modules = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
    assert not {module.split(".")[0] for module in imports(path)} & forbidden_modules
    for call in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        assert name not in {"eval", "exec", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}, name
        for keyword in call.keywords:
            unsafe = keyword.arg in {"allow_pickle", "shell"} and ast.unparse(keyword.value) != "False"
            assert not unsafe, f"line {call.lineno}: {keyword.arg}"


@pytest.mark.parametrize("path", ALL_PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_names_its_licence(path):
    assert path.read_text(encoding="utf-8").splitlines()[0] == "# SPDX-License-Identifier: Apache-2.0"


def test_no_path_of_one_machine_is_written_down():
    machine_path = re.compile(r"(?<![\w.>}\)])/(root|home/\w+|Users/\w+|work|mnt)/\w")
    written = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]  # a worktree has a file
    for folder in (".ci", "config", "docs", "examples", "launch", PACKAGE, "resource", "scripts", "test"):
        written += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    binary = {".pyc", ".safetensors", ".png", ".jpg", ".gif", ".ply", ".npz", ".mcap"}
    for path in (path for path in written if path.suffix not in binary):
        found = machine_path.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found.group()}"


def test_the_manual_s_picture_comes_with_its_own_numbers():
    folder, manual = ROOT / "docs" / "pictures", (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"\(docs/pictures/(side_by_side_\w+)\.png\)", manual)
    assert (folder / f"{shown}.png").stat().st_size < 400_000
    scores = json.loads((folder / "side_by_side.json").read_text())[shown.removeprefix("side_by_side_")]
    learned = scores.pop("learned")
    name, best = max(scores.items(), key=lambda item: item[1]["f1cm"])
    caption = " ".join(manual.partition(f"{shown}.png)")[2].partition("##")[0].split())
    for told in (f"{learned['f1cm']:.3f}", f"{best['f1cm']:.3f}", *re.findall(r"\d", name.removeprefix("open3d "))):
        assert told in caption


@pytest.mark.skipif(shutil.which("colcon", path=str(Path(sys.executable).parent)) is None, reason="needs colcon")
@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copied", "linked"])
def test_colcon_builds_the_package(tmp_path, ros_env, options):
    ignored = shutil.ignore_patterns(*NOT_SOURCE, "*cache*", "*.egg-info", "test", "docs")
    shutil.copytree(ROOT, tmp_path / "src" / PACKAGE, ignore=ignored)
    env = ros_env | {"COLCON_HOME": str(tmp_path / "colcon")}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # An invalid package.xml would silently make this "(python)".
    assert run("colcon", "list").split() == [PACKAGE, f"src/{PACKAGE}", "(ros.ament_python)"]
    run("colcon", "build", *options)
    prefix = tmp_path / "install" / PACKAGE
    for node in ("fusion_node", "translator_node", "replay_node", "neuralfusion"):
        assert os.access(prefix / "lib" / PACKAGE / node, os.X_OK)
    for folder in ("launch", "config"):
        shipped = {path.name for path in (prefix / "share" / PACKAGE / folder).iterdir()}
        assert shipped == {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
    ask = (
        f"from ament_index_python.packages import get_package_share_directory; import {PACKAGE}; "
        f"print(get_package_share_directory('{PACKAGE}')); print({PACKAGE}.__path__[0])"
    )
    share, package = run("sh", "-c", f'. install/local_setup.sh && python -c "{ask}"').splitlines()
    assert share == str(prefix / "share" / PACKAGE)
    assert Path(package).is_relative_to(tmp_path)
    assert (Path(package) / "py.typed").is_file()
    weights = {path.name for path in (ROOT / PACKAGE / "models").iterdir() if path.suffix in {".safetensors", ".json"}}
    assert weights <= {path.name for path in (Path(package) / "models").iterdir()}
