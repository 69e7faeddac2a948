"""Every causal model type of the installed transformers: trained as planned, or refused before.

Each type has a tiny random model. Before the first step its loss is that of the plain model, sample
by sample; its adapter loads in peft; merged and exported, in GGUF too where that is written here,
it is base plus adapter. The default run takes a sample of the types, `make test-slow` all of them;
`-s` prints what became of each.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import jobs
import pyarrow as pa
import pytest
import tiny_types
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from khichdi.plugins import BaseSupport, ExportJob, StepError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.exporter.gguf import Gguf, GgufParams
from khichdi.plugins.builtin.exporter.gguf_file import ARCHITECTURES
from khichdi.plugins.builtin.exporter.merged import Merged, MergedParams
from khichdi.plugins.builtin.runtime.qlora import bases
from khichdi.plugins.builtin.runtime.qlora.bases import support
from khichdi.plugins.builtin.runtime.qlora.forward import row_groups
from khichdi.plugins.builtin.runtime.qlora.params import QloraParams
from khichdi.plugins.toolkit.frozen_linear import install
from khichdi.plugins.toolkit.model_loading import attach_adapter, load_model, quiet
from khichdi.plugins.toolkit.tiny_model import tiny_tokenizer

TYPES = list(tiny_types.causal_types())
SAMPLED = ("gemma2", "gpt2", "gpt_oss", "gptj", "llama", "mixtral", "qwen3_next", "roberta")
"""Kinds of their own: soft caps, Conv1D and dropout, sinks, no interface, GGUF, experts, states,
a transformed head."""
MANY = 150
"""Types that train at least."""
PROMPT = 4


def samples(*lengths: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, 100, (n,), generator=generator).tolist() for n in lengths]


def answer_of(sample: list[int]) -> list[int]:
    return [-100] * PROMPT + sample[PROMPT:]


def packs(*groups: list[list[int]]) -> pa.Table:
    kind = pa.list_(pa.int32())
    columns: dict[str, Any] = {
        "input_ids": [list(chain(*group)) for group in groups],
        "labels": [list(chain(*map(answer_of, group))) for group in groups],
        "lengths": [[len(sample) for sample in group] for group in groups],
    }
    return pa.table({name: pa.array(values, kind) for name, values in columns.items()})


TRAIN = packs(samples(20, 9, 7, seed=1), samples(25, 12, seed=2))
HELD_OUT = [*samples(30, 12, 25, seed=3), *samples(15, seed=4)]


def plain_loss(model: Any, longest: int | None = None) -> float:
    """Return the mean loss of held-out answers, sample by sample, by the model's own logits.

    Samples end after the `longest` number of tokens.
    """
    total, count = 0.0, 0
    with torch.no_grad():
        for sample in (sample[:longest] for sample in HELD_OUT):
            logits = model(input_ids=torch.tensor([sample]), use_cache=False).logits[0].float()
            answer = torch.tensor(sample[PROMPT:])
            total += cross_entropy(logits[PROMPT - 1 : -1], answer, reduction="sum").item()
            count += len(answer)
    return total / count


def generates(model: Any) -> bool:
    """Return whether transformers generates with a model; with some tiny ones it cannot."""
    prompt = torch.tensor([HELD_OUT[1]])
    try:
        with quiet():
            found = model.generate(
                input_ids=prompt, max_new_tokens=4, do_sample=False, pad_token_id=0
            )
    except (AttributeError, IndexError, RuntimeError, ValueError):
        return False
    return int(found.shape[1]) > len(HELD_OUT[1])


def make_base(model_type: str, folder: Path) -> BaseSupport:
    """Write a tiny base of a type, and return what its configuration says of it."""
    from transformers import AutoModelForCausalLM

    config = tiny_types.tiny_config(model_type)
    torch.manual_seed(0)
    with quiet():
        model = AutoModelForCausalLM.from_config(config)
        model.save_pretrained(folder)
        if type(model.config) is not type(config):
            config.save_pretrained(folder)
        tiny_tokenizer(["a b c"], vocab_size=260).save_pretrained(folder)
    return support(config.to_dict())


def try_type(model_type: str, folder: Path) -> BaseSupport:
    """Train a tiny base of a type, and hold what comes of it against the plain model."""
    from transformers import AutoModelForCausalLM

    if model_type in bases.REFUSED:
        return support({"model_type": model_type})
    base, adapter, merged = folder / "base", folder / "adapter", folder / "merged"
    planned = make_base(model_type, base)
    adapter.mkdir()
    merged.mkdir()
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(base).eval()
    expected = plain_loss(plain)

    job = jobs.job(
        base,
        folder / "work",
        adapter,
        train=TRAIN,
        validation=packs(HELD_OUT[:3], HELD_OUT[3:]),
        quantizer=jobs.FULL,
        adapter=Lora(LoraParams(r=4)),
    )
    params = {"gradient_accumulation_steps": 1, "replay_segments": 1}
    result = jobs.train(params, job)
    assert result.metrics["eval_loss_before"] == pytest.approx(expected, rel=2e-6)
    assert abs(result.metrics["eval_loss"] - expected) > 1e-5, "nothing was learned"
    attention = str(result.measured["attention"])
    assert attention.startswith("unpacked-") == (planned.layout == "unpacked")

    model = attach_adapter(load_model(base, jobs.FULL), adapter)
    trained = plain_loss(model)
    assert trained == pytest.approx(result.metrics["eval_loss"], rel=2e-6)
    exporter = Merged(MergedParams(dtype="float32"))
    exporter.export(ExportJob(base, "tiny/base", adapter, jobs.FULL, merged))
    with quiet():
        alone = AutoModelForCausalLM.from_pretrained(merged).eval()
    assert plain_loss(alone) == pytest.approx(trained, rel=5e-6)
    assert generates(model) == generates(plain) == generates(alone)
    if model_type in ARCHITECTURES:
        answers_in_gguf(alone, ExportJob(base, "tiny/base", adapter, jobs.FULL, folder / "gguf"))
    return planned


def answers_in_gguf(merged: Any, job: ExportJob) -> None:
    """Export base and adapter to GGUF, and hold what reads it against the merged model.

    GGUF's Llama has no sliding window, so samples are as long as the window at most.
    """
    job.output.mkdir()
    Gguf(GgufParams(outtype="f32")).export(job)
    read = load_model(job.output, jobs.FULL)
    window = getattr(merged.config, "sliding_window", None)
    assert plain_loss(read, window) == pytest.approx(plain_loss(merged, window), rel=5e-6)
    assert generates(read)


@pytest.mark.parametrize("model_type", SAMPLED)
def test_a_type_trains_as_planned_and_means_the_same_everywhere(
    model_type: str, tmp_path: Path
) -> None:
    assert try_type(model_type, tmp_path).layout != "refused"


@pytest.mark.nightly
@pytest.mark.slow
def test_all_types_train_as_planned_or_are_refused_before(tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    faults = []
    for model_type in TYPES:
        try:
            planned = try_type(model_type, tmp_path / model_type)
        except Exception as error:
            faults.append(f"{model_type}: {type(error).__name__}: {error}")
            continue
        found[planned.layout] += 1
        print(f"{model_type:28} {planned.layout:9} {planned.reason}")
    print(dict(found), "failed later:", len(faults))
    assert not faults, "\n".join(faults)
    assert found["packed"] + found["unpacked"] >= MANY


def try_in_4_bits(model_type: str, folder: Path) -> None:
    """Train a tiny base of a type over 4-bit weights, recomputing layers where it can."""
    base, adapter = folder / "base", folder / "adapter"
    make_base(model_type, base)
    adapter.mkdir()
    model = load_model(base, jobs.NF4)
    install(model, torch.bfloat16, 0)
    expected = plain_loss(model)
    held_out = packs(HELD_OUT[:3], HELD_OUT[3:])
    lora = Lora(LoraParams(r=4))
    job = jobs.job(base, folder / "work", adapter, train=TRAIN, validation=held_out, adapter=lora)
    again = model_type not in bases.NOT_RECOMPUTED
    result = jobs.train({"gradient_checkpointing": again, "replay_segments": 1}, job)
    # In bfloat16, where a router may choose another expert for a token.
    assert result.metrics["eval_loss_before"] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("model_type", ["bloom", "gpt_oss"])
def test_a_type_trains_over_4_bits(model_type: str, tmp_path: Path) -> None:
    try_in_4_bits(model_type, tmp_path)


@pytest.mark.parametrize("model_type", ["bloom", "mixtral"])
def test_unpacked_types_and_experts_train_to_the_same_bits_again(
    model_type: str, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    make_base(model_type, base)
    # Experts take no dropout.
    lora = Lora(LoraParams(r=4, dropout=0.0 if model_type == "mixtral" else 0.1))
    outcomes = []
    for name in ("one", "two"):
        adapter = tmp_path / name
        adapter.mkdir()
        changes: dict[str, Any] = {"train": TRAIN, "validation": packs(HELD_OUT), "adapter": lora}
        job = jobs.job(base, tmp_path / f"work-{name}", adapter, **changes)
        outcomes.append(jobs.outcome(jobs.train({"num_epochs": 3}, job), adapter))
    assert outcomes[0] == outcomes[1]


@pytest.mark.nightly
@pytest.mark.slow
def test_all_types_train_over_4_bits_but_those_refused(tmp_path: Path) -> None:
    faults = []
    for model_type in TYPES:
        if model_type in bases.REFUSED.keys() | bases.NOT_QUANTIZED:
            continue
        try:
            try_in_4_bits(model_type, tmp_path / model_type)
        except Exception as error:
            faults.append(f"{model_type}: {type(error).__name__}: {error}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("chosen", [(), ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")])
def test_experts_get_an_adapter_that_merges(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    """By name; and with `all-linear` where peft counts them in, as in Mixtral."""
    base, adapter, merged = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    make_base("mixtral", base)
    for folder in (adapter, merged):
        folder.mkdir()
    targets: Any = ("q_proj",) if chosen else "all-linear"
    lora = Lora(LoraParams(r=4, target_modules=targets, target_parameters=chosen))
    changes: dict[str, Any] = {"train": TRAIN, "validation": packs(HELD_OUT)}
    job = jobs.job(base, tmp_path / "work", adapter, quantizer=jobs.FULL, adapter=lora, **changes)
    result = jobs.train({}, job)
    names = set(load_file(adapter / "adapter_model.safetensors"))
    assert any(".experts." in name for name in names)
    model = attach_adapter(load_model(base, jobs.FULL), adapter)
    assert plain_loss(model) == pytest.approx(result.metrics["eval_loss"], rel=2e-6)
    exporter = Merged(MergedParams(dtype="float32"))
    exporter.export(ExportJob(base, "tiny/base", adapter, jobs.FULL, merged))
    alone = load_model(merged, jobs.FULL)
    assert plain_loss(alone) == pytest.approx(plain_loss(model), rel=5e-6)


def test_dropout_on_experts_is_refused() -> None:
    with pytest.raises(ValueError, match="`dropout` cannot be applied to `target_parameters`"):
        LoraParams(dropout=0.1, target_parameters=("mlp.experts.down_proj",))


# ---- by the configuration alone -------------------------------------------------------------


def test_every_type_of_transformers_is_in_one_table() -> None:
    tables = (bases.PACKED, bases.UNPACKED, bases.DECODES_IF.keys(), bases.REFUSED.keys())
    counts = Counter(name for table in tables for name in table)
    assert [name for name, count in counts.items() if count > 1] == []
    assert set(counts) == set(TYPES)
    assert bases.DROPS | bases.WINDOW_IN_MASK <= bases.PACKED


def test_the_types_that_drop_out_attention_unasked_are_those_of_transformers() -> None:
    from transformers import CONFIG_MAPPING

    found = set()
    for name in bases.PACKED:
        config = CONFIG_MAPPING[name]().get_text_config()
        if any(getattr(config, dropout, None) for dropout in bases.DROPOUT):
            found.add(name)
    assert found == bases.DROPS


@pytest.mark.parametrize(
    ("config", "layout", "words"),
    [
        ({"model_type": "llama"}, "packed", ""),
        ({"model_type": "bloom"}, "unpacked", "in its own way"),
        ({"model_type": "bert"}, "refused", "`is_decoder: true`"),
        ({"model_type": "bert", "is_decoder": True}, "unpacked", "in its own way"),
        ({"model_type": "xlnet"}, "refused", "sees later tokens"),
        ({"model_type": "t5"}, "refused", "no causal language model of type t5"),
        ({"model_type": "gpt2", "attn_pdrop": 0.1}, "unpacked", "dropout inside attention"),
        ({"model_type": "gpt2", "attn_pdrop": 0.0}, "packed", ""),
        ({"model_type": "gpt2"}, "unpacked", "dropout inside attention"),
        ({"model_type": "smollm3", "layer_types": ["conv"]}, "unpacked", "layers of kind conv"),
        ({"model_type": "olmoe", "sliding_window": 8}, "unpacked", "sliding window"),
        (
            {"model_type": "gemma3", "text_config": {"attention_dropout": 0.1}},
            "unpacked",
            "dropout inside attention",
        ),
    ],
    ids=str,
)
def test_a_configuration_decides(config: dict[str, Any], layout: str, words: str) -> None:
    found = support(config)
    assert found.layout == layout
    assert words in found.reason


def test_what_a_type_cannot_do_is_refused_with_what_to_write_instead() -> None:
    found = support({"model_type": "ctrl"}, QloraParams(gradient_checkpointing=True))
    assert (found.layout, found.hint) == ("refused", "write `gradient_checkpointing: false`")
    assert support({"model_type": "ctrl"}, QloraParams()).layout == "packed"
    found = support({"model_type": "hy_v4"}, quantizer=jobs.NF4)
    assert (found.layout, found.hint) == ("refused", "write `quantization: {use: none}`")
    assert support({"model_type": "hy_v4"}, quantizer=jobs.FULL).layout == "unpacked"
    blocks = {"model_type": "big_bird", "is_decoder": True}
    assert support(blocks).layout == "refused"
    assert support({**blocks, "attention_type": "original_full"}).layout == "unpacked"


def test_the_types_without_gradient_checkpointing_are_those_of_transformers() -> None:
    import transformers

    classes = tiny_types.causal_types()
    trained = classes.keys() - bases.REFUSED.keys()
    found = {
        name
        for name in trained
        if not getattr(transformers, classes[name]).supports_gradient_checkpointing
    }
    assert found == bases.NOT_RECOMPUTED


@pytest.mark.parametrize("method", ["gptq", "awq", "aqlm", "bitsandbytes"])
def test_a_base_quantized_otherwise_is_refused_by_its_configuration(method: str) -> None:
    config = {"model_type": "llama", "quantization_config": {"quant_method": method}}
    found = support(config, quantizer=jobs.FULL)
    assert found.layout == "refused"
    assert f"quantized already ({method}" in found.reason


def test_a_base_in_4_bits_trains_as_it_was_published(tiny_base: Path, tmp_path: Path) -> None:
    """Quantized, saved and loaded again, it has the weights that the original one is given."""
    published = tmp_path / "base"
    with quiet():
        load_model(tiny_base, jobs.NF4).save_pretrained(published)
    for path in tiny_base.glob("tokenizer*"):
        (published / path.name).write_bytes(path.read_bytes())

    def train(base: Path, name: str) -> dict[str, Any]:
        job = jobs.job(base, tmp_path / name / "work", tmp_path / name / "adapter")
        return jobs.outcome(jobs.train({"num_epochs": 1}, job), job.output)

    one, two = train(tiny_base, "original"), train(published, "published")
    assert one["metrics"] == two["metrics"]
    assert one["files"] == two["files"]
    with pytest.raises(StepError, match="quantized already"):
        load_model(published, jobs.FULL)


def test_rows_that_are_run_together_take_no_more_room_than_the_samples() -> None:
    lengths = [30, 3, 4, 29, 3, 3, 60]
    groups = row_groups(lengths)
    assert sorted(chain(*groups)) == list(range(len(lengths)))
    assert all(len(g) * max(lengths[i] for i in g) <= sum(lengths) for g in groups)
    alike = row_groups(lengths, padded=False)
    assert all(len({lengths[i] for i in group}) == 1 for group in alike)
