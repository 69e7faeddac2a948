"""Render rows with the chat template that comes with the model, or with one of the recipe's."""

from __future__ import annotations

import json
from datetime import date
from functools import partial
from typing import Any

from pydantic import Field, field_validator, model_validator

from khichdi.plugins import (
    BaseChat,
    Breach,
    ChatSupport,
    Rendering,
    Row,
    Segment,
    StepError,
    Template,
)
from khichdi.schema.errors import RowError

from .answers import Answer, History, as_written, find_answers, keeps, per_answer
from .chat_support import history_of
from .chat_template import (
    NAME_A_DAY,
    READS_CLOCK,
    ChatTemplate,
    Message,
    Spans,
    reads_clock,
    source_of,
)
from .turns import TemplateParams, messages_of, trained_turns, with_reasoning

FIELDS = ("tool_calls", "reasoning_content", "name")
"""Fields of a turn with content, beside its text."""


class ChatParams(TemplateParams):
    """Which chat template renders rows, and how."""

    jinja: str | None = Field(
        None,
        min_length=1,
        description="The template: a file beside the recipe (`own.jinja`), whose text is part of "
        "the recipe hash, the Jinja text itself, or a name, where the tokenizer has several "
        "(`tool_use`). The tokenizer's own if left out.",
    )
    system: str | None = Field(
        None,
        min_length=1,
        description="System message for rows without one of their own.",
    )
    date: str | None = Field(
        None,
        pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description="The day, as `2026-11-26`, that the template writes as today's. Needed where "
        "it calls `strftime_now`.",
    )
    history: History = Field(
        "auto",
        description="For templates that write an answer differently once another turn follows: "
        "`as-written` trains on the whole chat as one sample, and on those parts of answers that "
        "stay the same; `per-answer` makes one sample for each answer, as it is rendered at "
        "inference. `auto` is `per-answer` for chats in which an answer is rewritten, else "
        "`as-written`.",
    )

    @field_validator("date")
    @classmethod
    def _a_day(cls, value: str | None) -> str | None:
        if value is not None:
            date.fromisoformat(value)
        return value

    @model_validator(mode="after")
    def _the_day_is_named(self) -> ChatParams:
        if self.date is None and self.jinja is not None and reads_clock(self.jinja):
            raise ValueError(f"{READS_CLOCK}; {NAME_A_DAY}")
        return self


class Chat(Template[ChatParams]):
    """Render rows with a chat template: the tokens are those of `apply_chat_template`."""

    name = "chat"
    version = 2  # 2: tokenized whole; the template's own end-of-turn markers and no other
    requires = ("transformers",)

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the pieces of the row's last sample."""
        return self.renderings(row, tokenizer)[-1].segments()

    def renderings(self, row: Row, tokenizer: Any) -> list[Rendering]:
        """Return the whole chat as one sample, or one sample for each answer; see `history`.

        Raises:
            StepError: there is no usable chat template.
            RowError: the template refuses the chat, or cannot write something it carries.
        """
        render, template, messages = self._prepared(row, tokenizer)
        counted = trained_turns(messages, self.params.learn)
        text, marks = render(messages)
        _check_turns(text, messages)
        _check_fields(render, messages)
        if self.params.learn == "all":
            return [self._all(render, text, messages, counted)]
        if template.marked and self.params.history != "per-answer":
            return [Rendering(text, _of_turns(marks, messages, counted), complete=True)]
        answers = [one for one in find_answers(render, messages) if one.turn in counted]
        if self._apart(text, answers, tokenizer):
            return per_answer(answers)
        return [as_written(text, answers)]

    def prompt(self, row: Row, tokenizer: Any) -> Rendering:
        """Return the chat up to its last answer, with the generation prompt."""
        render, _, messages = self._prepared(row, tokenizer)
        trained_turns(messages, "all")
        return Rendering(render(messages[:-1], prompt=True)[0], complete=True)

    def chat_template(self, tokenizer: Any) -> str | None:
        """Return the template that the recipe names, if it is not the tokenizer's default."""
        return self._source(tokenizer, tools=False) if self.params.jinja else None

    def chat_support(self, base: BaseChat) -> ChatSupport | None:
        """Return which history the template has; refuse one that reads the clock without `date`."""
        source = self._known(base)
        if source is None:
            return None
        try:
            template = ChatTemplate(source, base.tokens, self.params.date)
        except ModuleNotFoundError:  # rendering needs transformers
            return None
        except StepError as error:
            return ChatSupport(breaches=(Breach(error.message, hint=error.hint),))
        if self.params.history != "auto":
            return ChatSupport(self.params.history, "by the recipe")
        if self.params.learn == "all":
            return ChatSupport("as-written", "the whole text is learned")
        return history_of(template, base)

    def _known(self, base: BaseChat) -> str | None:
        own = self.params.jinja
        return own if _is_written(own) else base.templates.get(own or "default")

    def _prepared(self, row: Row, tokenizer: Any) -> tuple[Any, ChatTemplate, list[Any]]:
        """Return a function that renders messages, its template, and the row's messages."""
        messages = with_reasoning(messages_of(row))
        if self.params.system is not None and messages[0]["role"] not in ("system", "developer"):
            messages.insert(0, {"role": "system", "content": self.params.system})
        tools = json.loads(row.get("tools") or "[]")
        template = self._template(tokenizer, bool(tools))
        if tools and template.render(messages, tools) == template.render(messages, None):
            raise _unsaid("tools")
        return partial(_render, template, tools), template, messages

    def _template(self, tokenizer: Any, tools: bool) -> ChatTemplate:
        source = self._source(tokenizer, tools)
        return ChatTemplate(source, tokenizer.special_tokens_map, self.params.date)

    def _source(self, tokenizer: Any, tools: bool) -> str:
        own = self.params.jinja
        return own if own and _is_written(own) else source_of(tokenizer, own, tools)

    def _apart(self, text: str, answers: list[Answer], tokenizer: Any) -> bool:
        if self.params.history == "auto":
            return not keeps(text, answers, tokenizer.get_added_vocab())
        return self.params.history == "per-answer"

    def _all(self, render: Any, text: str, messages: list[Any], counted: set[int]) -> Rendering:
        """Return the whole text, without the answers that are not to be learned."""
        roles = [message["role"] for message in messages]
        if roles.count("assistant") == len(counted):
            return Rendering(text, ((0, len(text)),), complete=True)
        left_out = [one for one in find_answers(render, messages) if one.turn not in counted]
        spans, start = [], 0
        for begin, end in as_written(text, left_out).spans:
            spans.append((start, begin))
            start = end
        return Rendering(text, (*spans, (start, len(text))), complete=True)


