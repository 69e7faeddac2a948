"""What broken recipes are told: shares with a place, on the right line, with the right word.

    python benchmarks/broken.py [SEED]

The corpus is every shipped recipe with one thing wrong, by a seed; -v shows each miss.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

from broken import cases, measure, typos_of


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "-v"]
    seed = int(words[0]) if words else 57
    tallies = measure(cases(seed))
    print(f"{'kind':<26}{'cases':>7}{'refused':>9}{'place':>8}{'line':>8}{'word':>8}")
    for kind, tally in sorted(tallies.items()):
        lines = any(answer.case.line for answer in tally.answers)
        cells = [
            f"{sum(bool(a.found) for a in tally.answers) / len(tally.answers):.1%}",
            f"{tally.share('placed'):.1%}",
            f"{tally.share('right_line'):.1%}" if lines else "",
            f"{tally.share('right_word'):.1%}" if kind.startswith("misspelt") else "",
        ]
        print(f"{kind:<26}{len(tally.answers):>7}{cells[0]:>9}" + "".join(f"{c:>8}" for c in cells[1:]))
    everything = [answer for tally in tallies.values() for answer in tally.answers]
    typos = typos_of(tallies)
    faults = [answer for answer in everything if answer.fault]
    print(f"\n{len(everything)} broken recipes, {len(faults)} with a traceback")
    print(f"{sum(a.placed for a in everything) / len(everything):.1%} have a place")
    print(f"of {len(typos.answers)} typos {typos.share('right_line'):.1%} point at the right line,")
    print(f"{typos.share('right_word'):.1%} suggest the right word")
    if "-v" in sys.argv:
        for miss in everything:
            typo = miss.case.kind.startswith("misspelt")
            if miss.fault or not miss.placed or (typo and not miss.right_word) or (miss.case.line and not miss.right_line):
                print("\n", miss.case.kind, miss.case.recipe, miss.case.line, miss.case.word, miss.fault)
                if miss.case.line:
                    print("  ", miss.case.text.split("\n")[miss.case.line - 1].strip()[:150])
                for diagnostic in miss.found[:3]:
                    print("  ", str(diagnostic)[:400])


if __name__ == "__main__":
    main()
