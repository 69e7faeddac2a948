"""What a plan knows before it runs, after it ran, and when one thing changes."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Kitchen

Warm = tuple[Kitchen, Any]


def test_before_anything_ran_the_base_of_this_folder_is_known(kitchen: Kitchen) -> None:
    found = kitchen.json("plan", "pico.yaml", "--device", "rtx-4090")["estimate"]
    assert found["memory"]["weights"] > 0
    assert found["gpu_memory_bytes"] < found["device_memory_bytes"]
    assert found["rows"] is None
    assert any("data.colours" in text for text in found["unknown"])


def test_after_a_run_everything_is_counted_and_measured(warm: Warm) -> None:
    kitchen, document = warm
    found = kitchen.json("plan", "pico.yaml")["estimate"]
    metrics = document["metrics"]
    assert found["counted"]
    assert found["steps"] == metrics["optimizer_steps"]
    assert found["trained"] == metrics["trainable_parameters"]
    assert found["tokens"] * 3 == metrics["train_tokens"]
    assert found["device"] == "cpu"
    assert found["gpu_memory_bytes"] is None
    assert found["rate"].startswith("measured here")
    assert found["unknown"] == []


def test_what_a_run_measured_serves_a_recipe_that_differs(warm: Warm) -> None:
    kitchen, document = warm
    kitchen.edit("sequence_len: 96", "sequence_len: 128")
    kitchen.edit("num_epochs: 3", "num_epochs: 6")
    found = kitchen.json("plan", "pico.yaml")["estimate"]
    assert document["run"].endswith(found["rate"].removeprefix("measured here, "))
    assert found["seconds"] > 0
    assert "as in an earlier run" in found["assumed"][0]
    table = kitchen.json("plan", "pico.yaml", "--device", "h100")["estimate"]
    assert table["rate"] == "h100: table, not measured here"


def test_the_screen_says_rows_memory_time_and_what_is_next(warm: Warm) -> None:
    kitchen, _ = warm
    status, out, _ = kitchen.call("plan", "pico.yaml")
    assert status == 0
    for words in ("capitals", "mixture", "memory", "time", "disk", "measured here", "cached: "):
        assert words in out
    assert "data/colours/read" not in out
    assert "data/colours/read" in kitchen.call("plan", "pico.yaml", "-v")[1]


def test_modules_are_checked_against_the_base_of_this_folder(kitchen: Kitchen) -> None:
    kitchen.edit("target_modules: all-linear", "target_modules: [q_proj, up_porj]")
    status, _, err = kitchen.call("plan", "pico.yaml")
    assert status == 2
    assert "pico.yaml:7:" in err
    assert "did you mean `up_proj`?" in err
    assert kitchen.call("run", "pico.yaml")[0] == 2


def test_a_device_that_is_not_in_the_table(kitchen: Kitchen) -> None:
    status, _, err = kitchen.call("plan", "pico.yaml", "--device", "rtx-4091")
    assert status == 2
    assert "did you mean `rtx-4090`?" in err


def test_the_screen_says_how_many_layers_are_recomputed(kitchen: Kitchen) -> None:
    def memory_line() -> str:
        _, out, _ = kitchen.call("plan", "pico.yaml")
        return next(line for line in out.splitlines() if line.startswith("    memory"))

    assert "recomputed" not in memory_line()
    kitchen.edit(
        "cpu_threads: 1\nevaluate", "cpu_threads: 1\n  gradient_checkpointing: true\nevaluate"
    )
    assert "(2 of 2 layers recomputed)" in memory_line()
    kitchen.edit("checkpointing: true", "checkpointing: true\n  activation_budget_gib: 0.0004")
    assert "(1 of 2 layers recomputed)" in memory_line()


def test_the_screen_says_where_a_result_hash_need_not_come_again(kitchen: Kitchen) -> None:
    words = "`determinism: fast`: the result hash need not come again"
    assert words not in kitchen.call("plan", "pico.yaml")[1]
    assert kitchen.json("plan", "pico.yaml")["repeats"] is True
    kitchen.edit("cpu_threads: 1\nevaluate", "cpu_threads: 1\n  determinism: fast\nevaluate")
    assert words in kitchen.call("plan", "pico.yaml")[1]
    assert kitchen.json("plan", "pico.yaml")["repeats"] is False


def edit_config(kitchen: Kitchen, **changes: Any) -> None:
    path = kitchen.folder / "base" / "config.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_base_that_cannot_be_trained_is_refused_where_it_stands(kitchen: Kitchen) -> None:
    edit_config(kitchen, quantization_config={"quant_method": "gptq"})
    status, _, err = kitchen.call("plan", "pico.yaml")
    assert status == 2
    assert "pico.yaml:5:3: the base cannot be trained: its weights are quantized already" in err
    assert "take the original weights" in err
    edit_config(kitchen, quantization_config=None, model_type="xlnet")
    status, _, err = kitchen.call("run", "pico.yaml")
    assert status == 2
    assert "pico.yaml:5:3: the base cannot be trained: xlnet sees later tokens" in err
    assert not list((kitchen.folder / "store").glob("runs/*"))


def test_the_plan_says_how_samples_lie_before_the_model(kitchen: Kitchen) -> None:
    assert kitchen.json("plan", "pico.yaml")["base"]["layout"] == "packed"
    edit_config(kitchen, model_type="bloom")
    found = kitchen.json("plan", "pico.yaml")["base"]
    assert (found["layout"], found["attention"]) == ("unpacked", "the model's own")
    _, out, _ = kitchen.call("plan", "pico.yaml")
    assert "unpacked, a row for each sample: bloom computes attention" in out


def test_tokens_and_positions_that_the_base_lacks_are_errors_before_anything_runs(
    kitchen: Kitchen,
) -> None:
    edit_config(kitchen, vocab_size=300, max_position_embeddings=64, model_type="opt")
    status, _, err = kitchen.call("plan", "pico.yaml")
    assert status == 2
    assert "pico.yaml:5:3: the tokenizer has" in err
    assert "and the base's embedding 300 rows" in err
    assert "pico.yaml:24:" in err
    assert "made for 64 positions" in err
