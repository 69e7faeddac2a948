"""Settings that cannot be meant together are refused, each at its own place."""

from __future__ import annotations

import pytest
from broken import Case, answer

from khichdi.schema.errors import Diagnostic

RECIPE = """\
recipe: 1
model:
  base: {use: files, include: [x]}
  adapter: {use: lora}
data:
  one:
    source: {use: files, include: [a.jsonl]}
    read: {use: jsonl}
    filters:
      - {use: max-words, fields: [input], below: 60}
    sample: {use: random, count: 100}
  two:
    source: {use: files, include: [b.jsonl]}
    read: {use: jsonl}
    sample: {use: random, count: 20}
mixture:
  validation: {count: 20}
train:
  use: qlora
  template: {use: alpaca}
  micro_batch_size: 2
  gradient_accumulation_steps: 5
  warmup_steps: 2
"""

FILTER = "      - {use: max-words, fields: [input], below: 60}\n"
VALIDATION = "mixture:\n  validation: {count: 20}\n"


def found(old: str, new: str) -> tuple[Diagnostic, ...]:
    assert old in RECIPE
    return answer(Case("", "", RECIPE.replace(old, new, 1))).found


def test_the_recipe_itself_is_right() -> None:
    assert answer(Case("", "", RECIPE)).found == ()


CASES = {
    "more held out than there is": (
        "{count: 20}\ntrain",
        "{count: 120}\ntrain",
        (17, 3, "120 validation rows asked of a mixture of at most 120"),
    ),
    "a longer warm-up than training": (
        "warmup_steps: 2",
        "warmup_steps: 11",
        (23, 17, "`warmup_steps` is 11, and training has at most 10 steps"),
    ),
    "evaluations that never come": (
        "warmup_steps: 2",
        "eval_steps: 50",
        (23, 15, "`eval_steps` is 50, and training has at most 10 steps"),
    ),
    "warm-up beyond max_steps": (
        "warmup_steps: 2",
        "warmup_steps: 9\n  max_steps: 3",
        (23, 3, "`warmup_steps` is 9, and `max_steps` ends at 3"),
    ),
    "the best weights by no rows": (
        VALIDATION,
        "evaluate: [{use: generate}]\n",
        (16, 1, "and there is none"),
    ),
    "a filter twice": (FILTER, FILTER + FILTER, (11, 9, "appears twice")),
    "words that leave nothing": (
        FILTER,
        FILTER + "      - {use: min-words, fields: [input], at_least: 60}\n",
        (11, 9, "no row has 60 words or more and fewer than 60"),
    ),
    "conditions that leave nothing": (
        FILTER,
        "      - {use: where, field: task, equals: a}\n"
        "      - {use: where, field: task, one_of: [b, c]}\n",
        (11, 9, "nothing is left that `task` may be"),
    ),
    "a condition and its opposite": (
        FILTER,
        "      - {use: where, field: task, one_of: [a, b]}\n"
        "      - {use: where, field: task, one_of: [b, a], negate: true}\n",
        (11, 9, "nothing is left that `task` may be"),
    ),
    "a data set that is not there": (
        VALIDATION,
        VALIDATION + "  filters: [{use: where, field: source, equals: oen}]\n",
        (18, 13, "no row here comes from a data set `oen`"),
    ),
    "a data set read as a model": (
        "{use: files, include: [a.jsonl]}",
        "{use: huggingface, repo: GAIR/lima}",
        (7, 5, "`GAIR/lima` would be read as a model repository"),
    ),
    "a model from a data set": (
        "{use: files, include: [x]}",
        "{use: huggingface, repo: GAIR/lima, repo_type: dataset}",
        (3, 3, "a base model comes from a model repository"),
    ),
    "short without count": (
        "{use: random, count: 100}",
        "{use: random, fraction: 0.5, short: take-all}",
        (11, 42, "`short` is about `count`"),
    ),
    "codes of 4 bits in 8": (
        "  adapter:",
        "  quantization: {use: bitsandbytes, bits: 8, quant_type: fp4}\n  adapter:",
        (4, 3, "quant_type is for 4-bit weights"),
    ),
    "4-bit words without quantization": (
        "  adapter:",
        "  quantization: {use: none, quant_type: nf4}\n  adapter:",
        (4, 29, "unknown parameter `quant_type` of quantizer `none`"),
    ),
    "no modules at all": (
        "{use: lora}",
        "{use: lora, target_modules: []}",
        (4, 40, "`target_modules` must be `all-linear` or a text or a list of at least 1 item"),
    ),
    "text of a column that is not read": (
        "    read: {use: jsonl}\n    filters",
        "    read: {use: jsonl, columns: {output: x}, as_text: [input]}\n    filters",
        (8, 46, "`as_text` names `input`, which `columns` does not fill"),
    ),
    "one character for two ends": (
        "    read: {use: jsonl}\n    filters",
        '    read: {use: csv, delimiter: "\'", quote: "\'"}\n    filters',
        (8, 22, "`delimiter` and `quote` are the same"),
    ),
    "files that are left out again": (
        "{use: files, include: [a.jsonl]}",
        "{use: huggingface, repo: a/b, repo_type: dataset, include: [x], exclude: [x]}",
        (7, 77, "`exclude` leaves nothing"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_contradiction_has_its_place_and_a_sentence(name: str) -> None:
    old, new, (line, column, message) = CASES[name]
    assert [(d.line, d.column) for d in found(old, new)] == [(line, column)]
    assert message in found(old, new)[0].message


def test_conditions_that_leave_something_are_right() -> None:
    filters = (
        "      - {use: where, field: categories, equals: a}\n"
        "      - {use: where, field: categories, equals: b}\n"
        "      - {use: where, field: task, one_of: [a, b]}\n"
        "      - {use: where, field: task, equals: b}\n"
        "      - {use: min-words, fields: [input, output], at_least: 60}\n"
    )
    assert found(FILTER, FILTER + filters) == ()


def test_counts_are_not_guessed_where_a_sampler_takes_all() -> None:
    assert found("    sample: {use: random, count: 20}\n", "    sample: {use: all}\n") == ()
    more = found(
        "    sample: {use: random, count: 20}\nmixture:\n  validation: {count: 20}",
        "mixture:\n  validation: {count: 500}",
    )
    assert more == ()
