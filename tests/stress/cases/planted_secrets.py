"""Secrets of every kind, planted where people leave them; and all that a command then puts out."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from khichdi.cli.main import main

from ...helpers.forgery import rewrite

A, HEX = "a1B2", "a1b2"
VARIABLE = "MY_HUB_TOKEN"
LIVE = "nothing-a-pattern-knows"
KINDS = {
    "hub": ("hf_" + A * 9, A * 9),
    "GitHub": ("ghp_" + A * 9, A * 9),
    "GitHub, fine": ("github_pat_" + A * 12, A * 12),
    "GitLab": ("glpat-" + A * 6, A * 6),
    "AWS": ("AKIA" + "A1B2" * 4, "A1B2" * 4),
    "AWS, secret": ("aws_secret_access_key=" + "a1B/" * 10, "a1B/" * 10),
    "Azure": ("DefaultEndpointsProtocol=https;AccountKey=" + A * 21 + "==", A * 21),
    "Google": ("AIza" + "a1B2c" * 7, "a1B2c" * 7),
    "OpenAI": ("sk-proj-" + A * 8, A * 8),
    "Anthropic": ("sk-ant-api03-" + A * 8, A * 8),
    "Slack": ("xoxb-" + "1234567890-" * 2 + "abc", "1234567890-"),
    "Stripe": ("sk_live_" + A * 6, A * 6),
    "PyPI": ("pypi-" + A * 14, A * 14),
    "npm": ("npm_" + A * 9, A * 9),
    "SendGrid": ("SG." + A * 5 + "." + A * 6, A * 5),
    "Telegram": ("123456789:AA" + A * 9, A * 9),
    "Databricks": ("dapi" + HEX * 8, HEX * 8),
    "JSON web token": ("eyJ" + A * 4 + ".eyJ" + A * 4 + "." + A * 8, A * 4),
    "private key": (
        f"-----BEGIN PRIVATE KEY-----{A * 16}{A * 12}-----END PRIVATE KEY-----",
        A * 12,
    ),
    "login in a URL": ("https://alice:hunter22xyz@example.org/data", "hunter22xyz"),
    "token in a URL": ("https://sometoken1234@example.org/data", "sometoken1234"),
    "signed URL": ("https://example.org/d?X-Amz-Signature=" + HEX * 8, HEX * 8),
    ".netrc": ("machine example.org login alice password open-sesame", "open-sesame"),
    "password": ("password: correcthorse", "correcthorse"),
    "shell": ("WANDB_API_KEY=" + HEX * 10, HEX * 10),
    "header": ("Authorization: Bearer " + A * 6, A * 6),
    "environment": (LIVE, LIVE),
}
"""By kind: a text with a secret, and the part of it that nobody may see."""

PART = 12
"""Characters of a secret that are too many to be seen: a cut secret is one all the same."""

HARMLESS = [
    "eos_token: </s>", "bos_token: <s>", "pad_token: <|endoftext|>", "unk_token: <unk>",
    "cls_token: '[CLS]'", "sep_token: '[SEP]'", "mask_token: '[MASK]'", "image_token: <image>",
    "video_token: <|video_pad|>", "audio_token: <|audio_bos|>", "pad_token_id: 151643",
    "eos_token_id: [128001, 128009]", "bos_token_id: 1", "image_token_index: 32000",
    "decoder_start_token_id: 0", "forced_eos_token_id: 2", "max_new_tokens: 4096",
    "min_new_tokens: 8", "max_tokens: 20000000", "train_tokens: 15198.0",
    "response_tokens: 1511", "add_bos_token: true", "add_eos_token: false",
    "additional_special_tokens: ['<|im_start|>', '<|im_end|>']", "num_input_tokens_seen: 123456",
    "include_num_input_tokens_seen: true", "tokens_per_second: 12345.678",
    "tokenizer: mistralai/Mistral-7B-v0.1", "tokenizer_class: LlamaTokenizerFast",
    "tokenizer_use_fast: true", "tokenizer_name: hf-internal-testing/llama-tokenizer",
    "token_type_ids: attention_mask", "modules_to_save: [embed_tokens, lm_head]",
    "return_token_type_ids: false", "use_auth_token: true", "hub_token: null",
    "split_special_tokens: false", "skip_special_tokens: true", "new_special_tokens: <tool_call>",
    "resize_token_embeddings_to_32x: true", "PAD_TOKEN=<|endoftext|>", "EOS_TOKEN = '<|im_end|>'",
    "key_value_heads: 8", "past_key_values: DynamicCache", "num_key_value_heads: 32",
    "k_proj, v_proj, q_proj, o_proj", "key: instruction", "group_by_key: conversation_id",
    "secret: none", "https://huggingface.co/datasets/GAIR/lima?row=1",
    "sha256:" + "0a1b" * 16, "the password of a good dish is time", "task-sk-learn-classification",
]  # fmt: skip
"""Settings and texts of models that only sound like secrets."""


@dataclass
class Leak:
    """A folder that ran, and everything that comes out of commands on it."""

    folder: Path
    said: str = ""

    @property
    def run(self) -> Path:
        return next((self.folder / "store" / "runs").iterdir())

    def forget(self) -> None:
        """Remove the run, so that the next one, all of it cached, writes its documents anew."""
        shutil.rmtree(self.folder / "store" / "runs")

    def here(self, *words: str) -> None:
        """Run a command in this process."""
        out, before = io.StringIO(), Path.cwd()
        os.chdir(self.folder)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                main([*words, "--store", str(self.folder / "store")])
        finally:
            os.chdir(before)
        self.said += out.getvalue()

    def apart(self, *words: str, debug: bool = False) -> None:
        """Run a command in a process of its own, whose log and traceback are its own too."""
        command = [sys.executable, "-m", "khichdi.cli", *words, "--store", "store"]
        environment = {**os.environ, **({"KHICHDI_DEBUG": "1"} if debug else {})}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        self.said += done.stdout + done.stderr

    def outputs(self, given: dict[Path, bytes]) -> Iterator[tuple[str, bytes]]:
        """Yield the screen and each file that was made, but for the data that was given."""
        yield "screen", self.said.encode()
        for path in sorted(self.folder.rglob("*")):
            rows = "artifacts" in path.parts and path.suffix in (".arrow", ".jsonl")
            if path.is_file() and not rows and given.get(path) != (raw := path.read_bytes()):
                yield path.relative_to(self.folder).as_posix(), raw
                yield from payload(path.name, raw)
            yield "name", path.name.encode()


def payload(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is signed in an envelope, which nobody sees by looking at its bytes."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        yield f"payload of {name}", base64.b64decode(json.loads(raw)["payload"])


def in_a_value(leak: Leak, text: str) -> None:
    recipe = leak.folder / "pico.yaml"
    told = json.dumps(text)
    recipe.write_text(recipe.read_text().replace("seed: 5", f"seed: 5\ndescription: {told}"))
    leak.forget()
    for command in ("validate", "plan", "show", "run", "lock"):
        leak.here(command, "pico.yaml")


def in_a_comment(leak: Leak, text: str) -> None:
    recipe = leak.folder / "pico.yaml"
    recipe.write_text(f"{recipe.read_text()}\n# {text}\n")
    leak.forget()
    leak.here("run", "pico.yaml")
    recipe.write_text(f"{recipe.read_text()}\nunknown: {{}}  # {text}\n")
    for command in (["validate", "--json"], ["run"], ["fmt", "--check"]):
        leak.here(*command, "pico.yaml")


def in_a_setting(leak: Leak, text: str) -> None:
    leak.forget()
    leak.here("run", "pico.yaml", "--set", f"description={text}")
    leak.here("validate", "pico.yaml", "--set", f"train.unknown={text}")


def in_a_row(leak: Leak, text: str) -> None:
    data = leak.folder / "colours.jsonl"
    data.write_text(json.dumps({"instruction": text, "input": 5, text: text}) + "\n")
    leak.apart("run", "pico.yaml", debug=True)


def in_a_record(leak: Leak, text: str) -> None:
    def set_once(record: dict[str, Any]) -> None:
        record["settings"] = [f"description={text}"]
        record["bound"]["description"] = text

    def diverge(record: dict[str, Any]) -> None:
        record["metrics"][text] = 1.0

    run = leak.run.name
    rewrite(leak.run, "record.json", set_once)
    leak.here("runs", run)
    leak.here("runs", run, "--json")
    leak.here("bundle", run, "-o", "run.bundle")
    leak.here("sign", run, "--key", "key.pem")
    rewrite(leak.run, "record.json", diverge)
    leak.here("audit", run, "--html", "audit.html", "--statement", "statement.json")
    leak.here("audit", run, "--json")
    for form in ("markdown", "cyclonedx", "croissant"):
        leak.here("card", run, "--format", form, "--output", f"card.{form}")
    (leak.run / "record.json").unlink()  # it was given


def in_a_name(leak: Leak, text: str) -> None:
    (leak.folder / "rows").mkdir()
    shutil.copyfile(leak.folder / "colours.jsonl", leak.folder / "rows" / f"{text}.jsonl")
    recipe = leak.folder / "pico.yaml"
    recipe.write_text(recipe.read_text().replace("[colours.jsonl]", '["rows/*"]'))
    for command in ("lock", "plan", "run"):
        leak.here(command, "pico.yaml")
    shutil.rmtree(leak.folder / "rows")


PLACES: dict[str, Callable[[Leak, str], None]] = {
    "recipe": in_a_value,
    "comment": in_a_comment,
    "setting": in_a_setting,
    "row": in_a_row,
    "record": in_a_record,
    "name": in_a_name,
}


def fits(place: str, text: str) -> bool:
    """Return whether a text can stand in a place: a name of a file holds no slash."""
    return place != "name" or "/" not in text


def leaks(shared_run: Path, folder: Path, place: str, text: str, needle: str) -> list[str]:
    """Plant a text in a copy of a folder that ran, and return the outputs that have the needle."""
    shutil.copytree(shared_run, folder)
    leak = Leak(folder)
    given = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    PLACES[place](leak, text)
    for name in ("pico.yaml", "colours.jsonl"):
        given[folder / name] = (folder / name).read_bytes()
    assert leak.said
    part = needle[:PART].encode()
    return [name for name, raw in leak.outputs(given) if part in raw]
