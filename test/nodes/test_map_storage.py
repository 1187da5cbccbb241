# SPDX-License-Identifier: Apache-2.0
"""Maps and meshes are kept in one folder only."""

from pathlib import Path

import pytest

from neuralfusion_ros.nodes.map_storage import stored_file
from neuralfusion_ros.nodes.parameters import FusionParameters, TranslatorParameters
from neuralfusion_ros.nodes.ros_parameter import ParameterError


def test_a_map_has_its_file_in_the_folder(tmp_path):
    FusionParameters(map_name="kitchen-2.a").check()
    assert stored_file(str(tmp_path), "kitchen-2.a", ".nfmap") == tmp_path / "kitchen-2.a.nfmap"
    assert stored_file("~/maps", "mesh", ".ply") == Path.home() / "maps" / "mesh.ply"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../map", "a/b", "/etc/passwd", ".hidden", "a b", "a\n", "ä" * 3, "a" * 101]
)
def test_no_name_leaves_the_folder(name):
    with pytest.raises(ParameterError, match="map_name must be 1 to 100 letters"):
        FusionParameters(map_name=name).check()
    with pytest.raises(ParameterError, match="mesh_name must be 1 to 100 letters"):
        TranslatorParameters(mesh_name=name).check()
