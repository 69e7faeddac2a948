"""Read Natural Instructions task files, in every published format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from khichdi.plugins import Drop, Reader, SourceFile
from khichdi.schema.did_you_mean import did_you_mean
from khichdi.schema.errors import StepError

from .records.columns import ReaderParams

if TYPE_CHECKING:
    import pyarrow as pa


class NaturalInstructionsParams(ReaderParams):
    """Tasks to read, and which references to keep."""

    tasks: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description=(
            "Tasks to read, by file name without extension or by number (`task1572`); every "
            "file if omitted."
        ),
    )
    references: Literal["all", "first"] = Field(
        "all",
        description="Which acceptable answers to keep besides the first, which is the output.",
    )


class NaturalInstructions(Reader[NaturalInstructionsParams]):
    """Read Natural Instructions task files; the definition is the instruction."""

    name = "natural-instructions"
    requires = ("pyarrow",)

    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield rows in file order; the task is the file's name without its ending."""
        from .layouts.ni_tasks import task_rows
        from .records.row_mapper import batches

        every = self.params.references == "all"
        chosen = self._chosen(files)
        rows = (row for file in chosen for row in task_rows(file, every))
        return batches(rows, self.params.on_bad_row)

    def _chosen(self, files: Sequence[SourceFile]) -> Sequence[SourceFile]:
        """Return the files of the tasks that are asked for."""
        if self.params.tasks is None:
            return files
        from .layouts.ni_tasks import task_name

        wanted, found, chosen = set(self.params.tasks), set(), []
        stems = [task_name(file) for file in files]
        for file, stem in zip(files, stems, strict=True):
            names = {stem, stem.split("_", 1)[0]} & wanted
            found |= names
            if names:
                chosen.append(file)
        missing = sorted(wanted - found)
        if missing:
            guess = did_you_mean(missing[0], stems)
            raise StepError(
                f"{len(missing)} of {len(wanted)} tasks have no file: {', '.join(missing[:5])}"
                + (", ..." if len(missing) > 5 else ""),
                hint=f"{guess}the source has {len(files)} files; look at its `include`",
            )
        return chosen
