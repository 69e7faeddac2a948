"""The order of packs, and packs of like length together."""

from __future__ import annotations

import random

from khichdi.plugins.builtin.runtime.qlora.batches import StepPlan, plan_steps
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams

DRAW = random.Random(57)
SIZES = [DRAW.randint(5, 500) for _ in range(403)]
GROUPED = QloraParams(
    group_by_length=True, num_epochs=2, micro_batch_size=2, gradient_accumulation_steps=2
)


def packs_of(plans: list[StepPlan]) -> list[int]:
    return [index for plan in plans for group in plan.micro for index in group]


def waste(plans: list[StepPlan]) -> float:
    """Return which part of a step would be padding, were its packs padded to the longest."""
    asked = held = 0
    for plan in plans:
        sizes = [SIZES[index] for group in plan.micro for index in group]
        asked, held = asked + sum(sizes), held + len(sizes) * max(sizes)
    return 1 - asked / held


def test_like_lengths_share_a_step_and_every_pack_comes_once_an_epoch() -> None:
    plans = plan_steps(len(SIZES), GROUPED, 1, SIZES)
    by_chance = plan_steps(
        len(SIZES), QloraParams(**{**dict(GROUPED), "group_by_length": False}), 1
    )
    for epoch in (0, 1):
        of_epoch = [plan for plan in plans if plan.epoch == epoch]
        assert sorted(packs_of(of_epoch)) == list(range(len(SIZES)))
        assert SIZES[of_epoch[0].micro[0][0]] == max(SIZES), "what may not fit comes first"
    assert waste(plans) < 0.1 < 0.3 < waste(by_chance)


def test_epochs_and_seeds_draw_other_groups() -> None:
    plans = plan_steps(len(SIZES), GROUPED, 1, SIZES)
    first, second = (packs_of([p for p in plans if p.epoch == epoch]) for epoch in (0, 1))
    assert first != second
    assert first == packs_of(plan_steps(len(SIZES), GROUPED, 1, SIZES))[: len(SIZES)]
    assert first != packs_of(plan_steps(len(SIZES), GROUPED, 2, SIZES))[: len(SIZES)]
