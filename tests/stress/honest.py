"""Audit honest runs of every kind, in varied environments: none may be called anything else.

Each run is audited as it is, from a copy of its store elsewhere, and as bundles in an empty store;
in other working folders, languages, time zones, hash seeds, numbers of threads and folders for
temporary files; by bytes, by segments and by executing everything again.

    python -m tests.stress.honest [PERCENT]
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..flow.conftest import Workdir, make_workdir

ABSENT = {"sources", "data", "batches", "base weights"}
"""Levels whose bytes a bundle without data and weights does not have."""
ALPACA = '{"instruction": "Name it.", "input": "N", "output": "Rome"}\n'
CHAT = '{"conversations": [{"from": "human", "value": "N?"}, {"from": "gpt", "value": "Rome."}]}\n'
PLUGIN = '''\
from khichdi.plugins import Filter, Params, Row


class NoThrees(Filter[Params]):
    """Drop rows about a number with a three."""

    name = "no-threes"

    def reason(self, row: Row) -> str | None:
        return "has-a-three" if "3" in row["input"] else None
'''
ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {},
    {"OMP_NUM_THREADS": "1", "TZ": "Asia/Kolkata", "PYTHONHASHSEED": "1"},
    {"OMP_NUM_THREADS": "2", "TZ": "America/St_Johns", "PYTHONHASHSEED": "7", "LC_ALL": "C"},
    {"LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0", "TOKENIZERS_PARALLELISM": "true", "COLUMNS": "40"},
)


@dataclass
class Case:
    """An honest run: what makes it differ, and how it is run."""

    name: str
    change: Callable[[Workdir], None]
    words: tuple[str, ...] = ()
    killed: bool = False
    consent: bool = False


@dataclass
class Table:
    """What the audits said: by case and by way, how many, and the false alarms."""

    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the table."""
        ways = sorted({way for _, way in self.said})
        rows = [["run", *ways, "audits"]]
        for case in dict.fromkeys(case for case, _ in self.said):
            counts = [self.said[case, way] for way in ways]
            rows.append([case, *map(str, counts), str(sum(counts))])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        total = f"audits {self.said.total():,}, false alarms {len(self.alarms):,}"
        return "\n".join([*lines, total, *(f"FALSE ALARM {one}" for one in self.alarms)])


# ---- runs -----------------------------------------------------------------------------------


def cases() -> list[Case]:
    """Return runs with every exporter, evaluator, scorer and sampler, and every way of running."""
    return [
        Case("plain", lambda workdir: None),
        Case("exports", _exports),
        Case("scored by the base", _scored),
        Case("several data sets", _several),
        Case("nothing held out", _bare),
        Case("chat, full precision", _chat),
        Case("another adapter", _adapter),
        Case("killed and resumed", lambda workdir: None, killed=True),
        Case("two processes", lambda workdir: None, ("--launch", "2")),
        Case("extends and --set", _extends, ("--set", "seed=7")),
        Case("plugin file", _plugin, consent=True),
        Case("many filters", _filtered),
    ]


def _exports(workdir: Workdir) -> None:
    exports = "[{use: merged, onto: dequantized}, {use: gguf, outtype: q8_0}]"
    workdir.edit("evaluate:\n", f"export: {exports}\nevaluate:\n")


def _scored(workdir: Workdir) -> None:
    score = "score: {use: few-shot, metric: exact-match, shots: 1, max_prompt_tokens: 256}"
    quota = [20, *[2] * 9]
    sample = f"sample: {{use: accuracy-buckets, keep: wrong, quota: {quota}, total: 20}}"
    workdir.edit("    sample: {use: random, fraction: 0.9}", f"    {score}\n    {sample}")


def _several(workdir: Workdir) -> None:
    for name, line in (("alpaca", ALPACA), ("chat", CHAT)):
        text = "".join(line.replace('"N', f'"number {n} of {name}') for n in range(15))
        (workdir.folder / f"{name}.jsonl").write_text(text)
    more = """\
  alpaca:
    source: {use: files, include: [alpaca.jsonl]}
    read: {use: alpaca}
    sample: {use: per-group, by: task, count: 9}
  chat:
    source: {use: files, include: [chat.jsonl]}
    read: {use: conversations}
mixture:
"""
    workdir.edit("mixture:\n", more)


def _bare(workdir: Workdir) -> None:
    text = workdir.recipe.read_text()
    workdir.recipe.write_text(text[: text.index("evaluate:")] + "evaluate: []\n")
    workdir.edit("  validation: {count: 6}\n", "  order: shuffle\n")
    workdir.edit("  eval_steps: 3\n  metric_for_best_model: eval_loss\n", "")
    workdir.edit("  sequence_len: 96\n", "  sequence_len: 96\n  packing_strategy: wrapped\n")


def _chat(workdir: Workdir) -> None:
    jinja = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\\n{% endfor %}"
    workdir.edit("template: {use: alpaca}", f'template: {{use: chat, jinja: "{jinja}"}}')
    workdir.edit(
        "quantization: {use: bitsandbytes, bits: 4, compute_dtype: bfloat16}",
        "quantization: {use: none}",
    )


def _adapter(workdir: Workdir) -> None:
    lora = "{use: lora, r: 8, alpha: 16, dropout: 0.05, target_modules: all-linear}"
    workdir.edit(f"adapter: {lora}", "adapter: {use: vera, r: 8}")


def _extends(workdir: Workdir) -> None:
    workdir.recipe.rename(workdir.folder / "parent.yaml")
    workdir.recipe.write_text("recipe: 1\nname: pico\nextends: parent.yaml\n")


