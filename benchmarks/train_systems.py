"""One system of `train.py`, in a process of its own: what each step took, held and lost."""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

from train_data import SEED

RATE = 2e-4


class Clock:
    """Wall-clock and processor time at the end of each step."""

    def __init__(self, cuda: bool) -> None:
        self.cuda = cuda
        self.marks: list[tuple[float, float]] = []

    def __call__(self, *_: Any) -> None:
        if self.cuda:
            import torch

            torch.cuda.synchronize()
        self.marks.append((time.perf_counter(), time.process_time()))

    def steps(self, warm_up: int) -> dict[str, list[float]]:
        """Return seconds of each step after the first ones."""
        pairs = list(zip(self.marks[warm_up - 1 :], self.marks[warm_up:], strict=False))
        return {
            "wall": [after[0] - before[0] for before, after in pairs],
            "cpu": [after[1] - before[1] for before, after in pairs],
        }


def quantizer() -> Any:
    """Return NF4 with double quantization, computing in bfloat16: the same for every system."""
    from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams

    return BitsAndBytes(BitsAndBytesParams(double_quant=True))


def packs(options: argparse.Namespace) -> pa.Table:
    """Return the packs, one for each step."""
    import pyarrow.parquet as pq

    return pq.read_table(options.work / "packs.parquet")


def peak(cuda: bool) -> dict[str, float]:
    """Return the most GiB this process held: on the GPU where there is one, and on the host."""
    found = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    if cuda:
        import torch

        found["reserved"] = torch.cuda.max_memory_reserved() / 2**30
        found["allocated"] = torch.cuda.max_memory_allocated() / 2**30
    return found


# ---- ours -----------------------------------------------------------------------------------


def ours(options: argparse.Namespace, row: dict[str, Any]) -> dict[str, Any]:
    """Train with our runtime, whole: batches, trace and reports are in the time."""
    from khichdi.plugins import TrainingJob
    from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
    from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams

    table, clock = packs(options), Clock(options.device == "cuda")
    own = options.work / f"ours-{os.getpid()}"
    params = QloraParams(
        learning_rate=RATE,
        lr_scheduler="constant",
        max_grad_norm=1.0,
        cpu_threads=options.threads,
        save_steps=table.num_rows,
        **row,
    )
    job = TrainingJob(
        base=options.base,
        base_name="benchmark/base",
        train=table,
        validation=table.slice(0, 0),
        quantizer=quantizer(),
        adapter=Lora(LoraParams(r=options.r, alpha=2 * options.r)),
        seed=SEED,
        work=own / "work",
        output=own / "adapter",
        report=clock,
    )
    result = Qlora(params).train(job)
    return {
        "steps": clock.steps(options.warm_up),
        "losses": [entry["loss"] for entry in result.trace],
        "tokens": [entry["tokens"] for entry in result.trace],
        "response": [entry["response_tokens"] for entry in result.trace],
        "adapter": result_hash(own / "adapter" / "adapter_model.safetensors"),
        "attention": result.measured["attention"],
    }


def result_hash(file: Path) -> str:
    """Return the start of the SHA-256 of a file."""
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def order(options: argparse.Namespace, table: pa.Table) -> list[int]:
    """Return the packs in the order in which our runtime trains them."""
    from khichdi.plugins.builtin.runtime.qlora.batches import plan_steps
    from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams

    return [plan.micro[0][0] for plan in plan_steps(table.num_rows, QloraParams(), SEED)]


# ---- TRL ------------------------------------------------------------------------------------


