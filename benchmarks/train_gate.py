"""Whether our forward and backward are right, on the base, the adapter's size and a real pack.

The judge is transformers' and peft's own code in float32, sample by sample, over the same packed
weights. Theirs in bfloat16 is measured too: ours must be no further from the judge than twice that.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from train_data import SEED
from train_systems import packs, quantizer

AT_MOST = 2.0


def gate(options: argparse.Namespace) -> None:
    """Print the errors as JSON; end with status 1 where they are too large."""
    import torch

    from khichdi.plugins.toolkit.determinism import deterministic
    from khichdi.plugins.toolkit.model_loading import quiet

    with quiet(), deterministic(options.threads):
        found = _compare(options, torch)
    print(json.dumps(found))
    wrong = [n for n in ("logits", "gradients") if found[n]["ours"] > AT_MOST * found[n]["peft"]]
    if wrong or not found["apart"]:
        raise SystemExit(f"not right: {', '.join(wrong) or 'samples of a pack see one another'}")


def _compare(options: argparse.Namespace, torch: Any) -> dict[str, Any]:
    from khichdi.plugins.builtin.runtime.qlora.batches import micro_batch

    trainee = _trainee(options)
    samples, labels = _samples(options)
    device = trainee.device
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():  # B begins as zeros, and A would have no gradient
        for parameter in trainee.trained:
            noise = torch.randn(parameter.shape, generator=generator) * 0.01
            parameter.add_(noise.to(device))
    batch = micro_batch(samples, labels).to(device)
    ours = _results(
        trainee.loss.head(trainee.hidden(batch)), trainee.summed_loss(batch), trainee.trained, torch
    )
    swapped = [[int(t) % 97 + 3 for t in samples[0]], *samples[1:]]
    with torch.no_grad():
        after = trainee.hidden(micro_batch(swapped, labels).to(device))[len(samples[0]) :]
        apart = torch.equal(after, trainee.hidden(batch)[len(samples[0]) :])
    for module in trainee.peft.modules():
        module.__dict__.pop("forward", None)
    trainee.causal.set_attn_implementation("eager")
    with torch.autocast(device.type, torch.bfloat16):
        peft = _plain(trainee, samples, labels, torch)
    judge = _plain(_in_float32(trainee, torch), samples, labels, torch)
    errors: dict[str, Any] = {"apart": apart, "tokens": batch.tokens}
    for place, name in enumerate(("logits", "gradients")):
        right = judge[place]
        errors[name] = {
            who: float((found[place] - right).norm() / right.norm())
            for who, found in (("ours", ours), ("peft", peft))
        }
    return errors


def _trainee(options: argparse.Namespace) -> Any:
    import pyarrow as pa

    from khichdi.plugins import TrainingJob
    from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
    from khichdi.plugins.builtin.runtime.qlora.model import build
    from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams

    job = TrainingJob(
        base=options.base,
        base_name="benchmark/base",
        train=pa.table({}),
        validation=pa.table({}),
        quantizer=quantizer(),
        adapter=Lora(LoraParams(r=options.r, alpha=2 * options.r)),
        seed=SEED,
        work=Path(),
        output=Path(),
    )
    trainee = build(QloraParams(weight_cache_gib=0.0), job)
    trainee.peft.train()
    return trainee


def _samples(options: argparse.Namespace) -> tuple[list[list[int]], list[list[int]]]:
    """Return three samples of the packs, at most 200 tokens of each."""
    samples: list[list[int]] = []
    labels: list[list[int]] = []
    for row in packs(options).to_pylist():
        length = row["lengths"][0]
        some = slice(max(0, length - 200), length)  # their ends are what is learnt
        samples.append(row["input_ids"][:length][some])
        labels.append(row["labels"][:length][some])
        if len(samples) == 3:
            break
    return samples, labels


def _plain(trainee: Any, samples: Any, labels: Any, torch: Any) -> tuple[Any, Any]:
    """Return logits and gradients of the summed loss by the libraries' own code."""
    logits, losses = [], []
    for ids, wanted in zip(samples, labels, strict=True):
        out = trainee.causal(input_ids=torch.tensor([ids], device=trainee.device), use_cache=False)
        logits.append(out.logits[0])
        targets = torch.tensor(wanted[1:], device=trainee.device)
        losses.append(
            torch.nn.functional.cross_entropy(
                logits[-1][:-1].float(), targets, reduction="sum", ignore_index=-100
            )
        )
    return _results(torch.cat(logits), sum(losses), trainee.trained, torch)


def _results(logits: Any, loss: Any, trained: Any, torch: Any) -> tuple[Any, Any]:
    gradients = torch.autograd.grad(loss, trained)
    flat = torch.cat([g.detach().float().reshape(-1).cpu() for g in gradients])
    return logits.detach().float().cpu(), flat


def _in_float32(trainee: Any, torch: Any) -> Any:
    """Let the same packed weights be unpacked to float32, and all else be float32."""
    for module in trainee.peft.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            state.dtype = module.compute_dtype = torch.float32
            module.compute_type_is_set = True
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.data = parameter.data.float()
    return trainee
