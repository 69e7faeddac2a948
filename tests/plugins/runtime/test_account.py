"""The account of memory is what peft, bitsandbytes and the runtime really hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs import job, packs
from live_bytes import LiveBytes
from miniature import make_base

from khichdi.compiler.estimate.architectures import TABLE, from_config
from khichdi.plugins import Workload
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.builtin.quantizer.none import NoneParams, NoQuantizer
from khichdi.plugins.builtin.runtime.qlora.memory.account import account, memory
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.plugins.builtin.runtime.qlora.trainer import Training
from khichdi.plugins.toolkit.determinism import deterministic
from khichdi.schema.architecture import Architecture, Linear

SMALL = {
    "vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip
LAYOUTS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama-tied-and-biased": {
        "model_type": "llama", "tie_word_embeddings": True, "attention_bias": True,
        "mlp_bias": True,
    },
    "mistral": {"head_dim": 24},
    "qwen2": {},
    "qwen3": {"head_dim": 32},
    "phi3": {"pad_token_id": 0},
    "gpt2": {"n_embd": 64, "n_head": 4, "n_layer": 3, "n_positions": 64},
    "gpt_neox": {},
}  # fmt: skip


def real(name: str) -> tuple[Any, Architecture]:
    """Return a model of the layout without weights, and its architecture by its config."""
    from transformers import AutoConfig, AutoModelForCausalLM

    own = {"model_type": name, **LAYOUTS[name]}
    base = {"vocab_size": 128} if name == "gpt2" else SMALL
    config = AutoConfig.for_model(**{**base, **own})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    found = from_config(json.loads(config.to_json_string(use_diff=False)))
    assert found is not None
    return model, found


@pytest.mark.parametrize("name", LAYOUTS)
def test_parameters_are_those_of_the_real_model(name: str) -> None:
    model, found = real(name)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.tied == (
        model.get_output_embeddings().weight is model.get_input_embeddings().weight
    )


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("part", ["all-linear", "attention", "middle", "head"])
def test_trained_parameters_are_pefts_own(name: str, part: str) -> None:
    from peft import LoraConfig, get_peft_model

    model, found = real(name)
    targets: Any = part
    if part == "head":
        targets = (found.linears[0].name, found.head)
    elif part != "all-linear":
        targets = tuple({linear.name for linear in found.linears if linear.reads == part})
    adapter = Lora(LoraParams(r=8, target_modules=targets))
    wanted = targets if isinstance(targets, str) else list(targets)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules=wanted)
    trained = [p.numel() for p in get_peft_model(model, config).parameters() if p.requires_grad]
    assert sorted(adapter.trained_shapes(found) or []) == sorted(trained)


def test_published_parameter_counts() -> None:
    counts = {
        "mistralai/Mistral-7B-v0.1": 7_241_732_096,
        "meta-llama/Llama-2-7b-hf": 6_738_415_616,
        "meta-llama/Llama-2-13b-hf": 13_015_864_320,
        "meta-llama/Llama-2-70b-hf": 68_976_648_192,
        "meta-llama/Llama-3.1-8B": 8_030_261_248,
        "Qwen/Qwen-14B": 14_167_290_880,
        "Qwen/Qwen2.5-7B": 7_615_616_512,
        "Qwen/Qwen3-8B-Base": 8_190_735_360,
        "HuggingFaceTB/SmolLM2-135M": 134_515_008,
        "openai-community/gpt2": 124_439_808,
    }
    for name, count in counts.items():
        found = from_config(TABLE[name])
        assert found is not None
        assert found.parameters == count, name


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("shape", [(64, 64), (192, 1000), (4096, 512)])
def test_four_bit_bytes_are_bitsandbytes_own(double: bool, shape: tuple[int, int]) -> None:
    import bitsandbytes as bnb

    module = bnb.nn.Linear4bit(
        shape[0], shape[1], bias=False, compress_statistics=double, quant_type="nf4"
    )
    module.to("cpu")
    weight: Any = module.weight
    state = weight.quant_state
    held = [weight.data, state.absmax, state.code]
    if double:
        held += [state.state2.absmax, state.state2.code, state.offset]
    real_bytes = sum(t.numel() * t.element_size() for t in held)
    linear = Linear(path="x", inputs=shape[0], outputs=shape[1], reads="mlp")
    quantizer = BitsAndBytes(BitsAndBytesParams(double_quant=double))
    assert quantizer.stored_bytes(linear) == real_bytes


def test_eight_bit_bytes_are_bitsandbytes_own(tiny_base: Path) -> None:
    from khichdi.plugins.toolkit.model_loading import load_model

    quantizer = BitsAndBytes(BitsAndBytesParams(bits=8))
    model = load_model(tiny_base, quantizer)
    found = from_config(json.loads((tiny_base / "config.json").read_text()))
    assert found is not None
    for linear in found.linears:
        weight = model.get_submodule(f"model.layers.0.{linear.path}").weight
        assert weight.dtype == torch.int8
        assert quantizer.stored_bytes(linear) == weight.numel() + 4 * weight.SCB.numel()


def test_weights_in_full_take_the_bytes_of_their_type() -> None:
    linear = Linear(path="x", inputs=30, outputs=5, reads="mlp")
    found = [NoQuantizer(NoneParams(dtype=t)).stored_bytes(linear) for t in ("float32", "float16")]
    assert found == [600, 300]


# ---- what is alive while the runtime trains ---------------------------------------------------

WIDE = {
    "hidden_size": 256, "intermediate_size": 896, "num_attention_heads": 4, "head_dim": 64,
    "num_key_value_heads": 4, "num_hidden_layers": 4,
}  # fmt: skip
TOKENS = 1536
MLP = ("gate_proj", "up_proj", "down_proj")
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.05},
    "checkpointing": {"gradient_checkpointing": True},
    "checkpointing and dropout": {"gradient_checkpointing": True, "dropout": 0.05},
    "half stored": {"gradient_checkpointing": True, "stored": 2},
    "all but one stored, dropout": {
        "gradient_checkpointing": True,
        "stored": 3,
        "dropout": 0.05,
    },
    "one stored, many words": {
        "gradient_checkpointing": True,
        "stored": 1,
        "vocab_size": 16000,
    },
    "all stored": {"gradient_checkpointing": True, "stored": 4},
    "mlp only": {"target_modules": MLP},
    "mlp only, checkpointing": {"target_modules": MLP, "gradient_checkpointing": True},
    "outputs only": {"target_modules": ("o_proj", "down_proj"), "dropout": 0.05},
    "grouped heads": {"num_key_value_heads": 2},
    "rank 64": {"r": 64},
    "scores written out": {"attn_implementation": "eager"},
    "two packs": {"micro_batch_size": 2, "gradient_checkpointing": True},
    "many words": {"vocab_size": 16000, "gradient_checkpointing": True},
    "weights kept": {"weight_cache_gib": 0.001},
}


@pytest.mark.parametrize("name", CASES)
def test_the_account_is_what_lives_while_the_runtime_trains(name: str, tmp_path: Path) -> None:
    case = dict(CASES[name])
    shape = {k: case.pop(k) for k in ("num_key_value_heads", "vocab_size") if k in case}
    adapter = {"r": 8, "dropout": 0.0, "target_modules": "all-linear"}
    adapter |= {k: case.pop(k) for k in tuple(adapter) if k in case}
    stored = case.pop("stored", None)
    if stored is not None:
        case["activation_budget_gib"] = 2**-30  # a byte, for the warm-up to count a layer
    settings = {"attn_implementation": "sdpa", "weight_cache_gib": 0, "cpu_threads": 1, **case}
    params = QloraParams.model_validate(settings)
    micro = params.micro_batch_size
    base = make_base(tmp_path / "base", **{**WIDE, **shape})
    the_job = job(
        base, tmp_path / "work", tmp_path / "out", adapter=Lora(LoraParams.model_validate(adapter)),
        train=packs(micro, TOKENS), validation=packs(1, 64),
    )  # fmt: skip
    with deterministic(1):
        training = Training(params, the_job)
        trainee = training.trainee
        batch = training.train.batch(tuple(range(micro)))
        trainee.peft.train()
        trainee.summed_loss(batch).backward()
        for parameter in trainee.trained:
            parameter.grad = None
        if stored is not None:
            assert trainee.recomputation is not None
            budget = int((stored + 0.5) * trainee.recomputation.layer_bytes)
            params = params.model_copy(update={"activation_budget_gib": budget / 2**30})
            trainee.recomputation._budget = budget
        assert trainee.loss._in_place is not None
        trainee.loss._in_place._held = None  # made again where it is counted
        with LiveBytes() as alive:
            trainee.summed_loss(batch).backward()
    found = from_config(json.loads((base / "config.json").read_text()))
    assert found is not None
    tokens = TOKENS * micro
    workload = Workload(
        architecture=found, quantizer=the_job.quantizer, adapter=the_job.adapter, gpu=False,
        sequence_len=TOKENS, sample=tokens / len(batch.lengths),
        trained_share=batch.response_tokens / tokens,
    )  # fmt: skip
    parts = memory(params, workload)
    work = parts.workspace - parts.process - parts.spare  # one weight unpacked
    estimated = parts.activations + parts.logits + parts.gradients + work
    assert estimated == pytest.approx(alive.peak, rel=0.10), alive.peak / estimated
    if stored is not None:
        assert trainee.recomputation is not None
        assert trainee.recomputation.kept == account(params, workload).stored_layers == stored
    assert parts.unpacked == trainee.cached
    assert parts.adapter == sum(4 * p.numel() for p in trainee.trained)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("shape", ["smollm2-checkpointing", "smollm2"])
def test_the_estimate_is_near_the_peak_of_a_process_that_trains(shape: str) -> None:
    script = Path(__file__).parents[3] / "benchmarks" / "memory.py"
    done = subprocess.run(
        [sys.executable, script, "--one", shape], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    if found["of"] != "the process while it trained":
        pytest.skip("this system cannot start a process's peak anew")
    assert found["estimated"] == pytest.approx(found["peak"], rel=0.1)
    assert found["planned"] == found["stored"]
