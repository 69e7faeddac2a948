"""The time of steps that run the model: by a past run's rate, else by the device table."""

from __future__ import annotations

from typing import Any

import pytest

from khichdi.compiler.estimate.architectures import TABLE, from_config
from khichdi.compiler.estimate.devices import DEVICES
from khichdi.compiler.estimate.model_steps import (
    Model,
    Rate,
    WaitingStep,
    seconds_per_prompt,
    step_times,
)
from khichdi.plugins import Generation
from khichdi.plugins.registry import load_registry
from khichdi.plugins.side_effects import PluginError
from khichdi.schema.plan import PlanStep, PluginRef

REGISTRY = load_registry()


def model(quantizer: dict[str, Any], device: str = "rtx-4090") -> Model:
    architecture = from_config(TABLE["mistralai/Mistral-7B-v0.1"])
    assert architecture is not None
    params = {key: value for key, value in quantizer.items() if key != "use"}
    return Model(
        architecture,
        REGISTRY.create("quantizer", quantizer["use"], params),
        DEVICES[device],
    )


NF4 = {"use": "bitsandbytes", "bits": 4, "compute_dtype": "bfloat16"}


def waiting(rows: int | None, rate: Rate | None = None) -> WaitingStep:
    plugin = PluginRef(
        kind="scorer",
        name="few-shot",
        version=1,
        params={"metric": "exact-match", "max_new_tokens": 16, "batch_size": 4},
    )
    step = PlanStep(name="data/one/score", kind="scorer", plugin=plugin, key="sha256:" + "0" * 64)
    return WaitingStep(step, rows, rate)


def test_without_a_run_the_table_tells_the_most_that_rows_take() -> None:
    over = model(NF4)
    (found,) = step_times([waiting(1000)], REGISTRY, over, rows=None, tokens_per_row=50)
    each = seconds_per_prompt(Generation(1000, 50, 16, 4), over)
    assert found.seconds_per_row == each
    assert found.seconds == 1000 * each
    assert (found.device, found.run) == ("rtx-4090", None)


def test_rows_that_nobody_counted_have_a_time_each() -> None:
    (found,) = step_times([waiting(None)], REGISTRY, model(NF4), rows=None, tokens_per_row=50)
    assert found.seconds is None
    assert found.rows is None
    assert found.seconds_per_row is not None


def test_a_rate_that_was_measured_goes_before_the_table() -> None:
    rate = Rate("run-1", seconds=20.0, rows=100)
    (found,) = step_times([waiting(50, rate)], REGISTRY, model(NF4), rows=None, tokens_per_row=50)
    assert (found.seconds, found.run, found.device) == (10.0, "run-1", None)


def test_without_base_or_device_nothing_is_invented() -> None:
    (found,) = step_times([waiting(50)], REGISTRY, None, rows=None, tokens_per_row=50)
    assert (found.seconds, found.seconds_per_row, found.run) == (None, None, None)


def test_a_prompt_costs_its_arithmetic_and_an_answer_the_reading_of_the_weights() -> None:
    over = model(NF4)
    device, weights = over.device, over.architecture.linear_weights
    prompts = [seconds_per_prompt(Generation(1, tokens, 0, 64), over) for tokens in (1000, 2000)]
    arithmetic = 2 * weights * 1000 / (device.flops * device.realised)
    assert prompts[1] - prompts[0] == pytest.approx(arithmetic)
    answers = [seconds_per_prompt(Generation(1, 0, tokens, 1), over) for tokens in (10, 20)]
    assert (answers[1] - answers[0]) / 10 > weights * 2 / device.bandwidth


def test_larger_batches_take_less_for_each_prompt() -> None:
    over = model(NF4)
    times = [seconds_per_prompt(Generation(1, 100, 32, batch), over) for batch in (1, 8, 64)]
    assert times == sorted(times, reverse=True)


def test_weights_that_are_not_packed_need_no_unpacking() -> None:
    packed, whole = model(NF4), model({"use": "none", "dtype": "bfloat16"})
    asked = Generation(1, 0, 100, 1)
    assert seconds_per_prompt(asked, whole) < seconds_per_prompt(asked, packed)


def test_a_plugin_that_fails_when_it_is_asked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    few_shot: Any = REGISTRY.get("scorer", "few-shot").plugin
    for fault, message in (
        (lambda *_: 1 / 0, "scorer `few-shot` of khichdi .*: ZeroDivisionError"),
        (lambda *_: 7, "`generation` returned int, a Generation was expected"),
    ):
        monkeypatch.setattr(few_shot, "generation", fault)
        with pytest.raises(PluginError, match=message):
            step_times([waiting(5)], REGISTRY, model(NF4), rows=None, tokens_per_row=50)
