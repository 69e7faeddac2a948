"""Render a tokenizer's chat template as transformers does, without the clock and without chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from khichdi.schema.errors import RowError, StepError

from .template_limits import LONGEST, LimitError, bounded, steps

Message = Mapping[str, Any]
Spans = tuple[tuple[int, int], ...]


class ChatTemplate:
    """A Jinja template with the tokenizer's special tokens, and a day where the recipe names one.

    Args:
        source: the template's text.
        tokens: the tokenizer's special tokens by name (`eos_token`, ...).
        date: the day that the template takes as today, as `2026-11-26`.

    Raises:
        StepError: the template is not valid Jinja, draws at random, or reads the clock and there
            is not a date.
    """

    def __init__(self, source: str, tokens: Mapping[str, Any], date: str | None) -> None:
        names = _names(source)
        self._compiled = _compiled(source)
        self._variables = {**tokens, "documents": None}
        self.marked = _has_marks(source)
        if "strftime_now" in names:
            if date is None:
                raise StepError(READS_CLOCK, hint=NAME_A_DAY)
            self._variables["strftime_now"] = datetime.fromisoformat(date).strftime

    def render(
        self, messages: Sequence[Message], tools: Sequence[Any] | None, *, prompt: bool = False
    ) -> tuple[str, Spans]:
        """Return the text, and the places of its `{% generation %}` blocks.

        `prompt` ends the text with the generation prompt.

        Raises:
            RowError: the template refuses the messages, or writes without end.
        """
        from jinja2 import TemplateError

        blocks: list[str] = []
        marks: list[tuple[int, int]] = []
        size = 0
        variables = self._variables | {
            "messages": [dict(message) for message in messages],
            "tools": tools or None,
            "add_generation_prompt": prompt,
            **steps(),
        }
        try:
            with self._compiled.environment.activate_tracker(blocks, marks):
                for block in self._compiled.generate(**variables):
                    size += len(block)
                    if size > LONGEST:
                        raise RowError(f"the chat template writes over {LONGEST:,} characters")
                    blocks.append(block)
        except TemplateError as error:
            raise RowError(f"the chat template refuses the chat: {error}", hint=REFUSED) from None
        except LimitError as error:
            raise RowError(f"the chat template has no end: {error}") from None
        except RecursionError:
            raise RowError("the chat template has no end: its macros call each other") from None
        except (TypeError, ValueError, KeyError, ArithmeticError) as error:
            words = f"the chat template fails on the chat: {type(error).__name__}: {error}"
            raise RowError(words, hint=REFUSED) from None
        return "".join(blocks), tuple(marks)


READS_CLOCK = (
    "the chat template writes the day on which it is rendered (strftime_now), so the same recipe "
    "would train on other tokens tomorrow"
)
NAME_A_DAY = "name a day in the recipe: `template: {use: chat, date: 2026-11-26}`"
REFUSED = (
    "many templates know no system turn, or want user and assistant to alternate; "
    "`on_bad_row: drop` under `template` drops such rows and counts them"
)


def reads_clock(source: str) -> bool:
    """Return whether a template asks for the day, without compiling it."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        tokens = [(kind, text) for _, kind, text in Environment().lex(source)]
    except TemplateSyntaxError:  # said where it is compiled
        return False
    return ("name", "strftime_now") in tokens


def source_of(tokenizer: Any, name: str | None, tools: bool) -> str:
    """Return the text of the tokenizer's chat template, of that name where it has several.

    Raises:
        StepError: it has none, or none of that name.
    """
    own = getattr(tokenizer, "chat_template", None)
    if not own:
        raise StepError(
            "the tokenizer of the base model has no chat template",
            hint="base models often have none: write one with `jinja: ...`, use another template, "
            "such as `use: alpaca`, or the instruction-tuned variant of the model",
        )
    if isinstance(own, str):
        own = {"default": own}
    wanted = name or ("tool_use" if tools and "tool_use" in own else "default")
    if wanted not in own:
        raise StepError(
            f"the tokenizer has no chat template named `{wanted}`",
            hint=f"it has: {', '.join(sorted(own))}; choose one with `jinja: NAME`",
        )
    return str(own[wanted])


@lru_cache(maxsize=32)
def _compiled(source: str) -> Any:
    """Return the template compiled by transformers, in its sandbox with its own functions."""
    # Not public, and the only way to the environment that `apply_chat_template` renders in.
    from jinja2 import TemplateSyntaxError
    from transformers.utils.chat_template_utils import _compile_jinja_template

    try:
        return bounded(source, _compile_jinja_template(""))
    except TemplateSyntaxError as error:
        words = f"the chat template is not valid Jinja: line {error.lineno}: {error}"
        raise StepError(words) from None


@lru_cache(maxsize=32)
def _names(source: str) -> frozenset[str]:
    """Return the names that a template reads.

    Raises:
        StepError: one of them draws at random.
    """
    from jinja2 import nodes

    tree = _parsed(source)
    names = frozenset(node.name for node in tree.find_all(nodes.Name) if node.ctx == "load")
    filters = {node.name for node in tree.find_all(nodes.Filter)}
    if chance := {"random"} & filters | {"lipsum"} & names:
        raise StepError(f"the chat template draws at random (`{min(chance)}`)")
    return names


@lru_cache(maxsize=32)
def _has_marks(source: str) -> bool:
    from jinja2 import nodes

    calls = (block.call.node for block in _parsed(source).find_all(nodes.CallBlock))
    return any(
        isinstance(call, nodes.ExtensionAttribute) and call.name == "_generation_support"
        for call in calls
    )


def _parsed(source: str) -> Any:
    return _compiled(source).environment.parse(source)
