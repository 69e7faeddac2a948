"""The memory that `recipe plan` says, beside what a training step takes; and layers kept or not.

    python benchmarks/memory.py [--shapes smollm2 smollm2-checkpointing ...]
    python benchmarks/memory.py --shapes birbal nextai            (on an NVIDIA GPU)

Each shape runs in a process of its own: a model of random weights, two optimizer steps over random
packs. On a CPU the base is written and loaded as any other. On a GPU its 4-bit weights are made in
place, for a model of 70 billion parameters is nowhere whole; `--cap` holds torch's allocator to the
memory of a smaller card. What is compared is the peak: of the process on a CPU, of torch's
allocator, without CUDA's context, on a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

GIB = 2**30
SMOLLM2 = {"base": "HuggingFaceTB/SmolLM2-135M", "tokens": 1024, "r": 16}
SHAPES: dict[str, dict[str, Any]] = {
    "smollm2": SMOLLM2,
    "smollm2-checkpointing": {**SMOLLM2, "gradient_checkpointing": True},
    "smollm2-half-stored": {
        **SMOLLM2, "gradient_checkpointing": True, "activation_budget_gib": 0.35,
    },
    "smollm2-r128-2048": {
        **SMOLLM2, "tokens": 2048, "r": 128, "gradient_checkpointing": True,
        "optimizer": "paged_adamw_8bit",
    },
    "smollm2-nothing-kept": {**SMOLLM2, "tokens": 512, "r": 4, "weight_cache_gib": 0},
    "birbal": {
        "base": "mistralai/Mistral-7B-v0.1", "tokens": 8192, "r": 128, "dropout": 0.05,
        "micro_batch_size": 2, "gradient_checkpointing": True, "weight_cache_gib": 0,
        "optimizer": "paged_adamw_32bit", "cap": 24e9 / GIB, "gpu": True,
    },
    "nextai": {
        "base": "meta-llama/Llama-2-70b-hf", "tokens": 1024, "r": 4, "dropout": 0.05,
        "gradient_checkpointing": True, "weight_cache_gib": 0,
        "optimizer": "paged_adamw_8bit", "cap": 40.0, "gpu": True,
    },
}  # fmt: skip
OWN = ("base", "tokens", "r", "dropout", "cap", "gpu")


def packs(count: int, tokens: int, vocabulary: int) -> Any:
    """Return packs of samples of about 200 random tokens, a third of each learnt."""
    import numpy as np
    import pyarrow as pa

    draw = np.random.default_rng(57)
    rows: dict[str, list[Any]] = {"input_ids": [], "labels": [], "lengths": []}
    for _ in range(count):
        lengths = []
        while sum(lengths) < tokens:
            lengths.append(min(int(draw.integers(50, 350)), tokens - sum(lengths)))
        ids = draw.integers(3, vocabulary, tokens).tolist()
        learnt = [place >= 2 * size // 3 for size in lengths for place in range(size)]
        rows["input_ids"].append(ids)
        rows["labels"].append([i if on else -100 for i, on in zip(ids, learnt, strict=True)])
        rows["lengths"].append(lengths)
    kind = pa.list_(pa.int32())
    return pa.table({name: pa.array(values, kind) for name, values in rows.items()})


# ---- the base ------------------------------------------------------------------------------


def write_base(config: Any, folder: Path) -> None:
    """Write a model of random weights."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(57)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def on_gpu(config: Any) -> Any:
    """Return a loader that makes random 4-bit weights on the GPU, a module at a time."""

    def load(folder: Path, quantizer: Any, *, attn_implementation: str, device: Any) -> Any:
        import torch
        from bitsandbytes.functional import quantize_4bit
        from bitsandbytes.nn import Linear4bit, Params4bit
        from transformers import AutoModelForCausalLM
        from transformers.integrations.bitsandbytes import replace_with_bnb_linear
        from transformers.quantizers.base import get_keys_to_not_convert

        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                config, dtype=torch.bfloat16, attn_implementation=attn_implementation
            )
            replace_with_bnb_linear(
                model,
                modules_to_not_convert=get_keys_to_not_convert(model),
                quantization_config=quantizer.config(),
            )
        for module in model.modules():
            if isinstance(module, Linear4bit):
                shape = (module.out_features, module.in_features)
                dense = torch.randn(shape, dtype=torch.bfloat16, device=device) * 0.02
                packed, state = quantize_4bit(dense, compress_statistics=True, quant_type="nf4")
                module.weight = Params4bit(
                    packed, requires_grad=False, quant_state=state, quant_type="nf4",
                    compress_statistics=True, bnb_quantized=True, module=module,
                )  # fmt: skip
                module.quant_state = state
            for name, parameter in list(module.named_parameters(recurse=False)):
                if parameter.is_meta:
                    made = torch.randn(parameter.shape, dtype=torch.bfloat16, device=device)
                    value = torch.nn.Parameter(made * 0.02, requires_grad=False)
                    setattr(module, name, value)
        model.tie_weights()
        rotary = type(model.model.rotary_emb)(config=model.config, device=device)
        model.model.rotary_emb = rotary
        model.is_loaded_in_4bit = True
        return model.eval()

    return load


