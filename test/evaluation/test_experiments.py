# SPDX-License-Identifier: Apache-2.0
"""Every experiment from the command line to its page, in a coarse procedural room with few small frames."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neuralfusion_ros.cli import main
from neuralfusion_ros.evaluation.experiments import ablation
from neuralfusion_ros.evaluation.registry import EXPERIMENTS
from neuralfusion_ros.mapping.model import Architecture, LatentModel, save_model
from neuralfusion_ros.training.settings import DataSettings, TrainingSettings

ROOM = ("--rooms", "procedural:0:small", "--frames", "5")
TINY = ("--voxel-size", "0.08", "--image-size", "96x72", "--samples", "1000", "--device", "cpu")
SCORED = {"rooms", "noise", "outliers", "families", "frames", "sizes", "objects"}
TSDF = {"open3d trunc=4 weight>1", "tsdf carve trunc=4 n>=1", "tsdf band trunc=8 n>=1 + median"}


@pytest.fixture(scope="module")
def model_files(tmp_path_factory) -> list[Path]:
    """Two untrained models, whose maps are about a TSDF."""
    folder = tmp_path_factory.mktemp("models")
    for name in "ab":
        torch.manual_seed(ord(name))
        model = LatentModel(Architecture(latent_channels=4, fusion_width=8, translator_width=8))
        save_model(model, folder / f"{name}.safetensors", {})
    return [folder / f"{name}.safetensors" for name in "ab"]


@pytest.fixture
def evaluate(model_files, tmp_path, capsys):
    """Runs an experiment; gives its page, its numbers and its pictures by name."""

    def run(name: str, *words: object) -> tuple[str, object, dict[str, np.ndarray]]:
        options = (*TINY, "--model", model_files[0], "--output", tmp_path / "out")
        assert main(["evaluate", name, *map(str, (*words, *options))]) == 0
        page = (tmp_path / "out" / f"{name}.md").read_text(encoding="utf-8")
        assert page == capsys.readouterr().out
        pictures = {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in (tmp_path / "out").glob("*.png")}
        for stem, picture in pictures.items():
            assert f"]({stem}.png)" in page
            assert picture.shape[0] > 200 and picture.std() > 5, f"{stem} is empty"
        assert pictures
        for told in ("- machine: ", "- date: ", f"- command: `neuralfusion evaluate {name}", "- voxel size: 0.08 m"):
            assert told in page
        return page, json.loads((tmp_path / "out" / f"{name}.json").read_text()), pictures

    return run


def by_step(numbers) -> dict[str, dict[str, dict]]:
    """Scores by step and method."""
    return {case["step"]: {score["name"]: score for score in case["scores"]} for case in numbers}


def test_noise_ladder_gets_worse_and_names_every_variant(evaluate):
    page, numbers, _ = evaluate("noise", *ROOM, "--levels", "clean,extreme")
    scores = by_step(numbers)
    assert list(scores) == ["clean", "extreme"]
    assert len(scores["clean"]) == 1 + 9 + 12 + 16
    assert TSDF | {"learned"} <= set(scores["clean"])
    for name in ("learned", *TSDF):
        assert scores["clean"][name]["voxels"]["mad_mm"] < scores["extreme"][name]["voxels"]["mad_mm"], name
    assert "Where the best TSDF is better" in page
    assert "- data: procedural:0:small" in page
    assert "- image size: 96x72" in page
    assert "- model: a, sha256 " in page


def test_outlier_ladder_has_one_step_per_share(evaluate):
    words = ("--percent", "0,14", "--methods", "learned", "--seeds", "0,1")
    page, numbers, _ = evaluate("outliers", *ROOM, *words)
    assert [(case["step"], case["seed"]) for case in numbers] == [("0 %", 0), ("0 %", 1), ("14 %", 0), ("14 %", 1)]
    assert numbers[2]["scores"] != numbers[3]["scores"]
    mad = [np.mean([c["scores"][0]["voxels"]["mad_mm"] for c in numbers if c["step"] == s]) for s in ("0 %", "14 %")]
    assert mad[0] < mad[1]
    assert f"| 0 % | learned | {mad[0]:.2f} |" in page


def test_families_mark_the_one_that_was_left_out(evaluate):
    page, numbers, _ = evaluate("families", *ROOM, "--methods", "learned")
    steps = [case["step"] for case in numbers]
    assert steps == ["structured light", "active stereo", "multi view stereo", "time of flight *", "passive stereo *"]
    assert len({case["scores"][0]["voxels"]["mad_mm"] for case in numbers}) == 5
    assert "left out of the training" in page


def test_more_frames_make_a_better_map(evaluate):
    words = ("--counts", "2,12", "--methods", "learned", "--level", "mild")
    _, numbers, pictures = evaluate("frames", "--rooms", "procedural:0:small", *words)
    assert set(pictures) == {"frames_everything", "frames_seen_at_once"}
    everything, at_once = (by_step(numbers[mask]) for mask in ("everything", "seen at once"))
    assert everything["2"]["learned"]["voxels"]["unobserved"] > everything["12"]["learned"]["voxels"]["unobserved"]
    # What two frames see is known after two frames.
    assert at_once["2"]["learned"]["voxels"]["unobserved"] < 0.1 < everything["2"]["learned"]["voxels"]["unobserved"]


def test_orders_give_a_spread_for_every_score(evaluate):
    page, numbers, _ = evaluate("orders", *ROOM, "--orders", "3")
    found = {entry["method"]: entry["orders"] for entry in numbers}
    assert set(found) == {"learned", *(f"open3d trunc=4 weight>{w}" for w in (1, 3, 5))}
    assert all(len(orders) == 3 for orders in found.values())
    mads = [order["voxels"]["mad_mm"] for order in found["learned"]]
    assert 0 < max(mads) - min(mads) < 0.2 * np.mean(mads)  # the learned map depends on the order, but not much
    assert f"| learned | {np.mean(mads):.2f} ({max(mads) - min(mads):.2f}) |" in page


def test_thin_things_by_kind_and_thickness(evaluate):
    page, numbers, _ = evaluate("thin", "--thickness-mm", "5,100", "--frames", "12", "--level", "clean")
    kinds = {(case["kind"], case["thickness_mm"]) for case in numbers}
    assert kinds == {(kind, mm) for kind in ("upright rod", "slanted rod", "plate") for mm in (5, 100)}
    carved = [case for case in numbers if case["method"] == "tsdf carve trunc=2 n>=1" and case["kind"] == "upright rod"]
    recovered = {case["thickness_mm"]: case["things"][0]["recovered"] for case in carved}
    assert recovered[5] < 0.2 < recovered[100]
    assert "| upright rod, 100 mm |" in page


def test_finer_meshes_of_the_same_maps(evaluate):
    page, numbers, _ = evaluate("fine_mesh", *ROOM, "--thickness-mm", "20,100", "--levels", "clean")
    coarse, fine = numbers["rooms"]
    assert (coarse["subdivision"], fine["subdivision"]) == (1, 2)
    assert 3 < fine["triangles"] / coarse["triangles"] < 7
    assert fine["f5cm"] > 0.5
    assert f"| procedural_0_small, clean, seed 0 | 2 | {fine['triangles']:,} |" in page.replace("*", "")
    things = {(case["kind"], case["thickness_mm"], case["subdivision"]): case["things"] for case in numbers["things"]}
    assert set(things) == {
        (k, mm, n) for k in ("upright rod", "slanted rod", "plate") for mm in (20, 100) for n in (1, 2)
    }
    assert things["plate", 100, 1] != things["plate", 100, 2]


def test_sizes_of_voxels_and_images(evaluate):
    words = ("--voxel-sizes", "0.06,0.12", "--image-sizes", "80x60,160x90", "--methods", "learned", "--level", "clean")
    _, numbers, pictures = evaluate("sizes", *ROOM, *words)
    assert set(pictures) == {"sizes_voxels", "sizes_images"}
    voxels, images = by_step(numbers["voxel size"]), by_step(numbers["image size"])
    assert list(voxels) == ["6 cm", "12 cm"]
    assert list(images) == ["80x60", "160x90"]
    assert voxels["6 cm"]["learned"]["mesh"]["accuracy_mm"] < voxels["12 cm"]["learned"]["mesh"]["accuracy_mm"]


def test_side_by_side_is_what_compare_says_of_its_meshes(evaluate, tmp_path, capsys):
    page, numbers, pictures = evaluate("side_by_side", *ROOM)
    name = "side_by_side_procedural_0_small"
    assert set(pictures) == {name}
    scores = numbers["procedural_0_small"]
    assert set(scores) == {"learned", *(f"open3d trunc={t} weight>{w}" for t in (2, 4, 8) for w in (1, 3, 5))}
    best = max((scores[key] for key in scores if key != "learned"), key=lambda score: score["f1cm"])
    caption = next(line for line in page.splitlines() if line.startswith("5 frames of procedural_0_small"))
    assert f"F-score at 1 cm {scores['learned']['f1cm']:.3f}." in caption and f"{best['f1cm']:.3f}." in caption
    meshes = [str(tmp_path / "out" / f"{name}_{which}.ply") for which in ("neuralfusion", "TSDF", "reference")]
    assert main(["compare", *meshes[:2], "--reference", meshes[2], "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)["meshes"]
    for found, score in zip(compared, (scores["learned"], best), strict=True):
        # The command draws more samples.
        assert found["accuracy_mm"] == pytest.approx(score["accuracy_mm"], rel=0.15)
        assert found["f5cm"] == pytest.approx(score["f5cm"], abs=0.04)


def test_latent_pictures_of_slices_and_mesh(evaluate):
    _, numbers, pictures = evaluate("latent", *ROOM)
    assert set(pictures) == {"latent_procedural_0_small_slices", "latent_procedural_0_small_mesh"}
    shares = numbers["procedural_0_small"]["explained_variance"]
    assert len(shares) == 4
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    colourful = np.ptp(pictures["latent_procedural_0_small_mesh"].astype(int), axis=-1) > 40
    assert colourful.mean() > 0.02


def test_objects_follow_the_protocol(evaluate):
    words = ("--objects", "procedural:0", "--resolution", "32", "--frames", "12", "--percent", "0,10")
    page, numbers, _ = evaluate("objects", *words)
    scores = by_step(numbers)
    assert list(scores) == ["0 %", "10 %"]
    assert scores["0 %"]["tsdf carve trunc=4 n>=1"]["voxels"]["iou"] > 0.6
    edge_mm = 32 * 80
    mse = 1e5 * scores["0 %"]["learned"]["voxels"]["mse_mm2"] / edge_mm**2
    assert f"| learned | {mse:.2f} |" in page
    assert "Another data set" in page and "| NeuralFusion | 2.9 | 0.27 | 97.00 | 0.890 | 0.94 |" in page


def test_an_ablation_trains_what_is_not_trained_yet(evaluate, tmp_path, monkeypatch, capsys):
    tiny = TrainingSettings(streams=1, frames_per_step=1, data=DataSettings(1, 4, 18, (64,)))
    no_network = replace(tiny, learn="translator", architecture=Architecture(latent_channels=0))
    monkeypatch.setattr(ablation, "VARIANTS", {"full": tiny, "evidence": no_network})
    runs = tmp_path / "runs"
    words = (*ROOM, "--methods", "learned", "--steps", "2", "--training-seeds", "4", "--runs", runs)
    page, numbers, _ = evaluate("ablation", *words, "--variants", "evidence,full")
    assert [(run["model"], run["file"]) for run in numbers] == [
        ("evidence", "evidence_4.safetensors"),
        ("full", "full_4.safetensors"),
    ]
    assert numbers[0]["rooms"] != numbers[1]["rooms"]
    for told in ("for 2 steps with the seeds 4", "measured at noise hard"):
        assert told in " ".join(page.split())
    files = {path: path.stat().st_mtime_ns for path in runs.glob("*.safetensors")}
    assert len(files) == 4  # weights and checkpoints
    assert evaluate("ablation", *words, "--variants", "full")[1] == numbers[1:]
    assert {path: path.stat().st_mtime_ns for path in files} == files
    more = ("--variants", "full", "--steps", "3", "--output", tmp_path / "out")
    assert main(["evaluate", "ablation", *map(str, (*words, *more))]) == 2
    assert "is of a training with other settings; remove it" in capsys.readouterr().err


def test_models_with_mean_and_spread(evaluate, model_files):
    a, b = model_files
    words = ("--models", a, f"both={a},{b}", "--seeds", "0,1")
    page, numbers, _ = evaluate("models", *ROOM, *words)
    runs = [(entry["model"], entry["file"], entry["seed"]) for entry in numbers if entry["model"] != "best TSDF"]
    wanted = [(m, f"{f}.safetensors", s) for m, f in (("a", "a"), ("both", "a"), ("both", "b")) for s in (0, 1)]
    assert sorted(runs) == wanted
    mads = [e["rooms"][0][0]["voxels"]["mad_mm"] for e in numbers if e["model"] == "a"]
    row = next(line for line in page.splitlines() if line.startswith("| a | 2 |"))
    assert f"{np.mean(mads):.2f}" in row and f" ± {np.std(mads, ddof=1):.2f} |" in row
    assert str(a.parent) not in page
    assert "| best TSDF | 2 |" in page


def test_every_experiment_has_a_name_of_its_own():
    listed = [experiment.name for experiment in EXPERIMENTS]
    assert len(set(listed)) == len(listed)
    others = {"holdout", "orders", "thin", "fine_mesh", "latent", "models", "ablation", "side_by_side"}
    assert set(listed) == SCORED | others


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_help_lists_the_settings_with_their_defaults(experiment, capsys):
    with pytest.raises(SystemExit) as left:
        main(["evaluate", experiment.name, "--help"])
    assert left.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for field in fields(experiment):
        assert f"--{field.name.replace('_', '-')} V,V" in told
        assert field.metadata["text"] in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("noise", "--rooms", "procedural:x"), "expected procedural:SEED"),
        (("noise", "--rooms", "nosuchroom"), "is missing"),
        (("outliers", "--percent", "80"), "--percent: must lie in 0..50"),
        (("frames", "--rooms", "procedural:0:small", "--frames", "3"), "has 3 frames; 100 are asked for"),
        (("objects", "--objects", "nosuch.npz"), "cannot read the object"),
        (("models", "--models", "a.safetensors", "x/a.safetensors"), "two models are called 'a'"),
        (("models", "--models", "nosuch.safetensors"), "cannot read model"),
        (("sizes", "--image-sizes", "640"), "expected WIDTHxHEIGHT"),
        (("orders", "--orders", "1"), "must be at least 2"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, message):
    assert main(["evaluate", *words, *TINY, "--methods", "tsdf", "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("neuralfusion: error: ")
    assert message in error
    assert not list((tmp_path / "out").glob("*.md"))
