"""A recount of Birbal's rows, independent of khichdi's code, to compare a run with.

It knows khichdi's documentation only: it reads the mirror with `json`, filters with plain Python
and draws by sha256 of seed and row id.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from birbal import EXACT, GENERATION, PLACES, json_lines

from khichdi.runtime.store.store import Store
from khichdi.runtime.tables import read_table
from khichdi.schema.record import Record

if TYPE_CHECKING:
    from flow.conftest import Workdir

Row = dict[str, Any]
Steps = dict[str, tuple[int, int, dict[str, int]]]


class RecordedRun:
    """A run, with its tables."""

    def __init__(self, workdir: Workdir, mirror: Path, document: Any) -> None:
        self.workdir, self.mirror = workdir, mirror
        text = (Path(document["run"]) / "record.json").read_text()
        self.steps = {s.name: s for s in Record.from_json(text, "record.json").steps}
        self.store = Store(workdir.folder / "store")

    def rows(self, step: str, output: str = "rows") -> list[Row]:
        found: list[Row] = read_table(
            self.store.folder(self.steps[step].result.outputs[output])
        ).to_pylist()
        return found

    def ids(self, step: str, output: str = "rows") -> list[str]:
        return [row["id"] for row in self.rows(step, output)]


def seed_of(seed: int, place: str) -> int:
    digest = sha256(f"khichdi/seed/1\0{seed}\0{place}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def draw(seed: int, row: str) -> int:
    digest = sha256(f"khichdi/draw/1\0{seed}\0{row}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def by_draw(seed: int, rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: draw(seed, row["id"]))


class Recount:
    """Counts a mirror's rows through the recipe."""

    def __init__(self, shared_run: RecordedRun) -> None:
        self.shared_run, self.mirror = shared_run, shared_run.mirror
        self.steps: Steps = {}
        self.left: dict[str, list[Row]] = {}

    def data(self, name: str, rows: list[Row], **filters: Any) -> list[Row]:
        for row in rows:
            row["id"] = f"{name}/{row['id']}"
        self.note(f"data/{name}/read", len(rows), len(rows), Counter())
        for step, reason in filters.items():
            reasons = [reason(row) for row in rows]
            kept = [row for row, why in zip(rows, reasons, strict=True) if why is None]
            dropped = Counter(why for why in reasons if why is not None)
            plugin = step.replace("_", "-")
            self.note(f"data/{name}/filter/{plugin}", len(rows), len(kept), dropped)
            rows = kept
        self.left[name] = rows
        return rows

    def note(self, step: str, rows_in: int, rows_out: int, drops: Counter[str]) -> None:
        self.steps[step] = (rows_in, rows_out, dict(drops))

    def sampled(self, name: str, kept: list[Row]) -> None:
        before = self.left[name]
        ids = {row["id"] for row in kept}
        self.left[name] = [row for row in before if row["id"] in ids]
        gone = len(before) - len(kept)
        drops = Counter({"not-sampled": gone} if gone else {})
        self.note(f"data/{name}/sample", len(before), len(kept), drops)

    def random(self, name: str, count: int) -> None:
        seed = seed_of(57, f"data/{name}/sample")
        self.sampled(name, by_draw(seed, self.left[name])[:count])

    # ---- each data set ------------------------------------------------------------------------

    def all(self) -> Recount:
        place = {name: self.mirror / folder for name, folder in PLACES.items()}
        lima = json_lines(place["lima"] / "train.jsonl")
        self.data("lima", [
            {"id": f"train.jsonl#{n}", "instruction": row["conversations"][0], "input": ""}
            for n, row in enumerate(lima)
        ])  # fmt: skip
        self.platypus(place["platypus"])
        self.tasks("ni-exact", place["tasks"], EXACT)
        self.tasks("ni-generation", place["tasks"], GENERATION)
        self.exact_match()
        self.rouge()
        self.openbook(place["openbookqa"])
        self.quac(place["quac"])
        self.news(place["cnn"])
        self.math(place["math"])
        return self

    def platypus(self, place: Path) -> None:
        name = "data/train-00000-of-00001.parquet"
        rows = [{**row, "id": f"{name}#{n}"} for n, row in enumerate(parquet(place / name))]
        self.data(
            "open-platypus",
            rows,
            where=lambda row: "where" if row["data_source"] == "airoboros" else None,
        )

    def tasks(self, name: str, place: Path, tasks: list[str]) -> None:
        rows = []
        for file in sorted(f"{task}.json" for task in tasks):
            task = json.loads((place / file).read_text(encoding="utf-8"))
            said = task["Definition"]
            for number, instance in enumerate(task["Instances"]):
                answers = instance["output"]
                rows.append({
                    "id": f"tasks/{file}#{number}",
                    "task": file.removesuffix(".json"),
                    "instruction": said if isinstance(said, str) else "\n".join(said),
                    "input": instance["input"],
                    "references": [answers] if isinstance(answers, str) else answers,
                    "languages": (task.get("Input_language"), task.get("Output_language")),
                    "categories": task["Categories"],
                })  # fmt: skip

        def language(row: Row) -> str | None:
            for side, spoken in zip(("input", "output"), row["languages"], strict=True):
                if spoken != ["English"]:
                    return f"language-{side}"
            return None

        unwanted = {"Question Generation", "Wrong Candidate Generation"}
        self.data(
            name,
            rows,
            languages=language,
            categories=lambda row: (
                "category-excluded" if unwanted & set(row["categories"]) else None
            ),
            max_words=longer_than(800),
        )

    def scored(self, name: str, score: Any) -> dict[str, list[Row]]:
        """Check which rows were scored and what the answers are worth; return rows by task."""
        seed = seed_of(seed_of(57, f"data/{name}/score"), "scored")
        tasks: dict[str, list[Row]] = defaultdict(list)
        for row in self.left[name]:
            tasks[row["task"]].append(row)
        answers = {row["id"]: row for row in self.shared_run.rows(f"data/{name}/score")}
        assert list(answers) == [row["id"] for row in self.left[name]]
        for rows in tasks.values():
            chosen = {row["id"] for row in by_draw(seed, rows)[:24]}
            for row in rows:
                found = answers[row["id"]]
                if row["id"] not in chosen:
                    assert found["score"] is None
                    assert found["prediction"] is None
                    row["score"] = None
                    continue
                assert "\n\n" not in found["prediction"]
                row["score"] = score(found["prediction"], row["references"])
                assert found["score"] == pytest.approx(row["score"], abs=1e-12)
        count = len(answers)
        self.note(f"data/{name}/score", count, count, Counter())
        return tasks

    def exact_match(self) -> None:
        quota = [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
        seed = seed_of(57, "data/ni-exact/sample")
        tasks = self.scored(
            "ni-exact", lambda text, answers: float(text.strip() in {a.strip() for a in answers})
        )
        kept: list[Row] = []
        for rows in tasks.values():
            scores = [row["score"] for row in rows if row["score"] is not None]
            accuracy = sum(scores) / len(scores)
            if accuracy >= 0.02:
                wrong = [row for row in rows if row["score"] == 0]
                kept += by_draw(seed, wrong)[: quota[min(9, int(accuracy * 10))]]
        self.sampled("ni-exact", by_draw(seed, kept)[:40])

    def rouge(self) -> None:
        edges = [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
        seed = seed_of(57, "data/ni-generation/sample")
        tasks = self.scored("ni-generation", lambda text, answers: max(
            rouge_l(text, answer) for answer in answers
        ))  # fmt: skip
        kept: list[Row] = []
        for rows in tasks.values():
            for number, low in enumerate(edges[:-1]):
                part = Fraction(4, 5) if number == 0 else Fraction(1, 2)
                bucket = [
                    row for row in rows
                    if row["score"] is not None and low <= row["score"] < edges[number + 1]
                ]  # fmt: skip
                kept += by_draw(seed, bucket)[: math.floor(len(bucket) * part)]
        assert len(kept) >= 30
        self.sampled("ni-generation", by_draw(seed, kept)[:30])

    def openbook(self, place: Path) -> None:
        name = "main/test-00000-of-00001.parquet"
        rows = []
        for number, row in enumerate(parquet(place / name)):
            options = [f"{'ABCD'[n]}. {text}" for n, text in enumerate(row["choices"]["text"])]
            asked = "\n".join([row["question_stem"], *options])
            rows.append({"id": f"{name}#{number}", "instruction": asked, "input": ""})
        self.data("openbookqa", rows)
        self.random("openbookqa", 100)

    def quac(self, place: Path) -> None:
        rows = []
        read = json.loads((place / "train_v0.2.json").read_text(encoding="utf-8"))
        for paragraph in (p for entry in read["data"] for p in entry["paragraphs"]):
            history: list[str] = []
            for asked in paragraph["qas"]:
                rows.append({
                    "id": f"train_v0.2.json#{len(rows)}",
                    "instruction": asked["question"],
                    "input": paragraph["context"] + "\n\n" + "\n".join(history),
                })  # fmt: skip
                answer = asked["orig_answer"]["text"]
                history.append(f"Question: {asked['question']}\nAnswer: {answer}")
        self.data("quac", rows, max_words=longer_than(800))

    def news(self, place: Path) -> None:
        rows = [
            {"id": f"3.0.0/{path.name}#{n}", "instruction": "Summarize the article.",
             "input": row["article"]}
            for path in sorted((place / "3.0.0").glob("train-*"))
            for n, row in enumerate(parquet(path))
        ]  # fmt: skip
        self.data("cnn-dailymail", rows, max_words=longer_than(500))
        self.random("cnn-dailymail", 15)

    def math(self, place: Path) -> None:
        read = json.loads((place / "MathInstruct.json").read_text(encoding="utf-8"))
        rows = [{"id": f"MathInstruct.json#{n}", "input": "", **row} for n, row in enumerate(read)]
        written = re.compile("CoT/(gsm_train|aqua_rat|MATH_train)")
        self.data(
            "math-instruct",
            rows,
            where=lambda row: None if written.search(row["source"]) else "where",
            where_2=lambda row: "where" if "print(" in row["output"] else None,
            max_words=longer_than(120),
        )
        self.random("math-instruct", 300)

    # ---- together -----------------------------------------------------------------------------

    def mixed(self) -> tuple[list[str], list[str]]:
        """Return the ids of the training rows in their order, and of those held out."""
        for name, rows in self.left.items():
            if f"data/{name}/sample" not in self.steps:
                self.sampled(name, rows)
        seen: set[tuple[str, str]] = set()
        rows = [row for name in sorted(self.left) for row in self.left[name]]
        self.note("mixture", len(rows), len(rows), Counter())
        kept = []
        for row in rows:
            key = (row["instruction"], row["input"])
            if key not in seen:
                kept.append(row)
            seen.add(key)
        gone = len(rows) - len(kept)
        drops = Counter({"duplicate": gone} if gone else {})
        self.note("mixture/filter/exact-duplicates", len(rows), len(kept), drops)
        seed = seed_of(57, "split")
        held = {row["id"] for row in by_draw(seed_of(seed, "validation"), kept)[:20]}
        train = [row for row in kept if row["id"] not in held]
        self.note("split", len(kept), len(train), Counter())
        ordered = [row["id"] for row in by_draw(seed_of(seed, "order"), train)]
        return ordered, [row["id"] for row in kept if row["id"] in held]


def longer_than(below: int) -> Any:
    def reason(row: Row) -> str | None:
        words = len(row["instruction"].split()) + len(row["input"].split())
        return None if words < below else "too-long"

    return reason


def parquet(path: Path) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def rouge_l(answer: str, reference: str) -> float:
    """Return the F measure of the longest common subsequence of words, written out."""
    one, two = (
        re.findall("[a-z0-9]+", text.replace(".", "").lower()) for text in (answer, reference)
    )
    longest = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, first in enumerate(one):
        for j, second in enumerate(two):
            longest[i + 1][j + 1] = (
                longest[i][j] + 1 if first == second else max(longest[i][j + 1], longest[i + 1][j])
            )
    common = longest[-1][-1]
    return 2 * common / (len(one) + len(two)) if common else 0.0