# ---- one shape, in its own process -----------------------------------------------------------


def packed(train: Any, tokens: int) -> dict[str, Any]:
    """Return the part of a workload that packs decide."""
    total = train.num_rows * tokens
    samples = sum(len(row) for row in train["lengths"].to_pylist())
    trained = sum(x != -100 for row in train["labels"].to_pylist() for x in row)
    return {"sequence_len": tokens, "sample": total / samples, "trained_share": trained / total}


def train_once(
    params: Any, quantizer: Any, adapter: Any, train: Any, table: dict[str, Any], gpu: bool
) -> Any:
    """Train on the packs in a temporary folder, and return the measurements."""
    from khichdi.plugins import TrainingJob
    from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if not gpu:
            command = [sys.executable, __file__, "--write", json.dumps(table), folder + "/base"]
            subprocess.run(command, check=True, capture_output=True)
        (root / "work").mkdir()
        job = TrainingJob(
            root / "base", "random", train, train.slice(0, 0), quantizer, adapter, 57,
            root / "work", root / "out",
        )  # fmt: skip
        return Qlora(params).train(job).measured


def measure(shape: dict[str, Any]) -> dict[str, Any]:
    """Train two steps and return what was estimated and measured, in bytes."""
    import torch
    from transformers import AutoConfig

    from khichdi.compiler.estimate.architectures import TABLE, from_config
    from khichdi.plugins import Workload
    from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
    from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
    from khichdi.plugins.builtin.runtime.qlora import model as runtime_model
    from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams

    gpu = torch.cuda.is_available()
    asked = {key: value for key, value in shape.items() if key not in OWN}
    params = QloraParams.model_validate(
        {"max_steps": 2, "cpu_threads": 1, "metric_for_best_model": None, **asked}
    )
    table = TABLE[shape["base"]]
    config = AutoConfig.for_model(**table)
    architecture = from_config(table)
    assert architecture is not None
    quantizer = BitsAndBytesParams(double_quant=True)
    adapter = LoraParams(r=shape["r"], dropout=shape.get("dropout", 0.0))
    tokens, micro = shape["tokens"], params.micro_batch_size
    train = packs(2 * micro, tokens, config.vocab_size)
    workload = Workload(
        architecture=architecture,
        quantizer=BitsAndBytes(quantizer),
        adapter=Lora(adapter),
        gpu=gpu,
        **packed(train, tokens),
    )
    if gpu:
        whole = torch.cuda.get_device_properties(0).total_memory
        if "cap" in shape:
            torch.cuda.set_per_process_memory_fraction(min(1.0, shape["cap"] * GIB / whole))
        runtime_model.load_model = on_gpu(config)
    measured = train_once(params, BitsAndBytes(quantizer), Lora(adapter), train, table, gpu)
    found = Qlora(params).account(workload)
    account = found.memory
    return {
        "estimated": account.total - (account.process if gpu else 0),
        "peak": measured["peak_memory_bytes"],
        "before": measured["memory_before_bytes"],
        "of": measured["peak_memory_of"],
        "stored": measured.get("stored_layers", architecture.layers),
        "planned": found.stored_layers,
        "rate": measured["tokens_per_second"],
    }


def main() -> None:
    """Print a row for each shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, metavar="NAME")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        from transformers import AutoConfig

        write_base(AutoConfig.for_model(**json.loads(options.write[0])), Path(options.write[1]))
        return
    if options.one:
        print(json.dumps(measure(SHAPES[options.one])))
        return
    print(f"{'shape':24}{'estimated':>11}{'measured':>10}{'off by':>8}{'layers kept':>13}"
          f"{'tokens/s':>10}")  # fmt: skip
    for name in options.shapes or [n for n, shape in SHAPES.items() if not shape.get("gpu")]:
        done = subprocess.run(
            [sys.executable, __file__, "--one", name], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{name:24}{done.stderr.strip().splitlines()[-1]}")
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        off = 100 * (row["estimated"] / row["peak"] - 1)
        kept = f"{row['planned']} / {row['stored']:.0f}"
        print(
            f"{name:24}{row['estimated'] / GIB:7.2f} GiB{row['peak'] / GIB:6.2f} GiB{off:+7.1f}%"
            f"{kept:>13}{row['rate']:10,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
