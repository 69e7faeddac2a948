"""The model of a run, ready to answer: the pinned base, quantized as trained, with its adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plugins.kinds import Rendering
from ..plugins.kinds.progress import Progress, ignore_progress
from ..plugins.registry import Registry
from ..plugins.toolkit.answer_text import Piece, Sampling, ScoredToken
from ..schema.errors import InputError, StoreError, WorkError
from ..schema.plan import Plan, PlanStep
from ..schema.record import Record
from ..schema.rows import COLUMNS
from .environment import installed
from .steps.context import Context
from .store.store import Store
from .tempdirs import scratch_folder

if TYPE_CHECKING:
    from ..plugins.toolkit.generation import Generator

BATCH = 8
"""Prompts of one length that are answered together, as evaluations do by default."""
THREADS = 2
"""CPU threads where no evaluation of the run says how many it had."""
CACHE = 2**30
"""Bytes of unpacked base weights that are kept, which changes no answer."""


class RunModel:
    """A run's model; `loaded` makes one.

    Attributes:
        name: the run's recipe.
        room: tokens of a prompt and its answer together, if the model has a limit.
    """

    def __init__(self, plan: Plan, model: Any, tokenizer: Any, template: Any) -> None:
        from ..plugins.toolkit.generation import Generator

        self.name = plan.recipe
        self._model = model
        self._tokenizer = tokenizer
        self._template = template
        self._generator = Generator(model, tokenizer, max_new_tokens=1)
        self.room: int | None = self._generator.room

    def encode(self, prompt: Mapping[str, Any] | str) -> list[int]:
        """Return the tokens of a prompt.

        Args:
            prompt: a row, rendered by the recipe's template up to its answer; or a text, taken as
                it is.

        Raises:
            InputError: it is empty.
            RowError: the template refuses the row.
        """
        from ..plugins.toolkit.tokenization import encode

        if isinstance(prompt, str):
            rendering = Rendering(prompt)
        else:
            rendering = self._template.prompt(prompt, self._tokenizer)
        try:
            rendering.text.encode()
        except UnicodeEncodeError:
            raise InputError(
                "the prompt is not valid Unicode: it has half of a surrogate pair",
                hint="write it in UTF-8",
            ) from None
        ids = encode(rendering, self._tokenizer)[0]
        if not ids:
            raise InputError("the prompt is empty", hint="write some text")
        return ids

    def check_room(self, prompt: Sequence[int], new_tokens: int = 1) -> None:
        """Refuse a prompt that leaves no room for an answer.

        Raises:
            InputError: prompt and answer are longer than the model's context.
        """
        if self.room is not None and len(prompt) + new_tokens > self.room:
            raise InputError(
                f"the prompt has {len(prompt):,} tokens, and with {new_tokens:,} for the answer it "
                f"is over the model's context of {self.room:,}",
                hint="shorten it, or ask for fewer new tokens",
            )

    def stream(
        self, prompt: Sequence[int], sampling: Sampling, *, base: bool = False
    ) -> Iterator[Piece]:
        """Yield an answer in pieces; `base` leaves the adapter out.

        Raises:
            InputError: prompt and answer are longer than the model's context.
        """
        self.check_room(prompt, sampling.max_new_tokens)
        with self._adapter(base):
            yield from self._generator.stream(prompt, sampling)

    def scored(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        echo: bool = False,
        going: Callable[[], bool] = lambda: True,
    ) -> tuple[str, list[ScoredToken]]:
        """Return an answer of the trained model with the log-probability of each token.

        Args:
            prompt: token ids.
            sampling: how to answer.
            echo: score the tokens of the prompt too.
            going: asked before each token; where it says no, the answer ends there.

        Raises:
            InputError: prompt and answer are longer than the model's context.
        """
        self.check_room(prompt, sampling.max_new_tokens)
        return self._generator.scored(prompt, sampling, echo=echo, going=going)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without those that only mark its start or end.

        Raises:
            InputError: there is no such token.
        """
        size = len(self._tokenizer)
        unknown = next((one for one in tokens if not 0 <= one < size), None)
        if unknown is not None:
            raise InputError(f"there is no token {unknown}: ids are from 0 to {size - 1:,}")
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def answers(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        *,
        base: bool = False,
        report: Callable[[Progress], None] = ignore_progress,
    ) -> list[Piece]:
        """Return greedy answers, those to prompts of one length generated together."""
        from ..plugins.toolkit.generation import Generator, same_length

        for prompt in prompts:
            self.check_room(prompt, max_new_tokens)
        generator: Generator = Generator(
            self._model, self._tokenizer, max_new_tokens=max_new_tokens
        )
        found: dict[int, Piece] = {}
        with self._adapter(base):
            for group in same_length(prompts, BATCH):
                made = generator.complete([prompts[index] for index in group])
                found |= dict(zip(group, made, strict=True))
                report(Progress(len(found), len(prompts), unit="prompts"))
        return [found[index] for index in range(len(prompts))]

    def _adapter(self, base: bool) -> Any:
        return self._model.disable_adapter() if base else nullcontext()


