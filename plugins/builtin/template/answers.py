"""Find the answers of a rendered chat: which characters the loss counts.

An answer begins where the generation prompt ends and runs through the template's own end-of-turn
marker. Some templates write an answer differently once another turn follows it (Qwen3 leaves out
thoughts, Phi-3 its last token): `history` decides whether such a chat is one sample or several.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from khichdi.plugins import Rendering
from khichdi.schema.errors import RowError

from .chat_template import Message, Spans

History = Literal["auto", "as-written", "per-answer"]
Render = Callable[..., tuple[str, Spans]]


@dataclass(frozen=True)
class Answer:
    """An answer as the template writes it when it is the last turn.

    Attributes:
        turn: its number among the messages.
        whole: the chat up to and with it.
        span: its place there.
    """

    turn: int
    whole: str
    span: tuple[int, int]


def find_answers(render: Render, messages: Sequence[Message]) -> list[Answer]:
    """Return every answer of a chat.

    Raises:
        RowError: the template changes the text before an answer once the answer is there.
    """
    return [
        _answer(render, messages, turn)
        for turn, message in enumerate(messages)
        if message["role"] == "assistant"
    ]


def _answer(render: Render, messages: Sequence[Message], turn: int) -> Answer:
    if turn == 0:
        raise RowError("the chat starts with the assistant: there is nothing to answer")
    whole, _ = render(messages[: turn + 1])
    prompt, _ = render(messages[:turn], prompt=True)
    start = shared(prompt, whole)
    if start < len(prompt):
        bare, _ = render(messages[:turn])
        if start < shared(prompt, bare):
            raise RowError(
                f"the chat template rewrites what stands before turn {turn} once it is answered, "
                "so prompt and answer cannot be told apart",
                hint="use another template with `jinja: ...`, or one with {% generation %} marks",
            )
    content = str(messages[turn].get("content", ""))
    return Answer(turn, whole, (start, _end(whole, start, content)))


def _end(whole: str, start: int, content: str) -> int:
    """Return where an answer ends: white space behind an end-of-turn marker is not part of it."""
    bare = whole[start:].rstrip()
    unmarked = not bare or (content.strip() and bare.endswith(content.strip()))
    return len(whole) if unmarked else start + len(bare)


def as_written(text: str, answers: Sequence[Answer]) -> Rendering:
    """Return the whole chat as one sample.

    Of each answer, the part counts that stands there as it would if the answer were the last.
    """
    spans = [(one.span[0], min(one.span[1], shared(text, one.whole))) for one in answers]
    return Rendering(text, tuple(span for span in spans if span[0] < span[1]), complete=True)


def per_answer(answers: Sequence[Answer]) -> list[Rendering]:
    """Return one sample for each answer, the chat up to it as it is rendered at inference."""
    return [Rendering(one.whole, (one.span,), complete=True) for one in answers]


def keeps(text: str, answers: Sequence[Answer], markers: Collection[str]) -> bool:
    """Return whether a whole chat has every answer as if it were the last.

    An answer may lose further `markers` of the tokenizer behind its end-of-turn marker.
    """
    rewritten = [one for one in answers if shared(text, one.whole) < one.span[1]]
    return all(_loses_only_markers(text, one, markers) for one in rewritten)


def _loses_only_markers(text: str, answer: Answer, markers: Collection[str]) -> bool:
    start, end = answer.span
    kept = text[start : shared(text, answer.whole)]
    after = max(
        (kept.rfind(marker) + len(marker) for marker in markers if marker in kept), default=0
    )
    lost = answer.whole[start + after : end]
    for marker in markers:
        lost = lost.replace(marker, "")
    return after > 0 and not lost.strip()


def shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their start."""
    if one.startswith(other):
        return len(other)
    low, high = 0, min(len(one), len(other))
    while low < high:  # the longest start that is the same, by halves
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
