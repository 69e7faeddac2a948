"""Parse the questions of dialogues, in the two published layouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from khichdi.plugins import SourceFile
from khichdi.schema.errors import StepError

from ..records.formats import records
from ..records.json_records import load_json
from ..records.record import FileRecord, RecordError, lookup, read_text, refuse_none, what
from ..records.row_mapper import required_at, text_at, text_of

if TYPE_CHECKING:
    from ..dialogues_params import DialoguesParams


@dataclass(frozen=True)
class Asked:
    """One question: its record, its dialogue, its text and its answers."""

    record: FileRecord
    dialogue: int
    context: str
    question: str
    answers: list[str]


def squad(file: SourceFile) -> Iterator[Asked | RecordError]:
    """Yield the questions of a file with `data`, `paragraphs` and `qas`."""
    found = load_json(file, read_text(file))
    articles = found.get("data") if isinstance(found, dict) else None
    if not isinstance(articles, list):
        raise StepError(
            "an object with a list `data` was expected",
            file=file.path,
            hint="a record for each dialogue is read with `layout: lists`",
        )
    number = 0
    for dialogue, (article, paragraph) in enumerate(_paragraphs(file, articles)):
        shared = {key: value for key, value in paragraph.items() if key != "qas"}
        for question in paragraph["qas"]:
            fields = question if isinstance(question, dict) else {}
            value = {"title": article.get("title", ""), **shared, **fields}
            yield _of_squad(FileRecord(file, number, None, value), dialogue, question)
            number += 1
    refuse_none(file, number)


def _paragraphs(
    file: SourceFile, articles: list[Any]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for place, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        for paragraph in paragraphs if isinstance(paragraphs, list) else [None]:
            if not isinstance(paragraph, dict) or not isinstance(paragraph.get("qas"), list):
                raise StepError(
                    f"$.data[{place}]: `paragraphs` with `context` and a list `qas` were expected",
                    file=file.path,
                    hint="a file that was not written by the data set's authors may leave them out",
                )
            yield article, paragraph


def _of_squad(record: FileRecord, dialogue: int, question: Any) -> Asked | RecordError:
    try:
        if not isinstance(question, dict):
            raise record.error(
                f"an object was expected, found {what(question)}", reason="wrong-type"
            )
        answers = []
        original = lookup(record.value, "orig_answer.text")
        for text in [original, *_list(lookup(record.value, "answers.*.text"))]:
            if isinstance(text, str):
                answers.append(text_of(record, "an answer", text))
        if "answers" not in record.value and not answers:
            raise record.error("there is no field `answers`", reason="missing-field")
        if question.get("is_impossible"):
            answers = []
        asked = text_at(record, "question")
        return Asked(record, dialogue, text_at(record, "context"), asked, answers)
    except RecordError as bad:
        return bad


def listed(
    file: SourceFile, params: DialoguesParams, paths: Sequence[str]
) -> Iterator[Asked | RecordError]:
    """Yield the questions of records with parallel lists; each is numbered through the file."""
    number = 0
    wanted = [*paths, params.context, params.questions, params.answers]
    for dialogue, found in enumerate(records(file, wanted)):
        for item in _of_record(found, dialogue, number, params):
            yield item
            number += 1


def _of_record(
    found: FileRecord | RecordError, dialogue: int, number: int, params: DialoguesParams
) -> Iterator[Asked | RecordError]:
    """Yield the questions of one record, numbered from `number`; a bad record is one of them."""
    if isinstance(found, RecordError):
        yield found.renumbered(number)
        return
    record = replace(found, number=number)
    try:
        context = text_at(record, params.context)
        pairs = _pairs(record, params)
    except RecordError as bad:
        yield bad
        return
    for position, (question, answer) in enumerate(pairs):
        record = replace(found, number=number + position)
        try:
            texts = [text_of(record, "an answer", text) for text in _list(answer)]
            asked = text_of(record, f"`{params.questions}`", question)
        except RecordError as bad:
            yield bad
        else:
            yield Asked(record, dialogue, context, asked, texts)


def _pairs(record: FileRecord, params: DialoguesParams) -> list[tuple[Any, Any]]:
    questions = required_at(record, params.questions)
    answers = required_at(record, params.answers)
    if not isinstance(questions, list) or not isinstance(answers, list):
        message = f"`{params.questions}` and `{params.answers}` must be lists"
        raise record.error(message, reason="wrong-type")
    if len(questions) != len(answers) or not questions:
        raise record.error(f"{len(questions)} questions, but {len(answers)} answers")
    return list(zip(questions, answers, strict=True))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
