"""Read conversations, in the three formats in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from khichdi.plugins import Drop, Reader, SourceFile

from .records.columns import COLUMNS_HELP, Columns, FieldPath, ReaderParams

if TYPE_CHECKING:
    import pyarrow as pa

    from .records.record import Record

ROLES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "system": "system",
}
"""The words that data sets use for who speaks -> ours."""

KEYS = (("role", "content"), ("from", "value"), ("role", "text"))


class ConversationsParams(ReaderParams):
    """Field of the conversation, and further columns."""

    field: FieldPath = Field(
        "conversations",
        description=(
            "Field with the list of turns: alternating user and assistant texts, or objects with "
            "`from` and `value`, or with `role` and `content`."
        ),
    )
    unanswered: Literal["error", "trim"] = Field(
        "error",
        description="What to do with turns after the last assistant turn: `trim` removes them.",
    )
    columns: Columns = Field(
        default_factory=dict,
        description=COLUMNS_HELP + "Instruction, input and output come from the turns.",
    )

    @field_validator("columns")
    @classmethod
    def _not_from_turns(cls, columns: Columns) -> Columns:
        taken = sorted({"instruction", "input", "output"} & set(columns))
        if taken:
            raise ValueError(f"{', '.join(taken)}: these come from the turns")
        return columns


class Conversations(Reader[ConversationsParams]):
    """Read conversations; the first question and answer become instruction and output."""

    name = "conversations"
    requires = ("pyarrow",)

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; the format of each file is the one its name ends with."""
        from .records.formats import records
        from .records.row_mapper import Mapper, read_mapped

        mapper = Mapper(self.params.columns, required=())
        parse = partial(records, paths=[*mapper.paths, self.params.field])
        return read_mapped(files, parse, mapper, self.params.on_bad_row, self._with_turns)

    def _with_turns(self, record: Record, row: dict[str, Any]) -> dict[str, Any]:
        """Add the turns, and the first question and answer."""
        turns = self._turns(record)
        answers = [n for n, turn in enumerate(turns) if turn["role"] == "assistant"]
        if not answers:
            raise record.error(
                f"`{self.params.field}` has no turn by the assistant, so nothing to learn"
            )
        after = len(turns) - answers[-1] - 1
        if after and self.params.unanswered == "error":
            raise record.error(
                f"`{self.params.field}` continues after the last assistant turn ({after} more)",
                "to drop such turns, set `unanswered: trim`",
            )
        spoken = [turn for turn in turns if turn["role"] != "system"]
        if spoken[0]["role"] != "user":
            raise record.error(f"`{self.params.field}` starts with the assistant, not with a user")
        row["turns"] = turns[: answers[-1] + 1]
        row["instruction"] = spoken[0]["text"]
        row["output"] = turns[answers[0]]["text"]
        return row

    def _turns(self, record: Record) -> list[dict[str, str]]:
        """Return the turns with our roles."""
        from .records.record import MISSING, lookup, what
        from .records.row_mapper import text_of

        field = self.params.field
        value = lookup(record.value, field)
        if not isinstance(value, list):
            found = "no such field" if value is MISSING else what(value)
            known = ", ".join(record.fields)
            hint = f"the record has: {known}; say which one it is: `field: ...`"
            raise record.error(f"`{field}` must be a list of turns, found {found}", hint)
        turns = []
        for number, item in enumerate(value):
            place = f"`{field}`, turn {number}"
            if isinstance(item, dict):
                role, text = _spoken(record, place, item)
            else:
                role, text = ("user", "assistant")[number % 2], item
            turns.append({"role": role, "text": text_of(record, place, text)})
        return turns


def _spoken(record: Record, place: str, item: dict[str, Any]) -> tuple[str, Any]:
    """Return who says what in a turn that is an object."""
    for role, text in KEYS:
        if role in item and text in item:
            known = ROLES.get(str(item[role]).lower())
            if known is None:
                raise record.error(
                    f"{place}: unknown role {item[role]!r}", f"known roles: {', '.join(ROLES)}"
                )
            return known, item[text]
    raise record.error(
        f"{place} has {', '.join(item) or 'no fields'}",
        "a turn is a text, or has `from` and `value`, or `role` and `content`",
    )
