# SPDX-License-Identifier: Apache-2.0
"""The manual: links lead somewhere, every page is in the navigation, and what it shows can be typed."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from neuralfusion_ros import cli
from neuralfusion_ros.nodes.parameters import NODES, parameters_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *DOCS.rglob("*.md")]
    + [*(ROOT / "examples").glob("*.md")]
)
FROM_ROOT = {"contributing.md", "changelog.md"}  # scripts/mkdocs_hook.py

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Of the headings."""
    titles = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def command_lines(page: Path) -> list[str]:
    """Of the blocks of code, whole, without comments."""
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [
        part.strip() for line in lines for part in line.split("  #")[0].removeprefix("#").split("&&") if part.strip()
    ]


def words_of(program: str) -> list[tuple[str, list[str]]]:
    """(where, words after the program's name) of every call of a program in the manual."""
    call = re.compile(rf"(?:[A-Z_]+=\S* )*(?:\S*/)?{program} (.*)")
    found = [(page.name, call.fullmatch(line)) for page in PAGES for line in command_lines(page)]
    return [(f"{name}: {match[0]}", shlex.split(match[1], comments=True)) for name, match in found if match]


@each_page
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_navigation_lists_every_page():
    def pages(entry):
        inner = entry.values() if isinstance(entry, dict) else entry
        return [entry] if isinstance(entry, str) else [page for part in inner for page in pages(part)]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert len(listed) == len(set(listed))
    assert set(listed) == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} | FROM_ROOT


def test_the_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 95


def test_the_commands_of_the_manual_exist(capsys):
    calls = words_of("neuralfusion")
    assert len(calls) > 20
    for where, words in calls:
        if words == ["--help"]:
            continue
        try:
            cli._parser(words).parse_args(words)
        except SystemExit:
            pytest.fail(f"{where}: {capsys.readouterr().err}")


def test_what_torchrun_runs_exists():
    for where, words in words_of("torchrun"):
        ours = words[words.index("neuralfusion_ros.cli") + 1 :]
        assert cli._parser(ours).parse_args(ours), where


@pytest.mark.parametrize("node", NODES)
def test_the_parameters_on_command_lines_exist(node):
    known = {parameter.name for parameter in parameters_of(NODES[node])}
    for where, words in words_of(node):
        names = [word.partition(":=")[0] for flag, word in itertools.pairwise(words) if flag == "-p"]
        assert set(names) <= known, where


def test_the_launch_files_of_the_manual_have_these_arguments():
    calls = [(where, words[2:]) for where, words in words_of("ros2") if words[:2] == ["launch", "neuralfusion_ros"]]
    assert len(calls) > 4
    for where, (name, *arguments) in calls:
        files = [ROOT / "launch" / file for file in (name, "mapping.launch.py")]
        declared = " ".join(file.read_text() for file in files)
        for argument in arguments:
            assert f'"{argument.partition(":=")[0]}"' in declared, where


def test_the_targets_of_make_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for where, words in words_of("make"):
        assert words[0] in targets, where


def test_the_parameters_that_pages_name_exist():
    """In the tables of tuning, whose first column names parameters."""
    every = {parameter.name for node in NODES.values() for parameter in parameters_of(node)}
    table = (DOCS / "tuning.md").read_text().partition("## What to set first")[2].partition("| for |")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert len(named) > 5 and named <= every


def test_the_reasons_of_troubleshooting_are_those_of_the_nodes():
    source = "".join(
        file.read_text() for room in ("nodes", "messages") for file in (ROOT / "neuralfusion_ros" / room).glob("*.py")
    )
    text = (DOCS / "troubleshooting.md").read_text()
    tables = re.findall(r"^\| rejected as .*?\n\n", text, flags=re.DOTALL | re.MULTILINE)
    reasons = re.findall(
        r"`(\w+)`", " ".join(line.split("|")[1] for table in tables for line in table.splitlines() if line)
    )
    assert len(reasons) > 10
    for reason in reasons:
        assert f'"{reason}"' in source, reason


def test_the_python_of_the_manual_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "python.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) > 4
    exec(compile("\n".join(blocks), "<blocks of docs/python.md>", "exec"), {})
    assert {path.name for path in tmp_path.iterdir()} == {"mesh.ply", "room.nfmap"}


def test_the_python_page_names_the_whole_interface():
    from neuralfusion_ros import mapping

    text = (DOCS / "python.md").read_text()
    assert [name for name in mapping.__all__ if name not in text] == ["LatentModel", "Mesh", "QueryResult"]


def test_every_name_of_the_interface_is_there():
    from neuralfusion_ros import mapping

    assert all(
        getattr(mapping, name).__module__.startswith("neuralfusion_ros.mapping.")
        for name in mapping.__all__
        if not name.isupper()
    )
    assert len({mapping.FREE_SPACE, mapping.OCCUPIED, mapping.UNKNOWN}) == 3
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mapping.nonsense  # noqa: B018


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs mkdocs")
def test_the_site_builds_without_warnings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, text=True, capture_output=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("index.html", "contributing.html", "changelog.html", "overview.svg", "method/extract.png"):
        assert (tmp_path / "site" / name).is_file()
    fetched = re.findall(
        r'(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?))"', (tmp_path / "site/index.html").read_text()
    )
    assert not fetched
