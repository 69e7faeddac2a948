"""What a plan knows before it runs, after it ran, and when one thing changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Workdir

Ran = tuple[Workdir, Any]


def test_before_anything_ran_the_base_of_this_folder_is_known(workdir: Workdir) -> None:
    found = workdir.json("plan", "pico.yaml", "--device", "rtx-4090")["estimate"]
    assert found["memory"]["weights"] > 0
    assert found["gpu_memory_bytes"] < found["device_memory_bytes"]
    assert found["rows"] is None
    assert any("data.colours" in text for text in found["unknown"])


def test_after_a_run_everything_is_counted_and_measured(own_run: Ran) -> None:
    workdir, document = own_run
    found = workdir.json("plan", "pico.yaml")["estimate"]
    metrics = document["metrics"]
    assert found["counted"]
    assert found["steps"] == metrics["optimizer_steps"]
    assert found["trained"] == metrics["trainable_parameters"]
    assert found["tokens"] * 3 == metrics["train_tokens"]
    assert found["device"] == "cpu"
    assert found["gpu_memory_bytes"] is None
    assert found["rate"].startswith("measured here")
    assert found["unknown"] == []


def test_what_a_run_measured_serves_a_recipe_that_differs(own_run: Ran) -> None:
    workdir, document = own_run
    workdir.edit("sequence_len: 96", "sequence_len: 128")
    workdir.edit("num_epochs: 3", "num_epochs: 6")
    found = workdir.json("plan", "pico.yaml")["estimate"]
    assert document["run"].endswith(found["rate"].removeprefix("measured here, "))
    assert found["seconds"] > 0
    assert "as in an earlier run" in found["assumed"][0]
    table = workdir.json("plan", "pico.yaml", "--device", "h100")["estimate"]
    assert table["rate"] == "h100: table, not measured here"


def test_steps_beside_training_take_the_time_that_they_took_here(own_run: Ran) -> None:
    workdir, document = own_run
    took = {step["name"]: step["seconds"] for step in document["steps"]}
    assert workdir.json("plan", "pico.yaml")["estimate"]["other_steps"] == []
    workdir.edit("learning_rate: 1.0e-3", "learning_rate: 2.0e-3")
    [adapter] = workdir.json("plan", "pico.yaml")["estimate"]["other_steps"]
    assert adapter["step"] == "evaluate/generate/adapter"
    assert adapter["rows"] == 6
    assert adapter["seconds"] == pytest.approx(took["evaluate/generate/adapter"])
    assert document["run"].endswith(adapter["run"])
    workdir.edit("max_new_tokens: 4", "max_new_tokens: 5")
    found = workdir.json("plan", "pico.yaml")["estimate"]["other_steps"]
    assert [(one["step"], one["rows"], one["run"]) for one in found] == [
        ("evaluate/generate/base", 6, None),
        ("evaluate/generate/adapter", 6, None),
    ]
    for one in found:
        assert one["seconds"] == pytest.approx(6 * one["seconds_per_row"])
    assert "(cpu: table, not measured here)" in workdir.call("plan", "pico.yaml")[1]


def test_the_screen_says_rows_memory_time_and_what_is_next(own_run: Ran) -> None:
    workdir, _ = own_run
    status, out, _ = workdir.call("plan", "pico.yaml")
    assert status == 0
    for words in ("capitals", "mixture", "memory", "time", "disk", "measured here", "cached: "):
        assert words in out
    assert "data/colours/read" not in out
    assert "data/colours/read" in workdir.call("plan", "pico.yaml", "-v")[1]


def test_modules_are_checked_against_the_base_of_this_folder(workdir: Workdir) -> None:
    workdir.edit("target_modules: all-linear", "target_modules: [q_proj, up_porj]")
    status, _, err = workdir.call("plan", "pico.yaml")
    assert status == 2
    assert "pico.yaml:7:" in err
    assert "did you mean `up_proj`?" in err
    assert workdir.call("run", "pico.yaml")[0] == 2


def test_a_device_that_is_not_in_the_table(workdir: Workdir) -> None:
    status, _, err = workdir.call("plan", "pico.yaml", "--device", "rtx-4091")
    assert status == 2
    assert "did you mean `rtx-4090`?" in err


def test_the_screen_says_how_many_layers_are_recomputed(workdir: Workdir) -> None:
    def memory_line() -> str:
        _, out, _ = workdir.call("plan", "pico.yaml")
        return next(line for line in out.splitlines() if line.startswith("    memory"))

    assert "recomputed" not in memory_line()
    workdir.edit(
        "cpu_threads: 1\nevaluate", "cpu_threads: 1\n  gradient_checkpointing: true\nevaluate"
    )
    assert "(2 of 2 layers recomputed)" in memory_line()
    workdir.edit("checkpointing: true", "checkpointing: true\n  activation_budget_gib: 0.0004")
    assert "(1 of 2 layers recomputed)" in memory_line()


def test_the_screen_says_where_a_result_hash_need_not_come_again(workdir: Workdir) -> None:
    words = "`determinism: fast`: the result hash need not come again"
    assert words not in workdir.call("plan", "pico.yaml")[1]
    assert workdir.json("plan", "pico.yaml")["repeats"] is True
    workdir.edit("cpu_threads: 1\nevaluate", "cpu_threads: 1\n  determinism: fast\nevaluate")
    assert words in workdir.call("plan", "pico.yaml")[1]
    assert workdir.json("plan", "pico.yaml")["repeats"] is False


def edit_config(workdir: Workdir, **changes: Any) -> None:
    path = workdir.folder / "base" / "config.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_base_that_cannot_be_trained_is_refused_where_it_stands(workdir: Workdir) -> None:
    edit_config(workdir, quantization_config={"quant_method": "gptq"})
    status, _, err = workdir.call("plan", "pico.yaml")
    assert status == 2
    assert "pico.yaml:5:3: the base cannot be trained: its weights are quantized already" in err
    assert "take the original weights" in err
    edit_config(workdir, quantization_config=None, model_type="xlnet")
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 2
    assert "pico.yaml:5:3: the base cannot be trained: xlnet sees later tokens" in err
    assert not list((workdir.folder / "store").glob("runs/*"))


@pytest.mark.slow
def test_the_plan_says_how_samples_lie_before_the_model(workdir: Workdir) -> None:
    assert workdir.json("plan", "pico.yaml")["base"]["layout"] == "packed"
    edit_config(workdir, model_type="bloom")
    found = workdir.json("plan", "pico.yaml")["base"]
    assert (found["layout"], found["attention"]) == ("unpacked", "the model's own")
    assert workdir.json("plan", "pico.yaml")["estimate"]["memory"]["weights"] > 0
    _, out, _ = workdir.call("plan", "pico.yaml")
    assert "unpacked, a row for each sample: bloom computes attention" in out


def test_tokens_and_positions_that_the_base_lacks_are_errors_before_anything_runs(
    workdir: Workdir,
) -> None:
    edit_config(workdir, vocab_size=300, max_position_embeddings=64, model_type="opt")
    status, _, err = workdir.call("plan", "pico.yaml")
    assert status == 2
    assert "pico.yaml:5:3: the tokenizer has" in err
    assert "and the base's embedding 300 rows" in err
    assert "pico.yaml:24:" in err
    assert "made for 64 positions" in err


def test_a_run_says_where_its_rows_are_not_as_expected(own_run: Ran) -> None:
    workdir, _ = own_run
    text = workdir.recipe.read_text()
    colours = "    source: {use: files, include: [colours.jsonl]}\n"
    assert colours in text
    workdir.recipe.write_text(text.replace(colours, f"{colours}    expect: {{rows: 12}}\n"))
    before = workdir.json("hash", "pico.yaml")["recipe_hash"]
    assert "expects" not in workdir.call("run", "pico.yaml")[2]
    workdir.edit("{rows: 12}", "{rows: 1200}")
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 0
    assert "data.colours: 12 rows, where the recipe expects 1,200" in err
    assert workdir.json("hash", "pico.yaml")["recipe_hash"] == before


def test_a_plan_is_printed_although_a_rule_is_broken(workdir: Workdir) -> None:
    workdir.recipe.write_text(
        workdir.recipe.read_text() + "rules: [{use: licenses, allow: [MIT]}]\n"
    )
    status, out, err = workdir.call("plan", "pico.yaml")
    assert status == 2
    assert "memory" in out
    assert "breaks rule `licenses`: data set `capitals` declares no license" in err
    found = workdir.json("plan", "pico.yaml", status=2)
    assert found["estimate"]["memory"]["weights"] > 0
    assert {breach["code"] for breach in found["breaches"]} == {"rule"}
    status, _, err = workdir.call("run", "pico.yaml")
    assert status == 2
    assert "breaks rule `licenses`" in err