def _is_written(jinja: str | None) -> bool:
    """Return whether the parameter is a template's text; else it is a name."""
    return jinja is not None and ("{{" in jinja or "{%" in jinja)


def _render(
    template: ChatTemplate, tools: list[Any], messages: list[Message], *, prompt: bool = False
) -> tuple[str, Spans]:
    return template.render(messages, tools, prompt=prompt)


def _of_turns(marks: Spans, messages: list[Any], counted: set[int]) -> Spans:
    """Return the marked blocks of the answers that count."""
    turns = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    if set(turns) == counted:
        return marks
    if len(marks) != len(turns):
        raise RowError(
            f"the chat template marks {len(marks)} blocks for {len(turns)} answers, so it cannot "
            "be told which of them is not to be learned",
            hint="leave out `learn: last`, and `train` and `weight` of turns",
        )
    return tuple(mark for mark, turn in zip(marks, turns, strict=True) if turn in counted)


def _check_fields(render: Any, messages: list[Any]) -> None:
    """Refuse a field of a turn that does not change the template's output.

    The first turn of each role that has it is written as the last, once with and once without.
    The name of a tool's turn only repeats which call it answers.
    """
    tried = set()
    for number, message in enumerate(messages):
        for field in FIELDS:
            key = field, message["role"]
            if not message.get(field) or key in tried or key == ("name", "tool"):
                continue
            tried.add(key)
            names = {field, "thinking"} if field == "reasoning_content" else {field}
            without = {name: value for name, value in message.items() if name not in names}
            before = messages[:number]
            if render([*before, message]) == render([*before, without]):
                raise _unsaid(field)


def _unsaid(field: str) -> RowError:
    return RowError(
        f"the chat template does not write `{field}`, which the row carries",
        hint="use a template that does with `jinja: ...`, leave the field out with the reader's "
        f"`ignore: [{field}]`, or set `on_bad_row: drop` under `template`",
        reason=f"no-place-for-{field.replace('_', '-')}",
    )


def _check_turns(text: str, messages: list[Any]) -> None:
    """Refuse a chat of which a turn is not in the text: templates skip roles they do not know."""
    for number, message in enumerate(messages):
        content = str(message.get("content") or "").strip()
        if message["role"] == "assistant" or content in text:
            continue
        if json.dumps(content, ensure_ascii=False)[1:-1] not in text:
            raise RowError(
                f"the chat template leaves out turn {number}, by `{message['role']}`",
                hint="use a template that knows this role, or set `on_bad_row: drop`",
                reason="turn-left-out",
            )
