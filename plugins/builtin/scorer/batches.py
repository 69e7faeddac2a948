"""Score one part of a table: work for any process, and its saved result."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from khichdi.plugins.kinds import Quantizer
from khichdi.plugins.toolkit.text_metrics import exact_match, rouge_l
from khichdi.schema.digest import digest
from khichdi.schema.errors import StepError

from .few_shot_prompts import Prompt

if TYPE_CHECKING:
    from .few_shot_params import FewShotParams

Part = list[list[Prompt]]
"""Batches of prompts."""


@dataclass(frozen=True)
class Setup:
    """Inputs of a process that scores parts; `work` is the folder for finished parts."""

    params: FewShotParams
    base: Path
    quantizer: Quantizer[Any]
    work: Path


@dataclass(frozen=True)
class Found:
    """Results of a part, in the order of its prompts."""

    predictions: list[str]
    values: list[float]


class Answerer:
    """A process's model; it is loaded for the first part, and freed by `close`."""

    def __init__(self, setup: Setup, number: int = 0) -> None:
        self._setup = setup
        self._number = number
        self._stack = ExitStack()
        self._generator: Any = None

    def score(self, part: Part) -> Found:
        """Answer the prompts of a part, score the answers, and keep them.

        Raises:
            StepError: the model cannot be loaded, or cannot see that many tokens.
        """
        generator = self._generator = self._generator or self._load()
        params = self._setup.params
        predictions: list[str] = []
        for batch in part:
            shared = batch[0].shared
            self._check_room(len(shared) + max(len(prompt.own) for prompt in batch))
            predictions += generator.answers([prompt.own for prompt in batch], shared)
        prompts = [prompt for batch in part for prompt in batch]
        values = [
            exact_match(text, prompt.references, params.normalize)
            if params.metric == "exact-match"
            else rouge_l(text, prompt.references, full_stops=False)
            for text, prompt in zip(predictions, prompts, strict=True)
        ]
        found = Found(predictions, values)
        _keep(self._setup.work, part, found)
        return found

    def close(self) -> None:
        """Free the model, and restore the process's settings."""
        self._generator = None
        self._stack.close()

    def _load(self) -> Any:
        import torch

        from khichdi.plugins.toolkit.determinism import deterministic
        from khichdi.plugins.toolkit.frozen_linear import install
        from khichdi.plugins.toolkit.generation import Generator
        from khichdi.plugins.toolkit.model_loading import load_model, load_tokenizer, quiet

        setup, params = self._setup, self._setup.params
        self._stack.enter_context(quiet())
        self._stack.enter_context(deterministic(params.cpu_threads))
        if torch.cuda.is_available():
            torch.cuda.set_device(self._number % torch.cuda.device_count())
        model = load_model(setup.base, setup.quantizer)
        dtype = getattr(torch, setup.quantizer.dtype())
        install(model, dtype, int(params.weight_cache_gib * 2**30))
        tokenizer = load_tokenizer(setup.base)
        return Generator(model, tokenizer, max_new_tokens=params.max_new_tokens, stop=params.stop)

    def _check_room(self, prompt: int) -> None:
        room, limit = self._generator.room, self._setup.params.max_new_tokens
        if room is not None and prompt + limit > room:
            raise StepError(
                f"a prompt of {prompt:,} tokens and an answer of {limit:,} are more than the "
                f"{room:,} tokens that the base model can see",
                hint=f"with this base max_prompt_tokens is {max(0, room - limit):,} at most",
            )


# ---- checkpoints ----------------------------------------------------------------------------


def load_part(work: Path, part: Part) -> Found | None:
    """Return what an earlier run kept of a part; None where it kept nothing, or is damaged."""
    try:
        kept = json.loads(_path(work, part).read_text(encoding="utf-8"))
        content = kept["found"]
        if kept["digest"] != _seal(part, content):
            return None
        return Found(**content)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(work: Path, part: Part, found: Found) -> None:
    content = asdict(found)
    text = json.dumps({"digest": _seal(part, content), "found": content}, ensure_ascii=False)
    path = _path(work, part)
    path.parent.mkdir(exist_ok=True)
    # The name is this process's own until the file is whole.
    draft = path.with_suffix(f".{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _path(work: Path, part: Part) -> Path:
    """Return the part's file, by the ids of its rows; the folder is of one step and its inputs."""
    name = digest("scored-rows", _ids(part)).removeprefix("sha256:")
    return work / "parts" / f"{name}.json"


def _seal(part: Part, content: Any) -> str:
    return digest("scored-part", [_ids(part), content])


def _ids(part: Part) -> list[list[str]]:
    return [[prompt.id for prompt in batch] for batch in part]
