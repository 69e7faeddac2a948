"""Starter code of a working plugin of each kind."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 100


@dataclass(frozen=True)
class Imports:
    """The imports of a module: names of khichdi.plugins, lines before, one for type checkers."""

    names: tuple[str, ...]
    before: str = ""
    heavy: str = ""

    def text(self, *more: str) -> str:
        """Return the lines, with more names of khichdi.plugins."""
        names = sorted((*self.names, "Params", *more), key=lambda n: (n.islower(), n.lower()))
        lines = [self.before] if self.before else []
        if self.heavy:
            lines.append("from typing import TYPE_CHECKING")
        if lines:
            lines.append("")
        line = f"from khichdi.plugins import {', '.join(names)}"
        if len(line) > WIDTH:
            line = "\n".join(["from khichdi.plugins import (", *(f"    {n}," for n in names), ")"])
        lines += [line, "from pydantic import Field"]
        if self.heavy:
            lines += ["", "if TYPE_CHECKING:", f"    {self.heavy}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Body:
    """A plugin of a kind: its module's imports, its parameters, and the inside of its class."""

    imports: Imports
    params: str
    body: str


def _imports(*names: str, before: str = "", heavy: str = "") -> Imports:
    return Imports(names, before, heavy)


_SHARE = """\
    share: float = Field(0.5, gt=0, le=1, description="Minimum fraction of upper-case characters.")
"""
_ARROW = "import pyarrow as pa"
_ROWS = "from collections.abc import Sequence"

