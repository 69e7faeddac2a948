"""Compare model outputs on frozen samples: weights can differ where the function does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...plugins.registry import Registry
from ...schema.digest import draws
from ...schema.plan import Plan
from ..tempdirs import scratch_folder

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

COUNT = 64
"""Samples that are put to the models."""

TOKENS = 256
"""Tokens of a sample that are compared at most, the last of them."""

Pair = tuple[Path, Path]
"""The folders of a claimed and of a derived adapter."""


@dataclass(frozen=True)
class Probe:
    """One sample: its tokens, and the positions whose next token the model answers."""

    tokens: list[int]
    places: list[int]


def choose(packs: Sequence[pa.Table], recipe_hash: str, count: int = COUNT) -> list[Probe]:
    """Return the probes: samples drawn by the recipe hash alone, from held-out packs first.

    The same packs give the same probes everywhere.
    """
    seed = int(recipe_hash.removeprefix("sha256:")[:12], 16)
    found: list[Probe] = []
    for part, table in enumerate(packs):
        samples = [probe for row in table.to_pylist() for probe in _probes(row)]
        drawn = draws(seed, (f"{part}/{i}" for i in range(len(samples))))
        order = sorted(range(len(samples)), key=lambda i: drawn[i])
        found += [samples[i] for i in order[: count - len(found)]]
    return found


def _probes(row: dict[str, Any]) -> list[Probe]:
    found, at = [], 0
    for length in row["lengths"]:
        labels = row["labels"][at : at + length]
        places = [i - 1 for i, label in enumerate(labels) if i and label != -100]
        if places:
            found.append(Probe(row["input_ids"][at : at + length], places[-TOKENS:]))
        at += length
    return found


@dataclass
class Panel:
    """A base model and the probes, which any number of adapters are put to.

    Attributes:
        base: the folder of the base's files.
        plan: the plan, whose training says how the base is stored.
        registry: the installed plugins.
        probes: what the models are asked.
        tokenizer: the folder of the tokenizer, where the recipe changes it.
    """

    base: Path
    plan: Plan
    registry: Registry
    probes: list[Probe]
    tokenizer: Path | None = None

    def compare(self, pairs: Sequence[Pair]) -> list[dict[str, float]]:
        """Return for each pair of adapters how differently they answer.

        `kl` is the mean over the answers' tokens of KL(derived || claimed), divided by that of
        KL(base || claimed): the share of what training did to the function that is not the same.
        `argmax` is the share of tokens at which the likeliest next token is another.
        """
        import torch

        from ...plugins.toolkit.determinism import deterministic
        from ...plugins.toolkit.model_loading import quiet

        derived_sums, base_sums, other = ([0.0] * len(pairs) for _ in range(3))
        folders = list(dict.fromkeys(folder for pair in pairs for folder in pair))
        threads = max(1, torch.get_num_threads())
        with quiet(), deterministic(threads), torch.no_grad():
            model = self._model(folders)
            for probe in self.probes:
                plain = self._answers(model, probe, None)
                said = [self._answers(model, probe, n) for n in range(len(folders))]
                for number, (claimed, derived) in enumerate(pairs):
                    c, d = said[folders.index(claimed)], said[folders.index(derived)]
                    derived_sums[number] += _divergence(d, c)
                    base_sums[number] += _divergence(plain, c)
                    other[number] += float((c.argmax(-1) != d.argmax(-1)).sum())
        tokens = sum(len(probe.places) for probe in self.probes)
        sums = zip(derived_sums, base_sums, other, strict=True)
        return [_ratios(*three, tokens) for three in sums]

    def _model(self, folders: list[Path]) -> Any:
        import torch

        from ...plugins.toolkit.frozen_linear import install
        from ...plugins.toolkit.model_loading import attach_adapter, load_model
        from ...plugins.toolkit.token_changes import overlay

        train = next(step for step in self.plan.steps if step.kind == "runtime")
        ref = train.parts["quantizer"]
        quantizer = self.registry.create(ref.kind, ref.name, ref.params)
        with scratch_folder("base") as scratch:
            base = self.base
            if self.tokenizer is not None:
                base = overlay(base, self.tokenizer, Path(scratch) / "base")
            model = attach_adapter(load_model(base, quantizer), folders[0])
        for number, folder in enumerate(folders[1:], 1):
            model.load_adapter(str(folder), adapter_name=_name(number), use_safetensors=True)
        install(model, getattr(torch, quantizer.dtype()), 1 << 30)
        return model.eval()

    def _answers(self, model: Any, probe: Probe, number: int | None) -> torch.Tensor:
        """Return log-probabilities (places, vocabulary) of an adapter, or of the base alone."""
        import torch

        tokens = torch.tensor([probe.tokens], device=model.device)
        if number is None:
            with model.disable_adapter():
                logits = model(input_ids=tokens, use_cache=False).logits[0]
        else:
            model.set_adapter(_name(number))
            logits = model(input_ids=tokens, use_cache=False).logits[0]
        found: torch.Tensor = logits[probe.places].float().log_softmax(-1)
        return found


def _name(number: int) -> str:
    return "default" if number == 0 else f"adapter-{number}"


def _divergence(p: torch.Tensor, q: torch.Tensor) -> float:
    """Return the sum over rows of KL(p || q), both given as log-probabilities."""
    return float((p.exp() * (p - q)).sum(-1).clamp(min=0).double().sum())


def _ratios(derived: float, base: float, other: float, tokens: int) -> dict[str, float]:
    untrained = 0.0 if derived <= 0 else math.inf
    return {"kl": derived / base if base > 0 else untrained, "argmax": other / max(1, tokens)}