@contextmanager
def loaded(
    plan: Plan, record: Record, store: Store, registry: Registry, *, threads: int | None = None
) -> Iterator[RunModel]:
    """Load the model of a run; answers are computed as its evaluation computed them.

    Enter it in the thread that generates: how many threads compute is a setting of that thread.

    Args:
        plan: the plan that ran.
        record: the run's record.
        store: the store that has its base and adapter.
        registry: where quantizer and template come from.
        threads: CPU threads; left out, those of the run's evaluation. Rounding depends on them.

    Raises:
        InputError: the run trained no model.
        StoreError: the store does not have base or adapter, or one of them is damaged.
        WorkError: packages are missing, or the model cannot be loaded.
    """
    with _context(trained_step(plan), registry, record, store) as context:
        _check_packages(context)
        from ..plugins.toolkit.tokenization import load_tokenizer, quiet

        with quiet():
            import torch

            from ..plugins.toolkit.determinism import deterministic
            from ..plugins.toolkit.frozen_linear import install
            from ..plugins.toolkit.model_loading import attach_adapter, load_model

        quantizer = context.part("quantizer")
        template = _template(plan, registry, record, store)
        with quiet(), deterministic(threads or _threads(plan, registry)):
            tokenizer = load_tokenizer(context.base())
            model = load_model(context.base(), quantizer)
            model = attach_adapter(model, context.inputs["adapter"])
            install(model, getattr(torch, quantizer.dtype()), CACHE)
            yield RunModel(plan, model, tokenizer, template)


def trained_step(plan: Plan) -> PlanStep:
    """Return the step that trained.

    Raises:
        InputError: there is none.
    """
    for step in plan.steps:
        if step.kind == "runtime":
            return step
    raise InputError("the run trained no model", hint="use a run whose recipe has `train`")


@contextmanager
def _context(step: PlanStep, registry: Registry, record: Record, store: Store) -> Iterator[Context]:
    """Give a step with its base, tokens and the run's adapter, their bytes checked."""
    sources = [one for one in step.sources() if one[0] in ("base", "tokens")]
    done = {one.name: one.result.outputs for one in record.steps}
    inputs = {}
    for role, name, output_name in (*sources, ("adapter", step.name, "adapter")):
        output = done[name][output_name]
        damaged = store.check(output)
        if damaged:
            raise StoreError(
                f"{store.root} does not have {name}#{output_name} as it was: {damaged[0]}",
                hint="run the recipe again, which makes it again",
            )
        inputs[role] = store.folder(output)
    with scratch_folder("model") as scratch:
        yield Context(step, inputs, Path(scratch), Path(), None, registry, ignore_progress)


def _template(plan: Plan, registry: Registry, record: Record, store: Store) -> Any:
    step = next((step for step in plan.steps if "template" in step.parts), None)
    if step is None:
        raise InputError("the run's plan names no template to write prompts by")
    return Context(step, {}, Path(), Path(), None, registry, ignore_progress).part("template")


def _check_packages(context: Context) -> None:
    refs = context.step.plugins()
    known = [ref for ref in refs if ref.name in context.registry.names(ref.kind)]
    needed = {name for r in known for name in context.registry.get(r.kind, r.name).plugin.requires}
    missing = sorted(name for name in needed if not installed(name))
    if missing:
        raise WorkError(
            f"the model needs packages that are not installed: {', '.join(missing)}",
            hint="install all that it needs with `pip install 'khichdi[train]'`",
        )


def _threads(plan: Plan, registry: Registry) -> int:
    """Return the CPU threads that the model was evaluated with, if that is known."""
    for step in plan.steps:
        ref = step.plugin
        if step.kind == "evaluator" and ref.name in registry.names(ref.kind):
            found = registry.create(ref.kind, ref.name, ref.params).threads()
            if found is not None:
                return int(found)
    return THREADS


# ---- prompts --------------------------------------------------------------------------------

EXTRA = ("tool_calls", "reasoning_content", "name", "tool_call_id")
"""Fields of a message beside its role and content, as rows keep them."""


def row_of(
    messages: Sequence[Mapping[str, Any]] = (),
    *,
    instruction: str = "",
    context: str = "",
    tools: str = "",
) -> dict[str, Any]:
    """Return a row that is a prompt: a chat, or an instruction with its context, not yet answered.

    A chat of one question is an instruction, as readers make of rows of one question. Earlier
    answers lose the white space around them: where there is some, the template writes it.
    """
    empty: dict[str, Any] = {"string": "", "list": [], "turns": []}
    row = {name: empty[kind] for name, kind in COLUMNS.items()}
    if len(messages) == 1 and set(messages[0]) == {"role", "content"} and not tools:
        instruction, messages = messages[0]["content"], ()
    asked = [message["content"] for message in messages if message["role"] == "user"]
    turns = [_turn(message) for message in messages]
    if turns:
        turns.append({"role": "assistant", "text": "", "extra": ""})
    return {
        **row,
        "id": "prompt",
        "instruction": instruction or (asked[-1] if asked else ""),
        "input": context,
        "references": [""],
        "turns": turns,
        "tools": tools,
    }


def _turn(message: Mapping[str, Any]) -> dict[str, str]:
    extra = {name: message[name] for name in EXTRA if message.get(name)}
    text = message.get("content") or ""
    return {
        "role": message["role"],
        "text": text.strip() if message["role"] == "assistant" else text,
        "extra": json.dumps(extra) if extra else "",
    }
