"""Read dialogues of questions and answers about a text: one row per question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from khichdi.plugins import Drop, Reader, SourceFile

from ..placeholders import Text, check_names
from .records.columns import COLUMNS_HELP, Columns, FieldPath, ReaderParams, TemplateText

if TYPE_CHECKING:
    import pyarrow as pa

    from .records.record import Record, RecordError
    from .records.row_mapper import Mapper

NAMES = ("context", "history", "question")


class DialoguesParams(ReaderParams):
    """Layout of the dialogues, history length, and templates of the row."""

    layout: Literal["squad", "lists"] = Field(
        "squad",
        description=(
            "`squad`: JSON files with `data`, `paragraphs` and `qas`, as SQuAD and QuAC are "
            "published. `lists`: one record per dialogue with lists of questions and answers, as "
            "QuAC is on the hub."
        ),
    )
    turns: int | None = Field(
        None,
        ge=0,
        description="Number of earlier turns that a row shows, the latest ones; all if omitted.",
    )
    turn: TemplateText = Field(
        "Question: {question}\nAnswer: {answer}",
        description="Template of an earlier turn in `{history}`.",
    )
    instruction: TemplateText = Field(
        "{question}",
        description="Template of the instruction, with `{context}`, `{history}` and `{question}`.",
    )
    input: TemplateText = Field(
        "{context}\n\n{history}", description="Template of the input, with the same names."
    )
    unanswerable: str | None = Field(
        None,
        description=(
            "Target answer for questions without one; if omitted, they are dropped as `no-answer`."
        ),
    )
    context: FieldPath = Field("context", description="`lists`: field with the text.")
    questions: FieldPath = Field("questions", description="`lists`: field with the questions.")
    answers: FieldPath = Field(
        "orig_answers.texts",
        description="`lists`: field with one answer per question, each a text or a list of texts.",
    )
    columns: Columns = Field(
        default_factory=dict,
        description=COLUMNS_HELP
        + (
            "With `squad` these are the fields of the question, of its paragraph, and the `title`. "
            "Instruction, input and output come from the dialogue."
        ),
    )

    @field_validator("columns")
    @classmethod
    def _not_composed(cls, columns: Columns) -> Columns:
        taken = sorted({"instruction", "input", "output", "references"} & set(columns))
        if taken:
            raise ValueError(f"{', '.join(taken)}: these come from the dialogue")
        return columns

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        check_names(self.turn, ("question", "answer"))
        check_names(self.instruction, NAMES)
        check_names(self.input, NAMES)
        return self


@dataclass(frozen=True)
class Asked:
    """One question: where it stands, which dialogue it is of, its text and its answers."""

    record: Record
    dialogue: int
    context: str
    question: str
    answers: list[str]


class Dialogues(Reader[DialoguesParams]):
    """Read questions and answers about a text, each row with the dialogue history."""

    name = "dialogues"
    requires = ("pyarrow",)

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield a row for each question, numbered through the file."""
        from .records.row_mapper import Mapper, batches

        mapper = Mapper(self.params.columns, required=())
        rows = (row for file in files for row in self._rows(file, mapper))
        return batches(rows, self.params.on_bad_row)

    def _rows(
        self, file: SourceFile, mapper: Mapper
    ) -> Iterator[dict[str, Any] | Drop | RecordError]:
        from .layouts.qa_layouts import listed, squad
        from .records.record import RecordError

        params, before, last = self.params, list[Mapping[str, str]](), None
        dialogue = -1
        found = squad(file) if params.layout == "squad" else listed(file, params, mapper.paths)
        for asked in found:
            if isinstance(asked, RecordError):
                yield asked
                continue
            last = asked.record
            if asked.dialogue != dialogue:
                dialogue, before = asked.dialogue, []
            answers = asked.answers or [params.unanswerable or ""]
            if not answers[0]:
                yield Drop("no-answer", asked.question, asked.record.id)
            else:
                yield self._row(asked, answers, before, mapper)
            before.append({"question": asked.question, "answer": answers[0]})
        if last is not None:
            mapper.finish(last)

    def _row(
        self,
        asked: Asked,
        answers: list[str],
        before: list[Mapping[str, str]],
        mapper: Mapper,
    ) -> dict[str, Any] | RecordError:
        from .records.record import RecordError

        params = self.params
        hidden = 0 if params.turns is None else max(0, len(before) - params.turns)
        turn = Text(params.turn)
        values = {
            "context": asked.context,
            "history": "\n".join(turn.fill(pair) for pair in before[hidden:]),
            "question": asked.question,
        }
        try:
            row = mapper.row(asked.record)
        except RecordError as bad:
            return bad
        return {
            **row,
            "instruction": Text(params.instruction).fill(values),
            "input": Text(params.input).fill(values),
            "output": answers[0],
            "references": list(dict.fromkeys(answers)),
        }
