"""Rows, steps and time before anything is spent, and checks against the base's architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bound import bound, load_bound, write

from khichdi.compiler.checks.model_checks import check_architecture
from khichdi.compiler.estimate.architectures import TABLE, from_config, known_architecture
from khichdi.compiler.estimate.devices import DEVICES, device_named
from khichdi.compiler.estimate.estimator import Known, estimate
from khichdi.plugins import Launch
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import InputError
from khichdi.schema.estimate import Estimate
from khichdi.schema.recipe import Recipe

CARD = DEVICES["rtx-4090"]
REGISTRY = load_registry()


def estimated(
    recipe: Recipe, known: Known | None = None, device: Any = CARD, launch: Launch | None = None
) -> Estimate:
    architecture = known_architecture(recipe, REGISTRY)
    return estimate(recipe, REGISTRY, architecture, device, known or Known(), launch)


@pytest.mark.parametrize(("processes", "share"), [(1, 1.0), (2, 2 / 3), (3, 1 / 3), (8, 1 / 3)])
def test_processes_share_the_micro_batches_of_a_step(
    tmp_path: Path, processes: int, share: float
) -> None:
    """Three of them: with two processes, one has two. A CPU's cores are shared already."""
    recipe = bound(tmp_path, train="gradient_accumulation_steps: 3")
    one, several = estimated(recipe), estimated(recipe, launch=Launch(processes))
    assert one.seconds
    assert several.seconds == pytest.approx(one.seconds * share)
    assert (f"memory: of each of {processes} processes (ddp)" in several.assumed) == (processes > 1)
    on_cpu = estimated(recipe, device=DEVICES["cpu"], launch=Launch(processes))
    assert on_cpu.seconds == estimated(recipe, device=DEVICES["cpu"]).seconds


def test_each_process_holds_its_part_of_a_sharded_base(tmp_path: Path) -> None:
    """And two layers more while they run; of the rest each holds all."""
    recipe = bound(tmp_path)
    one, ddp, sharded = (
        estimated(recipe, launch=launch).memory
        for launch in (None, Launch(8), Launch(8, strategy="fsdp"))
    )
    assert one
    assert ddp
    assert sharded
    assert ddp.weights == one.weights
    assert ddp.gradients > one.gradients  # what is exchanged
    assert one.weights / 8 < sharded.weights < one.weights * (1 / 8 + 2 / 32 + 1 / 16)
    for name in ("embeddings", "adapter", "optimizer", "activations", "logits"):
        assert getattr(sharded, name) == getattr(one, name)


def test_rows_that_the_recipe_declares_are_taken_and_assumptions_said(tmp_path: Path) -> None:
    found = estimated(bound(tmp_path))
    assert (found.rows, found.tokens) == (10_000, 2_000_000)
    assert found.data["one"].basis == "declared"
    assert found.assumed == ("200 tokens a row: none were counted yet",)
    assert found.unknown == ()
    assert not found.counted
    assert found.gpu_memory_bytes == found.memory.total  # type: ignore[union-attr]
    assert found.rate == "rtx-4090: table, not measured here"
    assert Estimate.from_json(found.model_dump_json(), "estimate") == found


def test_rows_that_nothing_says_are_unknown_with_the_reason(tmp_path: Path) -> None:
    found = estimated(bound(tmp_path, sample="{use: all}"))
    assert (found.rows, found.tokens, found.steps, found.seconds) == (None, None, None, None)
    assert found.at_least is None
    assert "rows of data.one: the sampler names no number" in found.unknown[0]
    assert found.gpu_memory_bytes is not None


def test_what_is_known_of_some_data_is_a_lower_bound(tmp_path: Path) -> None:
    more = """
  two:
    source: {use: huggingface, repo: someone/two, repo_type: dataset}
    read: {use: jsonl}
"""
    path = write(tmp_path)
    path.write_text(path.read_text().replace("mixture:", more.lstrip("\n") + "mixture:"))
    found = estimated(load_bound(path)[1])
    assert found.rows is None
    assert found.at_least is not None
    assert found.at_least.rows == 10_000
    assert found.at_least.seconds is not None
    assert found.at_least.seconds > 0


UP_TO = "{use: random, count: 5100, short: take-all}"


def test_expected_rows_stand_between_the_least_and_the_most(tmp_path: Path) -> None:
    expect = "{rows: 3100, tokens_per_row: 50}"
    found = estimated(bound(tmp_path, sample=UP_TO, expect=expect))
    assert (found.rows, found.tokens) == (3_000, 150_000)
    one = found.data["one"]
    assert (one.basis, one.at_least, one.at_most) == ("expected", 0, 5_100)
    assert found.at_most is not None
    assert found.at_most.rows == 5_000
    assert found.at_most.seconds > found.seconds  # type: ignore[operator]
    assert found.assumed == ()


def test_no_more_rows_are_expected_than_the_sampler_keeps(tmp_path: Path) -> None:
    assert estimated(bound(tmp_path, sample=UP_TO, expect="{rows: 9000}")).rows == 5_000


