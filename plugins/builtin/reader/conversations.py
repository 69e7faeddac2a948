"""Read conversations, in the three formats in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from khichdi.plugins import Drop, Reader, SourceFile, later

from .layouts.roles import CarriedField
from .records.columns import COLUMNS_HELP, Columns, FieldPath, ReaderParams

if TYPE_CHECKING:
    import pyarrow as pa

    from .records.record import FileRecord


class ConversationsParams(ReaderParams):
    """Field of the conversation, and further columns."""

    field: FieldPath = Field(
        "conversations",
        description=(
            "Field with the list of turns: alternating user and assistant texts, or objects with "
            "`from` and `value`, or with `role` and `content`."
        ),
    )
    tools: FieldPath = Field(
        "tools",
        description="The field with the tools that the assistant may call, where a record has it: "
        "a list of JSON schemas, or such a list as JSON text.",
    )
    system: FieldPath = Field(
        "system",
        description="The field with the system prompt, where a record has it beside its turns.",
    )
    ignore: tuple[CarriedField, ...] = Field(
        (),
        description="What is left out on purpose: `tools` and `system` of a record; `tool_calls`, "
        "`reasoning_content`, `name` and `weight` (also `train`) of turns. All else that a turn "
        "carries goes to the template, which refuses what it cannot write.",
    )
    drop_system: bool = later(
        False, description="Leave out the system message that a chat starts with."
    )
    unanswered: Literal["error", "trim", "drop"] = Field(
        "error",
        description="What to do with a chat that continues after the assistant's last turn: stop "
        "and name it, leave those turns out (`trim`), or `drop` the chat and count it.",
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
    version = 2  # 2: turns carry tool calls, reasoning, names and weights; rows have tools
    requires = ("pyarrow",)

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows; the format of each file is the one its name ends with."""
        from .records.formats import records
        from .records.row_mapper import Mapper, read_mapped

        params = self.params
        mapper = Mapper(params.columns, required=())
        paths = [*mapper.paths, params.field, params.tools, params.system]
        parse = partial(records, paths=paths)
        return read_mapped(files, parse, mapper, params.on_bad_row, self._with_turns)

    def _with_turns(self, record: FileRecord, row: dict[str, Any]) -> dict[str, Any] | Drop:
        """Add the turns, and the first question and answer."""
        from .layouts.chat_turns import read_system, read_tools, read_turns

        params = self.params
        turns = read_turns(record, params.field, params.ignore)
        if turns and turns[0]["role"] != "system":
            turns = read_system(record, params.system, params.ignore) + turns
        if params.drop_system and turns and turns[0]["role"] == "system":
            turns = turns[1:]
        answers = [n for n, turn in enumerate(turns) if turn["role"] == "assistant"]
        if not answers:
            raise record.error(
                f"`{params.field}` has no turn by the assistant, so nothing to learn"
            )
        after = len(turns) - answers[-1] - 1
        if after and params.unanswered != "trim":
            words = f"`{params.field}` continues after the assistant's last turn ({after} more)"
            if params.unanswered == "drop":
                return Drop("unanswered", words, record.id)
            hint = (
                "set `unanswered: trim` to drop such turns, `unanswered: drop` to drop such chats"
            )
            raise record.error(words, hint)
        spoken = [turn for turn in turns if turn["role"] not in ("system", "developer")]
        if spoken[0]["role"] != "user":
            by = spoken[0]["role"]
            raise record.error(f"`{params.field}` starts with the {by}, not with a user")
        row["turns"] = turns[: answers[-1] + 1]
        row["tools"] = read_tools(record, params.tools, params.ignore)
        row["instruction"] = spoken[0]["text"]
        row["output"] = turns[answers[0]]["text"]
        return row
