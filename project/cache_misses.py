"""Explain cache misses: what differs from the last finished run of the same recipe."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from ..compiler.invalidation import reruns, roots
from ..runtime.execute import pending
from ..runtime.store.runs import PLAN, newest_runs
from ..schema.errors import InputError
from ..schema.plan import Plan
from .session import Session

SEARCHED = 20
"""How many past runs are searched for one whose plan can be read, newest first."""

FORGOTTEN = "the store no longer has its result"


@dataclass(frozen=True)
class CacheMisses:
    """Steps that have to run although the recipe ran before.

    Attributes:
        since: the run that they are compared with.
        why: each step that has to run, with its nearest cause.
        roots: those among them that differ themselves; the others follow from these.
    """

    since: str
    why: dict[str, str]
    roots: dict[str, str]

    def lines(self) -> list[str]:
        """Return a line for each cause."""
        follow = len(self.why) - len(self.roots)
        lines = [f"  changed since {self.since}"]
        lines += [f"    {name}: {why}" for name, why in self.roots.items()]
        if follow:
            word = "step follows" if follow == 1 else "steps follow"
            lines.append(f"    {follow} {word} from {'it' if len(self.roots) == 1 else 'these'}")
        return lines


def cache_misses(session: Session) -> CacheMisses | None:
    """Return why steps have to run; None where nothing has to, or the recipe never ran here."""
    plan, store = session.compiled.plan, session.store
    waiting = {step.name for step in pending(plan, store)}
    if not waiting:
        return None
    for folder, _ in islice(newest_runs(store, plan.recipe), SEARCHED):
        try:
            before = Plan.from_json((folder / PLAN).read_bytes(), str(folder / PLAN))
        except (OSError, InputError):
            continue
        again = reruns(before, plan)
        own = {name: why for name, why in roots(before, plan).items() if name in waiting}
        lost = {name: FORGOTTEN for name in sorted(waiting - again.keys())}
        every, differ = again | lost, own | lost
        names = [step.name for step in plan.steps if step.name in waiting]
        why = {name: every[name] for name in names}
        return CacheMisses(
            folder.name, why, {name: differ[name] for name in names if name in differ}
        )
    return None