def test_counted_rows_go_before_expected_ones(tmp_path: Path) -> None:
    recipe = bound(tmp_path, sample="{use: all}", expect="{rows: 9100}")
    assert estimated(recipe).rows == 9_000
    found = estimated(recipe, Known(rows={"one": 8_100}, split=8_000))
    assert (found.rows, found.data["one"].basis) == (8_000, "counted")
    assert found.at_least is found.at_most is None


def test_a_filter_that_did_not_run_yet_may_drop_any_row(tmp_path: Path) -> None:
    found = estimated(bound(tmp_path, sample="{use: all}"), Known(before={"one": 700}))
    one = found.data["one"]
    assert (one.rows, one.basis, one.at_least, one.at_most) == (700, "at most", 0, 700)


def test_without_a_device_the_time_on_each_with_room_is_estimated(tmp_path: Path) -> None:
    epochs = "sequence_len: 1024, num_epochs: 3"
    found = estimated(bound(tmp_path, train=epochs), device=None)
    assert found.seconds is None
    assert found.memory is not None
    assert found.elsewhere["h100"] < found.elsewhere["rtx-4090"]
    assert "cpu" not in found.elsewhere  # a week is not enough
    small = estimated(bound(tmp_path, train="sequence_len: 8192"), device=None)
    assert small.memory is not None
    assert small.memory.total > 24 << 30
    assert "rtx-4090" not in small.elsewhere
    assert "h100" in small.elsewhere


def test_counted_rows_go_before_declared_ones(tmp_path: Path) -> None:
    recipe = bound(tmp_path, sample="{use: random, count: 10100, short: take-all}")
    assert estimated(recipe).data["one"].basis == "at most"
    known = Known(rows={"one": 640}, split=500, held_out=100)
    found = estimated(recipe, known)
    assert (found.rows, found.data["one"].rows, found.data["one"].basis) == (500, 640, "counted")


@pytest.mark.parametrize("packs", [1, 7, 31])
@pytest.mark.parametrize("train", ["num_epochs: 3", "max_steps: 10", "num_epochs: 1"])
@pytest.mark.parametrize("batch", [(1, 1), (2, 3)])
def test_steps_are_the_runtimes_own(
    tmp_path: Path, packs: int, train: str, batch: tuple[int, int]
) -> None:
    from khichdi.plugins.builtin.runtime.qlora.batches import plan_steps

    more = f", micro_batch_size: {batch[0]}, gradient_accumulation_steps: {batch[1]}"
    recipe = bound(tmp_path, train=f"sequence_len: 64, {train}{more}")
    facts = {"rows": 90, "packs": packs, "tokens": packs * 60, "response_tokens": packs * 20}
    found = estimated(recipe, Known(split=90, held_out=10, packs=facts))
    assert found.steps == len(plan_steps(packs, recipe.train, 0))  # type: ignore[arg-type]
    assert found.counted


def test_time_follows_arithmetic_and_recomputation(tmp_path: Path) -> None:
    plain = estimated(bound(tmp_path, train="sequence_len: 8192"))
    again = estimated(bound(tmp_path, train="sequence_len: 8192, gradient_checkpointing: true"))
    assert plain.seconds is not None
    assert again.seconds is not None
    # performance of a 7B: 28.7 GFLOP a token at rank 4, 42.7 with recomputation
    assert plain.flops_per_token == pytest.approx(29.0e9, rel=0.03)
    assert again.flops_per_token == pytest.approx(43.1e9, rel=0.03)
    assert 1.4 < again.seconds / plain.seconds < 1.6
    slower = estimated(bound(tmp_path, train="sequence_len: 8192"), device=DEVICES["l4"])
    assert slower.seconds is not None
    assert slower.seconds > plain.seconds


def test_a_budget_for_activations_trades_memory_for_time(tmp_path: Path) -> None:
    def asked(more: str) -> Estimate:
        return estimated(bound(tmp_path, train=f"sequence_len: 8192, {more}"))

    all_stored, none_stored = asked("micro_batch_size: 1"), asked("gradient_checkpointing: true")
    some = asked("gradient_checkpointing: true, activation_budget_gib: 12")
    assert (none_stored.layers, none_stored.stored_layers) == (32, 0)
    assert all_stored.stored_layers == 32
    assert some.stored_layers is not None
    assert 4 < some.stored_layers < 16
    for name in ("flops_per_token", "seconds"):
        numbers = [getattr(found, name) for found in (all_stored, some, none_stored)]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) == 3
    assert some.memory is not None
    assert none_stored.memory is not None
    more = some.memory.total - none_stored.memory.total
    assert more == pytest.approx(12 * 2**30, rel=0.2)
    offloaded = asked("gradient_checkpointing: true, activation_offloading: true")
    assert offloaded.memory is not None
    # 30 of 32 layers' inputs: 4,096 numbers of 2 bytes for each of 8,192 tokens
    less = none_stored.memory.total - offloaded.memory.total
    assert less == pytest.approx(1.05 * 30 * 4096 * 2 * 8192, rel=0.01)
    assert "activation_offloading: true" in [saving.change for saving in none_stored.savings]
    assert "activation_budget_gib: 0" in [saving.change for saving in some.savings]


