"""On other hardware a rerun is equivalent by calibrated limits alone, and a forgery never is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from calibrations import calibration
from forgery import change_values, forge, rewrite, step

from khichdi.runtime.training_states import read_states
from khichdi.schema.audit import LEVELS
from khichdi.schema.calibration import FORGERIES, Calibration
from khichdi.schema.digest import described_safetensors
from khichdi.schema.record import Record
from khichdi.schema.training_states import INDEX

from .conftest import Workdir, make_workdir
from .segment_audits import artifact, commit_trace

torch = pytest.importorskip("torch")
Ran = tuple[Workdir, Any]
OTHER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
has_another = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="this processor has no second set of instructions to compare with",
)


def run_of(own_run: Ran) -> Path:
    workdir, document = own_run
    return workdir.folder / "store" / "runs" / Path(document["run"]).name


def calibrated(own_run: Ran, scale: float = 1.0, **changes: Any) -> Calibration:
    """Return a calibration for this run, written beside its recipe."""
    record = Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")
    hashes = {"recipe_hash": record.recipe_hash, "result_hash": record.result_hash}
    found = calibration(scale, **{**hashes, **changes})
    (own_run[0].folder / "limits.json").write_text(found.to_text())
    return found


def verdicts(found: Any) -> dict[str, str]:
    return {one["level"]: one["verdict"] for one in found["levels"]}


def again(own_run: Ran, what: str = "latest", limits: str = "limits.json", status: int = 0) -> Any:
    workdir = Workdir(own_run[0].folder, OTHER)
    return workdir.json("audit", what, "--rerun", "--calibration", limits, status=status)


@pytest.mark.slow
@has_another
def test_other_bits_within_the_limits_that_a_bundle_brings_are_equivalent(own_run: Ran) -> None:
    workdir, limits = own_run[0], calibrated(own_run)
    shutil.move(workdir.folder / "limits.json", run_of(own_run) / "calibration.json")
    workdir.json("bundle", "latest", "-o", "run.bundle", "--with-data", "--with-weights")
    shutil.rmtree(workdir.folder / "store")
    found = again(own_run, "run.bundle", "own")
    assert found["verdict"] == "equivalent"
    assert found["calibration"] == limits.seal()
    told = verdicts(found)
    assert {told[name] for name in LEVELS[3:8]} == {"identical"}
    assert (told["steps"], told["adapter"]) == ("equivalent", "equivalent")
    assert told["metrics"] in ("identical", "equivalent")
    criteria = {one["criterion"]: one for level in found["levels"] for one in level["criteria"]}
    assert {"t1.loss", "t3.outside", "t4.direction", "t5.kl"} <= criteria.keys()
    assert all(0 <= one["value"] <= one["limit"] for one in criteria.values())
    assert any(one["value"] > 0 for one in criteria.values())


@pytest.mark.slow
@has_another
def test_other_bits_beyond_the_limits_are_named_with_value_and_limit(own_run: Ran) -> None:
    calibrated(own_run, scale=0.01)
    found = again(own_run, status=1)
    assert found["verdict"] == "diverged"
    steps = next(one for one in found["levels"] if one["level"] == "steps")
    assert steps["verdict"] == "diverged"
    finding = steps["findings"][0]
    assert "criterion t" in finding["at"]
    assert finding["derived"]["apart"] > finding["claimed"]["at most"]
    assert verdicts(found)["metrics"] == "not run"


@pytest.mark.nightly
@pytest.mark.slow
@has_another
def test_a_forger_who_trained_at_another_rate_and_made_every_document_fit_is_rejected(
    own_run: Ran, tmp_path: Path
) -> None:
    workdir, _ = own_run
    other = make_workdir(tmp_path / "other", workdir.folder / "base")
    other.edit("learning_rate: 1.0e-3", "learning_rate: 1.1e-3")
    other_run = (other, other.json("run", "pico.yaml"))
    trained = run_of(other_run)
    record = Record.from_json((trained / "record.json").read_bytes(), "record.json")
    result = next(one for one in record.steps if one.name == "train").result
    folder = other.folder / "store" / "artifacts"
    trace_of = folder / result.outputs["trace"].manifest.removeprefix("sha256:")
    trace = json.loads((trace_of / "values.json").read_text())

    def take_losses(honest: Any) -> None:
        for own, like in zip(trace, honest, strict=True):
            taken = ("loss", "grad_norm", "eval_loss", "state")
            like |= {key: own[key] for key in taken if key in own}

    def take_adapter(target: Path) -> None:
        name = "adapter_model.safetensors"
        shutil.copyfile(trained / "adapter" / name, target / name)

    def take_states(target: Path) -> None:
        shutil.rmtree(target)
        shutil.copytree(artifact(other_run, "train", "states"), target)

    run, store = run_of(own_run), workdir.folder / "store"
    forge(run, store, "train", "trace", change_values(take_losses))
    forge(run, store, "train", "states", take_states)
    forge(run, store, "train", "adapter", take_adapter)

    def claim(document: Any) -> None:
        step(document, "train")["result"]["facts"]["metrics"] = result.facts["metrics"]
        document["metrics"] |= {k: v for k, v in record.metrics.items() if "loss" in k}

    rewrite(run, "record.json", claim)
    calibrated(own_run)
    assert workdir.json("audit", "latest")["verdict"] == "identical"  # no document gives it away
    found = again(own_run, status=1)
    told = verdicts(found)
    assert {told[name] for name in LEVELS[3:8]} == {"identical"}
    assert (told["steps"], told["adapter"]) == ("diverged", "diverged")
    assert beyond(found) >= {"t3.held_out", "t4.norm"}


# ---- segments -------------------------------------------------------------------------------


def segments(own_run: Ran, count: int = 4, status: int = 0) -> Any:
    workdir = Workdir(own_run[0].folder, OTHER)
    words = ["--segments", str(count), "--calibration", "limits.json"]
    return workdir.json("audit", "latest", *words, status=status)


def level(found: Any, name: str) -> Any:
    return next(one for one in found["levels"] if one["level"] == name)


def beyond(found: Any) -> set[str]:
    """Return the figures that are beyond their limits."""
    return {
        one["at"].split()[1].rstrip(":")
        for told in found["levels"]
        for one in told["findings"]
        if one["at"].startswith("criterion")
    }


@pytest.mark.slow
@has_another
def test_segments_with_other_bits_within_the_limits_are_equivalent(own_run: Ran) -> None:
    limits = calibrated(own_run)
    found = segments(own_run)
    assert found["verdict"] == "equivalent"
    assert found["calibration"] == limits.seal()
    (replay,) = found["replays"]
    assert {one["verdict"] for one in replay["replayed"]} <= {"identical", "equivalent"}
    steps, adapter = level(found, "steps"), level(found, "adapter")
    held = {one["criterion"]: one for one in steps["criteria"]}
    assert held.keys() == {
        "t1.loss", "t1.gradient", "t2.first", "t2.segment", "t2.state", "t3.outside",
    }  # fmt: skip
    assert all(0 <= one["value"] <= one["limit"] for one in held.values())
    assert all(held[name]["value"] > 0 for name in ("t2.first", "t2.segment", "t2.state"))
    assert {one["criterion"] for one in adapter["criteria"]} >= {"t4.direction", "t5.kl"}
    assert "all 4 segments replayed" in steps["detail"]
    assert "figures within their limits" in steps["detail"]


@pytest.mark.slow
@has_another
def test_segments_beyond_the_limits_diverge_by_figures(own_run: Ran) -> None:
    calibrated(own_run, scale=0.01)
    found = segments(own_run, status=1)
    assert level(found, "steps")["verdict"] == "diverged"
    assert beyond(found) & {"t2.first", "t2.segment", "t2.state"}
    assert "diverged" in {one["verdict"] for one in found["replays"][0]["replayed"]}


@pytest.mark.slow
@has_another
@pytest.mark.parametrize(
    ("group", "figure"), [("adapter", "t2.segment"), ("optimizer", "t2.state")]
)
def test_a_state_that_was_made_up_is_beyond_the_limits(
    own_run: Ran, group: str, figure: str
) -> None:
    """The forger doubles one tensor, and makes documents, trace and digests fit."""
    from safetensors.torch import load_file, save_file

    def made_up(folder: Path) -> None:
        states = read_states(folder)
        path = folder / states.bounds[1].folder / f"{group}.safetensors"
        tensors = load_file(path)
        name = max(tensors, key=lambda name: float(tensors[name].double().norm()))
        tensors[name] = tensors[name] * 2
        path.unlink()
        save_file(tensors, path)
        value = states.to_json()
        value["bounds"][1]["tensors"][group] = described_safetensors(path)
        (folder / INDEX).write_text(json.dumps(value))

    calibrated(own_run)
    forge(run_of(own_run), own_run[0].folder / "store", "train", "states", made_up)
    commit_trace(own_run)
    assert own_run[0].json("audit", "latest")["verdict"] == "identical"  # no byte gives it away
    found = segments(own_run, status=1)
    assert level(found, "steps")["verdict"] == "diverged"
    assert figure in beyond(found)


@pytest.mark.slow
@has_another
def test_segments_are_not_equivalent_by_a_calibration_that_knows_none(own_run: Ran) -> None:
    from khichdi.runtime.calibration.thresholds import derive

    full = calibrated(own_run)
    samples = tuple(
        one.model_copy(
            update={"values": {k: v for k, v in one.values.items() if not k.startswith("t2.")}}
        )
        for one in full.samples
    )
    calibrated(own_run, samples=samples, found=derive(samples, 69))
    found = segments(own_run)
    steps = level(found, "steps")
    assert steps["verdict"] == "unverifiable"
    assert "judge t2." in steps["detail"]
    assert found["verdict"] != "equivalent"


def refused(own_run: Ran, expected: str) -> None:
    code, out, err = own_run[0].call("audit", "latest", "--rerun", "--calibration", "limits.json")
    assert code == 2
    assert expected in out + err


def test_a_calibration_is_read_with_every_check_before_anything_is_executed(own_run: Ran) -> None:
    path = own_run[0].folder / "limits.json"
    calibrated(own_run, recipe_hash="sha256:" + "1" * 64)
    refused(own_run, "this calibration is for recipe sha256:111")
    calibrated(own_run, version=7)
    refused(own_run, "version 7")
    found = calibrated(own_run)
    path.write_text(path.read_text().replace('"probes": 23', '"probes": 24'))
    refused(own_run, "not as it was written")
    value = found.to_json()
    path.write_text(json.dumps(value))
    refused(own_run, "not sealed")
    value["found"]["criteria"][0]["limit"] = 10.0
    path.write_text(Calibration.model_validate(value).to_text())
    refused(own_run, "do not follow from its samples")


def test_a_calibration_that_lets_a_forgery_pass_is_refused(own_run: Ran) -> None:
    from khichdi.runtime.calibration.thresholds import derive

    found = calibrated(own_run)
    honest = found.samples[0]
    weak = tuple(
        one.model_copy(update={"values": honest.values, "curve": honest.curve})
        if one.kind == "adapter with noise"
        else one
        for one in found.samples
    )
    calibrated(own_run, samples=weak, found=derive(weak, 69))
    refused(own_run, "1 of 1 controls `adapter with noise` pass its limits")
    few = tuple(one for one in found.samples if one.kind != "rerun" or one.number < 4)
    calibrated(own_run, samples=few, found=derive(few, 69))
    refused(own_run, "it has 4 honest reruns, 5 are needed")


def test_a_calibration_says_nothing_where_nothing_is_run_again(own_run: Ran) -> None:
    calibrated(own_run)
    code, out, err = own_run[0].call("audit", "latest", "--calibration", "limits.json")
    assert code == 2
    assert "add --rerun or --segments K" in out + err


@pytest.mark.nightly
@pytest.mark.slow
@has_another
def test_a_real_calibration_rejects_every_forgery_and_accepts_an_honest_rerun(own_run: Ran) -> None:
    workdir, _ = own_run
    made = workdir.json("calibrate", "latest", "--controls", "2", "--to", "limits.json")
    assert made["usable"]
    assert made["rejected"].keys() == set(FORGERIES)
    for kind, fared in made["rejected"].items():
        assert fared["missed"] == 0, kind
        assert fared["samples"] >= 2
    used = {one["name"] for one in made["criteria"] if one["limit"] is not None}
    by = made["rejected"]["learning rate x 1.1"]["by"]
    assert {"t3.held_out", "t4.norm"} <= used & set(by)
    assert "t2.segment" in used & set(by)
    assert again(own_run)["verdict"] == "equivalent"
    assert segments(own_run)["verdict"] == "equivalent"
