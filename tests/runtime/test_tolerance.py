"""How far two trainings are apart is measured as defined, and limits follow from samples alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from calibrations import calibration, sample, training

from khichdi.plugins.registry import load_registry
from khichdi.runtime.calibration import lowrank
from khichdi.runtime.calibration.invariants import adapters_part
from khichdi.runtime.calibration.statistics import (
    bound,
    curve,
    exact,
    measure,
    outside,
    scores,
    student,
    wilson,
)
from khichdi.runtime.calibration.thresholds import GAP, derive, envelope_of, excess
from khichdi.runtime.calibration.trained_model import TrainedModel
from khichdi.schema.calibration import FORGERIES

torch = pytest.importorskip("torch")


REGISTRY = load_registry()


def write_adapter(folder: Path, parts: dict[str, tuple[Any, Any]], alpha: int, **more: Any) -> Path:
    from safetensors.torch import save_file

    folder.mkdir()
    tensors = {}
    for name, (up, down) in parts.items():
        tensors[name + lowrank.UP] = up.contiguous()
        tensors[name + lowrank.DOWN] = down.contiguous()
    save_file(tensors, folder / "adapter_model.safetensors")
    rank = next(iter(parts.values()))[1].shape[0]
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def drawn(seed: int, modules: int = 2, rank: int = 6) -> dict[str, tuple[Any, Any]]:
    draw = torch.Generator().manual_seed(seed)
    return {
        f"layer.{n}": (
            torch.randn(20 + n, rank, generator=draw),
            torch.randn(rank, 30, generator=draw),
        )
        for n in range(modules)
    }


# ---- T4 -------------------------------------------------------------------------------------


def test_updates_are_compared_as_if_they_had_been_formed(tmp_path: Path) -> None:
    one, other = drawn(1), drawn(2)
    found = lowrank.compare(
        write_adapter(tmp_path / "a", one, 12), write_adapter(tmp_path / "b", other, 24)
    )
    assert found is not None
    dense = [
        [s * (up.double() @ down.double()) for up, down in parts.values()]
        for s, parts in ((2.0, one), (4.0, other))
    ]
    cosines = [float((a * b).sum() / a.norm() / b.norm()) for a, b in zip(*dense, strict=True)]
    flat = [torch.cat([m.reshape(-1) for m in side]) for side in dense]
    whole = float(torch.dot(*flat) / flat[0].norm() / flat[1].norm())
    ratios = [abs(math.log(float(b.norm() / a.norm()))) for a, b in zip(*dense, strict=True)]
    spans = []
    for a, b in zip(*dense, strict=True):
        left = torch.linalg.svd(a), torch.linalg.svd(b)
        (ua, _, va), (ub, _, vb) = left
        for p, q in ((ua[:, :4], ub[:, :4]), (va[:4].t(), vb[:4].t())):
            spans.append(float((torch.linalg.svdvals(p.t() @ q) ** 2).mean()))
    assert found["direction"] == pytest.approx(1 - whole, abs=1e-9)
    assert found["module"] == pytest.approx(1 - min(cosines), abs=1e-9)
    assert found["norm"] == pytest.approx(max(ratios), abs=1e-9)
    assert found["subspace"] == pytest.approx(1 - sum(spans) / len(spans), abs=1e-9)


def test_the_same_update_by_other_factors_is_no_distance(tmp_path: Path) -> None:
    parts = drawn(3)
    mixing = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(4)))[0] * 3
    mixed = {n: (up @ mixing, torch.linalg.inv(mixing) @ down) for n, (up, down) in parts.items()}
    found = lowrank.compare(
        write_adapter(tmp_path / "a", parts, 12), write_adapter(tmp_path / "b", mixed, 12)
    )
    assert found == pytest.approx(dict.fromkeys(found or {}, 0.0), abs=1e-5)


def test_other_modules_are_infinitely_far_and_other_kinds_of_update_are_not_compared(
    tmp_path: Path,
) -> None:
    parts = drawn(5)
    a = write_adapter(tmp_path / "a", parts, 12)
    fewer = write_adapter(tmp_path / "b", dict(list(parts.items())[:1]), 12)
    assert lowrank.compare(a, fewer)["direction"] == math.inf  # type: ignore[index]
    dora = write_adapter(tmp_path / "c", parts, 12, use_dora=True)
    assert lowrank.compare(a, dora) is None


def test_what_is_not_a_number_is_infinitely_far(tmp_path: Path) -> None:
    parts = drawn(6)
    a = write_adapter(tmp_path / "a", parts, 12)
    parts["layer.1"][0][3, 2] = math.nan
    found = lowrank.compare(a, write_adapter(tmp_path / "b", parts, 12))
    assert set((found or {}).values()) == {math.inf}
    assert outside([math.nan, 0.0], [1.0, 1.0]) == 0.5
    assert measure(training([4.0, 2.0]), training([4.0, math.nan]))["t3.held_out"] == math.inf


def test_an_adapter_with_a_tensor_too_many_is_seen_before_anything_is_calculated(
    tmp_path: Path,
) -> None:
    parts = drawn(7)
    a = write_adapter(tmp_path / "a", parts, 12)
    b = write_adapter(tmp_path / "b", parts | drawn(8, modules=3), 12)
    assert adapters_part(a, a) is None
    assert (adapters_part(a, b) or ("",))[0].startswith("tensor.layer.2.lora_A")


# ---- T1, T3, T6 -----------------------------------------------------------------------------


def test_losses_are_compared_at_the_first_step_along_the_curve_and_in_the_record() -> None:
    found = measure(training([4.0, 2.0]), training([4.4, 1.9], grad_norm=0.5))
    assert found["t1.loss"] == pytest.approx(0.1)
    assert found["t1.gradient"] == pytest.approx(0.5)
    assert found["t3.area"] == pytest.approx((0.4 - 0.1) / 3 / 2)
    assert found["t3.held_out"] == pytest.approx(0.05)
    differences = curve(training([4.0, 2.0]), training([4.4, 1.9]))
    assert outside(differences, [0.1, 0.1]) == 0.5


def test_what_follows_from_recipe_and_packs_has_no_tolerance() -> None:
    honest = training([4.0, 2.0])
    assert exact(honest, training([4.1, 2.1], learning_rate=1e-3 * (1 + 1e-12))) == []
    assert exact(honest, training([4.0, 2.0], batch="other"))[0] == (
        "training step 1, batch", "b1", "other",
    )  # fmt: skip
    assert exact(honest, training([4.0, 2.0], learning_rate=1.1e-3))
    assert exact(honest, training([4.0]))[0] == ("number of training steps", 2, 1)


def test_scores_are_paired_and_a_claim_that_is_not_its_rows_mean_is_seen() -> None:
    rows = [{"id": str(n), "f1": n / 10} for n in range(10)]
    moved = [{"id": str(n), "f1": n / 10 + 0.02} for n in range(10)]
    one = TrainedModel(Path(), [], {}, {"evaluate/x": ({"f1": 0.45}, rows)})
    other = TrainedModel(Path(), [], {}, {"evaluate/x": ({"f1": 0.47}, moved)})
    assert scores(one, other) == {"t6.x/f1": pytest.approx(0.02)}
    lying = TrainedModel(Path(), [], {}, {"evaluate/x": ({"f1": 0.95}, rows)})
    assert scores(lying, other)["t6.x/f1"] == pytest.approx(0.48)


def test_bounds_are_those_of_the_textbooks() -> None:
    for freedom, expected in ((5, 2.015), (10, 1.812), (30, 1.697), (120, 1.658)):
        assert student(0.95, freedom) == pytest.approx(expected, abs=2e-3)
    assert bound([0.0, 0.1, -0.1, 0.2, 0.0, 0.1]) == pytest.approx(0.05 + 2.015 * 0.10488 / 6**0.5,
                                                                   abs=1e-3)  # fmt: skip
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)


# ---- limits ---------------------------------------------------------------------------------


def test_a_limit_lies_in_the_middle_between_reruns_and_the_nearest_kind_it_tells_apart() -> None:
    samples = [sample("rerun", n, {"t4.norm": 0.01}) for n in range(5)]
    samples += [
        sample("another seed", 0, {"t4.norm": 0.5}),
        sample("another base", 0, {"t4.norm": 0.16}),
    ]
    samples += [sample("order shuffled", 0, {"t4.norm": 0.01 * GAP * 0.9})]
    found = {one.name: one for one in derive(samples, 10).criteria}["t4.norm"]
    assert found.separates == ("another seed", "another base")
    assert found.limit == pytest.approx(math.sqrt(0.01 * 0.16))


def test_a_figure_that_tells_nothing_apart_is_not_used_and_says_why() -> None:
    samples = [sample("rerun", n, {"t5.kl": 0.1}) for n in range(5)]
    samples += [sample(kind, 0, {"t5.kl": 0.2}) for kind in FORGERIES]
    derived = derive(samples, 10)
    found = {one.name: one for one in derived.criteria}["t5.kl"]
    assert found.limit is None
    assert "separates no kind" in found.why
    assert "t5.kl" not in derived.rejected["another seed"].by


def test_scores_of_too_few_rows_are_not_used() -> None:
    samples = [sample("rerun", n, {"t6.x/f1": 0.15, "t6.y/f1": 0.002}) for n in range(5)]
    found = {one.name: one.limit for one in derive(samples, 10).criteria}
    assert found["t6.x/f1"] is None
    assert found["t6.y/f1"] == 0.01


def test_the_envelope_never_narrows_and_a_rerun_is_not_held_against_itself() -> None:
    assert envelope_of([(0.01, 0.0), (-0.01, 0.0)]) == pytest.approx((0.04, 0.04))
    quiet = [sample("rerun", n, {}, curve=(0.001, 0.001)) for n in range(4)]
    loud = sample("rerun", 4, {}, curve=(0.5, 0.5))
    criteria = {one.name: one for one in derive([*quiet, loud], 10).criteria}
    assert criteria["t3.outside"].honest == 1.0


def test_a_sample_is_held_against_limits_it_had_no_part_in() -> None:
    found = calibration().found
    assert all(
        ratio <= 1 for ratio in excess(sample("rerun", 9, {"t4.norm": 0.01}), found).values()
    )
    beyond = excess(sample("another base", 9, {"t4.norm": 0.3}, curve=(0.3,) * 15), found)
    assert beyond["t4.norm"] > 1
    assert beyond["t3.outside"] > 1
