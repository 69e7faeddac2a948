"""Forge trainings in ten ways that differ from the recipe and must be detected.

Each is made by a forger who then makes every document fit: the trace names the batches and
learning rates of the recipe, the lengths are the recipe's. So what the levels below would see
(another plan, other packs, another base) is not counted: the calculation itself has to show it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...plugins.registry import Registry
from ...schema.digest import derive_seed, draws
from ...schema.errors import InputError
from ...schema.plan import PlanStep, PluginRef

if TYPE_CHECKING:
    import pyarrow as pa

SEEN_BELOW = {
    "another seed": "plan",
    "1 % of rows swapped": "batches",
    "learning rate x 1.1": "plan",
    "an epoch less": "plan",
    "another base": "sources",
    "another r or alpha": "plan",
    "order shuffled": "steps: the digests of batches",
    "a longer run": "plan",
    "somebody else's adapter": "batches",
}
"""The bit-exact check that detects a kind where the documents are not adjusted to it."""

NOISE = 0.1
"""Of each tensor's root mean square, for an adapter with noise."""

REVISION = 0.01
"""Of each weight, for another revision of a base."""

SWAPPED = 0.01
SOMEBODY = 0.5
"""Share of samples that somebody else's data does not have."""


def changed_step(
    kind: str, number: int, step: PlanStep, steps: int, registry: Registry
) -> PlanStep:
    """Return the training step as a forger would run it; `steps` is how many it has.

    Raises:
        InputError: runtime or adapter name no parameters for it.
    """
    plugin, parts, seed = step.plugin, step.parts, step.seed
    if kind in ("another seed", "somebody else's adapter"):
        seed = derive_seed(number, f"control/{kind}")
    elif kind in CHANGES:
        plugin = _changed(step, plugin, registry, kind, CHANGES[kind](steps))
    elif kind == "another r or alpha":
        adapter = parts["adapter"]
        other = _changed(step, adapter, registry, kind, lambda made: made.resized(number))
        parts = parts | {"adapter": other}
    return step.model_copy(update={"plugin": plugin, "seed": seed, "parts": parts})


CHANGES: dict[str, Callable[[int], Callable[[Any], dict[str, Any] | None]]] = {
    "learning rate x 1.1": lambda _: lambda runtime: runtime.with_learning_rate(1.1),
    "an epoch less": lambda steps: lambda runtime: runtime.with_length(steps, -1),
    "a longer run": lambda steps: lambda runtime: runtime.with_length(steps, 1),
}
"""By kind, given the number of steps: the runtime's parameters for it."""


def _changed(
    step: PlanStep,
    ref: PluginRef,
    registry: Registry,
    kind: str,
    change: Callable[[Any], dict[str, Any] | None],
) -> PluginRef:
    """Return a plugin with the parameters that it names for a control."""
    found = change(registry.create(ref.kind, ref.name, ref.params))
    if found is None:
        raise InputError(
            f"{step.name}: {ref.kind} `{ref.name}` has no parameters for the control `{kind}`, "
            "which a calibration needs",
            hint=f"ask the author of the {ref.kind}, or audit on the same kind of machine",
        )
    return ref.model_copy(update={"params": {**ref.params, **found}})


# ---- what it is trained on ------------------------------------------------------------------


def changed_packs(kind: str, number: int, packs: pa.Table, held_out: pa.Table) -> pa.Table | None:
    """Return the packs that a forger trains on; None where they are the recipe's."""
    seed = derive_seed(number, f"control/{kind}")
    if kind == "order shuffled":
        drawn = draws(seed, map(str, range(packs.num_rows)))
        order = sorted(range(packs.num_rows), key=lambda i: drawn[i])
        return packs.take(order)
    if kind == "1 % of rows swapped":
        donors = _samples(held_out) or _samples(packs)
        return _swapped(packs, SWAPPED, seed, donors)
    if kind == "somebody else's adapter":
        return _swapped(packs, SOMEBODY, seed, _samples(packs))
    return None


Sample = tuple[list[int], list[int]]


def _samples(packs: pa.Table) -> list[Sample]:
    found = []
    for row in packs.to_pylist():
        at = 0
        for length in row["lengths"]:
            found.append((row["input_ids"][at : at + length], row["labels"][at : at + length]))
            at += length
    return found


def _swapped(packs: pa.Table, share: float, seed: int, donors: list[Sample]) -> pa.Table:
    """Return packs in which a share of the samples, one at least, gave way to others."""
    import pyarrow as pa

    rows = packs.to_pylist()
    count = sum(len(row["lengths"]) for row in rows)
    drawn = draws(seed, map(str, range(count)))
    chosen = set(sorted(range(count), key=lambda i: drawn[i])[: max(1, round(share * count))])
    at = 0
    for row in rows:
        samples = _samples(pa.Table.from_pylist([row], packs.schema))
        for place in range(len(samples)):
            if at in chosen:
                ids = samples[place][0]
                others = [donor for donor in donors if donor[0] != ids] or donors
                samples[place] = others[drawn[at] % len(others)]
            at += 1
        row["input_ids"] = [token for ids, _ in samples for token in ids]
        row["labels"] = [label for _, labels in samples for label in labels]
        row["lengths"] = [len(ids) for ids, _ in samples]
    return pa.Table.from_pylist(rows, packs.schema)


def write_other_base(number: int, base: Path, into: Path) -> None:
    """Write another revision of a base: each of its weights moved a little.

    Raises:
        InputError: its weights are not in safetensors.
    """
    import torch
    from safetensors.torch import load_file, save_file

    if not any(base.glob("*.safetensors")):
        raise InputError(
            "cannot derive another base from this one: its weights are not in safetensors",
            hint="calibrate with the same model in safetensors",
        )
    draw = torch.Generator().manual_seed(derive_seed(number, "control/another base"))
    for path in sorted(base.iterdir()):
        if path.suffix != ".safetensors":
            shutil.copyfile(path, into / path.name)
            continue
        tensors = load_file(path)
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=draw)
                tensors[name] = (tensor.float() * (1 + REVISION * noise)).to(tensor.dtype)
        save_file(tensors, into / path.name, metadata={"format": "pt"})


# ---- submitted results ----------------------------------------------------------------------


def add_noise(number: int, weights: Path) -> None:
    """Add noise to an adapter's tensors."""
    import torch
    from safetensors.torch import load_file, save_file

    draw = torch.Generator().manual_seed(derive_seed(number, "control/adapter with noise"))
    tensors = load_file(weights)
    for name, tensor in sorted(tensors.items()):
        size = tensor.float().square().mean().sqrt()
        noise = torch.randn(tensor.shape, generator=draw) * size * NOISE
        tensors[name] = (tensor.float() + noise).to(tensor.dtype)
    weights.unlink()
    save_file(tensors, weights, metadata={"format": "pt"})


def as_claimed(trace: list[dict[str, Any]], honest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a trace as a forger hands it in: with the length, batches and rates of the recipe.

    A training that was too long loses its last steps; one that was too short says the last of
    its steps again until it is long enough.
    """
    lacking = len(honest) - len(trace)
    if lacking > 0:
        again = trace[-lacking:] if lacking <= len(trace) else trace
        trace = trace + [again[i % len(again)] for i in range(lacking)]
    found = []
    last = next((e["eval_loss"] for e in reversed(trace) if "eval_loss" in e), None)
    for own, like in zip(trace, honest, strict=False):
        entry = {**like, "loss": own["loss"], "grad_norm": own["grad_norm"]}
        if "eval_loss" in like:
            entry["eval_loss"] = own.get("eval_loss", last)
        found.append(entry)
    return found
