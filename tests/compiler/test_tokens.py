"""Tokens of a recipe: what is checked before anything runs, and what they do to plan and hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bound import bound, load_bound, write
from broken import Case, answer

from khichdi.compiler.checks.token_checks import added_count, check_vocabulary
from khichdi.compiler.lower import lower
from khichdi.plugins.registry import load_registry
from khichdi.project.base_files import vocabulary_of
from khichdi.schema.errors import Diagnostic
from khichdi.schema.plan import Plan

RECIPE = """\
recipe: 1
model:
  base: {use: files, include: [x]}
  tokens: {eos_token: "</s>"}
  adapter: {use: lora}
data:
  one: {source: {use: files, include: [a.jsonl]}, read: {use: jsonl}}
train: {use: qlora, template: {use: alpaca}}
"""
TOKENS = '{eos_token: "</s>"}'
ADAPTER = "{use: lora}"


def found(tokens: str = TOKENS, adapter: str = ADAPTER) -> tuple[Diagnostic, ...]:
    text = RECIPE.replace(TOKENS, tokens).replace(ADAPTER, adapter)
    return answer(Case("", "", text)).found


ADD = '{add: ["<tool>"], pad_token: "<p>", add_special: ["<p>"]}'


@pytest.mark.parametrize(
    ("tokens", "adapter"),
    [
        (TOKENS, ADAPTER),
        (ADD, "{use: lora, trainable_token_indices: added}"),
        (ADD, "{use: lora, modules_to_save: [embed_tokens, lm_head]}"),
        ('{pad_token: "<p>", add_special: ["<p>"]}', ADAPTER),
        (TOKENS, "{use: lora, trainable_token_indices: [1, 2]}"),
    ],
)
def test_tokens_that_are_right_are_accepted(tokens: str, adapter: str) -> None:
    assert found(tokens, adapter) == ()


@pytest.mark.parametrize(
    ("tokens", "adapter", "line", "column", "words"),
    [
        (ADD, ADAPTER, 4, 12, "rows are not trained: '<tool>'"),
        (ADD, "{use: vera}", 4, 12, "rows are not trained: '<tool>'"),
        (TOKENS, "{use: lora, trainable_token_indices: added}", 5, 24, "no token is added"),
        ("{}", ADAPTER, 4, 3, "name at least one token"),
        ('{add: ["<a>"], add_special: ["<a>"]}', ADAPTER, 4, 3, "'<a>' is listed twice"),
        ('{add: [" "]}', ADAPTER, 4, 18, "add.0"),
        ('{eos: "</s>"}', ADAPTER, 4, 12, "eos"),
    ],
)
def test_tokens_that_are_wrong_are_reported_at_their_place(
    tokens: str, adapter: str, line: int, column: int, words: str
) -> None:
    [fault] = found(tokens, adapter)
    assert words in f"{fault.message} {fault.code} add.0"
    assert (fault.line, fault.column) == (line, column)


def test_a_special_token_that_the_tokenizer_lacks_is_reported_with_a_similar_one(
    tmp_path: Path,
) -> None:
    path = write(tmp_path)
    path.write_text(
        path.read_text().replace(
            "  license: apache",
            '  tokens: {eos_token: "<|im_edn|>", pad_token: "<p>", add_special: ["<p>", "<q>"]}\n'
            "  license: apache",
        )
    )
    loaded, recipe = load_bound(path)
    vocabulary = vocabulary_of(
        {"model": {"vocab": {"a": 0, "<q>": 1}}, "added_tokens": [{"content": "<|im_end|>"}]}
    )
    assert vocabulary == {"a", "<q>", "<|im_end|>"}
    [fault] = check_vocabulary(recipe, loaded, vocabulary)
    assert fault.code == "no-token"
    assert (fault.line, fault.column) == (4, 23)
    assert "`<|im_edn|>` is not a token" in fault.message
    assert "did you mean `<|im_end|>`?" in str(fault.suggestion)
    assert check_vocabulary(recipe, loaded, None) == []
    assert (added_count(recipe, None), added_count(recipe, vocabulary)) == (2, 1)


def plan(folder: Path, tokens: str | None) -> Plan:
    path = write(folder)
    if tokens is not None:
        path.write_text(path.read_text().replace("  adapter:", f"  tokens: {tokens}\n  adapter:"))
    return lower(load_bound(path)[1], load_registry(), None)


def test_every_step_that_reads_the_base_reads_its_tokens(tmp_path: Path) -> None:
    without, having = plan(tmp_path, None), plan(tmp_path, TOKENS)
    assert "tokens" not in {step.name for step in without.steps}
    readers: Any = {step.name: step.inputs for step in having.steps if "base" in step.inputs}
    assert readers.pop("tokens") == {"base": "base#files"}
    assert {inputs["tokens"] for inputs in readers.values()} == {"tokens#tokenizer"}
    assert {"pack", "train"} <= set(readers)
    keys = {step.name: step.key for step in without.steps}
    moved = {step.name for step in having.steps if keys.get(step.name) != step.key}
    assert moved == {"tokens", *readers}


@pytest.mark.parametrize(
    "other",
    ['{eos_token: "<|end|>"}', '{bos_token: "</s>"}', '{eos_token: "</s>", add: ["<t>"]}'],
)
def test_tokens_are_in_the_hash(tmp_path: Path, other: str) -> None:
    hashes = {plan(tmp_path, tokens).recipe_hash for tokens in (None, TOKENS, other)}
    assert len(hashes) == 3
    written = TOKENS[:-1] + ", pad_token: null, add: []}"
    assert plan(tmp_path, written).recipe_hash in hashes


def test_a_recipe_without_tokens_is_written_without_them(tmp_path: Path) -> None:
    assert "tokens" not in bound(tmp_path).to_json()["model"]
