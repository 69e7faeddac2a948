"""Whatever is recomputed or moved to the CPU, bits stay; and no more is kept than was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from live_bytes import LiveBytes
from miniature import make_base
from pydantic import ValidationError

from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.runtime.qlora.memory.activation_checkpointing import Recomputation
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.plugins.builtin.runtime.qlora.trainer import Training
from khichdi.plugins.toolkit.determinism import deterministic

LAYERS = 4
MIB = 2**-10
"""A MiB in GiB."""


@pytest.fixture(scope="module")
def deep_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("deep"), num_hidden_layers=LAYERS)


@pytest.fixture
def training(deep_base: Path, tmp_path: Path) -> Iterator[Training]:
    """Yield a training with recomputation and dropout, whose B matrices are not zero."""
    params = QloraParams(gradient_checkpointing=True, cpu_threads=1, neftune_noise_alpha=5)
    adapter = Lora(LoraParams(r=8, dropout=0.3))
    the_job = jobs.job(deep_base, tmp_path / "work", tmp_path / "out", adapter=adapter)
    with deterministic(1):
        training = Training(params, the_job)
        with torch.no_grad():
            for parameter in training.trainee.trained:
                parameter.uniform_(-0.1, 0.1)
        training.trainee.peft.train()
        yield training


def step(training: Training) -> list[torch.Tensor]:
    """Return the loss of the first pack, and all gradients."""
    trainee = training.trainee
    torch.manual_seed(57)
    loss = trainee.summed_loss(training.train.batch((0,)))
    return [loss.detach(), *torch.autograd.grad(loss, trainee.trained)]


def recomputing(training: Training, budget: int, offload: bool = False) -> Recomputation:
    found = Recomputation(training.trainee.causal, budget, offload)
    training.trainee.recomputation = found
    return found


def equal(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_loss_and_gradients_are_the_same_whichever_layers_recompute(training: Training) -> None:
    expected = step(training)
    assert all(gradient.any() for gradient in expected)
    counted = recomputing(training, 1)
    step(training)
    for kept in range(LAYERS + 1):
        found = recomputing(training, kept * counted.layer_bytes + 1)
        assert equal(step(training), expected)  # the batch that is counted
        assert equal(step(training), expected)
        assert found.kept == kept
    training.trainee.recomputation = None
    training.trainee.causal.gradient_checkpointing_disable()
    assert equal(step(training), expected)


def test_dropout_is_really_at_work(training: Training) -> None:
    expected = step(training)
    training.trainee.peft.eval()
    assert not equal(step(training), expected)


def test_what_layers_keep_is_what_was_counted(training: Training) -> None:
    trainee, batch = training.trainee, training.train.batch((0,))
    held = []
    counted = recomputing(training, 1)
    step(training)
    for kept in (0, 2, 3):
        recomputing(training, kept * counted.layer_bytes + 1)
        step(training)
        with LiveBytes() as alive:
            loss = trainee.summed_loss(batch)
        held.append(alive.now)
        del loss
    own_input = batch.tokens * trainee.causal.config.hidden_size * 2
    a_layer = counted.layer_bytes - own_input
    assert held[1] - held[0] == pytest.approx(2 * a_layer, rel=0.05)
    assert held[2] - held[1] == pytest.approx(a_layer, rel=0.05)


def test_longer_samples_and_more_of_them_keep_fewer_layers(training: Training) -> None:
    counted = recomputing(training, 1)
    step(training)
    found = recomputing(training, 3 * counted.layer_bytes + 1)
    step(training)
    lengths = training.train.batch((0,)).lengths
    for given, kept in (((*lengths, *lengths), 1), ((2 * sum(lengths),), 0), (lengths[:1], 4)):
        found.choose(given)
        on = [layer.gradient_checkpointing for layer in found._layers]
        assert on == [True] * (LAYERS - kept) + [False] * kept


def test_inputs_of_recomputed_layers_go_to_the_cpu_and_come_back(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = step(training)
    moved: list[torch.Size] = []
    real = torch.autograd.graph.save_on_cpu.__init__

    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        pack = self.pack_hook

        def note(tensor: torch.Tensor) -> Any:
            moved.append(tensor.shape)
            return pack(tensor)

        self.pack_hook = note

    monkeypatch.setattr(torch.autograd.graph.save_on_cpu, "__init__", noting)
    counted = recomputing(training, 1, offload=True)
    assert equal(step(training), expected)
    tokens, width = 192, training.trainee.causal.config.hidden_size
    assert moved == [(1, tokens, width)] * LAYERS
    moved.clear()
    recomputing(training, 3 * counted.layer_bytes + 1, offload=True)
    step(training)
    moved.clear()
    assert equal(step(training), expected)
    assert moved == [(1, tokens, width)]


@pytest.mark.parametrize("budget", [0.2 * MIB, 1.0 * MIB, 1.0])
def test_a_training_within_a_budget_has_the_same_bits(
    deep_base: Path, tmp_path: Path, budget: float
) -> None:
    def outcome(name: str, **params: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        output = tmp_path / name / "output"
        settings = {"gradient_checkpointing": True, "num_epochs": 1, **params}
        result = jobs.train(settings, jobs.job(deep_base, tmp_path / name / "work", output))
        return jobs.outcome(result, output), dict(result.measured)

    plain, measured = outcome("plain")
    assert measured["stored_layers"] == 0
    found, measured = outcome("budget", activation_budget_gib=budget)
    assert found == plain
    kept = min(LAYERS, int(budget * 2**30 / measured["layer_activation_bytes"]))
    assert measured["stored_layers"] >= kept
    assert measured["stored_layers"] * measured["layer_activation_bytes"] <= 1.5 * budget * 2**30


@pytest.mark.parametrize("name", ["activation_budget_gib", "activation_offloading"])
def test_what_is_about_recomputation_is_refused_without_it(name: str) -> None:
    with pytest.raises(ValidationError, match="recomputes none"):
        QloraParams.model_validate({name: 1})
