"""Read dialogues of questions and answers about a text: one row per question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from khichdi.plugins import Drop, Reader, SourceFile

from ..placeholders import PlaceholderText
from .dialogues_params import DialoguesParams

if TYPE_CHECKING:
    import pyarrow as pa

    from .layouts.qa_layouts import Asked
    from .records.record import RecordError
    from .records.row_mapper import Mapper


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
        turn = PlaceholderText(params.turn)
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
            "instruction": PlaceholderText(params.instruction).fill(values),
            "input": PlaceholderText(params.input).fill(values),
            "output": answers[0],
            "references": list(dict.fromkeys(answers)),
        }
