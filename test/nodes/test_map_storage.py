# SPDX-License-Identifier: Apache-2.0
"""Maps are kept in one folder only."""

from pathlib import Path

import pytest

from neuralfusion_ros.nodes.map_storage import map_path


def test_a_map_has_its_file_in_the_folder(tmp_path):
    assert map_path(str(tmp_path), "kitchen-2.a") == tmp_path / "kitchen-2.a.nfmap"
    assert map_path("~/maps", "map") == Path.home() / "maps" / "map.nfmap"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../map", "a/b", "/etc/passwd", ".hidden", "a b", "a\n", "ä" * 3, "a" * 101]
)
def test_no_name_leaves_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="map_name must be"):
        map_path(str(tmp_path), name)
