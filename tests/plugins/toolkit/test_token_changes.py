"""Special tokens and added tokens of a base: what its tokenizer and its tables become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from miniature import make_base

from khichdi.plugins import ContradictionError, StepError
from khichdi.plugins.toolkit import load_model, load_tokenizer
from khichdi.plugins.toolkit.token_changes import TOKEN_FACTS, overlay, write_tokenizer
from khichdi.plugins.toolkit.token_rows import added_token_ids

CHANGES = {
    "eos_token": "<|end|>",
    "pad_token": "<|pad|>",
    "add": ["<tool>"],
    "add_special": ["<|end|>", "<|pad|>"],
}
TEXT = "Say<tool> yes<|end|>"


def changed(base: Path, folder: Path, changes: dict[str, Any]) -> Path:
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(parents=True)
    write_tokenizer(base, changes, tokenizer)
    return overlay(base, tokenizer, folder / "base")


@pytest.fixture(scope="module")
def seen(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed(tiny_base, tmp_path_factory.mktemp("tokens"), CHANGES)


def test_added_tokens_are_one_token_each_after_those_of_the_base(
    seen: Path, tiny_base: Path
) -> None:
    before, after = load_tokenizer(tiny_base), load_tokenizer(seen)
    first = len(before)
    assert json.loads((seen / TOKEN_FACTS).read_text()) == {
        "added": {"<|end|>": first, "<|pad|>": first + 1, "<tool>": first + 2},
        "roles": {"eos_token": first, "pad_token": first + 1},
    }
    assert (after.eos_token, after.pad_token, after.bos_token) == ("<|end|>", "<|pad|>", "<s>")
    ids = after(TEXT)["input_ids"]
    assert ids[0] == after.bos_token_id
    assert ids[-1] == first
    assert first + 2 in ids
    assert after.decode(ids, skip_special_tokens=True) == "Say<tool> yes"
    assert after(" Say yes")["input_ids"] == before(" Say yes")["input_ids"]


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("rows", [347, 384], ids=["no row to spare", "rows to spare"])
@pytest.mark.parametrize("quantizer", [jobs.FULL, jobs.NF4], ids=["full", "nf4"])
def test_their_rows_are_the_mean_of_the_rows_of_the_base(
    tmp_path: Path, tied: bool, rows: int, quantizer: Any
) -> None:
    base = make_base(tmp_path / "base", vocab_size=rows, tie_word_embeddings=tied)
    seen = changed(base, tmp_path / "seen", CHANGES)
    plain, model = load_model(base, quantizer), load_model(seen, quantizer)
    assert added_token_ids(plain) == ()
    assert added_token_ids(model) == (347, 348, 349)
    assert model.config.vocab_size == max(rows, 350)
    assert model.config.eos_token_id == 347
    assert model.generation_config.eos_token_id == [347, 1]
    for before, after in (
        (plain.get_input_embeddings().weight, model.get_input_embeddings().weight),
        (plain.get_output_embeddings().weight, model.get_output_embeddings().weight),
    ):
        others = [row for row in range(rows) if row not in (347, 348, 349)]
        assert torch.equal(after[others], before[others])
        mean = before.double().mean(dim=0).to(after.dtype)
        assert torch.equal(after[347:350], mean.expand(3, -1))
    shared = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert shared is tied


def test_loading_with_added_tokens_draws_no_random_number(seen: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_model(seen, jobs.FULL)
    assert torch.equal(torch.rand(1), expected)


def test_a_token_that_the_base_has_is_not_added_again(tiny_base: Path, tmp_path: Path) -> None:
    folder = changed(tiny_base, tmp_path, {"eos_token": "<pad>", "add_special": ["<pad>"]})
    assert json.loads((folder / TOKEN_FACTS).read_text()) == {
        "added": {},
        "roles": {"eos_token": 2},
    }
    model = load_model(folder, jobs.FULL)
    assert added_token_ids(model) == ()
    assert model.config.eos_token_id == 2
    plain = load_model(tiny_base, jobs.FULL).state_dict()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in model.state_dict().items())


def test_another_beginning_stands_where_the_tokenizer_put_the_old_one(
    tiny_base: Path, tmp_path: Path
) -> None:
    folder = changed(tiny_base, tmp_path, {"bos_token": "<|begin|>", "add_special": ["<|begin|>"]})
    tokenizer = load_tokenizer(folder)
    assert tokenizer.bos_token == "<|begin|>"
    assert tokenizer("yes")["input_ids"][0] == tokenizer.bos_token_id == 347
    assert 0 not in tokenizer("yes")["input_ids"]


def test_a_special_token_that_is_nowhere_is_refused_with_what_adds_it(
    tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(ContradictionError, match=r"`eos_token` is '<\|e\|>'") as raised:
        changed(tiny_base, tmp_path, {"eos_token": "<|e|>", "add": ["x"]})
    assert raised.value.hint == 'add it: `add_special: ["<|e|>"]`'


def test_a_piece_of_ordinary_text_cannot_be_special(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="splits ordinary text in another way"):
        changed(tiny_base, tmp_path, {"eos_token": "a"})


def test_nothing_of_the_base_is_changed_or_copied(seen: Path, tiny_base: Path) -> None:
    weights = seen / "model.safetensors"
    assert weights.is_symlink()
    assert weights.samefile(tiny_base / "model.safetensors")
    assert not (tiny_base / TOKEN_FACTS).exists()
    assert "<tool>" not in (tiny_base / "tokenizer.json").read_text()
