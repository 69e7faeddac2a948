"""The parameters of the `dialogues` reader."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ..placeholders import check_names
from .records.columns import COLUMNS_HELP, Columns, FieldPath, ReaderParams, TemplateText

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
        description=COLUMNS_HELP + "With `squad` these are the fields of the question, of its "
        "paragraph, and the `title`. Instruction, input and output come from the dialogue.",
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
