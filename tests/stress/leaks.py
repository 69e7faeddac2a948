"""Secrets of every kind planted in every place, and in how many outputs each is found again.

    python -m tests.stress.leaks [KIND ...]

A small recipe runs once; each secret is planted in a copy of its folder. Outputs are the screen,
the log, the traceback, lock, plan, record, bundle, statement, ML-BOM, Croissant, card, HTML.
Then settings of models that only sound like secrets are looked through for false alarms.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from khichdi.schema.secrets import mask, secrets_in

from ..helpers.miniature import make_base
from .cases.planted_secrets import HARMLESS, KINDS, LIVE, PLACES, VARIABLE, fits, leaks

RECIPE = """\
recipe: 1
name: pico
seed: 5
model:
  base: {use: files, folder: base, include: ["*"]}
  quantization: {use: bitsandbytes, bits: 4}
  adapter: {use: lora, r: 2, alpha: 4}
data:
  colours:
    source: {use: files, include: [colours.jsonl]}
    read: {use: jsonl}
mixture:
  validation: {count: 2}
train: {use: qlora, template: {use: alpaca}, sequence_len: 64, num_epochs: 1, cpu_threads: 1}
"""
ROW = '{{"instruction": "Name a colour.", "input": "{}", "output": "Blue"}}\n'


def cook(folder: Path) -> Path:
    folder.mkdir()
    make_base(folder / "base")
    (folder / "colours.jsonl").write_text("".join(ROW.format(number) for number in range(8)))
    (folder / "pico.yaml").write_text(RECIPE)
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", "key.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    command = [sys.executable, "-m", "khichdi.cli", "run", "-q", "pico.yaml", "--store", "store"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def main() -> int:
    os.environ[VARIABLE] = LIVE
    kinds = {name: KINDS[name] for name in sys.argv[1:] or KINDS}
    total, found = 0, []
    print(f"{'kind':<16}" + "".join(f"{place:>10}" for place in PLACES))
    with tempfile.TemporaryDirectory() as scratch:
        shared_run = cook(Path(scratch) / "workdir")
        for number, (kind, (text, needle)) in enumerate(kinds.items()):
            counts: list[str] = []
            for place in PLACES:
                if not fits(place, text):
                    counts.append("-")
                    continue
                folder = Path(scratch) / f"{number}-{place}"
                where = leaks(shared_run, folder, place, text, needle)
                counts.append(str(len(where)))
                found += [f"{kind} in a {place}: {one}" for one in where]
                total += 1
            print(f"{kind:<16}" + "".join(f"{count:>10}" for count in counts), flush=True)
    alarms = [text for text in HARMLESS if any(secrets_in(text.encode())) or mask(text) != text]
    print(f"{total} planted, of {len(kinds)} kinds: {len(found)} found in an output")
    print(f"{len(HARMLESS)} harmless settings: {len(alarms)} false alarms")
    print("\n".join([*found, *alarms]))
    return 1 if found or alarms else 0


if __name__ == "__main__":
    raise SystemExit(main())
