"""Read and check a calibration file, and select the claims to compare."""

from __future__ import annotations

from pathlib import Path

from ...plugins.registry import Registry
from ...schema.calibration import FORGERIES, RERUN, Calibration
from ...schema.errors import InputError
from ...schema.plan import PlanStep
from ..audit.audited_run import Claim
from ..audit.tolerance import Place
from .probes import Panel, choose
from .thresholds import derive
from .trained_model import TrainedModel, scores_of, training_of

FEWEST = 5
"""Honest reruns and independent seeds that a calibration needs."""

FILE = "calibration.json"
"""The name of a calibration in a run's folder, and so in its bundle."""


def training_step(claim: Claim) -> PlanStep:
    """Return the plan's training.

    Raises:
        InputError: there is none.
    """
    steps = claim.plan.steps if claim.plan else ()
    found = next((step for step in steps if step.kind == "runtime"), None)
    if found is None:
        raise InputError("this run trains nothing: there is nothing to calibrate")
    return found


def claimed_training(claim: Claim) -> TrainedModel:
    """Return the run's training and the scores of its evaluations.

    Raises:
        InputError: its adapter, trace or predictions are not here.
    """
    name = training_step(claim).name
    recorded = {step.name: step for step in claim.record.steps}
    training = training_of(recorded[name], claim)
    told = {s.name: scores_of(s, claim) for s in claim.record.steps if s.kind == "evaluator"}
    missing = next((name for name, found in told.items() if found is None), None)
    if training is None or missing:
        raise InputError(
            f"the result of {missing or name} is not here",
            hint="run the recipe again: missing results are recomputed",
        )
    training.scores.update({name: found for name, found in told.items() if found is not None})
    return training


def brought(claim: Claim) -> Place:
    """Return where the outputs of a claim's steps are, in its own stores."""
    recorded = {step.name: step for step in claim.record.steps}

    def place(name: str, output: str) -> Path:
        folder = claim.artifact(recorded[name].result.outputs[output])
        if folder is None:
            raise InputError(
                f"the files of {name}#{output} are not here",
                hint="run the recipe again, or take a bundle that was made with --with-data "
                "--with-weights",
            )
        return folder

    return place


def panel_of(claim: Claim, registry: Registry, place: Place) -> Panel:
    """Return the base, and the probes that a claim's packs give."""
    from ..tables import read_table

    assert claim.plan is not None
    roles = {role: place(name, out) for role, name, out in training_step(claim).sources()}
    packs = [read_table(roles[role]) for role in ("validation", "train")]
    base = roles["base"]
    inside = list(base.iterdir())
    while len(inside) == 1 and inside[0].is_dir():  # as steps go into a wheel's folder
        base = inside[0]
        inside = list(base.iterdir())
    probes = choose(packs, claim.record.recipe_hash)
    return Panel(base, claim.plan, registry, probes, roles.get("tokens"))


# ---- reading one ----------------------------------------------------------------------------


def read_calibration(path: Path, claim: Claim) -> Calibration:
    """Read a calibration for a claim.

    Raises:
        InputError: it is damaged or not sealed, for another recipe or runtime, too small, its
            limits are not what its samples give, or some kind of control passes them.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path.name}: {error.strerror or error}") from None
    found = Calibration.from_json(raw, path.name)
    step = training_step(claim)
    told = (found.recipe_hash, found.runtime, found.version)
    if told != (claim.record.recipe_hash, step.plugin.name, step.plugin.version):
        raise InputError(
            f"this calibration is for recipe {told[0][:19]}… and version {told[2]} of runtime "
            f"`{told[1]}`, the run is of {claim.record.recipe_hash[:19]}… and version "
            f"{step.plugin.version} of `{step.plugin.name}`",
            file=path.name,
            hint="make one for this recipe with `recipe calibrate RUN`",
        )
    if found.found != derive(found.samples, found.answers):
        raise InputError("its limits do not follow from its samples", file=path.name)
    why = next(iter(lacks(found)), None)
    if why is not None:
        raise InputError(f"this calibration does not apply: {why}", file=path.name)
    return found


def lacks(calibration: Calibration) -> list[str]:
    """Return, in words, what keeps a calibration from being used."""
    found = []
    distinct = {one.adapter for one in calibration.samples if one.kind == RERUN}
    if len(distinct) < FEWEST:
        found.append(f"it has {len(distinct)} honest reruns, {FEWEST} are needed")
    for kind in FORGERIES:
        needed = FEWEST if kind == "another seed" else 1
        told = calibration.found.rejected.get(kind)
        if told is None or told.samples < needed:
            have = told.samples if told else 0
            found.append(f"it has {have} controls of the kind `{kind}`, {needed} are needed")
        elif told.missed:
            found.append(f"{told.missed} of {told.samples} controls `{kind}` pass its limits")
    levels = {one.level for one in calibration.used().values()}
    found += [f"no criterion is left for {name}" for name in ("steps", "adapter")
              if name not in levels]  # fmt: skip
    return found
