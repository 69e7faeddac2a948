"""The training loop: what it learns, what it writes, what moves its bits and what does not."""

from __future__ import annotations

import json
from typing import Any

import jobs
import pytest
import torch
from safetensors.torch import load_file
from trainings import Once, same

from khichdi.plugins import Progress, StepError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.builtin.runtime.qlora.optimizer import learning_rates, make_optimizer
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.schema.digest import safetensors_digest


def test_the_loss_on_held_out_rows_falls(once: Once) -> None:
    metrics = once({"num_epochs": 8, "gradient_accumulation_steps": 1})["metrics"]
    assert metrics["eval_loss"] < metrics["eval_loss_before"] - 0.5
    assert metrics["optimizer_steps"] == 48
    assert metrics["train_tokens"] == 8 * 6 * 192


def test_the_trace_says_what_each_step_did(once: Once) -> None:
    trace = once()["result"].trace
    assert [entry["step"] for entry in trace] == [1, 2, 3, 4, 5, 6]
    assert [entry["epoch"] for entry in trace] == [0, 0, 0, 1, 1, 1]
    assert all(entry["tokens"] == 2 * 192 for entry in trace)
    assert trace[0]["learning_rate"] == 0.0
    assert trace[1]["learning_rate"] == 1e-2
    assert [("eval_loss" in entry) for entry in trace] == [False, False, True] * 2
    first = {entry["batch"] for entry in trace}
    assert len(first) == 6


@pytest.mark.parametrize(
    "params",
    [
        {"dataloader_num_workers": 0},
        {"dataloader_num_workers": 5},
        {"save_steps": 1, "save_total_limit": 1},
        {"weight_cache_gib": 0},
        {"gradient_checkpointing": True},
        {"optimizer": "paged_adamw_32bit"},
    ],
    ids=str,
)
def test_bits_do_not_move_with(once: Once, params: dict[str, Any]) -> None:
    assert same(once(), once(params))


@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": 1.1e-2},
        {"weight_decay": 0.1},
        {"optimizer": "adamw_torch"},
        {"neftune_noise_alpha": None},
        {"lr_scheduler": "linear"},
        {"max_grad_norm": 0.1},
        {"micro_batch_size": 2, "gradient_accumulation_steps": 1},
        {"loraplus_lr_ratio": 8},
        {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.5}},
    ],
    ids=str,
)
def test_the_adapter_moves_with(once: Once, params: dict[str, Any]) -> None:
    name = "adapter_model.safetensors"
    assert once()["files"][name] != once(params)["files"][name]


def test_fast_keeps_order_and_start_and_the_record_says_so(once: Once) -> None:
    strict, fast = once(), once({"determinism": "fast"})
    assert fast["result"].measured["determinism"] == "fast"
    assert strict["result"].measured["determinism"] == "strict"
    assert fast["weights"] == strict["weights"]
    batches = [[entry["batch"] for entry in one["result"].trace] for one in (strict, fast)]
    assert batches[0] == batches[1]


def test_a_switch_that_a_library_moved_while_it_loaded_is_an_error(
    once: Once, monkeypatch: pytest.MonkeyPatch
) -> None:
    from khichdi.plugins.builtin.runtime.qlora import trainer as engine

    def moving(*given: Any) -> Any:
        torch.backends.cudnn.benchmark = True
        return build(*given)

    build = engine.build
    monkeypatch.setattr(engine, "build", moving)
    with pytest.raises(StepError, match=r"determinism: strict.*cudnn\.benchmark"):
        once()
    assert not torch.backends.cudnn.benchmark


def test_another_seed_moves_the_start_and_the_order(once: Once) -> None:
    one, two = once(), once(seed=58)
    assert one["weights"]["quantized"] == two["weights"]["quantized"]
    assert one["weights"]["initial"] != two["weights"]["initial"]
    batches = [[entry["batch"] for entry in run["result"].trace] for run in (one, two)]
    assert batches[0] != batches[1]


def test_the_global_random_state_is_neither_used_nor_moved(once: Once) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = once()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert same(one, once())


