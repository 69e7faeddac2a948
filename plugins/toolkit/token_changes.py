"""Change the tokens of a base: special tokens, added tokens, and the rows of the latter.

The changed tokenizer is a folder of small files. Seen through `overlay`, base and tokenizer are one
base folder, whose `khichdi_tokens.json` says which tokens were added; `load_model` gives these rows
in the embedding and the head.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ...schema.errors import StepError
from ..kinds import ContradictionError
from .tokenization import load_tokenizer, quiet

TOKEN_FACTS = "khichdi_tokens.json"
"""File of a base folder: `added` has ids by token, `roles` the ids of special tokens."""
ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")
GENERATION = "generation_config.json"
REPLACED = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt",
    "merges.txt", "*.model", "*.tiktoken", "tekken.json", "chat_template*", GENERATION, TOKEN_FACTS,
)  # fmt: skip
"""Files of a base that a changed tokenizer takes the place of."""
PROBES = (
    "The capital of France is Paris; 1,234.5 km away.\n\n  Indented\ttext.",
    "Größe, naïve, 東京, Ελλάδα 🙂 x_y = f(a[0]) + 2;",
    " leading and trailing ",
)
"""Texts that both tokenizers have to tokenize alike."""


def write_tokenizer(base: Path, changes: Mapping[str, Any], into: Path) -> dict[str, int]:
    """Write a base's tokenizer with changes to an empty folder.

    Args:
        base: the base's files.
        changes: the keys of a recipe's `model.tokens` that are set.
        into: where the files go.

    Returns:
        The tokens that the base lacked, with their ids.

    Raises:
        ContradictionError: a special token is neither there nor added.
        StepError: the tokenizer would tokenize other texts differently once it is written.
    """
    with quiet():
        tokenizer = load_tokenizer(base)
        known: dict[str, int] = tokenizer.get_vocab()
        before = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in PROBES]
        old = {role: getattr(tokenizer, role) for role in ROLES}
        _change(tokenizer, changes, known)
        tokenizer.save_pretrained(into)
        _replace_in_post_processor(into / "tokenizer.json", old, changes, tokenizer)
        written = load_tokenizer(into)
    _check_written(written, tokenizer, changes, before)
    names = [*changes.get("add_special", ()), *changes.get("add", ())]
    added = {name: int(written.convert_tokens_to_ids(name)) for name in names if name not in known}
    roles = {role: int(getattr(written, f"{role}_id")) for role in ROLES if role in changes}
    facts = {"added": added, "roles": roles}
    (into / TOKEN_FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False))
    _write_generation(base / GENERATION, roles, into / GENERATION)
    return added


def _change(tokenizer: Any, changes: Mapping[str, Any], known: Mapping[str, int]) -> None:
    from transformers import AddedToken

    plain, special = changes.get("add", ()), changes.get("add_special", ())
    for role in ROLES:
        text = changes.get(role)
        if text is not None and text not in known and text not in (*plain, *special):
            raise ContradictionError(
                f"`{role}` is {text!r}, which is not a token of the base's tokenizer",
                hint=f"add it: `add_special: [{json.dumps(text, ensure_ascii=False)}]`",
            )
    tokenizer.add_tokens(
        [AddedToken(text, normalized=False, special=True) for text in special], special_tokens=True
    )
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in plain])
    for role in ROLES:
        if role in changes:
            token = AddedToken(changes[role], normalized=False, special=True)
            tokenizer.add_special_tokens({role: token})


def _replace_in_post_processor(
    path: Path, old: Mapping[str, str | None], changes: Mapping[str, Any], tokenizer: Any
) -> None:
    """Let the new beginning and end stand where the tokenizer itself puts the old ones."""
    new = {
        old[role]: changes[role] for role in ("bos_token", "eos_token") if role in changes
    }  # fmt: skip
    if not path.is_file() or all(before == after for before, after in new.items()):
        return
    document = json.loads(path.read_text(encoding="utf-8"))
    outer = document.get("post_processor") or {}
    for processor in (outer, *outer.get("processors", ())):
        if processor.get("type") != "TemplateProcessing":
            continue
        for piece in (*processor["single"], *processor["pair"]):
            token = piece.get("SpecialToken")
            if token is not None and token["id"] in new:
                text = token["id"] = new[token["id"]]
                ids = [tokenizer.convert_tokens_to_ids(text)]
                processor["special_tokens"][text] = {"id": text, "ids": ids, "tokens": [text]}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def _check_written(
    written: Any, changed: Any, changes: Mapping[str, Any], before: list[list[int]]
) -> None:
    """Refuse files that do not give the tokenizer that was meant."""
    again = [written(text, add_special_tokens=False)["input_ids"] for text in PROBES]
    if again != before:
        raise StepError(
            "with these tokens the tokenizer splits ordinary text in another way",
            hint="a token that occurs in ordinary text cannot be made special; "
            "name one such as `<|end|>`",
        )
    roles = [changes[role] for role in ROLES if role in changes]
    for text in (*changes.get("add", ()), *changes.get("add_special", ()), *roles):
        found = written(text, add_special_tokens=False)["input_ids"]
        if found != [changed.convert_tokens_to_ids(text)]:
            raise StepError(
                f"the token {text!r} is not read as one token by {type(written).__name__}",
                hint="a token neither begins nor ends with white space",
            )


def _write_generation(path: Path, roles: Mapping[str, int], into: Path) -> None:
    """Write the base's settings of generation, which name the tokens that end an answer."""
    if not path.is_file():
        return
    settings = json.loads(path.read_text(encoding="utf-8"))
    into.write_text(json.dumps(ended_by(settings, roles), indent=2, sort_keys=True) + "\n")


def ended_by(settings: Mapping[str, Any], roles: Mapping[str, int]) -> dict[str, Any]:
    """Return settings of generation with other special tokens; the old ends stay ends."""
    changed = dict(settings)
    for role in ("bos_token", "pad_token"):
        if role in roles:
            changed[f"{role}_id"] = roles[role]
    if "eos_token" in roles:
        own = settings.get("eos_token_id")
        ends = own if isinstance(own, list) else [own]
        kept = [end for end in ends if end is not None and end != roles["eos_token"]]
        changed["eos_token_id"] = [roles["eos_token"], *kept]
    return changed


def overlay(base: Path, tokenizer: Path, into: Path) -> Path:
    """Show a base with another tokenizer as one folder, of links; return it."""
    into.mkdir()
    for path in base.iterdir():
        if not any(fnmatch(path.name, pattern) for pattern in REPLACED):
            _link(path, into / path.name)
    for path in tokenizer.iterdir():
        _link(path, into / path.name)
    return into


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.resolve())
    except OSError:  # a file system without links
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, target)


def token_facts(folder: Path) -> dict[str, Any]:
    """Return what was changed about the tokens of a base folder: `added` and `roles`."""
    path = folder / TOKEN_FACTS
    if not path.is_file():
        return {"added": {}, "roles": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def tokens_to_train(folder: Path) -> dict[str, int]:
    """Return the added tokens that mean nothing until they are trained: all but padding."""
    facts = token_facts(folder)
    pad = facts["roles"].get("pad_token")
    return {text: number for text, number in facts["added"].items() if number != pad}