def trl(options: argparse.Namespace, row: dict[str, Any]) -> dict[str, Any]:
    """Train with SFTTrainer: the same quantized base, initial adapter, packs and their order."""
    import torch
    import transformers
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(options.threads)
    transformers.utils.logging.set_verbosity_error()
    table, clock = packs(options), Clock(options.device == "cuda")
    rows = row_order(options, table)
    given = dict(row)
    attention = given.pop("attention", "sdpa")

    class Ticking(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock()

    trainer = SFTTrainer(
        model=adapted(options, attention),
        args=SFTConfig(max_steps=table.num_rows, **sft_settings(options), **given),
        train_dataset=rows,
        processing_class=placeholder_tokenizer(),
        callbacks=[Ticking()],
    )
    trainer.train()
    chosen = [table.slice(i, 1) for i in order(options, table)]
    return {
        "steps": clock.steps(options.warm_up),
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "tokens": [len(part.column("input_ids")[0]) for part in chosen],
        "response": [_trained_tokens(part) for part in chosen],
        "attention": attention,
    }


def sft_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of SFTConfig that give the same training as ours."""
    return dict(
        output_dir=str(options.work / f"trl-{os.getpid()}"),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        optim="adamw_torch",
        packing=True,
        max_length=options.seq,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="sequential",
        use_cpu=options.device == "cpu",
        bf16=True,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        seed=SEED,
    )


def _trained_tokens(part: pa.Table) -> int:
    """Return how many tokens of a pack are trained on: never the first of a sample."""
    labels, lengths = part.column("labels")[0].as_py(), part.column("lengths")[0].as_py()
    starts = {sum(lengths[:i]) for i in range(len(lengths))}
    return sum(label != -100 and i not in starts for i, label in enumerate(labels))


def row_order(options: argparse.Namespace, table: pa.Table) -> Any:
    """Return the packs as TRL's own packing leaves them."""
    import datasets

    columns = table.select(["input_ids", "labels", "lengths"]).rename_columns(
        ["input_ids", "labels", "seq_lengths"]
    )
    return datasets.Dataset(columns.take(order(options, table)))


def adapted(options: argparse.Namespace, implementation: str) -> Any:
    """Return the quantized base with the adapter that our runtime begins with."""
    import torch
    from peft import get_peft_model

    from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
    from khichdi.plugins.builtin.runtime.qlora.attention import packed_attention as attention
    from khichdi.plugins.toolkit.model_loading import load_model
    from khichdi.schema.digest import derive_seed

    device = torch.device(options.device)
    if implementation == "registered":
        implementation = lengths_from_bounds(attention.choose("auto", device, torch.bfloat16))
    base = load_model(options.base, quantizer(), attn_implementation=implementation, device=device)
    torch.manual_seed(derive_seed(SEED, "adapter"))
    return get_peft_model(base, Lora(LoraParams(r=options.r, alpha=2 * options.r)).config(base))


def lengths_from_bounds(name: str) -> str:
    """Register our attention function for a collator that gives bounds alone, as TRL's does."""
    from transformers import AttentionInterface, AttentionMaskInterface

    function = AttentionInterface()[name]
    known: dict[int, Any] = {}

    def attention(*positional: Any, **named: Any) -> Any:
        bounds = named["cu_seq_lens_q"]
        if known.get("bounds") is not bounds:  # once a step: it waits for the GPU
            known.update(bounds=bounds, lengths=tuple(bounds.diff().tolist()))
        return function(*positional, **named, sample_lengths=known["lengths"])

    AttentionInterface.register("benchmark", attention)
    AttentionMaskInterface.register("benchmark", lambda *_, **__: None)
    return "benchmark"


def placeholder_tokenizer() -> Any:
    """Return a tokenizer for a trainer that wants one; the packs hold tokens already."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="<unk>")),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
    )


# ---- one process ----------------------------------------------------------------------------


def measure(options: argparse.Namespace, system: str, row: dict[str, Any]) -> None:
    """Measure one system here, and print it as JSON."""
    if options.device == "cuda":
        import torch

        total = torch.cuda.get_device_properties(0).total_memory
        if options.memory_gb:
            torch.cuda.set_per_process_memory_fraction(options.memory_gb * 1e9 / total)
    found = {"ours": ours, "trl": trl}[system](options, row)
    found["peak"] = peak(options.device == "cuda")
    print(json.dumps(found))