def test_a_micro_batch_weighs_by_its_response_tokens(once: Once) -> None:
    """Two packs as one micro batch or as two: the same step, up to rounding."""
    shared = {
        "neftune_noise_alpha": None,
        "optimizer": "adamw_torch",
        "max_steps": 1,
        "warmup_steps": 0,
    }
    changes: dict[str, Any] = {"quantizer": jobs.FULL, "adapter": Lora(LoraParams(r=4))}
    runs = [
        once({**shared, "micro_batch_size": size, "gradient_accumulation_steps": 2 // size}, **c)
        for size, c in ((1, changes), (2, changes))
    ]
    entries = [run["result"].trace[0] for run in runs]
    assert entries[0]["loss"] == pytest.approx(entries[1]["loss"], rel=1e-5)
    assert entries[0]["grad_norm"] == pytest.approx(entries[1]["grad_norm"], rel=1e-4)


def test_a_warm_up_is_a_number_of_steps_or_a_part_of_all() -> None:
    def rates(**params: Any) -> list[float]:
        rate = learning_rates(QloraParams(learning_rate=1.0, **params), 25)
        return [rate(step) for step in range(1, 26)]

    assert rates(warmup_ratio=0.1) == rates(warmup_steps=3)
    assert rates(warmup_ratio=0.1)[:4] == [0.0, 1 / 3, 2 / 3, 1.0]
    assert rates(warmup_ratio=0.0) == rates()


def test_a_schedule_takes_its_arguments_by_their_names_in_transformers() -> None:
    def last(**params: Any) -> float:
        return learning_rates(QloraParams(learning_rate=2.0, **params), 10)(11)

    assert last(lr_scheduler="cosine") == pytest.approx(0)
    least = {"lr_scheduler": "cosine_with_min_lr"}
    assert last(**least, lr_scheduler_kwargs={"min_lr_rate": 0.25}) == pytest.approx(0.5)
    assert last(**least, lr_scheduler_kwargs={"min_lr": 0.1}) == pytest.approx(0.1)
    decay = {"lr_scheduler": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 4}}
    assert learning_rates(QloraParams(learning_rate=2.0, **decay), 10)(6) == 2.0
    for name in ("polynomial", "inverse_sqrt", "cosine_with_restarts"):
        assert 0 <= last(lr_scheduler=name) <= 2


def test_checkpoints_beyond_the_end_are_no_error() -> None:
    assert QloraParams(save_steps=500, max_steps=20).save_steps == 500


def test_lora_plus_gives_the_b_matrices_a_learning_rate_of_their_own() -> None:
    """The groups are those of peft's own function for it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.optimizers import create_loraplus_optimizer

    base = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model: Any = get_peft_model(base, LoraConfig(r=2, target_modules=["0", "1"]))  # type: ignore[arg-type]
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    theirs = create_loraplus_optimizer(model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16.0)
    params = QloraParams(learning_rate=1e-3, loraplus_lr_ratio=16)
    ours = make_optimizer(params, list(named), list(named.values()))

    def rates(groups: Any) -> dict[int, float]:
        return {id(p): g["lr"] * g.get("factor", 1) for g in groups for p in g["params"]}

    assert rates(ours.param_groups) == pytest.approx(rates(theirs.param_groups))
    assert set(rates(ours.param_groups).values()) == {1e-3, 1.6e-2}


@pytest.mark.parametrize(
    ("params", "steps"),
    [
        ({"eval_steps": 2}, [2, 4, 6]),
        ({"eval_steps": 0.5}, [3, 6]),
        ({"evals_per_epoch": 2}, [2, 4, 6]),
        ({"evals_per_epoch": 3}, [1, 2, 3, 4, 5, 6]),
        ({}, [3, 6]),
    ],
    ids=str,
)
def test_when_held_out_rows_are_evaluated(
    once: Once, params: dict[str, Any], steps: list[int]
) -> None:
    trace = once(params)["result"].trace
    assert [entry["step"] for entry in trace if "eval_loss" in entry] == steps


def test_the_best_weights_on_held_out_rows_are_kept(once: Once) -> None:
    """Held-out rows of other tokens than those that are learnt get worse in the end."""
    shared = {"lr_scheduler": "constant", "warmup_steps": 0, "learning_rate": 0.05}
    other = jobs.packs(2, seed=1, first=200)
    best = once(shared, validation=other)
    last = once({**shared, "metric_for_best_model": None}, validation=other)
    evaluated = [e["eval_loss"] for e in best["result"].trace if "eval_loss" in e]
    assert evaluated[0] < evaluated[-1], "the example must get worse to show anything"
    assert best["metrics"]["eval_loss"] == evaluated[0]
    assert best["metrics"]["best_step"] == 3
    assert last["metrics"]["eval_loss"] == evaluated[-1]
    name = "adapter_model.safetensors"
    assert best["files"][name] != last["files"][name]
    stopped = once({**shared, "max_steps": 3}, validation=other)
    assert best["files"][name] == stopped["files"][name]


def test_without_held_out_rows_the_last_weights_are_kept(once: Once) -> None:
    metrics = once(validation=jobs.packs(0))["metrics"]
    assert "eval_loss" not in metrics
    assert metrics["optimizer_steps"] == 6


def test_the_adapter_is_in_pefts_format_and_names_no_path(once: Once) -> None:
    run = once()
    assert sorted(run["files"]) == ["adapter_config.json", "adapter_model.safetensors"]
    text = (run["output"] / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] == "tiny/mistral"
    assert str(once.root) not in text
    assert str(once.base) not in text
    tensors = load_file(run["output"] / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_the_initial_digest_is_that_of_an_adapter_file(once: Once) -> None:
    """One step at learning rate 0 writes the adapter as it began."""
    run = once({"max_steps": 1, "warmup_steps": 1})
    written = safetensors_digest(run["output"] / "adapter_model.safetensors")
    assert written == run["weights"]["initial"]


def test_progress_is_reported_after_each_step(once: Once) -> None:
    seen: list[Progress] = []
    once(report=seen.append)
    assert [(p.done, p.total) for p in seen] == [(i, 6) for i in range(1, 7)]
    assert seen[0].note.startswith("loss ")
    assert seen[2].note.count("validation") == 1


def test_8_bit_states_are_used_where_tensors_are_large(once: Once) -> None:
    large = Lora(LoraParams(r=64))
    runs = [once({"optimizer": n}, adapter=large) for n in ("adamw_8bit", "paged_adamw_32bit")]
    assert runs[0]["files"] != runs[1]["files"]


@pytest.mark.parametrize("bits", [8, 4])
def test_torchaos_optimizers_step_as_torchao_does(bits: int) -> None:
    from torchao.optim import AdamW4bit, AdamW8bit
    from torchao.optim.adam import single_param_adam

    torch.manual_seed(1)
    start = [torch.randn(64, 128), torch.randn(10)]
    grads = [[torch.randn_like(tensor) for tensor in start] for _ in range(4)]
    mine, theirs = ([torch.nn.Parameter(t.clone()) for t in start] for _ in range(2))
    params = QloraParams(optimizer=f"adamw_torch_{bits}bit", learning_rate=1e-2, weight_decay=0.1)
    ours = make_optimizer(params, ["a", "b"], mine)
    kind = AdamW8bit if bits == 8 else AdamW4bit
    plain = kind(theirs, lr=1e-2, weight_decay=0.1, eps=1e-8)
    for step in grads:
        for pair in (mine, theirs):
            for parameter, grad in zip(pair, step, strict=True):
                parameter.grad = grad.clone()
        ours.step()
        for parameter in theirs:  # what `plain.step` compiles
            state = plain.state[parameter]
            if not state:
                state |= {"step": torch.tensor(0.0), "m": plain._new_buffer(parameter, True),
                          "v": plain._new_buffer(parameter, False)}  # fmt: skip
            state["step"] += 1
            group = plain.param_groups[0]
            single_param_adam(parameter.detach(), parameter.grad, state["step"], state["m"],
                              state["v"], None, group["lr"], *group["betas"],
                              group["weight_decay"], group["eps"], True, False)  # fmt: skip
    assert all(map(torch.equal, mine, theirs))
    stored = ours.state[mine[0]]["exp_avg"]
    assert type(stored).__name__ == f"OptimState{bits}bit"
    reference = torch.optim.AdamW([torch.nn.Parameter(t.clone()) for t in start], lr=1e-2,
                                  weight_decay=0.1)  # fmt: skip
    exact = reference.param_groups[0]["params"]
    for step in grads:
        for parameter, grad in zip(exact, step, strict=True):
            parameter.grad = grad.clone()
        reference.step()
    torch.testing.assert_close(mine[1], exact[1])
    assert float((mine[0] - exact[0]).detach().abs().max()) < (0.01 if bits == 8 else 0.04)


def test_8_bit_weights_train_too(once: Once) -> None:
    quantizer = BitsAndBytes(BitsAndBytesParams(bits=8))
    params = {"num_epochs": 4}
    one = once(params, quantizer=quantizer)
    assert one["metrics"]["eval_loss"] < one["metrics"]["eval_loss_before"]
    assert same(one, once(params, quantizer=quantizer))


def test_operational_parameters_are_those_that_move_no_bits() -> None:
    from khichdi.schema.document import operational_fields

    assert operational_fields(QloraParams) == {
        "activation_budget_gib",
        "activation_offloading",
        "dataloader_num_workers",
        "logging_dir",
        "report_to",
        "save_steps",
        "save_total_limit",
        "saves_per_epoch",
        "weight_cache_gib",
    }