def _plugin(workdir: Workdir) -> None:
    (workdir.folder / "mine.py").write_text(PLUGIN)
    workdir.edit("seed: 5\n", "seed: 5\nplugins: [./mine.py]\n")
    workdir.edit("below: 6}\n", "below: 6}\n      - {use: no-threes}\n")


def _filtered(workdir: Workdir) -> None:
    more = """below: 6}
      - {use: strip-html, fields: [input]}
      - {use: normalize-unicode, fields: [input, output]}
      - {use: collapse-whitespace, fields: [input]}
      - {use: where, field: input, matches: '^[0-9]'}
      - {use: lower-case, fields: [input], fraction: 0.5}
"""
    workdir.edit("below: 6}\n", more)


def ran(case: Case, folder: Path, base: Path) -> tuple[Workdir, Path]:
    """Run a case, and return its workdir and the run."""
    workdir = make_workdir(folder, base)
    case.change(workdir)
    if case.killed:
        process, work = workdir.start("run", "pico.yaml"), folder / "store" / "work"
        deadline = time.monotonic() + 600
        while process.poll() is None and time.monotonic() < deadline:
            if any(work.rglob("*.safetensors")):
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    return workdir, Path(workdir.json("run", "pico.yaml", *case.words)["run"])


# ---- audits ---------------------------------------------------------------------------------


def targets(workdir: Workdir, run: Path, scratch: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield ways to hand a run over: how, what the auditor is given, and the auditor's store."""
    store = workdir.folder / "store"
    yield "run", run.name, store
    moved = scratch / "moved" / "a store"
    shutil.copytree(store, moved)
    yield "moved store", str(moved / "runs" / run.name), moved
    empty = scratch / "empty"
    for name, words in (("bundle", ()), ("whole bundle", ("--with-data", "--with-weights"))):
        bundle = scratch / f"{name}.bundle"
        workdir.json("bundle", run.name, "-o", str(bundle), *words)
        yield name, str(bundle), empty


def audit_all(case: Case, folder: Path, base: Path, share: int, table: Table) -> None:
    """Audit a case in every way and environment, or in a share of them."""
    workdir, run = ran(case, folder / "workdir", base)
    handed = list(targets(workdir, run, folder))
    whole = handed[-1]
    audits = [
        (way, index, target, []) for index in range(len(ENVIRONMENTS)) for way, *target in handed
    ]
    audits += [("segments", 1, list(whole[1:]), ["--segments", "2"])]
    audits += [("rerun", 2, list(whole[1:]), ["--rerun"])]
    chosen = audits[:: max(1, 100 // share)]
    for index, environment in enumerate(ENVIRONMENTS):
        here = [(way, target, mode) for way, one, target, mode in chosen if one == index]
        words = [_words(case, *target, mode) for _, target, mode in here]
        for (way, _, _), (status, found) in zip(
            here, _audit(words, folder, environment), strict=True
        ):
            table.said[case.name, way] += 1
            absent = ABSENT | ({"exports"} if (run / "export").is_dir() else set())
            wrong = _wrong(status, found, absent if way == "bundle" else set(), way == "rerun")
            if wrong:
                table.alarms.append(f"{case.name}, {way}, {environment}: {wrong}")


def _words(case: Case, target: str, store: Path, mode: list[str]) -> list[str]:
    consent = ["--allow-local-plugins"] if case.consent else []
    return ["audit", target, "--json", "--store", str(store), *mode, *consent]


AUDITOR = """
import contextlib, io, json, sys
from khichdi.cli.main import main
for words in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(words)
    print(json.dumps([status, json.loads(out.getvalue())]), flush=True)
"""


def _audit(
    words: list[list[str]], folder: Path, environment: dict[str, str]
) -> list[tuple[int, Any]]:
    """Audit in a process of its own, in a working folder and with temporary files of its own."""
    if not words:
        return []
    with tempfile.TemporaryDirectory(dir=folder, prefix="şomewhere élse ") as place:
        done = subprocess.run(
            [sys.executable, "-c", AUDITOR],
            cwd=place,
            env={**os.environ, "TMPDIR": place, **environment},
            input=json.dumps(words).encode(),
            capture_output=True,
            check=False,
        )
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    error = {"error": {"message": done.stderr.decode(errors="replace")}}
    return found + [(done.returncode or 1, error)] * (len(words) - len(found))


def _wrong(status: int, found: Any, absent: set[str], executed: bool) -> str | None:
    """Return what is wrong with what an audit says of an honest run."""
    if status or "levels" not in found:
        return f"exit {status}: {found.get('where') or found.get('error')}"
    unsure = {
        one["level"]
        for one in found["levels"]
        if one["verdict"] != "identical" and one["level"] != "environment"
    }
    if unsure != absent:
        return f"not identical: {', '.join(sorted(unsure ^ absent))}"
    if executed and not found["passed"]:
        return "not passed, though every step was executed again"
    return None


def campaign(base: Path, scratch: Path, share: int) -> Table:
    """Audit a share, in percent, of the runs, and each in the same share of the ways."""
    table, chosen = Table(), cases()
    count = -(-len(chosen) * share // 100)
    for number, case in enumerate(chosen[:count]):
        folder = scratch / str(number)
        try:
            audit_all(case, folder, base, share, table)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"{case.name}: {table.said.total()} audits, {len(table.alarms)} alarms", flush=True)
    return table


if __name__ == "__main__":
    from ..helpers.miniature import make_base

    with tempfile.TemporaryDirectory() as place:
        made = make_base(Path(place) / "base")
        done = campaign(made, Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    print(done.text())
    raise SystemExit(bool(done.alarms))
