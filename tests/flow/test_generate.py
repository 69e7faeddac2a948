"""The model of a run answers: as its evaluation did, by command and by API, whole and streamed."""

from __future__ import annotations

import errno
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.plugins.toolkit.answer_text import Sampling
from khichdi.project.generate import as_prompt, generate, run_model
from khichdi.project.run_lookup import Run, open_run
from khichdi.runtime.inference import RunModel, row_of
from khichdi.schema.errors import InputError

from .conftest import Workdir

Ran = tuple[Workdir, Any]


@pytest.fixture(scope="module")
def run(shared_run: Ran) -> Run:
    return open_run(store=shared_run[0].folder / "store")


@pytest.fixture(scope="module")
def model(run: Run) -> Iterator[RunModel]:
    with run_model(run) as model:
        yield model


def held_out(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run.rows("validation").to_pylist()
    return rows


def called(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    assert main([*words, "--json"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("base", [False, True])
def test_greedy_answers_are_those_of_the_evaluation(run: Run, model: RunModel, base: bool) -> None:
    told = run.predictions(f"evaluate/generate/{'base' if base else 'adapter'}")
    answers = generate(model, held_out(run), Sampling(4), base=base)
    assert [one["prediction"] for one in told] == [answer.text for answer in answers]
    assert all(answer.tokens <= 4 for answer in answers)


def test_plain_transformers_answers_the_same(run: Run, model: RunModel) -> None:
    """By public libraries alone, with the quantization that the recipe names."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    base = json.loads((run.adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip
    plain = AutoModelForCausalLM.from_pretrained(
        base, quantization_config=config, dtype=torch.bfloat16
    )
    plain = PeftModel.from_pretrained(plain, run.adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(run.adapter)
    chat = [{"role": "user", "content": "Name a capital."}]
    ids = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    made = plain.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False,
        pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    text = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    assert [text] == [
        one.text for one in generate(model, [as_prompt("Name a capital.")], Sampling(12))
    ]


def test_a_streamed_answer_is_the_whole_one(run: Run, model: RunModel) -> None:
    for row in held_out(run):
        prompt = model.encode(row)
        [whole] = model.answers([prompt], 12)
        pieces = list(model.stream(prompt, Sampling(12)))
        assert "".join(piece.text for piece in pieces) == whole.text
        assert pieces[-1].finish == whole.finish
        assert [piece.tokens for piece in pieces] == list(range(1, whole.tokens + 1))


def test_drawn_answers_follow_from_the_seed(model: RunModel) -> None:
    def drawn(seed: int, top_p: float = 1.0) -> str:
        sampling = Sampling(16, temperature=1.5, top_p=top_p, seed=seed)
        return generate(model, [as_prompt("Name a capital.")], sampling)[0].text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1
    greedy = generate(model, [as_prompt("Name a capital.")], Sampling(16))[0].text
    assert {drawn(seed, top_p=1e-9) for seed in range(3)} == {greedy}


def test_a_stop_ends_an_answer_and_is_cut_off(model: RunModel) -> None:
    prompt = as_prompt("Name a capital.")
    [whole] = generate(model, [prompt], Sampling(16))
    assert len(whole.text) > 3
    stop = whole.text[2:4]
    [cut] = generate(model, [prompt], Sampling(16, stop=(stop, "never")))
    assert (cut.text, cut.finish) == (whole.text[: whole.text.index(stop)], "stop")


def test_the_command_and_the_api_give_the_same(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = held_out(run)[:2]
    file = tmp_path / "prompts.jsonl"
    lines = [{"instruction": row["instruction"], "input": row["input"]} for row in rows]
    file.write_text("\n".join(json.dumps(line) for line in lines) + '\n"Name a capital."\n')
    store = str(run.store.root)
    found = called(
        capsys, "generate", "latest", "--store", store, "--file", str(file),
        "--max-new-tokens", "4", "--output", str(tmp_path / "out.jsonl"),
    )  # fmt: skip
    answers = [one["answer"] for one in found["answers"]]
    told = {one["id"]: one["prediction"] for one in run.predictions()}
    assert answers[:2] == [told[row["id"]] for row in rows]
    written = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == found["answers"]
    assert answers == run.generate([*rows, "Name a capital."], max_new_tokens=4)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--prompt TEXT"),
        (["--prompt", "a", "--max-new-tokens", "0"], "at least 1 was expected"),
        (["--prompt", "a", "--max-new-tokens", "9999999"], "context"),
        (["--prompt", "a", "--top-p", "2"], "at most 1 was expected"),
        (["--file", "none.txt"], "cannot read none.txt"),
        (["--prompt", "a", "--threads", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    found = called(capsys, "generate", run.name, "--store", str(run.store.root), *words, status=2)
    assert expected in json.dumps(found["error"])


def test_a_run_without_its_base_says_so(own_run: Ran) -> None:
    run = open_run(store=own_run[0].folder / "store")
    base = next(step for step in run.record.steps if step.name == "base")
    file = run.store.folder(base.result.outputs["files"]) / "config.json"
    file.chmod(0o644)
    file.write_text("{}")
    status, out, err = own_run[0].call("generate", "latest", "--prompt", "a")
    assert status == 3
    assert "config.json" in err
    assert "run the recipe again" in err, out


def test_half_a_character_is_refused(model: RunModel) -> None:
    for prompt in ("\ud800", as_prompt("caf\udce9")):
        with pytest.raises(InputError, match="not valid Unicode"):
            generate(model, [prompt], Sampling(4))


# ---- chat -----------------------------------------------------------------------------------


def test_a_chat_without_a_terminal_answers_each_line(
    run: Run, model: RunModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "Name a capital.\n/base\n/again\n/reset\n/base\nName a colour.\nAnd?\n/exit\nnot read\n"
    monkeypatch.setattr(sys, "stdin", StringIO(lines))
    words = ("chat", "latest", "--store", str(run.store.root), "--max-new-tokens", "6")
    found = called(capsys, *words)
    texts = [message["content"] for message in found["messages"]]
    assert texts[::2] == ["Name a colour.", "And?"]
    sampling = Sampling(6)
    first = {"role": "user", "content": "Name a colour."}
    assert texts[1] == generate(model, [row_of([first])], sampling)[0].text
    chat = [first, {"role": "assistant", "content": texts[1]}, {"role": "user", "content": "And?"}]
    assert texts[3] == generate(model, [row_of(chat)], sampling)[0].text

    monkeypatch.setattr(sys, "stdin", StringIO(lines))
    assert main([*words, "-q"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    base = generate(model, [as_prompt("Name a capital.")], sampling, base=True)[0].text
    trained = generate(model, [as_prompt("Name a capital.")], sampling)[0].text
    assert shown.out.startswith(f"{trained}\n{base}\n{texts[1]}\n")


def test_a_message_that_cannot_be_answered_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "word " * 3000
    monkeypatch.setattr(sys, "stdin", StringIO(f"{long}\nName a capital.\n"))
    words = ("chat", "latest", "--store", str(run.store.root), "--max-new-tokens", "3", "--json")
    assert main([*words]) == 2
    shown = capsys.readouterr()
    assert "over the model's context" in shown.err
    assert [one["role"] for one in json.loads(shown.out)["messages"]] == ["user", "assistant"]


FORGOTTEN = b"the message is forgotten\r\n"


class Terminal:
    """The chat on a terminal of its own, with answers in which all tokens are about as likely."""

    def __init__(self, workdir: Workdir, seed: int) -> None:
        self.master, child = pty.openpty()
        environment = {**os.environ, "KHICHDI_STORE": str(workdir.folder / "store")}
        command = [sys.executable, "-m", "khichdi.cli", "chat", "latest"]
        self.process = subprocess.Popen(
            [*command, "--max-new-tokens", "1500", "--temperature", "50", "--seed", str(seed)],
            stdin=child, stdout=child, stderr=child, cwd=workdir.folder, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(child)
        self.seen = b""
        self.ended = False

    def until(self, text: bytes) -> None:
        self.wait_for(lambda: text in self.seen)
        assert text in self.seen, self.seen

    def wait_for(self, done: Callable[[], bool], seconds: float = 120) -> None:
        """Take what it writes until that is done, or the chat has ended; never for ever."""
        end = time.monotonic() + seconds
        while not done() and not self.ended:
            assert time.monotonic() < end, self.seen
            self.read()

    def read(self) -> None:
        """Take what it writes within a while."""
        if not self.ended and select.select([self.master], [], [], 1)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError as error:
                self.ended = error.errno == errno.EIO  # nobody is at the other end
                if not self.ended:
                    raise

    def interrupted(self) -> bool:
        """Ask, press Ctrl-C in the midst of the answer, and return whether it had not ended yet."""
        asked = b"Name a capital.\r\n"
        self.write(asked.replace(b"\n", b""))
        self.until(asked)
        self.wait_for(lambda: not self.seen.endswith(asked))
        os.kill(self.process.pid, signal.SIGINT)
        self.wait_for(lambda: FORGOTTEN in self.seen)
        return not self.ended  # at the prompt, Ctrl-C leaves

    def write(self, text: bytes) -> None:
        self.seen = b""
        os.write(self.master, text)


@pytest.mark.slow
def test_on_a_terminal_interrupts_and_the_end_of_input_are_clean(shared_run: Ran) -> None:
    # How long an answer is depends on the processor's bits: of ten seeds, one gives a long one.
    for seed in range(10):
        terminal = Terminal(shared_run[0], seed)
        # Warnings of libraries may look like a prompt; none comes after the chat's own words.
        terminal.until(b"/exit leaves")
        terminal.wait_for(lambda: b"> " in terminal.seen.rpartition(b"/exit leaves")[2])  # noqa: B023
        if terminal.interrupted():
            break
        assert terminal.process.wait(60) == 130
    else:
        pytest.fail("every answer had ended before it was interrupted")
    # What is typed before a prompt stands there is lost where the line editor takes over.
    terminal.wait_for(lambda: b"> " in terminal.seen.split(FORGOTTEN)[1])
    terminal.write(b"/base\r")
    terminal.until(b"base> ")
    terminal.write(b"/base\r")
    terminal.until(b"trained model answers")
    terminal.until(b"> ")
    terminal.write(b"\x04")
    assert terminal.process.wait(60) == 0
    assert b"Traceback" not in terminal.seen
