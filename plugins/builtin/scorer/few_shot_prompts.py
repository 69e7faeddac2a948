"""Build few-shot prompts, and batch them for generation.

A prompt has sections as Alpaca's, with the preamble and the instruction once:

    preamble  ### Instruction  (### Input  ### Response) x shots  ### Input  ### Response

All rows of a task are shown the same solved rows, so all but the last input is computed once for
the task. Batches follow from the task's own rows: neither other tasks nor the
order of rows nor the number of workers changes a batch, and so they change no bit of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from khichdi.plugins.kinds import Rendering
from khichdi.plugins.toolkit.tokenization import encode
from khichdi.schema.digest import derive_seed, draws
from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    import pyarrow as pa

    from .few_shot_params import FewShotParams

ANSWER = "### Response:\n"
COLUMNS = ("id", "task", "instruction", "input", "output", "references")


@dataclass(frozen=True)
class Prompt:
    """A row to be answered: its position in the table, tokens, and the answers that count.

    `shared` are the tokens that all rows of its task start with, `own` those that follow.
    """

    position: int
    id: str
    shared: tuple[int, ...]
    own: tuple[int, ...]
    references: tuple[str, ...]


@dataclass
class Remarks:
    """How many prompts could not be as asked."""

    fewer_shots: int = 0
    cut: int = 0


@dataclass
class Prompter:
    """Makes the prompts of a table, task by task."""

    params: FewShotParams
    tokenizer: Any
    seed: int
    remarks: Remarks = field(default_factory=Remarks)

    def batches(self, table: pa.Table) -> Iterator[list[list[Prompt]]]:
        """Yield, for each task in order of names, its prompts in batches.

        Raises:
            StepError: `max_prompt_tokens` is too few for any row.
        """
        tasks = _by_task(table)
        for task in sorted(tasks):
            rows = table.select(COLUMNS).take(tasks[task]).to_pylist()
            for row, position in zip(rows, tasks[task], strict=True):
                row["position"] = position
            yield self._batched(self._prompts(rows))

    def count(self, table: pa.Table) -> int:
        """Return how many rows are scored."""
        limit = self.params.rows_per_task
        sizes = (len(positions) for positions in _by_task(table).values())
        return sum(size if limit is None else min(size, limit) for size in sizes)

    def _batched(self, prompts: list[Prompt]) -> list[list[Prompt]]:
        """Put prompts of about one length together, for the least padding."""
        prompts.sort(key=lambda prompt: (prompt.shared, len(prompt.own), prompt.id))
        batches: list[list[Prompt]] = []
        for prompt in prompts:
            last = batches[-1] if batches else None
            if last and len(last) < self.params.batch_size and last[0].shared == prompt.shared:
                last.append(prompt)
            else:
                batches.append([prompt])
        return batches

    def _prompts(self, rows: list[dict[str, Any]]) -> list[Prompt]:
        shown = self._shown(rows)
        scored = rows
        if self.params.rows_per_task is not None:
            scored = _drawn(rows, derive_seed(self.seed, "scored"))[: self.params.rows_per_task]

        @cache
        def shared(texts: tuple[str, ...]) -> tuple[int, ...]:
            text = self.params.preamble + "".join(texts)
            return tuple(encode(Rendering(text), self.tokenizer)[0])

        prompts = []
        for row in scored:
            others = [one for one in shown if _question(one) != _question(row)]
            prompts.append(self._prompt(row, others[: self.params.shots], shared))
        return prompts

    def _shown(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return one row more than are shown, each with another question, for the row itself."""
        found: dict[str, dict[str, Any]] = {}
        if self.params.shots:
            for row in _drawn(rows, derive_seed(self.seed, "shots")):
                found.setdefault(_question(row), row)
                if len(found) > self.params.shots:
                    break
        return list(found.values())

    def _prompt(self, row: dict[str, Any], examples: list[dict[str, Any]], shared: Any) -> Prompt:
        """Return the prompt with as many of the examples as there is room for."""
        room = self.params.max_prompt_tokens
        for shots in range(len(examples), -1, -1):
            *solved, question = _sections([*examples[:shots], row])
            start = shared(tuple(solved))
            own = self._tokens(question + ANSWER)
            if len(start) + len(own) <= room:
                break
        else:
            self.remarks.cut += 1
            own = self._cut(own, room - len(start))
        if shots < self.params.shots:
            self.remarks.fewer_shots += 1
        references = row["references"] or [row["output"]]
        return Prompt(row["position"], row["id"], start, own, tuple(references))

    def _cut(self, own: tuple[int, ...], room: int) -> tuple[int, ...]:
        end = self._tokens("\n\n" + ANSWER)
        if room <= len(end):
            raise StepError(
                f"{self.params.max_prompt_tokens} tokens are too few for the preamble and "
                "`### Response:`, and nothing of the row would be left",
                hint="raise max_prompt_tokens, or shorten the preamble",
            )
        return own[: room - len(end)] + end

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _by_task(table: pa.Table) -> Mapping[str, list[int]]:
    tasks: dict[str, list[int]] = {}
    for position, task in enumerate(table.column("task").to_pylist()):
        tasks.setdefault(task, []).append(position)
    return tasks


def _drawn(rows: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return rows in order of their draws."""
    numbers = draws(seed, [row["id"] for row in rows])
    order = sorted(range(len(rows)), key=lambda i: (numbers[i], rows[i]["id"]))
    return [rows[i] for i in order]


def _question(row: dict[str, Any]) -> str:
    """Return a row's question; a solved row that asks the same would give the answer away."""
    return f"{row['instruction']}\n{row['input']}".strip().casefold()


def _sections(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a text for each row, answered but for the last; repeated instructions are omitted.

    The texts are parted by an empty line, the usual end of an answer.
    """
    texts = []
    instruction = None
    for number, row in enumerate(rows):
        text = ""
        if row["instruction"] != instruction and row["instruction"]:
            text += f"### Instruction:\n{row['instruction']}\n\n"
        instruction = row["instruction"]
        if row["input"]:
            text += f"### Input:\n{row['input']}\n\n"
        if number < len(rows) - 1:
            text += f"{ANSWER}{row['output']}\n\n"
        texts.append(text)
    return texts
