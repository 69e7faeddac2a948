"""Compare segments that were executed again with the claims of the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...plugins.kinds import Replay, ReplayedSegment
from ...schema.audit import Finding, LevelReport, SegmentReplay, SegmentVerdict
from ...schema.record import RecordedStep
from ...schema.training_states import States
from ..adapter_files import adapter_digest
from .audited_run import Claim, weights_of
from .compare import difference, state
from .documents import differs, first_difference
from .level import Level
from .segment_distance import UNKNOWN, Errors, errors

if TYPE_CHECKING:
    from .tolerance import Judged

SHOWN = 4


class SegmentComparison:
    """Compares replayed segments with a claimed training."""

    def __init__(
        self, claim: Claim, recorded: RecordedStep, trace: list[dict[str, Any]], states: States,
        plan: SegmentReplay,
    ) -> None:  # fmt: skip
        self.claim, self.recorded, self.trace, self.states = claim, recorded, trace, states
        self.plan = plan
        names = ("starting weights", "steps", "adapter")
        self.levels = {name: Level(name) for name in names}
        self.elsewhere: list[Finding] = []
        self.exact = True

    def compare(self, replay: Replay) -> SegmentReplay:
        """Compare everything, and return what came of each segment."""
        self._weights(replay.weights)
        taken = len(self.trace)
        if replay.steps is not None:
            self._hold("steps", "trace", "training steps in all", taken, replay.steps)
        if replay.ends is not None:
            claimed = [kept.step for kept in self.states.bounds]
            ends = sorted({*(end for end in replay.ends if end < taken), taken})
            self._hold("steps", "states", "ends of segments", claimed, ends)
        self.exact = not any(level.findings for level in self.levels.values())
        verdicts = []
        came: dict[str, Any]
        for one, given in zip(self.plan.replayed, replay.segments, strict=True):
            before = len(self.levels["steps"].findings)
            self._segment(one, given)
            if len(self.levels["steps"].findings) == before:
                came = {"verdict": "identical", "error": 0.0, "state_error": 0.0}
            else:
                came = {"verdict": "diverged", **self._errors(one, given)._asdict()}
            verdicts.append(one.model_copy(update=came))
            if given.adapter is not None:
                self._adapter(given.adapter)
        there, here = self.recorded.result.measured.get("device"), replay.measured.get("device")
        if None not in (there, here) and there != here:
            self.elsewhere.append(
                Finding(step=self.recorded.name, at="device", claimed=there, derived=here)
            )
        self.plan = self.plan.model_copy(update={"replayed": tuple(verdicts)})
        return self.plan

    def judge(self, judged: Judged) -> SegmentReplay:
        """Judge segments with other bits by a calibration; return the verdict on each."""
        for name, verdict in judged.items():
            level = self.levels[name]
            parted, level.findings = level.findings, verdict.findings
            level.held = verdict.held
            level.absent = verdict.lacking
            if parted and not (level.findings or level.held or level.absent):
                level.absent = ["a figure of a segment that its calibration has a limit for"]
        if not self.levels["steps"].findings:
            verdicts = (
                one.model_copy(update={"verdict": "equivalent"})
                if one.verdict == "diverged"
                else one
                for one in self.plan.replayed
            )
            self.plan = self.plan.model_copy(update={"replayed": tuple(verdicts)})
        return self.plan

    @property
    def other_bits(self) -> bool:
        """Tell whether there is something that a calibration may decide.

        That is where segments came out with other bits, and all that they start from, and how the
        training is divided, is the same.
        """
        return self.exact and any(level.findings for level in self.levels.values())

    def _weights(self, found: dict[str, str]) -> None:
        claimed = weights_of(self.claim, self.recorded)
        if claimed is None:
            return
        for what in dict.fromkeys([*claimed, *found]):
            at = f"tensors of {what}"
            self._hold("starting weights", "weights", at, claimed.get(what), found.get(what))

    def _segment(self, one: SegmentVerdict, given: ReplayedSegment) -> None:
        """Compare a segment's steps one by one, then the state that it ends in."""
        place = f"segment {one.segment} of {self.plan.segments}"
        # As a trace is read back: JSON has lists alone.
        derived = json.loads(json.dumps(given.trace))
        pairs = zip(self.trace[one.first - 1 : one.last], derived, strict=True)
        for claimed, made in pairs:
            found = first_difference(claimed, made)
            self.levels["steps"].checked += 1
            if found:
                at = f"{place}, training step {claimed['step']}, {found[0]}"
                self._hold("steps", "trace", at, found[1], found[2])
                break  # what follows would differ because of it
        kept = self.states.bounds[one.segment - 1]
        parted = state(kept, given.state, self._files(one.segment), given.folder)
        self.levels["steps"].checked += 1
        if parted:
            at = f"{place}, state after training step {kept.step}, {parted[0]}"
            self._hold("steps", "states", at, parted[1], parted[2])

    def _files(self, number: int) -> Path | None:
        """Return the folder of the state that a segment is said to end in; None if not kept."""
        folder = self.claim.artifact(self.recorded.result.outputs["states"])
        kept = number > 0 and self.states.bounds[number - 1].kept
        return folder / self.states.bounds[number - 1].folder if folder and kept else None

    def _errors(self, one: SegmentVerdict, given: ReplayedSegment) -> Errors:
        files = self.claim.artifact(self.recorded.result.outputs["states"])
        return errors(self.states, files, one.segment, given) if files else UNKNOWN

    def _adapter(self, folder: Path) -> None:
        """Compare the adapter with what the segment that it comes out of gives."""
        output = self.recorded.result.outputs["adapter"]
        at, claimed, derived = "content digest", output.digest, adapter_digest(folder)
        kept = self.claim.artifact(output)
        if claimed != derived and kept is not None:
            found = difference("adapter", kept, folder)
            if found is not None:
                at, claimed, derived = found
        self._hold("adapter", "adapter", at, claimed, derived)

    def _hold(self, level: str, output: str, at: str, claimed: Any, derived: Any) -> None:
        finding = Finding(
            step=self.recorded.name, output=output, at=at, claimed=claimed, derived=derived
        )
        self.levels[level].compare(finding)

    # ---- reporting --------------------------------------------------------------------------

    def _looseness(self) -> str:
        """Say it where the recipe itself lets bits differ."""
        plan = self.claim.plan
        if plan is None or plan.repeats:
            return ""
        return f"; trained with `{plan.varies_by}`, so bits need not come again"

    def reports(self) -> dict[str, LevelReport]:
        """Return the levels that something was executed at."""
        whole = len(self.plan.replayed) == self.plan.segments
        found = {}
        for name, level in self.levels.items():
            if not level.checked:
                continue
            sampled = name in ("steps", "adapter") and not whole
            update: dict[str, Any] = {"basis": "sampled" if sampled else "executed"}
            if sampled:
                update["sample"] = (len(self.plan.replayed), self.plan.segments)
            if name == "steps":
                judged = f"; {level.report().detail}" if level.held or level.absent else ""
                update["detail"] = in_words(self.plan) + self._looseness() + judged
            if name == "adapter" and not (level.findings or level.held):
                update["detail"] = f"training step {self.states.adapter_step} gives it"
            found[name] = level.report().model_copy(update=update)
        if self.elsewhere:
            found["environment"] = differs(self.claim, tuple(self.elsewhere))
        return found


def in_words(plan: SegmentReplay) -> str:
    """Return what was executed again, and what share of forged segments that would have caught."""
    spans = [f"{one.first}-{one.last}" for one in plan.replayed]
    more = f" and {len(spans) - SHOWN} more" if len(spans) > SHOWN else ""
    where = f"steps {', '.join(spans[:SHOWN])}{more}"
    total, certain = plan.segments, plan.surely_caught
    if len(plan.replayed) == total:
        return f"all {total} segments replayed ({where})"
    extra = [one for one in plan.replayed if one.because == "adapter"]
    drawn_ = f"{len(plan.drawn)} of {total} segments drawn"
    if extra:
        drawn_ += f", and the one that the adapter comes out of ({extra[0].segment})"
    alone = plan.odds[0].probability
    return (
        f"{drawn_}, replayed ({where}): 1 forged segment of {total} would have been found with "
        f"probability {alone:.2f}, {certain} or more ({certain / total:.0%}) with at least 0.95"
    )
