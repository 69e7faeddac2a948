"""What broken recipes are told: shares with a place, on the right line, with the right word.

    python -m tests.stress.broken [SEED]

The corpus is every shipped recipe with one thing wrong, by a seed; -v shows each miss.
"""

from __future__ import annotations

import sys

from ..helpers.broken import Answer, Tally, cases, measure, typos_of


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "-v"]
    tallies = measure(cases(int(words[0]) if words else 57))
    print(f"{'kind':<26}{'cases':>7}{'refused':>9}{'place':>8}{'line':>8}{'word':>8}")
    for kind, tally in sorted(tallies.items()):
        lines = any(answer.case.line for answer in tally.answers)
        shares = [tally.share("refused"), tally.share("placed")]
        shares += [tally.share("right_line")] if lines else []
        shares += [tally.share("right_word")] if kind.startswith("misspelt") else []
        cells = "".join(f"{share:>8.1%}" for share in shares)
        print(f"{kind:<26}{len(tally.answers):>7} {cells}")
    everything = Tally([answer for tally in tallies.values() for answer in tally.answers])
    typos = typos_of(tallies)
    faults = sum(answer.fault is not None for answer in everything.answers)
    print(f"\n{len(everything.answers):,} broken recipes, {faults} with a traceback")
    print(f"{everything.share('placed'):.1%} have a place")
    print(f"of {len(typos.answers):,} typos {typos.share('right_line'):.1%} are on the right line")
    print(f"and {typos.share('right_word'):.1%} suggest the right word")
    if "-v" in sys.argv:
        for answer in everything.answers:
            if answer.missed:
                told(answer)


def told(answer: Answer) -> None:
    """Print a case and what was said of it."""
    case = answer.case
    print(f"\n{case.kind}, {case.recipe}:{case.line}, meant {case.word}: {answer.fault or ''}")
    if case.line:
        print("  " + case.text.split("\n")[case.line - 1].strip()[:150])
    for diagnostic in answer.found[:3]:
        print("  " + str(diagnostic)[:400])


if __name__ == "__main__":
    main()
