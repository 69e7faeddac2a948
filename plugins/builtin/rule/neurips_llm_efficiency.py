"""The rules of the NeurIPS 2023 LLM Efficiency Challenge: one model, one GPU, one day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from khichdi.plugins import Breach, Facts, Params, Rule
from khichdi.schema.estimate import Estimate

HOURS = 24
GIB = 2**30
BASE_LICENSES = (
    "mit",
    "apache-2.0",
    "bigscience-bloom-rail-1.0",
    "bigscience-openrail-m",
    "llama2",
)
"""SPDX ids, and the hub's own ids of licences that SPDX does not list."""
MMLU = ("mmlu", "hendrycks_test")
EVALUATED = (
    "truthful_qa", "truthfulqa", "bbq", "bigbench", "big-bench", "gsm8k", "cnn_dailymail",
    "samsum", "corr2cause", "competition_math", "hendrycks_math", "hendrycks_ethics",
)  # fmt: skip
"""Words in the names of data sets that the challenge evaluated on."""


class NeuripsLlmEfficiency2023Params(Params):
    """The track of the challenge."""

    track: Literal["rtx-4090", "a100-40gb"] = Field(
        description="The track: the GPU that everything runs on."
    )


class NeuripsLlmEfficiency2023(Rule[NeuripsLlmEfficiency2023Params]):
    """Check the NeurIPS 2023 LLM Efficiency Challenge rules: memory, time, licenses, data."""

    name = "neurips-llm-efficiency-2023"
    example = {"track": "rtx-4090"}

    def device(self) -> str | None:
        """Return the GPU of the track."""
        return self.params.track

    def breaches(self, facts: Facts) -> list[Breach]:
        """Return what breaks the rules, and as warnings what cannot be known."""
        found = [*_base(facts), *_data(facts)]
        if facts.estimate is not None:
            estimate = facts.estimate(self.params.track)
            found += [*_memory(estimate), *_time(estimate)]
        return found


def _warn(message: str, *path: str, hint: str | None = None) -> Breach:
    return Breach(message, path, hint, "warning")


def _base(facts: Facts) -> Iterator[Breach]:
    allowed = ", ".join(BASE_LICENSES)
    if facts.base_license is None:
        yield _warn("the base declares no license", "model", "base", hint=f"allowed: {allowed}")
    elif facts.base_license.lower() not in BASE_LICENSES:
        message = f"the base is under {facts.base_license}"
        yield Breach(message, ("model", "license"), f"allowed: {allowed}")
    if facts.instruction_tuned:
        message = "by its name, the base is already instruction-tuned"
        yield Breach(message, ("model", "base"), "take the model that it was tuned from")
    elif facts.instruction_tuned is None:
        message = "whether the base is instruction-tuned is not known"
        yield _warn(message, "model", "base")


def _data(facts: Facts) -> Iterator[Breach]:
    undeclared = [name for name, license_ in facts.data_licenses.items() if license_ is None]
    if undeclared:
        names = ", ".join(undeclared)
        yield _warn(f"no license declared, and only open data is allowed: {names}", "data")
    for name, source in facts.data_sources.items():
        yield from _data_set(name, source)
    if facts.data_sources:
        yield _warn(
            "not checked: whether a language model generated data whose license forbids it", "data"
        )


def _data_set(name: str, source: Mapping[str, Any]) -> Iterator[Breach]:
    place = ("data", name, "source")
    origin = str(source.get("repo") or source.get("url") or "").lower()
    if source.get("use") == "files":
        yield _warn(f"data set `{name}` is on this machine: is it open?", *place)
    if any(word in origin for word in MMLU):
        message = f"data set `{name}` is MMLU, which is for evaluation alone"
        yield Breach(message, place, "leave it out")
    elif any(word in origin for word in EVALUATED) and source.get("split") != "train":
        message = f"data set `{name}` is evaluated on, and its training split is not named"
        yield _warn(message, *place, hint="set `split: train`")


def _memory(estimate: Estimate) -> Iterator[Breach]:
    memory, limit = estimate.memory, estimate.device_memory_bytes
    if memory is None or limit is None:
        yield _warn("memory is not known", "train", hint="; ".join(estimate.unknown) or None)
        return
    wanted = f"about {memory.total / GIB:.1f} GiB of {limit / GIB:.1f}"
    if memory.total <= limit:
        if memory.total > 0.95 * limit:
            yield _warn(f"memory is tight: {wanted}", "train", hint=_savings(estimate))
    elif memory.total - memory.paged <= limit:
        moved = memory.total - limit
        message = f"{wanted}: fits only while {moved / GIB:.1f} GiB of moments are paged out"
        yield _warn(message, "train", hint=_savings(estimate))
    else:
        yield Breach(f"training takes {wanted}", ("train",), _savings(estimate))


def _savings(estimate: Estimate) -> str | None:
    """Suggest ways to save memory, the largest first."""
    found = [f"`{s.change}` saves {s.saves_bytes / GIB:.1f}" for s in estimate.savings[:3]]
    return "; ".join(found) or None


def _time(estimate: Estimate) -> Iterator[Breach]:
    """Compare with a day; what rests on assumed tokens only warns."""
    seconds, bound = estimate.seconds, estimate.at_least
    least = "at least " if seconds is None else ""
    if seconds is None and bound is not None:
        seconds = bound.seconds
    if seconds is not None and seconds > HOURS * 3600:
        sure = estimate.counted or bool(least)
        message = f"training takes {least}about {seconds / 3600:.1f} h of {HOURS} ({estimate.rate})"
        hint = "fewer rows, epochs or max_steps; a smaller base"
        yield Breach(message, ("train",), hint, "error" if sure else "warning")
    elif estimate.seconds is None:
        known = f": {least}{seconds / 3600:.1f} h of {HOURS}" if seconds is not None else ""
        yield _warn(f"time is not known{known}", "train")
