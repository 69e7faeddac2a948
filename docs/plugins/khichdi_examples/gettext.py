"""The reader `gettext`: translations of programs as rows."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from khichdi.plugins import Drop, Params, Reader, SourceFile, StepError, hookimpl
from pydantic import Field

if TYPE_CHECKING:
    import pyarrow as pa


class GettextParams(Params):
    """What is asked, and which messages are taken."""

    instruction: str = Field(
        "Translate into {language}.",
        description="Instruction of each row; {language} is from the file's header.",
    )
    fuzzy: Literal["drop", "keep"] = Field(
        "drop", description="What to do with translations marked as not reviewed."
    )


@dataclass
class Message:
    """An entry of a file: its parts (`msgid`, `msgstr`, ...) and its flags."""

    parts: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)


class Gettext(Reader[GettextParams]):
    """Read translations of programs (gettext's .po files), a row for each message."""

    name = "gettext"
    example = {"instruction": "Translate into {language}."}

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield a batch for each file, and a `Drop` for each message without a translation."""
        import pyarrow as pa

        for file in files:
            messages = _messages(file)
            language = _language(messages)
            instruction = self.params.instruction.replace("{language}", language)
            rows = []
            # The entry with an empty msgid is the file's header.
            for number, message in enumerate(m for m in messages if m.parts.get("msgid")):
                row_id = f"{file.path}#{number}"
                reason = self._reason(message)
                if reason:
                    yield Drop(reason, message.parts["msgid"][:80], row_id)
                    continue
                rows.append(
                    {
                        "id": row_id,
                        "task": message.parts.get("msgctxt", ""),
                        "instruction": instruction,
                        "input": message.parts["msgid"],
                        "output": _translation(message),
                    }
                )
            names = ("id", "task", "instruction", "input", "output")
            yield pa.record_batch({n: pa.array([r[n] for r in rows], pa.string()) for n in names})

    def _reason(self, message: Message) -> str | None:
        if not _translation(message):
            return "untranslated"
        if "fuzzy" in message.flags and self.params.fuzzy == "drop":
            return "fuzzy"
        return None


def _translation(message: Message) -> str:
    """Return the translation; of a message with plural forms, that of the singular."""
    return message.parts.get("msgstr") or message.parts.get("msgstr[0]", "")


def _language(messages: list[Message]) -> str:
    header = next((_translation(m) for m in messages if not m.parts.get("msgid")), "")
    for line in header.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "language":
            return value.strip()
    return "the language of the file"


def _messages(file: SourceFile) -> list[Message]:
    """Return the entries of a file; what is commented out (`#~`) is none."""
    try:
        lines = file.location.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise StepError(f"{file.path}: not UTF-8: {error.reason}") from None
    found: list[Message] = []
    part = ""
    for number, line in enumerate(map(str.strip, lines), 1):
        keyword, _, rest = line.partition(" ")
        # A comment or a context opens an entry, and so does a msgid that has neither.
        opens = line.startswith("#") or keyword in ("msgctxt", "msgid")
        if line and not line.startswith("#~") and opens and _is_whole(found):
            found.append(Message())
        if line.startswith("#,"):
            found[-1].flags |= {flag.strip() for flag in line[2:].split(",")}
        elif keyword.startswith("msg") and found:
            part = keyword
            found[-1].parts[part] = _text(rest.strip(), file.path, number)
        elif line.startswith('"') and part:
            found[-1].parts[part] += _text(line, file.path, number)
        elif line and not line.startswith("#"):
            raise _wrong(file.path, number)
    return found


def _is_whole(found: list[Message]) -> bool:
    """Tell whether the next line can open an entry: the last one has its translation."""
    return not found or any(name.startswith("msgstr") for name in found[-1].parts)


def _text(quoted: str, path: str, number: int) -> str:
    """Return what a quoted string says; its escapes are those of C, which Python shares."""
    try:
        text = ast.literal_eval(quoted) if quoted.startswith('"') else None
    except (SyntaxError, ValueError):
        text = None
    if not isinstance(text, str):
        raise _wrong(path, number)
    return text


def _wrong(path: str, number: int) -> StepError:
    return StepError(
        f"{path}, line {number}: a keyword and a text in quotes were expected",
        hint="`msgfmt --check` tells what is wrong with the file",
    )


@hookimpl
def khichdi_readers() -> list[type[Gettext]]:
    """Return the plugins of this distribution."""
    return [Gettext]
