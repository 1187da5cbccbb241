# SPDX-License-Identifier: Apache-2.0
"""How the package is built and installed, by colcon and by pip. Its ROS description is package.xml."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "neuralfusion_ros"
# colcon build --symlink-install runs a link to this file.
ROOT = Path(__file__).resolve().parent


def pins(requirements_file: str) -> list[str]:
    """The lines of a requirements file that name a package."""
    lines = (ROOT / requirements_file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def files(folder: str) -> list[str]:
    """Files of one folder, relative to this one, as data_files wants them."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).iterdir() if path.is_file())


ros_wheels = [pin for pin in pins("requirements.txt") if pin.startswith("ros-")]
libraries = [pin for pin in pins("requirements.txt") if not pin.startswith(("ros-", "setuptools"))]

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Online robot mapping with a learned latent map, as two ROS 2 nodes",
    license="Apache-2.0",
    maintainer="NeuralFusion ROS maintainers",
    maintainer_email="neuralfusion-ros@example.com",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed"], f"{PACKAGE}.models": ["*.safetensors", "*.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", files("launch")),
        (f"share/{PACKAGE}/config", files("config")),
    ],
    python_requires=">=3.10",
    # A ROS distribution brings its own packages (package.xml); pip users ask for the extras.
    install_requires=["setuptools"],
    extras_require={
        "ros-wheels": ros_wheels,
        "libraries": libraries,
        "view": pins("requirements-view.txt"),
        "test": pins("requirements-dev.txt"),
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"neuralfusion = {PACKAGE}.cli:main",
            f"fusion_node = {PACKAGE}.nodes.fusion_node:main",
            f"translator_node = {PACKAGE}.nodes.translator_node:main",
            f"replay_node = {PACKAGE}.nodes.replay_node:main",
        ],
    },
)
