"""Calibrations from figures that are written down, for tests of what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from khichdi.runtime.calibration.thresholds import derive
from khichdi.runtime.calibration.trained_model import TrainedModel
from khichdi.schema.calibration import FORGERIES, Calibration, Sample
from khichdi.schema.digest import digest

STEPS = 15
HONEST = {
    "t1.loss": 8e-4, "t1.gradient": 4e-4,
    "t2.first": 2e-3, "t2.segment": 6e-3, "t2.state": 0.08, "t3.area": 9e-4, "t3.held_out": 2e-3,
    "t4.direction": 6e-4, "t4.module": 1.3e-3, "t4.norm": 8e-3, "t4.subspace": 6e-3,
    "t5.kl": 1.5e-3, "t5.argmax": 0.03,
}  # fmt: skip
"""About what honest reruns of the miniature reach."""

SCORES = dict.fromkeys(
    (f"t6.generate/{model}/{name}" for model in ("adapter", "base")
     for name in ("exact_match", "rouge_l", "rows")), 0.0,
)  # fmt: skip


def sample(
    kind: str, number: int, values: dict[str, float], curve: tuple[float, ...] = (1e-3,) * STEPS
) -> Sample:
    """Return a sample with an adapter of its own."""
    adapter = digest("sample", [kind, number])
    return Sample(kind=kind, number=number, setting="", adapter=adapter, curve=curve, values=values)


def calibration(scale: float = 1.0, **changes: Any) -> Calibration:
    """Return a calibration whose reruns and controls differ `scale` times as much as usual."""
    honest = {name: scale * value for name, value in HONEST.items()}
    far = {name: 12 * value for name, value in honest.items()}
    curve = tuple(scale * 1.5e-3 for _ in range(STEPS))
    samples = [sample("rerun", n, honest | SCORES, curve) for n in range(5)]
    for kind in FORGERIES:
        for number in range(5 if kind == "another seed" else 1):
            samples.append(sample(kind, number, far, tuple(20 * value for value in curve)))
    found: dict[str, Any] = {
        "recipe": "pico",
        "recipe_hash": "sha256:" + "0" * 64,
        "result_hash": "sha256:" + "0" * 64,
        "runtime": "qlora",
        "version": 2,
        "device": "cpu AVX512",
        "probes": 23,
        "answers": 69,
        "samples": samples,
        "found": derive(samples, 69),
    }
    return Calibration.model_validate(found | changes)


def training(losses: list[float], **changes: Any) -> TrainedModel:
    trace = [
        {"step": n, "epoch": 0, "loss": loss, "grad_norm": 1.0, "learning_rate": 1e-3,
         "tokens": 10, "batch": f"b{n}"}
        for n, loss in enumerate(losses, 1)
    ]  # fmt: skip
    trace[0] |= changes
    return TrainedModel(Path(), trace, {"eval_loss": losses[-1], "optimizer_steps": len(losses)})
