"""Segments of a training are executed again: an honest run passes, a forged segment is named."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import Any

import pytest
from forgery import change_values, flip_in_tensor, forge, retrain
from third_party import HEAD, install

from khichdi.cli.audit_text import share
from khichdi.cli.main import main
from khichdi.runtime.audit.segment_distance import numbers_error, relative_error, worst_error
from khichdi.runtime.audit.segment_draw import caught, drawn, odds, surely_caught
from khichdi.runtime.training_states import read_states
from khichdi.schema.audit import LARGEST, AuditReport, SegmentVerdict
from khichdi.schema.digest import described_safetensors
from khichdi.schema.record import Record
from khichdi.schema.training_states import INDEX

from .conftest import Workdir

Ran = tuple[Workdir, Any]
RESULT = "sha256:" + "5" * 64


def recipe(workdir: Workdir, *words: str, status: int = 0) -> Any:
    """Run a command in this process: starting another takes longer than the command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        found = main([*words, "--json", "--store", str(workdir.folder / "store")])
    assert found == status, out.getvalue()
    return json.loads(out.getvalue())


def audit(workdir: Workdir, *words: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = recipe(workdir, "audit", *words, status=status)
    AuditReport.model_validate(found)
    return found


def level(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(level for level in found["levels"] if level["level"] == name)


def run_of(own_run: Ran) -> Path:
    return own_run[0].folder / "store" / "runs" / Path(own_run[1]["run"]).name


def artifact(own_run: Ran, name: str, output: str) -> Path:
    record = Record.from_json((run_of(own_run) / "record.json").read_bytes(), "record.json")
    found = next(s for s in record.steps if s.name == name).result.outputs[output]
    return own_run[0].folder / "store" / "artifacts" / found.manifest.removeprefix("sha256:")


def nonce_that_draws(own_run: Ran, segment: int, *, avoid: bool = False) -> str:
    """Return a nonce by which one draw of one segment finds this one, or another one."""
    found = json.loads((run_of(own_run) / "record.json").read_bytes())["result_hash"]
    return next(
        str(n) for n in range(1000) if (drawn(found, str(n), "train", 4, 1) == (segment,)) != avoid
    )


# ---- the draw -------------------------------------------------------------------------------


@pytest.mark.parametrize("forged", [1, 2, 5])
def test_the_share_of_draws_that_catch_is_the_hypergeometric_law_s(forged: int) -> None:
    segments, count, tries = 12, 3, 4000
    bad = set(range(2, 2 + forged))
    hits = sum(
        bool(bad & set(drawn(RESULT, f"nonce {n}", "train", segments, count))) for n in range(tries)
    )
    expected = caught(segments, count, forged)
    deviation = (expected * (1 - expected) / tries) ** 0.5
    assert abs(hits / tries - expected) < 4 * deviation


def test_every_segment_is_drawn_as_often_as_any_other() -> None:
    segments, count, tries = 8, 2, 4000
    hits = [0] * segments
    for number in range(tries):
        for segment in drawn(RESULT, str(number), "train", segments, count):
            hits[segment - 1] += 1
    expected = tries * count / segments
    assert sum((hit - expected) ** 2 / expected for hit in hits) < 29.9  # 0.9999 of chi-square, 7


def test_a_draw_follows_from_result_nonce_and_step_alone() -> None:
    one = drawn(RESULT, "dice", "train", 16, 4)
    assert one == drawn(RESULT, "dice", "train", 16, 4) == tuple(sorted(set(one)))
    others = [
        drawn("sha256:" + "6" * 64, "dice", "train", 16, 4),
        drawn(RESULT, "dice ", "train", 16, 4),
        drawn(RESULT, "dice", "train/2", 16, 4),
    ]
    assert one not in others
    assert drawn(RESULT, "dice", "train", 3, 9) == (1, 2, 3)


def test_the_odds_are_those_of_drawing_without_putting_back() -> None:
    assert caught(16, 3, 1) == pytest.approx(3 / 16)
    assert caught(4, 4, 1) == 1
    assert [one.forged for one in odds(5, 2)] == [1, 2, 3, 4, 5]
    for segments in range(1, 20):
        for count in range(1, segments + 1):
            certain = surely_caught(segments, count)
            assert 1 - comb(segments - certain, count) / comb(segments, count) >= 0.95
            assert certain == 1 or caught(segments, count, certain - 1) < 0.95


# ---- honest runs ----------------------------------------------------------------------------


def test_every_segment_of_an_honest_run_gives_the_same_again(
    shared_run: Ran, tmp_path: Path
) -> None:
    page = tmp_path / "audit.html"
    found = audit(shared_run[0], "latest", "--segments", "4", "--strict", "--html", str(page))
    assert found["verdict"] == "identical"
    (replay,) = found["replays"]
    assert [one["verdict"] for one in replay["replayed"]] == ["identical"] * 4
    assert [one["segment"] for one in replay["replayed"]] == [1, 2, 3, 4]
    spans = [(one["first"], one["last"]) for one in replay["replayed"]]
    assert spans[0][0] == 1
    assert spans[-1][1] == replay["steps"]
    assert replay["surely_caught"] == 1
    for name in ("data", "batches", "base weights", "starting weights", "steps", "adapter"):
        assert (level(found, name)["verdict"], level(found, name)["basis"]) == (
            "identical", "executed",
        ), name  # fmt: skip
    assert level(found, "metrics")["basis"] == "hashed"
    assert replay["nonce"] in page.read_text()


def test_on_another_device_it_is_said_how_far_apart_a_segment_is(shared_run: Ran) -> None:
    torch = pytest.importorskip("torch")
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("this processor has no second set of instructions to compare with")
    elsewhere = Workdir(shared_run[0].folder, {"ATEN_CPU_CAPABILITY": "avx2"})
    found = elsewhere.json("audit", "latest", "--segments", "4", status=1)
    assert level(found, "environment")["findings"][0]["claimed"] == "cpu AVX512"
    assert level(found, "starting weights")["verdict"] == "identical"
    assert found["where"].startswith("steps: step train#trace, segment ")
    replayed = found["replays"][0]["replayed"]
    apart = [one for one in replayed if one["verdict"] == "diverged"]
    assert apart
    assert all(one["error"] == 0 for one in replayed if one not in apart)
    for one in apart:
        found = (one["error"], one["state_error"])
        if one["segment"] == 4:  # the state that the last one ends in is not kept
            assert found == (None, None)
        else:
            assert all(0 < error < 0.2 for error in found)


def test_how_far_apart_is_a_share_of_what_was_learnt(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    start = {"a": torch.zeros(3, 4), "b": torch.ones(5)}
    claimed = {"a": torch.ones(3, 4), "b": torch.ones(5) * 3}
    derived = {"a": torch.ones(3, 4) * 1.5, "b": torch.ones(5) * 3}
    files = [tmp_path / name for name in ("start", "claimed", "derived")]
    for file, tensors in zip(files, (start, claimed, derived), strict=True):
        save_file(tensors, file)
    assert relative_error(*files) == pytest.approx((12 * 0.25 / (12 + 5 * 4)) ** 0.5)
    assert relative_error(None, *files[1:]) == pytest.approx((12 * 0.25 / (12 + 5 * 9)) ** 0.5)
    assert relative_error(files[0], files[0], files[2]) == LARGEST  # nothing was learnt, it says
    assert relative_error(files[0], files[0], files[0]) == 0
    assert worst_error(*files[1:]) == pytest.approx(0.5)  # of `a`, as `b` is the same
    assert worst_error(files[1], files[1]) == 0
    assert worst_error(files[0], files[2]) == LARGEST  # `a` is said to be all zeros
    wrong = (
        {"a": torch.ones(4, 3), "b": torch.ones(5)},
        {"a": torch.ones(3, 4)},
        {"a": torch.ones(3, 4), "b": torch.ones(5), "c": torch.ones(1)},
        {"a": torch.ones(3, 4), "b": torch.tensor([math.nan] * 5)},
        {"a": torch.ones(3, 4), "b": torch.tensor([math.inf] * 5)},
    )
    for tensors in wrong:
        save_file(tensors, files[2])
        for one, other in (files[1:], files[:0:-1]):
            assert relative_error(files[0], one, other) == LARGEST
            assert relative_error(None, one, other) == LARGEST
            assert worst_error(one, other) == LARGEST


@pytest.mark.parametrize(
    ("error", "said"), [(None, ""), (0.00204, "0.002"), (LARGEST, "too large to measure")]
)
def test_an_error_is_said_as_a_share(error: float | None, said: str) -> None:
    one = SegmentVerdict(segment=1, first=1, last=4, because="drawn", error=error)
    assert share(one) == said


@pytest.mark.parametrize(
    ("claimed", "derived", "error"),
    [
        ({"step": 4}, {"step": 4}, 0),
        ({"step": 4, "rms": [1.0, 2.0]}, {"step": 4, "rms": [1.0, 2.5]}, 0.25),
        ({"step": 4}, {"step": 5}, LARGEST),
        ({"step": 4}, {}, LARGEST),
        ({"rms": [1.0]}, {"rms": [1.0, 1.0]}, LARGEST),
        ({"rms": 0.0}, {"rms": 1e-9}, LARGEST),
        ({"rms": 1.0}, {"rms": float("inf")}, LARGEST),
    ],
)
def test_numbers_of_a_state_are_apart_by_a_share_or_not_comparable(
    claimed: Any, derived: Any, error: float
) -> None:
    assert numbers_error(claimed, derived) == error


def test_of_a_fast_training_it_is_said_that_bits_need_not_come_again(workdir: Workdir) -> None:
    workdir.edit("cpu_threads: 1\nevaluate", "cpu_threads: 1\n  determinism: fast\nevaluate")
    ran = workdir.json("run", "pico.yaml")
    record = Record.from_json((run_of((workdir, ran)) / "record.json").read_bytes(), "record.json")
    trained = next(step for step in record.steps if step.name == "train")
    assert trained.result.measured["determinism"] == "fast"
    steps = level(audit(workdir, "latest", "--segments", "1"), "steps")
    assert steps["detail"].endswith("`determinism: fast`, so bits need not come again")


def test_of_a_few_segments_it_is_said_what_was_executed_and_what_that_finds(
    shared_run: Ran,
) -> None:
    found = audit(shared_run[0], "latest", "--segments", "1", "--nonce", "dice: 4 2")
    (replay,) = found["replays"]
    record = json.loads((run_of(shared_run) / "record.json").read_bytes())
    assert replay["result_hash"] == record["result_hash"]
    assert tuple(replay["drawn"]) == drawn(record["result_hash"], "dice: 4 2", "train", 4, 1)
    assert replay["nonce_from"] == "given"
    assert [one["probability"] for one in replay["odds"]] == [0.25, 0.5, 0.75, 1.0]
    steps = level(found, "steps")
    assert (steps["verdict"], steps["basis"]) == ("identical", "sampled")
    assert "1 of 4 segments drawn" in steps["detail"]
    assert "probability 0.25, 4 or more (100%)" in steps["detail"]


def test_without_a_nonce_the_system_draws_one(shared_run: Ran) -> None:
    workdir, _ = shared_run
    one, two = (audit(workdir, "latest", "--segments", "1")["replays"][0] for _ in range(2))
    assert one["nonce_from"] == two["nonce_from"] == "system"
    assert len(one["nonce"]) == 32
    assert one["nonce"] != two["nonce"]


# ---- forgeries ------------------------------------------------------------------------------


def swap_state(number: int, group: str = "adapter") -> Callable[[Path], None]:
    """Return a change of one tensor of a state, with all digests made to fit."""

    def apply(folder: Path) -> None:
        states = read_states(folder)
        path = folder / states.bounds[number - 1].folder / f"{group}.safetensors"
        raw = bytearray(path.read_bytes())
        raw[-3] ^= 1
        path.write_bytes(raw)
        value = states.to_json()
        value["bounds"][number - 1]["tensors"][group] = described_safetensors(path)
        (folder / INDEX).write_text(json.dumps(value))

    return apply


def commit_trace(own_run: Ran, **changes: float) -> None:
    """Make the trace fit the states; `step_7=0.5` sets the loss of training step 7."""
    states = read_states(artifact(own_run, "train", "states"))

    def change(trace: Any) -> None:
        for state in states.bounds:
            trace[state.step - 1]["state"] = state.digest()
        for name, loss in changes.items():
            trace[int(name.removeprefix("step_")) - 1]["loss"] = loss

    forge(run_of(own_run), own_run[0].folder / "store", "train", "trace", change_values(change))


def forge_segment(own_run: Ran) -> tuple[int, int]:
    """Forge the second segment: a loss, and the state that it ends in; return its steps."""
    first, last = read_states(artifact(own_run, "train", "states")).segments()[1]
    store = own_run[0].folder / "store"
    forge(run_of(own_run), store, "train", "states", swap_state(2))
    commit_trace(own_run, **{f"step_{last}": 0.25})
    assert (
        audit(own_run[0], "latest")["verdict"] == "identical"
    )  # the forger left no trace in bytes
    return first, last


def test_a_forged_segment_is_found_when_it_is_drawn(own_run: Ran) -> None:
    _, last = forge_segment(own_run)
    nonce = nonce_that_draws(own_run, 2)
    found = audit(own_run[0], "latest", "--segments", "1", "--nonce", nonce, status=1)
    assert found["verdict"] == "diverged"
    assert found["where"] == (
        f"steps: step train#trace, segment 2 of 4, training step {last}, loss"
    )
    one, other = level(found, "steps")["findings"][:2]
    assert (one["claimed"], one["derived"] == 0.25) == (0.25, False)
    assert other["output"] == "states"
    assert other["at"].startswith(
        f"segment 2 of 4, state after training step {last}, adapter tensor "
    )
    assert ", element " in other["at"]
    assert other["claimed"] != other["derived"]
    verdicts = {one["segment"]: one["verdict"] for one in found["replays"][0]["replayed"]}
    assert verdicts[2] == "diverged"
    assert next(one["error"] for one in found["replays"][0]["replayed"] if one["segment"] == 2) > 0


def test_a_forged_state_is_no_start_that_the_next_segment_can_be_honest_from(own_run: Ran) -> None:
    forge_segment(own_run)
    found = audit(own_run[0], "latest", "--segments", "4", status=1)
    verdicts = [one["verdict"] for one in found["replays"][0]["replayed"]]
    assert verdicts[0] == "identical"
    assert verdicts[1:3] == ["diverged", "diverged"]
    assert verdicts[3] == "identical"  # it goes on honestly from what it claims


def test_a_training_that_ended_early_is_found_whatever_is_drawn(own_run: Ran) -> None:
    """The forger trained less, and everything that is shown is honest."""
    store = own_run[0].folder / "store"
    states = read_states(artifact(own_run, "train", "states"))
    steps = states.bounds[2].step

    def shorter(folder: Path) -> None:
        value = states.to_json()
        value["bounds"] = value["bounds"][:3]
        value["bounds"][2]["kept"] = False
        value["adapter_step"] = min(states.adapter_step, steps)
        shutil.rmtree(folder / states.bounds[2].folder)
        (folder / INDEX).write_text(json.dumps(value))

    forge(run_of(own_run), store, "train", "states", shorter)
    retrain(run_of(own_run), store, lambda trace: trace.__delitem__(slice(steps, None)))
    found = audit(own_run[0], "latest", "--segments", "1", status=1)
    assert found["where"] == "steps: step train#trace, training steps in all"
    finding = level(found, "steps")["findings"][0]
    assert (finding["claimed"], finding["derived"]) == (steps, states.bounds[-1].step)


def test_a_training_divided_otherwise_than_its_recipe_says_is_found(own_run: Ran) -> None:
    """Few large segments would be drawn less often where it matters."""
    store = own_run[0].folder / "store"
    states = read_states(artifact(own_run, "train", "states"))

    def fewer(folder: Path) -> None:
        value = states.to_json()
        value["bounds"] = value["bounds"][1:]
        shutil.rmtree(folder / states.bounds[0].folder)
        (folder / INDEX).write_text(json.dumps(value))

    forge(run_of(own_run), store, "train", "states", fewer)
    step = states.bounds[0].step
    drop = change_values(lambda trace: trace[step - 1].pop("state"))
    forge(run_of(own_run), store, "train", "trace", drop)
    assert audit(own_run[0], "latest")["verdict"] == "identical"
    found = audit(own_run[0], "latest", "--segments", "3", status=1)
    assert found["where"] == "steps: step train#states, ends of segments"
    finding, other = level(found, "steps")["findings"]
    assert finding["claimed"] == [kept.step for kept in states.bounds[1:]]
    assert finding["derived"] == [kept.step for kept in states.bounds]
    assert other["at"] == f"segment 1 of 3, training step {step}, state"
    assert other["claimed"] is None


def test_a_forged_segment_that_is_not_drawn_is_not_seen_and_that_is_said(own_run: Ran) -> None:
    forge_segment(own_run)
    nonce = nonce_that_draws(own_run, 1)
    found = audit(own_run[0], "latest", "--segments", "1", "--nonce", nonce)
    assert level(found, "steps")["basis"] == "sampled"
    assert found["replays"][0]["odds"][0]["probability"] == 0.25


def test_an_adapter_that_no_segment_gives_is_found_whatever_is_drawn(own_run: Ran) -> None:
    weights = artifact(own_run, "train", "adapter") / "adapter_model.safetensors"
    tensor = sorted(described_safetensors(weights))[2]
    forge(
        run_of(own_run), own_run[0].folder / "store", "train", "adapter", flip_in_tensor(tensor, 5)
    )
    assert audit(own_run[0], "latest")["verdict"] == "identical"
    nonce = nonce_that_draws(own_run, 1)
    found = audit(own_run[0], "latest", "--segments", "1", "--nonce", nonce, status=1)
    assert found["where"] == f"adapter: step train#adapter, tensor {tensor}, element 5"
    assert level(found, "steps")["verdict"] == "identical"


def test_states_that_the_trace_is_not_committed_to_are_found_without_executing(
    own_run: Ran,
) -> None:
    forge(run_of(own_run), own_run[0].folder / "store", "train", "states", swap_state(2))
    found = audit(own_run[0], "latest", status=1)
    _, last = read_states(artifact(own_run, "train", "states")).segments()[1]
    assert found["where"] == f"steps: step train#trace, training step {last}, state"


@pytest.mark.parametrize("group", ["adapter", "optimizer"])
def test_a_state_whose_bytes_are_not_its_digests_is_named(own_run: Ran, group: str) -> None:
    states = artifact(own_run, "train", "states")
    path = next(states.glob(f"step-*/{group}.safetensors"))
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.chmod(0o644)
    path.write_bytes(raw)
    found = audit(own_run[0], "latest", "--segments", "4", status=1)
    name = path.relative_to(states).as_posix()
    assert found["where"] == f"steps: step train#states, file {name}"
    assert found["replays"] == []


# ---- bundles, and what is not here ----------------------------------------------------------


def test_a_bundle_with_data_and_weights_is_replayed_where_nothing_else_is(
    shared_run: Ran, tmp_path: Path
) -> None:
    target = tmp_path / "whole.bundle"
    words = ["--with-data", "--with-weights", "-o", str(target)]
    made = recipe(shared_run[0], "bundle", "latest", *words)
    assert 0 < made["states_bytes"] < target.stat().st_size
    found = audit(Workdir(tmp_path / "elsewhere"), str(target), "--segments", "2", "--strict")
    assert found["verdict"] == "identical"
    assert found["subject"] == "whole.bundle"


def test_from_a_bundle_without_data_inputs_are_made_again_from_the_sources(
    shared_run: Ran, tmp_path: Path
) -> None:
    target, elsewhere = tmp_path / "small.bundle", Workdir(tmp_path / "elsewhere")
    recipe(shared_run[0], "bundle", "latest", "-o", str(target))
    found = audit(elsewhere, str(target), "--segments", "1", "--data", str(tmp_path))
    steps = level(found, "steps")
    assert steps["verdict"] == "unverifiable"
    assert "could not be executed" in steps["detail"]
    assert "--data" in steps["detail"]
    assert "--with-weights" in steps["detail"]
    assert found["replays"][0]["why_not"]
    words = ["--segments", "1", "--data", str(shared_run[0].folder), "--strict"]
    found = audit(elsewhere, str(target), *words)
    assert found["verdict"] == "identical"
    assert {level(found, name)["basis"] for name in ("sources", "data", "batches")} == {"executed"}


def test_base_weights_that_are_not_here_are_asked_for_and_taken(own_run: Ran) -> None:
    workdir, _ = own_run
    shutil.rmtree(artifact(own_run, "base", "files"))
    workdir.folder.joinpath("base").rename(workdir.folder / "moved")
    words = ("latest", "--segments", "1", "--data")
    found = audit(workdir, *words, str(workdir.folder))
    assert level(found, "steps")["verdict"] == "unverifiable"
    assert "base is not here" in level(found, "steps")["detail"]
    (workdir.folder / "moved").rename(workdir.folder / "base")
    found = audit(workdir, *words, str(workdir.folder))
    assert level(found, "steps")["verdict"] == "identical"


def test_without_its_states_a_bundle_says_that_nothing_can_be_started_from(
    shared_run: Ran, tmp_path: Path
) -> None:
    target = tmp_path / "light.bundle"
    made = recipe(shared_run[0], "bundle", "latest", "--without-states", "-o", str(target))
    assert made["states_bytes"] == 0
    assert made["left_out"].count("train#states") == 1
    found = audit(Workdir(tmp_path), str(target), "--segments", "1")
    assert level(found, "steps")["verdict"] == "unverifiable"
    assert "states" in level(found, "steps")["detail"]


STRANGER = """
from dataclasses import replace
from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams


class Stranger(Runtime[QloraParams]):
    \"\"\"Train as another does.\"\"\"

    name = "stranger"

    def train(self, job):
        found = Qlora(self.params).train(job)
        return RETURNED


@hookimpl
def khichdi_runtimes():
    return [Stranger]
"""
BARE = """replace(found, states=None, trace=[
            {name: value for name, value in entry.items() if name != "state"}
            for entry in found.trace
        ])"""


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (BARE, "the runtime `stranger` kept no states to start a segment from"),
        ("found", "the runtime `stranger` cannot execute a part of a training again"),
    ],
    ids=["keeps no states", "keeps states and cannot start from them"],
)
def test_a_runtime_that_replays_no_segments_makes_the_steps_unverifiable(
    workdir: Workdir, returned: str, told: str
) -> None:
    plugins = workdir.folder / "plugins"
    plugins.mkdir()
    install(plugins, "stranger", HEAD + STRANGER.replace("RETURNED", returned))
    path = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])
    workdir.environment = {"PYTHONPATH": path}
    workdir.edit("use: qlora", "use: stranger")
    workdir.edit("num_epochs: 3", "num_epochs: 1")
    workdir.json("run", "pico.yaml")
    found = workdir.json("audit", "latest", "--segments", "2")
    assert found["verdict"] == "unverifiable"
    assert level(found, "steps")["verdict"] == "unverifiable"
    assert told in level(found, "steps")["detail"]
    assert level(found, "adapter")["basis"] == "hashed"
    assert "--rerun" in level(found, "steps")["detail"]
    assert workdir.json("audit", "latest")["verdict"] == "identical"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--segments", "0"], "at least 1"),
        (["--segments", "1", "--rerun"], "--rerun executes every segment"),
        (["--nonce", "x"], "give --segments K too"),
        (["--segments", "1", "--level", "data"], "stops before the steps of training"),
    ],
    ids=str,
)
def test_options_that_contradict_each_other_are_refused(
    shared_run: Ran, words: list[str], told: str
) -> None:
    found = recipe(shared_run[0], "audit", "latest", *words, status=2)
    assert told in found["error"]["message"]
