"""The small files of a base: its configuration and tokenizer, before its weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..compiler.checks.chat_checks import chat_support, check_chat
from ..compiler.checks.model_checks import base_support, check_base_files
from ..compiler.estimate.architectures import known_config
from ..compiler.instances import ask, instance
from ..plugins import BaseChat, BaseSupport
from ..runtime.sources.mirror import Mirror
from ..runtime.sources.pin import fetch
from ..runtime.store.store import write_atomically
from ..schema.errors import FetchError, RecipeError
from ..schema.lock import PinnedFile
from ..schema.plan import PlanStep
from ..schema.record import StepResult
from .base_chat import SETTINGS, TEMPLATE, TOKENIZER, chat_of
from .session import Session

CONFIG = "config.json"
FETCHED_FIRST = (CONFIG, SETTINGS, TEMPLATE)
"""Files that say whether a base can be trained on chats, a few kilobytes each."""
KEPT = "configs"
"""Folder of a store with these files of bases whose weights are not fetched yet."""


@dataclass(frozen=True)
class KnownBase:
    """What is known of a base.

    Attributes:
        config: its `config.json`; None where it is not known.
        tokens: how many ids its tokenizer has, from 0 to the highest; None where not known.
        vocabulary: its tokens; None where not known.
        chat: what its tokenizer's files say about chats; None where they say nothing.
    """

    config: Mapping[str, Any] | None = None
    tokens: int | None = None
    vocabulary: frozenset[str] | None = None
    chat: BaseChat | None = None


def known_base(session: Session, results: Mapping[str, StepResult | None]) -> KnownBase:
    """Return what the store or this machine has of a recipe's base, else what its name tells."""
    files = _files(session, results)
    config = _document(files[CONFIG]) if CONFIG in files else None
    chat = chat_of(files)
    if config is None:
        return KnownBase(known_config(session.compiled.recipe, session.registry), chat=chat)
    tokenizer = _document(files[TOKENIZER]) or {} if TOKENIZER in files else {}
    return KnownBase(config, tokens_of(tokenizer), vocabulary_of(tokenizer), chat)


def _files(session: Session, results: Mapping[str, StepResult | None]) -> dict[str, Path]:
    """Return where the small files of a base are on this machine, by name."""
    folder = _folder(session, results)
    if folder is None:
        return {name: path for name in FETCHED_FIRST if (path := _kept(session, name))}
    config = _nearest_config(folder)
    return {path.name: path for path in config.parent.iterdir()} if config else {}


def refuse_base(session: Session, mirror: Mirror | None) -> None:
    """Refuse a base that cannot be trained, by small files that are fetched before its weights.

    Args:
        session: the recipe with its lock.
        mirror: asked for bytes instead of the places that sources name.

    Raises:
        RecipeError: the base or its chat template is refused; names the place in the recipe.
    """
    compiled = session.compiled
    if not compiled.plan.trains:
        return
    _fetch_small(session, compiled.plan.step("base"), mirror)
    known = _known_now(session)
    faults = check_chat(
        compiled.loaded, chat_support(compiled.recipe, session.registry, known.chat)
    )
    if known.config is not None:
        support = base_support(compiled.recipe, session.registry, known.config)
        faults += check_base_files(compiled.recipe, compiled.loaded, known.config, support, None)
    if faults:
        raise RecipeError(faults)


def support_now(session: Session) -> BaseSupport | None:
    """Return how the runtime trains the base; None where its configuration is not known yet."""
    config = _known_now(session).config if session.compiled.plan.trains else None
    if config is None:
        return None
    return base_support(session.compiled.recipe, session.registry, config)


def _known_now(session: Session) -> KnownBase:
    step = session.compiled.plan.step("base")
    return known_base(session, {"base": session.store.result(step.key)})


def _fetch_small(session: Session, step: PlanStep, mirror: Mirror | None) -> None:
    """Keep small files of the base, where its source can fetch them alone and can be reached."""
    source = instance(session.registry, "source", session.compiled.recipe.training()[0].base)
    wanted = [file for file in _pinned_small(step) if not _place(session, file).exists()]
    if not wanted or not source.single_files:
        return
    assert step.material is not None
    alone = step.model_copy(
        update={"material": step.material.model_copy(update={"files": tuple(wanted)})}
    )
    origin = session.compiled.folders[step.name]
    with session.store.staging() as folder:
        try:
            fetch(alone, origin, session.registry, folder, mirror)
        except FetchError:
            return  # the run says so, when it fetches the weights
        for file in wanted:
            path = _place(session, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, (folder / file.path).read_text(encoding="utf-8"))


def _pinned_small(step: PlanStep) -> list[PinnedFile]:
    files = step.material.files if step.material else ()
    return [file for file in files if file.path in FETCHED_FIRST]


def _place(session: Session, file: PinnedFile) -> Path:
    """Return where a small file is kept, by its digest."""
    name = f"{file.sha256.rpartition(':')[2]}{Path(file.path).suffix}"
    return session.store.root / KEPT / name


def _kept(session: Session, name: str) -> Path | None:
    """Return where a pinned small file is kept; None where it is not."""
    for file in _pinned_small(session.compiled.plan.step("base")):
        if file.path == name and (path := _place(session, file)).exists():
            return path
    return None


def tokens_of(tokenizer: Mapping[str, Any]) -> int | None:
    """Return the number of ids of a `tokenizer.json`, up to the highest."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocabulary, Mapping):
        ids = [number for number in vocabulary.values() if isinstance(number, int)]
    elif isinstance(vocabulary, list):  # pairs of a piece and its score
        ids = [len(vocabulary) - 1]
    else:
        return None
    added = tokenizer.get("added_tokens")
    for token in added if isinstance(added, list) else []:
        if isinstance(token, Mapping) and isinstance(token.get("id"), int):
            ids.append(token["id"])
    return max(ids, default=-1) + 1


def vocabulary_of(tokenizer: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the tokens of a `tokenizer.json`."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocabulary, list):  # pairs of a piece and its score
        vocabulary = [pair[0] for pair in vocabulary if isinstance(pair, list) and pair]
    elif not isinstance(vocabulary, Mapping):
        return None
    added = tokenizer.get("added_tokens")
    more = [t.get("content") for t in added if isinstance(t, Mapping)] if added else []
    return frozenset(text for text in (*vocabulary, *more) if isinstance(text, str))


def _folder(session: Session, results: Mapping[str, StepResult | None]) -> Path | None:
    done = results.get("base")
    if done is not None:
        return session.store.folder(done.outputs["files"])
    origin = session.compiled.folders["base"]
    step = session.compiled.recipe.training()[0].base
    local: Path | None = ask(
        session.registry, "source", step, lambda source: source.local_folder(origin)
    )
    return local


def _nearest_config(folder: Path) -> Path | None:
    """Return the config.json nearest to the top of a folder."""
    for pattern in ("config.json", "*/config.json", "*/*/config.json"):
        for path in sorted(folder.glob(pattern)):
            return path
    return None


def _document(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
