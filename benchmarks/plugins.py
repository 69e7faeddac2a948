"""What 200 installed plugins cost a light command, beside none, in processor seconds.

    python benchmarks/plugins.py [RUNS]

Each is a distribution of its own, its bytecode cached. The least of all runs counts; runs take
turns.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

COUNT = 200
COMMANDS = (["plugins", "filter"], ["validate", "quickstart"])
SOURCE = '''
from khichdi.plugins import Filter, Params, hookimpl
from pydantic import Field


class ShareParams(Params):
    share: float = Field(0.5, gt=0, le=1, description="A share.")
    field: str = Field("input", description="A field.")


class Own(Filter[ShareParams]):
    """Keep every row."""

    name = "own-{n}"

    def reasons(self, batch):
        return [None] * batch.num_rows


@hookimpl
def khichdi_filters():
    return [Own]
'''


def install(site: Path) -> None:
    for n in range(COUNT):
        (site / f"own_{n}.py").write_text(SOURCE.replace("{n}", str(n)))
        info = site / f"own_{n}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: own-{n}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[khichdi]\nown-{n} = own_{n}\n")


def timed(words: list[str], path: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "khichdi.cli", *words],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**environment, "PYTHONPATH": path},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    plain = os.environ.get("PYTHONPATH", "")
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder))
        paths = {"none": plain, str(COUNT): os.pathsep.join(filter(None, [folder, plain]))}
        print(f"{'command':<24}{'none s':>9}{f'{COUNT} s':>9}{'more s':>9}")
        for words in COMMANDS:
            least = dict.fromkeys(paths, float("inf"))
            for _ in range(runs):
                for name, path in paths.items():
                    least[name] = min(least[name], timed(words, path))
            none, many = least["none"], least[str(COUNT)]
            print(f"{' '.join(words):<24}{none:>9.3f}{many:>9.3f}{many - none:>9.3f}")


if __name__ == "__main__":
    main()
