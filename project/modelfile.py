"""Write a Modelfile, by which Ollama serves a GGUF file with the recipe's prompt format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..runtime.inference import row_of
from ..schema.errors import KhichdiError, WorkError
from ..schema.printable import one_line

SYSTEM, ASKED = "\ue000system\ue000", "\ue000asked\ue000"
ANSWERED, AGAIN = "\ue000answered\ue000", "\ue000again\ue000"
"""Texts that no template writes by itself, to find where it puts what it is given."""
CONTEXT = 8192
"""Tokens of context that are asked for at most: Ollama reserves memory for all of them."""
GGUF = "model.gguf"


def modelfile(
    template: Any, tokenizer: Any, *, title: str, room: int | None, license_: str | None
) -> str:
    """Return the text of a Modelfile beside `model.gguf`.

    Args:
        template: the recipe's template.
        tokenizer: the base's tokenizer.
        title: what the model is, for the first line.
        room: the model's context, in tokens.
        license_: the declared license of the base.

    Raises:
        WorkError: the template cannot be written in Ollama's language.
    """
    form, ends = prompt_form(template, tokenizer)
    lines = [f"# {one_line(title)}", f"FROM ./{GGUF}", f'TEMPLATE """{form}"""']
    lines.append("PARAMETER temperature 0")
    lines.append(f"PARAMETER num_ctx {min(room or CONTEXT, CONTEXT)}")
    lines += [f"PARAMETER stop {json.dumps(end, ensure_ascii=False)}" for end in ends]
    if license_:
        lines.append(f'LICENSE """{one_line(license_)}"""')
    return "\n".join(lines) + "\n"


def prompt_form(template: Any, tokenizer: Any) -> tuple[str, list[str]]:
    """Return a template's prompt in Ollama's language, and the texts that end an answer.

    It is found by rendering: what stands before and after a system message, a question, and an
    answer that another question follows. Ollama writes the form once for each question.
    """
    alone = _rendered(template, tokenizer, [("user", ASKED)])
    before, asked = _around(alone, [ASKED])
    opening = _said(before)
    try:
        told = _rendered(template, tokenizer, [("system", SYSTEM), ("user", ASKED)])
        first, middle, last = _around(told, [SYSTEM, ASKED])
        if last == asked:
            opening = (
                f"{{{{ if .System }}}}{_said(first)}{{{{ .System }}}}{_said(middle)}"
                f"{{{{ else }}}}{_said(before)}{{{{ end }}}}"
            )
    except KhichdiError:
        pass  # a template that knows no system message
    after = _after_answer(template, tokenizer, before, asked)
    form = f"{opening}{{{{ .Prompt }}}}{_said(asked)}{{{{ .Response }}}}{_said(after)}"
    special = tokenizer.get_added_vocab()
    ends = [str(tokenizer.eos_token)] if tokenizer.eos_token else []
    ends += [token for token in special if token and after.startswith(token) and token not in ends]
    return form, ends


def _after_answer(template: Any, tokenizer: Any, before: str, asked: str) -> str:
    """Return what stands between an answer and the next question, less what begins any question."""
    turns = [("user", ASKED), ("assistant", ANSWERED), ("user", AGAIN)]
    try:
        _, _, between, _ = _around(_rendered(template, tokenizer, turns), [ASKED, ANSWERED, AGAIN])
    except KhichdiError:
        return str(tokenizer.eos_token or "")
    return between.removesuffix(before) if before else between


def _rendered(template: Any, tokenizer: Any, turns: Sequence[tuple[str, str]]) -> str:
    """Return a prompt's text, without the token that begins it where llama.cpp adds that itself."""
    from ..plugins.toolkit.tokenization import bos_of

    messages = [{"role": role, "content": text} for role, text in turns]
    text: str = template.prompt(row_of(messages), tokenizer).text
    return text.removeprefix(tokenizer.bos_token) if bos_of(tokenizer) is not None else text


def _around(text: str, marks: Sequence[str]) -> list[str]:
    """Return the pieces of a text around marks that stand in it once each, in this order."""
    pieces = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found or mark in text:
            raise WorkError(
                "the recipe's template changes what it is given, which Ollama's cannot",
                hint="`--to gguf` writes the model alone, with its chat template inside",
            )
        pieces.append(before)
    return [*pieces, text]


def _said(text: str) -> str:
    """Return a text as an action that writes it; JSON's strings are Go's."""
    return f"{{{{ {json.dumps(text)} }}}}" if text else ""
