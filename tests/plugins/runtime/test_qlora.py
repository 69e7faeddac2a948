"""The training loop: what it learns, what it writes, what moves its bits and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jobs
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from khichdi.plugins import Progress, StepError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.builtin.runtime.qlora import checkpoint
from khichdi.plugins.builtin.runtime.qlora.loss import not_finite
from khichdi.plugins.builtin.runtime.qlora.optimizer import learning_rates, make_optimizer
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.schema.digest import safetensors_digest


class Once:
    """Trainings of the miniature, each in folders of its own."""

    def __init__(self, base: Path, root: Path) -> None:
        self.base, self.root, self.count = base, root, 0

    def __call__(self, params: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        self.count += 1
        folder = self.root / str(self.count)
        output = folder / "output"
        work = changes.pop("work", folder / "work")
        result = jobs.train(params or {}, jobs.job(self.base, work, output, **changes))
        return jobs.outcome(result, output) | {"result": result, "output": output, "work": work}


@pytest.fixture
def once(tiny_base: Path, tmp_path: Path) -> Once:
    return Once(tiny_base, tmp_path)


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    keys = ("files", "trace", "metrics", "weights")
    return all(one[key] == two[key] for key in keys)


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


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"lr_scheduler_kwargs": {"min_lr_rate": 0.1}}, "`cosine` has no argument `min_lr_rate`"),
        ({"lr_scheduler": "cosine_with_min_lr"}, "needs one of `min_lr` and `min_lr_rate`"),
        ({"lr_scheduler": "warmup_stable_decay"}, "needs `num_decay_steps`"),
        ({"eval_steps": 5, "evals_per_epoch": 2}, "`eval_steps` and `evals_per_epoch`"),
        ({"save_steps": 5, "saves_per_epoch": 2}, "`save_steps` and `saves_per_epoch`"),
        ({"eval_steps": 1.5}, "eval_steps"),
        ({"eval_steps": 30, "max_steps": 20}, "`max_steps` ends at 20"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_together(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        QloraParams(**params)


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


# ---- checkpoints ----------------------------------------------------------------------------


class StopError(Exception):
    pass


def stop_after(step: int) -> Any:
    def report(progress: Progress) -> None:
        if progress.done == step:
            raise StopError

    return report


@pytest.mark.parametrize(
    "optimizer",
    ["adamw_torch", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adamw_torch_4bit"],
)
def test_a_stopped_training_goes_on_to_the_same_bits(once: Once, optimizer: str) -> None:
    # Tensors above 4096 elements, so that 8-bit states are really 8-bit.
    params = {"optimizer": optimizer, "save_steps": 1, "eval_steps": 2}
    adapter = Lora(LoraParams(r=64, dropout=0.05))
    whole = once(params, adapter=adapter)
    work = once.root / "shared-work"
    with pytest.raises(StopError):
        once(params, adapter=adapter, work=work, report=stop_after(4))
    seen: list[Progress] = []
    again = once(params, adapter=adapter, work=work, report=seen.append)
    assert [p.done for p in seen] == [5, 6]
    assert same(whole, again)


def test_damaged_checkpoints_are_passed_over(once: Once) -> None:
    params = {"save_steps": 1, "save_total_limit": 3}
    whole = once(params)
    work = once.root / "shared-work"
    with pytest.raises(StopError):
        once(params, work=work, report=stop_after(4))
    flipped = work / "step-00000004" / "optimizer.safetensors"
    data = bytearray(flipped.read_bytes())
    data[-1] ^= 1
    flipped.write_bytes(bytes(data))
    (work / "step-00000003" / "manifest.json").unlink()
    seen: list[Progress] = []
    again = once(params, work=work, report=seen.append)
    assert [p.done for p in seen] == [3, 4, 5, 6]
    assert same(whole, again)


def test_a_checkpoint_of_another_job_is_not_used(once: Once) -> None:
    work = once.root / "shared-work"
    with pytest.raises(StopError):
        once({"save_steps": 1}, work=work, report=stop_after(2))
    other = {"learning_rate": 2e-2}
    assert same(once(other), once(other, work=work))


def test_only_so_many_checkpoints_are_kept(once: Once) -> None:
    run = once({"save_steps": 1, "save_total_limit": 2})
    kept = sorted(p.name for p in run["work"].glob("step-*"))
    assert kept == ["step-00000005", "step-00000006"]
    assert checkpoint.newest(run["work"], "another") is None


def test_a_finished_training_run_again_only_writes_the_adapter(once: Once) -> None:
    run = once()
    seen: list[Progress] = []
    assert same(run, once(work=run["work"], report=seen.append))
    assert seen == []


# ---- what is refused ------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_step_packs_and_rows(once: Once) -> None:
    table = jobs.packs(6)
    ids = [[f"set/file#{pack}", f"set/file#{pack + 10}"] for pack in range(6)]
    table = table.append_column("ids", pa.array(ids, pa.list_(pa.string())))
    named = r"step \d+ \(train packs? (\d)[ \d,]*: rows set/file#\1, set/file#1\1.*\): the .* is "
    with pytest.raises(StepError, match=named + "(nan|inf)"):
        once(
            {"learning_rate": 1e38, "num_epochs": 30, "warmup_steps": 0},
            train=table,
            validation=jobs.packs(0),
        )


def test_of_several_micro_batches_that_which_is_not_finite_is_named() -> None:
    losses = [torch.tensor(value) for value in (1.0, float("nan"), 2.0, float("inf"))]
    assert not_finite(losses) == [1, 3]
    assert not_finite(losses[::2]) == [0, 1], "each is, and only their sum is not"


def test_no_packs_are_refused(once: Once) -> None:
    with pytest.raises(StepError, match="nothing to train on"):
        once(train=jobs.packs(0))


def test_a_pack_that_contradicts_itself_is_named(once: Once) -> None:
    table = jobs.packs(2)
    lengths = table.column("lengths").to_pylist()
    lengths[1][0] += 1
    broken = table.set_column(2, "lengths", pa.array(lengths, pa.list_(pa.int32())))
    with pytest.raises(StepError, match="train pack 1: "):
        once(train=broken)


def test_an_unknown_module_is_named_with_the_nearest() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=8,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
    )
    adapter = Lora(LoraParams(target_modules=("q_proj", "q_prj")))
    with pytest.raises(StepError, match="no linear module named `q_prj`") as caught:
        adapter.config(model)
    assert "did you mean `q_proj`" in (caught.value.hint or "")


def test_an_expression_chooses_modules_by_their_whole_paths(
    tiny_base: Path, tmp_path: Path
) -> None:
    targets = r"model\.layers\.1\..*\.(q_proj|down_proj)"
    job = jobs.job(
        tiny_base,
        tmp_path / "work",
        tmp_path / "out",
        adapter=Lora(LoraParams(target_modules=targets)),
    )
    jobs.train({"num_epochs": 1}, job)
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    paths = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in tensors}
    assert paths == {"model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"}
    nothing = Lora(LoraParams(target_modules=r"layers\.1\..*q_proj"))
    job = jobs.job(tiny_base, tmp_path / "work", tmp_path / "out", adapter=nothing)
    with pytest.raises(StepError, match="matches no linear module of the model"):
        jobs.train({}, job)


def test_one_word_is_not_taken_for_an_expression() -> None:
    with pytest.raises(ValueError, match=r"write the name as `\[q_proj\]`"):
        LoraParams(target_modules="q_proj")
    with pytest.raises(ValueError, match="did you mean `all-linear`"):
        LoraParams(target_modules="all_linear")
    with pytest.raises(ValueError, match="not a regular expression"):
        LoraParams(target_modules="(")


@pytest.mark.parametrize("wrong", [{"double_quant": True}, {"quant_type": "fp4"}], ids=str)
def test_settings_of_4_bits_are_refused_for_8(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is for 4-bit weights"):
        BitsAndBytesParams(bits=8, **wrong)


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
