"""An adapter that begins as what quantization lost, and adapters that set their own beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from peft.tuners.lora import LoraLayer
from pydantic import ValidationError

from khichdi.plugins import StepError
from khichdi.plugins.builtin.adapter.loftq import nearest
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams
from khichdi.plugins.builtin.runtime.qlora.batches import micro_batch
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.plugins.builtin.runtime.qlora.trainer import Training
from khichdi.plugins.toolkit.base_weights import BaseFiles
from khichdi.plugins.toolkit.determinism import deterministic
from khichdi.plugins.toolkit.frozen_linear import BaseWeight
from khichdi.plugins.toolkit.model_loading import attach_adapter, load_model

NF4 = BitsAndBytes(BitsAndBytesParams(compute_dtype="float32"))
INT8 = BitsAndBytes(BitsAndBytesParams(bits=8, compute_dtype="float32"))
IDS = torch.tensor([[0, 5, 9, 33, 57, 8, 41, 12, 200, 17]])


def loftq(**more: Any) -> Lora:
    return Lora(LoraParams(r=16, alpha=8, init_lora_weights="loftq", **more))


def begin(base: Path, folder: Path, adapter: Any, quantizer: Any = NF4) -> Any:
    """Return a trainee before its first step."""
    job = jobs.job(base, folder / "work", folder / "out", adapter=adapter, quantizer=quantizer)
    with deterministic(1):
        return Training(QloraParams(cpu_threads=1), job).trainee


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits.float()
    return found


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_no_update_of_the_rank_is_nearer(shape: tuple[int, int], scale: float) -> None:
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a, b = nearest(matrix, 6, scale)
    assert (tuple(a.shape), tuple(b.shape)) == ((6, shape[1]), (shape[0], 6))
    left = torch.linalg.svdvals(matrix)[6:].square().sum().sqrt()
    assert (matrix - scale * b @ a).norm() == pytest.approx(float(left), rel=1e-9)


def test_nothing_to_correct_gives_nothing() -> None:
    a, b = nearest(torch.zeros(8, 12, dtype=torch.float64), 3, 2.0)
    assert not a.any()
    assert not b.any()


@pytest.mark.parametrize("quantizer", [NF4, INT8], ids=["nf4", "8 bits"])
def test_every_module_and_the_whole_model_come_nearer_to_the_base(
    tiny_base: Path, tmp_path: Path, quantizer: Any
) -> None:
    trainee = begin(tiny_base, tmp_path, loftq(), quantizer)
    trainee.peft.eval()
    files = BaseFiles(tiny_base, trainee.causal)
    count = 0
    for name, layer in trainee.causal.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        stored = BaseWeight(layer.get_base_layer(), torch.float32).dense()  # type: ignore[arg-type]
        lost = files.tensor(f"{name}.weight").float() - stored
        update = layer.get_delta_weight("default").detach()  # type: ignore[operator]
        best = torch.linalg.svdvals(lost)[16:].norm()
        assert (lost - update).norm() == pytest.approx(float(best), rel=1e-3)
        assert (lost - update).norm() < 0.9 * lost.norm()
        count += 1
    assert count == 14
    wanted = logits(load_model(tiny_base, jobs.FULL))
    plain = logits(load_model(tiny_base, quantizer))
    batch = micro_batch(IDS.tolist(), [[-100] * IDS.shape[1]])
    with torch.no_grad():
        found = trainee.loss.head(trainee.hidden(batch))[None]
    assert (found - wanted).norm() < 0.95 * (plain - wanted).norm()


def test_it_learns_to_the_same_bits_and_loads_on_the_same_base(
    tiny_base: Path, tmp_path: Path
) -> None:
    def train(name: str, adapter: Any) -> dict[str, Any]:
        folder = tmp_path / name
        job = jobs.job(tiny_base, folder / "w", folder / "a", adapter=adapter, quantizer=NF4)
        return jobs.outcome(jobs.train({"num_epochs": 3}, job), folder / "a")

    one = train("one", loftq(dropout=0.05))
    assert one["metrics"]["eval_loss"] < one["metrics"]["eval_loss_before"]
    assert one == train("two", loftq(dropout=0.05))
    others = [train(x, Lora(LoraParams(r=16, alpha=8, dropout=0.05, init_lora_weights=x)))  # type: ignore[arg-type]
              for x in ("default", "gaussian")]  # fmt: skip
    initial = {found["weights"]["initial"] for found in (one, *others)}
    assert len(initial) == 3
    assert len({found["weights"]["quantized"] for found in (one, *others)}) == 1

    # Loading it elsewhere quantizes nothing anew: the base is the one it was trained over.
    before = {n: p.data.clone() for n, p in load_model(tiny_base, NF4).named_parameters()}
    attached = attach_adapter(load_model(tiny_base, NF4), tmp_path / "one" / "a")
    after = {
        name.removeprefix("base_model.model.").replace("base_layer.", ""): parameter.data
        for name, parameter in attached.named_parameters()
        if "lora_" not in name
    }
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_what_loftq_cannot_begin_from_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="is not quantized"):
        begin(tiny_base, tmp_path, loftq(), jobs.FULL)
    with pytest.raises(ValidationError, match="leave one of them out"):
        LoraParams(use_dora=True, init_lora_weights="loftq")
    with pytest.raises(StepError, match="no safetensors"):
        BaseFiles(tmp_path)
    with pytest.raises(StepError, match=r"no tensor model\.layers\.7"):
        BaseFiles(tiny_base).tensor("model.layers.7.mlp.up_proj.weight")


class Halves(Lora):
    """An adapter of somebody else's: A is the first rows of the weight itself."""

    def initialize(self, model: Any, base: Path) -> None:
        causal = model.get_base_model()
        files = BaseFiles(base, causal)
        for name, layer in causal.named_modules():
            if isinstance(layer, LoraLayer):
                weight = files.tensor(f"{name}.weight")
                layer.lora_A["default"].weight.data.copy_(weight[: self.params.r])


def test_any_adapter_may_read_the_base_files(tiny_base: Path, tmp_path: Path) -> None:
    trainee = begin(tiny_base, tmp_path, Halves(LoraParams(r=4)))
    name = "model.layers.0.self_attn.q_proj"
    held = trainee.causal.get_submodule(name).lora_A["default"].weight
    assert torch.equal(held, BaseFiles(tiny_base).tensor(f"{name}.weight")[:4].float())
    plain = begin(tiny_base, tmp_path, Lora(LoraParams(r=4)))
    assert trainee.digests["initial"] != plain.digests["initial"]
