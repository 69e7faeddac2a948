"""Read multiple-choice questions, in the layouts in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from khichdi.plugins import Drop, Reader, SourceFile
from khichdi.plugins.toolkit.patterns import Pattern, check_pattern

from ..placeholders import PlaceholderText, check_names
from .records.columns import COLUMNS_HELP, Columns, FieldPath, ReaderParams, TemplateText

if TYPE_CHECKING:
    import pyarrow as pa

    from .records.record import FileRecord

OWN = ("question", "options", "letter", "text")
"""Names for a template beside the fields that the recipe names."""


class MultipleChoiceParams(ReaderParams):
    """Fields of question, choices and answer, and templates of the row."""

    question: FieldPath = Field("question", description="Field with the question.")
    choices: FieldPath | tuple[FieldPath, ...] = Field(
        "choices",
        description=(
            "Field with the choices, or one field per choice. A single field holds a list of "
            "texts, a list of objects with `text` and `label`, an object with two lists, or an "
            "object that maps each choice to a number, above 0 for correct ones."
        ),
    )
    answer: FieldPath | None = Field(
        "answer",
        description="Field with the correct choice; null if the choices mark it themselves.",
    )
    answer_is: Literal["auto", "index", "number", "letter", "label", "text"] = Field(
        "auto",
        description=(
            "How the answer identifies a choice: `index` from 0, `number` from 1, `letter` from A, "
            "the choice's own `label` or its `text`. `auto` detects it, and reports an error where "
            "two would fit."
        ),
    )
    strip: str | None = Field(
        None,
        description=(
            "Regular expression to remove from the start of each choice: `\\([A-E]\\)` if the file "
            "has its own letters in the text."
        ),
    )
    shuffle: bool = Field(
        False,
        description=(
            "Reorder the choices by the digest of question and choice, for files whose correct "
            "choice is always in the same position. The order of a question does not depend on the "
            "seed."
        ),
    )
    fields: dict[str, FieldPath] = Field(
        {},
        description=(
            "Further fields for the templates below: `{context: passage}`, then `{context}`. A "
            "null or missing field is empty."
        ),
    )
    option: TemplateText = Field(
        "{letter}. {text}", description="Template of a choice in `{options}`, one line each."
    )
    instruction: TemplateText = Field(
        "{question}\n{options}",
        description=(
            "Template of the instruction, with `{question}`, `{options}` and names from `fields`."
        ),
    )
    input: TemplateText = Field("", description="Template of the input, with the same names.")
    output: TemplateText = Field(
        "{letter}",
        description=(
            "Template of the answer, also with `{letter}` and `{text}` of the correct choice."
        ),
    )
    columns: Columns = Field(
        default_factory=dict,
        description=COLUMNS_HELP + "Instruction, input and output come from the templates above.",
    )
    field: FieldPath | None = Field(
        None, description="Path to the list of records when a JSON file holds an object."
    )
    names: tuple[FieldPath, ...] | None = Field(
        None, min_length=1, description="Field names of CSV files without a header line."
    )

    @field_validator("columns")
    @classmethod
    def _not_composed(cls, columns: Columns) -> Columns:
        taken = sorted({"instruction", "input", "output", "references"} & set(columns))
        if taken:
            raise ValueError(f"{', '.join(taken)}: these come from question, choices and answer")
        return columns

    @field_validator("strip")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        check_pattern(pattern or "")
        return pattern

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        asked = ("question", "options", *self.fields)
        check_names(self.option, ("letter", "text"))
        check_names(self.instruction, asked)
        check_names(self.input, asked)
        check_names(self.output, (*OWN, *self.fields))
        taken = sorted(set(OWN) & set(self.fields))
        if taken:
            raise ValueError(f"`{taken[0]}` is reserved; rename the field")
        return self


class MultipleChoice(Reader[MultipleChoiceParams]):
    """Read multiple-choice questions: lettered options, and the correct one as the output."""

    name = "multiple-choice"
    requires = ("pyarrow", "regex")

    def __init__(self, params: MultipleChoiceParams) -> None:
        super().__init__(params)
        self._label = None if params.strip is None else Pattern(params.strip)

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; the format of each file is the one its name ends with."""
        from .records.formats import records
        from .records.row_mapper import Mapper, read_mapped

        params = self.params
        mapper = Mapper(params.columns, required=())
        choices = [params.choices] if isinstance(params.choices, str) else params.choices
        answer = [params.answer] if params.answer else []
        paths = [*mapper.paths, params.question, *choices, *answer, *params.fields.values()]
        parse = partial(records, paths=paths, field=params.field, names=params.names)
        return read_mapped(files, parse, mapper, params.on_bad_row, self._composed)

    def _composed(self, record: FileRecord, row: dict[str, Any]) -> dict[str, Any]:
        """Add instruction, input and output."""
        from .layouts.mcq_layouts import choices_of, right_ones, shuffled
        from .records.row_mapper import text_at

        params = self.params
        choices = choices_of(record, params.choices, self._label)
        right = right_ones(record, choices, params.answer, params.answer_is)
        values = {name: text_at(record, path, "") for name, path in params.fields.items()}
        values["question"] = text_at(record, params.question)
        texts = choices.texts
        if params.shuffle:
            order = shuffled(values["question"], texts)
            texts, right = [texts[old] for old in order], [order.index(old) for old in right]
        letters = [chr(ord("A") + number) for number in range(len(texts))]
        lettered = [
            {"letter": letter, "text": text} for letter, text in zip(letters, texts, strict=True)
        ]
        option = PlaceholderText(params.option)
        values["options"] = "\n".join(option.fill(choice) for choice in lettered)
        row["instruction"] = PlaceholderText(params.instruction).fill(values)
        row["input"] = PlaceholderText(params.input).fill(values)
        output = PlaceholderText(params.output)
        answers = [output.fill(values | lettered[number]) for number in right]
        row["output"] = answers[0]
        row["references"] = list(dict.fromkeys(answers))
        return row
