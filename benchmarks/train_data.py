"""What `train.py` trains on: packs of real rows or of random tokens, and bases to adapt."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 57

MISTRAL_7B: dict[str, Any] = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32_768,
    "sliding_window": None,
    "tie_word_embeddings": False,
}
SMALL = MISTRAL_7B | {"hidden_size": 256, "intermediate_size": 896, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000}
SHAPES = {"mistral-7b": MISTRAL_7B, "small": SMALL}
"""Models of random weights; the small one is for trying this benchmark."""


# ---- packs ----------------------------------------------------------------------------------


def real_packs(files: list[Path], base: Path, capacity: int, packs: int) -> pa.Table:
    """Return packs of the rows of these files, taken in turn, as a recipe's would be."""
    from khichdi.plugins.registry import load_registry
    from khichdi.plugins.toolkit.tokenization import encode_all, load_tokenizer

    tokenizer = load_tokenizer(base)
    template = load_registry().create("template", "alpaca", {})
    streams = [_rows(file) for file in files]
    samples: list[Any] = []
    tokens = 0
    # Ten times as many rows as packs hold: the packer can choose, as it can from a whole set.
    while streams and tokens < 10 * packs * capacity:
        for stream in list(streams):
            row = next(stream, None)
            if row is None:
                streams.remove(stream)
                continue
            ((ids, labels),) = encode_all([template.segments(row, tokenizer)], tokenizer)
            if any(label != -100 for label in labels[1:capacity]):
                samples.append((row["id"], ids[:capacity], labels[:capacity]))
                tokens += len(samples[-1][1])
    return _packed(samples, capacity, packs)


def _rows(file: Path) -> Any:
    from khichdi.plugins.kinds import SourceFile
    from khichdi.plugins.registry import load_registry

    first = json.loads(file.read_text(encoding="utf-8"))
    name = "natural-instructions" if isinstance(first, dict) else "alpaca"
    reader = load_registry().create("reader", name, {})
    for batch in reader.read([SourceFile(path=file.name, location=file)]):
        if hasattr(batch, "to_pylist"):
            yield from batch.to_pylist()


def random_packs(vocabulary: int, capacity: int, packs: int) -> pa.Table:
    """Return packs of random tokens: lengths log-normal with a mean of 200, 35 % learnt."""
    import numpy as np

    draw = np.random.default_rng(SEED)
    spread = 0.9
    samples: list[Any] = []
    tokens = 0
    while tokens < 3 * packs * capacity:
        drawn = draw.lognormal(math.log(200) - spread**2 / 2, spread)
        length = int(min(max(drawn, 8), 2048, capacity))
        ids = draw.integers(3, vocabulary, length).tolist()
        prompt = length - max(1, round(0.35 * length))
        samples.append((f"random#{len(samples)}", ids, [-100] * prompt + ids[prompt:]))
        tokens += length
    return _packed(samples, capacity, packs)


def _packed(samples: list[Any], capacity: int, packs: int) -> pa.Table:
    from khichdi.runtime.packing import pack
    from khichdi.runtime.steps.pack import packed_table

    table = packed_table(samples, pack([len(ids) for _, ids, _ in samples], capacity))
    # Packs come out by the length of their longest sample: take them from all over.
    apart = max(1, table.num_rows // packs)
    table = table.take(list(range(0, apart * packs, apart))[: table.num_rows])
    if table.num_rows < packs:
        raise SystemExit(f"the rows make {table.num_rows} packs, and {packs} are needed")
    return table


def told(table: pa.Table, capacity: int) -> str:
    """Say how long the samples are and how much of them is learnt."""
    lengths = sorted(n for row in table.column("lengths").to_pylist() for n in row)
    labels = table.column("labels").to_pylist()
    learnt = sum(label != -100 for row in labels for label in row)
    at = {share: lengths[int(share * (len(lengths) - 1))] for share in (0.1, 0.5, 0.9)}
    return (
        f"{table.num_rows} packs of {capacity}: {sum(lengths):,} tokens, "
        f"{learnt / sum(lengths):.1%} learnt, {len(lengths)} samples of "
        f"{lengths[0]}..{lengths[-1]} tokens (10 %: {at[0.1]}, half: {at[0.5]}, 90 %: {at[0.9]})"
    )


# ---- bases ----------------------------------------------------------------------------------


def random_base(shape: str, folder: Path) -> Path:
    """Write a model of random weights, a shard at a time, and return its folder."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, MistralConfig

    config = MistralConfig(**SHAPES[shape], dtype="bfloat16")
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    generator = torch.Generator().manual_seed(SEED)
    index: dict[str, str] = {}
    for number, group in enumerate(_grouped(model.state_dict())):
        name = f"model-{number:05}.safetensors"
        made = {key: _drawn(key, tuple(shape), generator) for key, shape in group.items()}
        save_file(made, folder / name, metadata={"format": "pt"})
        index |= dict.fromkeys(group, name)
    text = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return folder


def _grouped(tensors: dict[str, Any], elements: int = 2**30) -> Any:
    group: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if group and sum(math.prod(s) for s in group.values()) + tensor.numel() > elements:
            yield group
            group = {}
        group[name] = tensor.shape
    yield group


def _drawn(name: str, shape: tuple[int, ...], generator: Any) -> Any:
    import torch

    if "norm" in name:
        return torch.ones(shape, dtype=torch.bfloat16)
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
