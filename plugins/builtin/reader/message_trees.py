"""Read message trees, such as Open Assistant's conversations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from khichdi.plugins import Drop, Reader, SourceFile

from .records.columns import ReaderParams

if TYPE_CHECKING:
    import pyarrow as pa

    from .layouts.message_layouts import Message
    from .records.record import RecordError


class MessageTreesParams(ReaderParams):
    """Path through a tree, and which messages to skip."""

    reply: Literal["first", "best"] = Field(
        "first",
        description=(
            "Which of several replies to take: the `first` in the file, or the `best` by human "
            "`rank` (0 is the best; unranked replies come last)."
        ),
    )
    conversation: Literal["pair", "path"] = Field(
        "pair",
        description=(
            "`pair`: the first question and its answer. `path`: also, in the turns, the "
            "conversation down to the last answer on the path."
        ),
    )
    synthetic: Literal["keep", "drop"] = Field(
        "keep",
        description=(
            "What to do with messages marked as written by a model: such a reply is skipped, a "
            "tree that starts with one is dropped as `synthetic`."
        ),
    )


class MessageTrees(Reader[MessageTreesParams]):
    """Read message trees: one row per tree, from a path of its root to an answer."""

    name = "message-trees"
    requires = ("pyarrow",)

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield a row or a drop for each tree, numbered by the record of its root.

        Two layouts are known: a record for each message, with `message_id` and `parent_id`, and a
        record for each tree, with `prompt` and `replies` inside. Deleted messages are passed over.
        A file's messages are all held in memory: the next could belong to any tree.
        """
        from .records.row_mapper import batches

        rows = (row for file in files for row in self._rows(file))
        return batches(rows, self.params.on_bad_row)

    def _rows(self, file: SourceFile) -> Iterator[dict[str, Any] | Drop | RecordError]:
        from .layouts.message_layouts import Forest

        forest = Forest()
        yield from forest.grow(file)
        for root in forest.roots:
            yield self._row(root)

    def _row(self, root: Message) -> dict[str, Any] | Drop:
        """Return the row of a tree, or why it has none."""
        excerpt = root.text[:80]
        if not self._counts(root):
            return Drop("deleted" if root.deleted else "synthetic", excerpt, root.record.id)
        path = [root]
        while (reply := self._reply(path[-1])) is not None:
            path.append(reply)
        answers = [place for place, message in enumerate(path) if message.role == "assistant"]
        if not answers:
            return Drop("no-answer", excerpt, root.record.id)
        path, answer = path[: answers[-1] + 1], path[answers[0]]
        whole = path if self.params.conversation == "path" else []
        return {
            "id": root.record.id,
            "provenance": root.id,
            "input_languages": [root.language] if root.language else [],
            "output_languages": [answer.language] if answer.language else [],
            "instruction": root.text,
            "output": answer.text,
            "references": [answer.text],
            "turns": [
                {"role": message.role, "text": message.text, "extra": ""} for message in whole
            ],
        }

    def _reply(self, message: Message) -> Message | None:
        """Return the reply to continue with."""
        replies = [reply for reply in message.replies if self._counts(reply)]
        if self.params.reply == "best":
            last = float("inf")
            replies.sort(key=lambda reply: last if reply.rank is None else reply.rank)
        return replies[0] if replies else None

    def _counts(self, message: Message) -> bool:
        return not message.deleted and not (message.synthetic and self.params.synthetic == "drop")