def test_a_published_rate_is_near(tmp_path: Path) -> None:
    """torchtune: Llama-3.1-8B, r 8, 2 x 2,048 packed, recomputation, RTX 4090: 2,413 compiled."""
    recipe = bound(
        tmp_path,
        base="{use: huggingface, repo: meta-llama/Llama-3.1-8B}",
        adapter="{use: lora, r: 8}",
        train="sequence_len: 2048, micro_batch_size: 2, gradient_checkpointing: true",
    )
    found = estimated(recipe)
    assert found.tokens_per_second == pytest.approx(2413 / 1.27, rel=0.15)


def test_what_was_measured_here_goes_before_the_table(tmp_path: Path) -> None:
    known = Known(tokens_per_second=1000.0, measured="run-1")
    found = estimated(bound(tmp_path), known)
    assert found.seconds == pytest.approx(2000.0)
    assert found.rate == "measured here, run-1"


def test_an_unknown_base_leaves_memory_and_time_unknown(tmp_path: Path) -> None:
    found = estimated(bound(tmp_path, base="{use: huggingface, repo: some/model}"))
    assert found.memory is None
    assert found.gpu_memory_bytes is None
    assert found.seconds is None
    assert "architecture is not known" in found.unknown[0]


def test_configurations_that_are_not_known_or_not_whole_give_none() -> None:
    assert from_config({"model_type": "mamba"}) is None
    assert from_config({"model_type": "llama"}) is None
    assert from_config({**TABLE["openai-community/gpt2"], "n_head": 0}) is None
    assert from_config({}) is None


def test_every_device_has_what_an_estimate_needs() -> None:
    for name, device in DEVICES.items():
        assert device.name == name
        assert 0 < device.realised < 1
        assert device.gpu == (device.memory_bytes is not None)
    with pytest.raises(InputError, match="no device `rtx4090`") as caught:
        device_named("rtx4090")
    assert "rtx-4090" in str(caught.value.hint)


# ---- checks -----------------------------------------------------------------------------------


def faults(path: Path) -> list[tuple[int, int, str, str, str | None]]:
    loaded, recipe = load_bound(path)
    found = check_architecture(recipe, loaded, REGISTRY, known_architecture(recipe, REGISTRY))
    return [(d.line, d.column, d.code, d.message, d.suggestion) for d in found]


def test_modules_that_the_base_lacks_are_named_where_they_stand(tmp_path: Path) -> None:
    path = write(tmp_path, adapter="{use: lora, target_modules: [q_proj, k_porj, lm_head, c_attn]}")
    line = path.read_text().splitlines()[5]
    known = "it has: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"
    assert [fault[:3] + fault[4:] for fault in faults(path)] == [
        (6, line.index("k_porj") + 1, "no-module", f"did you mean `k_proj`? {known}"),
        (6, line.index("c_attn") + 1, "no-module", known),
    ]


@pytest.mark.parametrize("targets", [r".*\.q_porj", r"layers\..*q_proj"])
def test_an_expression_that_matches_nothing_is_named_where_it_stands(
    tmp_path: Path, targets: str
) -> None:
    path = write(tmp_path, adapter=f"{{use: lora, target_modules: '{targets}'}}")
    [(line, _, code, message, hint)] = faults(path)
    assert (line, code) == (6, "no-module")
    assert f"`{targets}` matches no linear module" in message
    assert "such as `model.layers.0.self_attn.q_proj`" in (hint or "")


def test_an_expression_counts_the_modules_that_it_matches(tmp_path: Path) -> None:
    path = write(tmp_path, adapter=r"{use: lora, target_modules: '.*layers\.[01]\..*[qv]_proj'}")
    assert faults(path) == []
    _, recipe = load_bound(path)
    architecture = known_architecture(recipe, REGISTRY)
    assert architecture is not None
    adapted = architecture.adapted(recipe.model.adapter.params()["target_modules"])
    assert sorted(linear.name for linear in adapted) == ["q_proj"] * 2 + ["v_proj"] * 2
    assert len(architecture.adapted("all-linear")) == architecture.layers * 7


def test_a_sequence_longer_than_the_base_was_made_for(tmp_path: Path) -> None:
    base = "{use: huggingface, repo: meta-llama/Llama-2-7b-hf}"
    path = write(tmp_path, base=base, train="sequence_len: 8192")
    [(line, _, code, message, suggestion)] = faults(path)
    assert (line, code, suggestion) == (14, "too-long-for-base", "at most 4096")
    assert "8,192" in message
    assert faults(write(tmp_path, base=base, train="sequence_len: 4096")) == []


def test_the_default_length_has_a_place_too(tmp_path: Path) -> None:
    base = "{use: huggingface, repo: gpt2}"
    path = write(tmp_path, base=base, train="num_epochs: 1")
    [(line, _, _, message, _)] = faults(path)
    assert line == 14
    assert "2,048 (the default)" in message
