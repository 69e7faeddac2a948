"""Honest runs of every kind to audit: every exporter, evaluator, scorer and way of running."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ...flow.conftest import Workdir, make_workdir
from ...helpers.harness_data import lines

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
HARNESS = """\
  - use: lm-eval
    harness: {version}
    tasks: [gsm8k]
    limit: 3
    num_fewshot: 1
    max_gen_toks: 4
    cpu_threads: 1
    data:
      gsm8k: {{use: files, folder: questions, include: ["*.jsonl"]}}
"""


@dataclass
class Case:
    """An honest run: what makes it differ, and how it is run.

    Attributes:
        name: what is special about it.
        change: changes the workdir.
        words: more words of `recipe run`.
        then: words of a second command on the run, whose run is audited instead.
        killed: whether it is killed in the middle of training and run again.
        consent: whether an audit has to allow its plugin file.
    """

    name: str
    change: Callable[[Workdir], None]
    words: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    killed: bool = False
    consent: bool = False


def cases() -> list[Case]:
    """Return runs with every exporter, evaluator, scorer and sampler, and every way of running."""
    return [
        Case("plain", _plain),
        Case("exports", _exports),
        Case("scored by the base", _scored),
        Case("several data sets", _several),
        Case("nothing held out", _bare),
        Case("chat, full precision", _chat),
        Case("another adapter", _adapter),
        Case("killed and resumed", _plain, killed=True),
        Case("two processes", _plain, ("--launch", "2")),
        Case("extends and --set", _extends, ("--set", "seed=7")),
        Case("plugin file", _plugin, consent=True),
        Case("many filters", _filtered),
        Case("data alone", _data_alone),
        Case("ended with a data set", _plain, ("--until", "data/colours")),
        Case("ended with the mixture", _plain, ("--until", "mixture")),
        Case("stopped early", _plain, ("--set", "train.stop_after_steps=7")),
        Case("evaluated again", _more, then=("evaluate", "latest", "--with", "more.yaml")),
        Case("lm-eval", _harness),
        Case("added tokens", _tokens),
    ]


def _plain(workdir: Workdir) -> None:
    """Change nothing."""


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


def _data_alone(workdir: Workdir) -> None:
    text = workdir.recipe.read_text()
    head, _, rest = text.partition("model:\n")
    workdir.recipe.write_text(head + rest[rest.index("data:") : rest.index("train:")])


def _more(workdir: Workdir) -> None:
    (workdir.folder / "more.yaml").write_text("- {use: generate, max_new_tokens: 3, max_rows: 4}\n")


def _harness(workdir: Workdir) -> None:
    for split in ("train", "test"):
        asked = [{"question": f"{n} + {n}?", "answer": f"#### {2 * n}"} for n in range(4)]
        lines(workdir.folder / "questions" / f"{split}.jsonl", asked)
    workdir.edit("evaluate:\n", f"evaluate:\n{HARNESS.format(version=version('lm-eval'))}")


def _tokens(workdir: Workdir) -> None:
    tokens = "tokens: {eos_token: <|end|>, add_special: [<|end|>], add: [<word>]}"
    workdir.edit("  quantization:", f"  {tokens}\n  quantization:")
    workdir.edit("all-linear}", "all-linear, trainable_token_indices: added}")
    for name in ("capitals", "colours"):
        path = workdir.folder / f"{name}.jsonl"
        path.write_text(path.read_text().replace("word", "<word>"))


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
    done = workdir.json("run", "pico.yaml", *case.words)
    if case.then:
        done = workdir.json(*case.then)
    return workdir, Path(done["run"])