BODIES: dict[str, Body] = {
    "source": Body(
        _imports(
            "FetchError", "Pin", "PinnedFile", "Source",
            before="import hashlib\nfrom pathlib import Path",
        ),
        '    file: str = Field(min_length=1, description="The file, relative to the recipe.")\n',
        '''    example = {"file": "rows.jsonl"}
    local = True

    def pin(self, folder: Path) -> Pin:
        """Return the file with its size and digest."""
        try:
            content = (folder / self.params.file).read_bytes()
        except OSError as error:
            raise FetchError(f"{self.params.file} cannot be read: {error.strerror}") from None
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        path = Path(self.params.file).name
        return Pin((PinnedFile(path=path, size=len(content), sha256=digest),))

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Copy the file."""
        (into / pin.files[0].path).write_bytes((folder / self.params.file).read_bytes())
''',
    ),
    "reader": Body(
        _imports(
            "Reader", "SourceFile",
            before="from collections.abc import Iterator, Sequence", heavy=_ARROW,
        ),
        '    separator: str = Field("\\\\t", min_length=1, description="Field separator.")\n',
        '''
    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        """Yield a row for each line: a question, the separator, an answer."""
        import pyarrow as pa

        for file in files:
            lines = file.location.read_text(encoding="utf-8").splitlines()
            parts = [line.partition(self.params.separator) for line in lines]
            columns = {
                "id": [f"{file.path}#{number}" for number in range(len(lines))],
                "input": [question for question, _, _ in parts],
                "output": [answer for _, _, answer in parts],
            }
            yield pa.record_batch({k: pa.array(v, pa.string()) for k, v in columns.items()})
''',
    ),
    "filter": Body(
        _imports("Filter", "Row"),
        _SHARE,
        '''
    def reason(self, row: Row) -> str | None:
        """Return `shouting` where the share is reached, None to keep the row."""
        text = row["input"]
        share = sum(map(str.isupper, text)) / max(1, len(text))
        return "shouting" if share >= self.params.share else None
''',
    ),
    "scorer": Body(
        _imports("Scorer", "Scores", "ScoringJob"),
        '    per: int = Field(100, ge=1, description="Characters that count as 1.")\n',
        '''
    def score(self, job: ScoringJob) -> Scores:
        """Return the length of each row's answer."""
        answers = job.rows.column("output").to_pylist()
        return Scores([len(answer) / self.params.per for answer in answers])
''',
    ),
    "sampler": Body(
        _imports("Sampler", before=_ROWS, heavy=_ARROW),
        '    count: int = Field(100, ge=1, description="Maximum number of rows to keep.")\n',
        '''
    def asked(self) -> int:
        """Return how many rows are asked for."""
        return self.params.count

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions of the smallest draws."""
        return sorted(range(table.num_rows), key=draw.__getitem__)[: self.params.count]
''',
    ),
    "template": Body(
        _imports("Row", "Segment", "Template", before="from typing import Any"),
        '    answer: str = Field("A: ", description="Prefix of the answer.")\n',
        '''
    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the question, and the answer to learn."""
        asked = f"{row['instruction']} {row['input']}".strip()
        return [Segment(f"{asked}\\n{self.params.answer}", False), Segment(row["output"], True)]
''',
    ),
    "quantizer": Body(
        _imports("Quantizer", before="from typing import Any"),
        '    bits: int = Field(4, description="Bits per weight: 4 or 8.", ge=4, le=8)\n',
        '''    requires = ("transformers", "bitsandbytes")

    def config(self) -> Any:
        """Return the configuration that transformers loads the base with."""
        from transformers import BitsAndBytesConfig

        if self.params.bits == 8:
            return BitsAndBytesConfig(load_in_8bit=True)
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")

    def dtype(self) -> str:
        """Return what the model computes in."""
        return "bfloat16"
''',
    ),
    "adapter": Body(
        _imports("Adapter", before="from typing import Any"),
        '    r: int = Field(8, ge=1, description="Rank of the adapter.")\n',
        '''    requires = ("peft",)

    def config(self, model: Any) -> Any:
        """Return the configuration of the adapter for this model."""
        from peft import LoraConfig

        return LoraConfig(r=self.params.r, target_modules="all-linear", task_type="CAUSAL_LM")
''',
    ),
    "runtime": Body(
        _imports(
            "Replay", "Runtime", "TrainingJob", "TrainingResult", "TrainingSegment",
            before="from collections.abc import Sequence\nfrom typing import Any",
        ),
        '    steps: int = Field(100, ge=1, description="Optimizer steps.")\n',
        '''    requires = ("torch", "transformers", "peft", "bitsandbytes", "safetensors")

    def rehearsal(self) -> dict[str, Any]:
        """Return what makes training short."""
        return {"steps": 3}

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train as `qlora` does, with a schedule of your own; write the loop here to replace it."""
        return self._qlora().train(job)

    def replay(self, job: TrainingJob, segments: Sequence[TrainingSegment]) -> Replay:
        """Execute parts of a training again; leave it out if trainings keep no states."""
        return self._qlora().replay(job, segments)

    def _qlora(self) -> Any:
        from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams

        params = QloraParams(
            max_steps=self.params.steps, lr_scheduler="constant", cpu_threads=1, save_steps=1
        )
        return Qlora(params)
''',
    ),
    "evaluator": Body(
        _imports("EvaluationJob", "EvaluationResult", "Evaluator"),
        '    below: int = Field(200, ge=1, description="Maximum characters of a short answer.")\n',
        '''
    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return which part of the expected answers is short; no model is asked yet."""
        rows = job.rows.to_pylist()
        short = [len(row["output"]) < self.params.below for row in rows]
        predictions = [
            {"id": row["id"], "prediction": row["output"], "short": float(is_short)}
            for row, is_short in zip(rows, short, strict=True)
        ]
        return EvaluationResult({"short": sum(short) / max(1, len(short))}, predictions)
''',
    ),
    "exporter": Body(
        _imports("Exporter", "ExportJob"),
        '    note: str = Field("", description="Note for users of the adapter.")\n',
        '''
    def export(self, job: ExportJob) -> None:
        """Copy the adapter beside a card that says what it belongs to."""
        for path in sorted(job.adapter.iterdir()):
            (job.output / path.name).write_bytes(path.read_bytes())
        card = f"An adapter for {job.base_name}. {self.params.note}".strip() + "\\n"
        (job.output / "README.md").write_text(card, encoding="utf-8")
''',
    ),
    "rule": Body(
        _imports("Breach", "Facts", "Rule"),
        '    most: int = Field(10, ge=1, description="Maximum number of data sets in a recipe.")\n',
        '''
    def breaches(self, facts: Facts) -> list[Breach]:
        """Return a breach where there are more data sets."""
        count = len(facts.data_licenses)
        if count <= self.params.most:
            return []
        return [Breach(f"{count} data sets, at most {self.params.most} are allowed", ("data",))]
''',
    ),
}  # fmt: skip
"""By kind; a plugin of each is small, does something, and passes the kit."""

RECIPES = {
    "source": "data:\n  mine:\n    source: {use: NAME, file: rows.jsonl}",
    "reader": "data:\n  mine:\n    read: {use: NAME}",
    "filter": "data:\n  mine:\n    filters: [{use: NAME}]",
    "scorer": "data:\n  mine:\n    score: {use: NAME}",
    "sampler": "data:\n  mine:\n    sample: {use: NAME}",
    "template": "train: {template: {use: NAME}}",
    "quantizer": "model:\n  quantization: {use: NAME}",
    "adapter": "model:\n  adapter: {use: NAME}",
    "runtime": "train: {use: NAME, template: {use: alpaca}}",
    "evaluator": "evaluate: [{use: NAME}]",
    "exporter": "export: [{use: NAME}]",
    "rule": "rules: [{use: NAME}]",
}
"""Where a plugin of each kind stands in a recipe."""

TESTS = {
    "source": '    files = {"rows.jsonl": "{}\\n"}\n',
    "reader": '    files = {"a.tsv": "2 + 2?\\t4\\n3 + 3?\\t6\\n"}\n',
}
"""Further attributes of a kind's tests."""
