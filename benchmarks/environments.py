"""Whether everything before training has the same bits in many environments.

    python benchmarks/environments.py [COUNT] [SEED]

Runs the quickstart up to its first training step, each time from the command line, in a copy of its
files that was written in another order and with other times, and otherwise surrounded: hash seed,
time zone, locale, umask, folder, number of worker processes, of data workers and of threads that
the environment asks for, encodings of the terminal, and a home that is empty or none. Compared are
the recipe hash, every document's digests and every artifact of the levels recipe to starting
weights.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from khichdi.project.bundled_recipes import open_recipe

ZONES = ("UTC", "Asia/Kolkata", "America/Lima", "Pacific/Chatham", ":")
LOCALES = ("C", "C.UTF-8", "POSIX", "de_DE.UTF-8", "tr_TR.UTF-8", "nonsense")
SETTINGS = ("train.max_steps=1", "train.warmup_steps=0", "train.eval_steps=1", "evaluate=[]")


def surroundings(draw: random.Random, home: Path) -> dict[str, str]:
    """Return environment variables drawn by chance."""
    threads = str(draw.choice([1, 2, 3, 7]))
    found = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONHASHSEED": str(draw.randint(0, 2**32 - 1)),
        "PYTHONUTF8": str(draw.randint(0, 1)),
        "PYTHONIOENCODING": draw.choice(["utf-8", "ascii", "latin-1"]),
        "TZ": draw.choice(ZONES),
        "LC_ALL": draw.choice(LOCALES),
        "COLUMNS": str(draw.choice([20, 80, 300])),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "KHICHDI_WORKERS": str(draw.randint(1, 5)),
    }
    if draw.random() < 0.7:
        found["HOME"] = str(home)
    return found


def copied(into: Path, draw: random.Random) -> Path:
    """Copy the recipe and its files in an order drawn by chance, with times drawn by chance."""
    recipe, _ = open_recipe("quickstart", Path.cwd())
    names = [recipe.name, *(p.relative_to(recipe.parent) for p in _files(recipe))]
    draw.shuffle(names)
    for name in map(str, names):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(recipe.parent / name, into / name)
        moment = draw.randint(0, 2**31 - 1)
        os.utime(into / name, (moment, moment))
    return into / recipe.name


def _files(recipe: Path) -> list[Path]:
    return [path for path in (recipe.parent / "quickstart").rglob("*") if path.is_file()]


def prepared(folder: Path, draw: random.Random) -> dict[str, Any]:
    """Run in a new environment; return what is compared, by level and name."""
    home = folder / "home"
    around = surroundings(draw, home)
    # Where Python is told that names are ASCII, libraries in other languages find no others.
    names = ["a" * 80, "with a space"]
    if around["PYTHONUTF8"] == "1" or around["LC_ALL"] == "C.UTF-8":
        names.append("ü ß")
    place = folder / draw.choice(names)
    home.mkdir(parents=True)
    place.mkdir()
    recipe = copied(place, draw)
    command = [sys.executable, "-m", "khichdi.cli", "run", recipe.name, "--json", "--store", "s"]
    workers = f"train.dataloader_num_workers={draw.randint(0, 4)}"
    for setting in (*SETTINGS, workers):
        command += ["--set", setting]
    done = subprocess.run(
        command,
        cwd=place,
        env=around,
        umask=draw.choice([0o000, 0o022, 0o077]),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"a run failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    document = json.loads(done.stdout.decode(around["PYTHONIOENCODING"]))
    record = json.loads((place / document["run"] / "record.json").read_text("utf-8"))
    found = {"recipe: recipe hash": record["recipe_hash"], "recipe: bound": _text(record["bound"])}
    for step in record["steps"]:
        found[f"plan: key of {step['name']}"] = step["result"]["key"]
        for name, output in step["result"]["outputs"].items():
            if step["kind"] != "runtime" or name == "weights":
                found[f"artifacts: {step['name']}#{name}"] = _text(output)
    return found


def _text(value: Any) -> str:
    if isinstance(value, dict):  # how many data workers there are is no matter of results
        train = value.get("train")
        if isinstance(train, dict):
            train.pop("dataloader_num_workers", None)
    return json.dumps(value, sort_keys=True)


def main() -> int:
    count, seed = (int(w) for w in [*sys.argv[1:], *("32", "57")[len(sys.argv) - 1 :]])
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        found = [prepared(Path(scratch) / f"environment-{n}", draw) for n in range(count)]
    names = sorted({name for one in found for name in one})
    differing = [n for n in names if len({one.get(n) for one in found}) > 1]
    kinds = Counter(name.split(":")[0] for name in names)
    for kind, compared in sorted(kinds.items()):
        other = sum(name.startswith(f"{kind}:") for name in differing)
        print(f"{kind:<12}{compared:>5} compared{other:>5} differ")
    print(f"{count} environments: {len(names) - len(differing)} of {len(names)} the same in all")
    print("\n".join(differing))
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
