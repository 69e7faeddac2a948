"""Training loop: resume, step, evaluate, save checkpoints, keep the best, write the adapter."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import torch

from khichdi.plugins.kinds import Progress
from khichdi.plugins.toolkit import determinism
from khichdi.plugins.toolkit.model_loading import best_device
from khichdi.plugins.toolkit.tensors import digest_of
from khichdi.schema.digest import derive_seed, digest, table_digest
from khichdi.schema.document import operational_fields
from khichdi.schema.errors import StepError
from khichdi.schema.training_states import IN_TRACE, State

from . import checkpoint as checkpoints
from .batches import MicroBatch, Packs, StepPlan, plan_steps, prepared
from .distributed.grad_sync import Gradients
from .distributed.world import Processes
from .environment import PeakMemory, bits_depend_on
from .intervals import interval
from .loss import not_finite
from .loss_scale import LossScale
from .model import Trainee, build
from .optimizer import clip, learning_rates, make_optimizer, restore_state, state_of
from .segments import segment_states as states
from .stopping import Ending
from .tracking import Tracking

if TYPE_CHECKING:
    from khichdi.plugins.kinds import TrainingJob

    from .params import QloraParams


class NotFiniteError(StepError):
    """A loss or a gradient norm is not finite: training ends."""


class Training:
    """One training, from its newest checkpoint to the adapter."""

    def __init__(
        self, params: QloraParams, job: TrainingJob, processes: Processes | None = None
    ) -> None:
        self.params, self.job = params, job
        self.processes = processes = processes or Processes()
        self.train, self.held_out = Packs(job.train, "train"), Packs(job.validation, "validation")
        self.plans = plan_steps(len(self.train), params, job.seed, self.train.sizes())
        # Its clock counts loading the model.
        self.ending = Ending(params, len(self.plans), processes.from_first)
        self.eval_every = interval(params.eval_steps, params.evals_per_epoch, self.plans)
        self.save_every = interval(params.save_steps, params.saves_per_epoch, self.plans)
        self.memory = PeakMemory(best_device())
        self.trainee: Trainee = build(params, job, processes.sharded)
        determinism.check(params.cpu_threads, params.determinism)  # libraries were at work
        self.gradients = Gradients(processes, self.trainee.trained)
        self.optimizer = make_optimizer(params, self.trainee.names, self.trainee.trained)
        self.scale = LossScale() if params.loss_scaling else None
        self.rate = learning_rates(params, len(self.plans))
        self.identity = self._identity()
        name = f"{job.base_name.rpartition('/')[2]}-{self.identity.rpartition(':')[2][:12]}"
        self.tracking = Tracking(params, name, len(self.plans))
        self.step = 0
        self.trace: list[dict[str, Any]] = []
        self.losses: dict[int, float] = {}  # on held-out rows, by step
        self.best: dict[str, torch.Tensor] | None = None
        # Of all steps, wherever training ends: ended by the clock or by `stop_after_steps`, the
        # same steps are committed to.
        self.ends = states.ends(len(self.plans), params.replay_segments)
        self.states: list[State] = []
        self.fresh_seconds = 0.0
        self.fresh_tokens = 0

    def run(self) -> None:
        """Run the remaining training steps, and write the adapter."""
        self._resume()
        if self.step == 0 and len(self.held_out):
            self.losses[0] = self._held_out_loss()
        if self.ending.stopped is None:
            if self.processes.first:
                self.tracking.begin(self.trainee.causal, self.step)
            self._take_steps()
            self.tracking.end()
        if self.best is not None:
            self.trainee.restore(self.best)
        if self.processes.leads:
            self.trainee.write(self.job.output, self.job.base_name)

    # ---- a step -----------------------------------------------------------------------------

    def _take_steps(self) -> None:
        """Take the steps that are left, up to where training ends."""
        started = time.perf_counter()
        rest = self.plans[self.step :]
        groups = [plan.micro for plan in rest]
        with closing(prepared(self.train, groups, self.params.dataloader_num_workers)) as batches:
            for plan, micro in zip(rest, batches, strict=True):
                before = time.monotonic()
                self.take_step(plan, micro)
                self.ending.record_seconds(time.monotonic() - before)
                last = self.ending.is_last(plan.step, self.trace)
                evaluated = self.evaluate_if_due(plan, last)
                last = (evaluated and self.ending.has_learnt_enough(self.losses)) or last
                if plan.step in self.ends or last:
                    self.keep_state(files=not last)
                self._save_if_due(plan, evaluated, last)
                self.fresh_seconds = time.perf_counter() - started
                self._report()
                if last:
                    break

    def take_step(self, plan: StepPlan, micro: list[MicroBatch]) -> None:
        """Make one optimizer step and write it down.

        The loss is the mean over all response tokens of the step, not a mean of the micro
        batches' means; the routers' loss is such a mean. Dropout and noise of a micro batch come
        from a seed of its own.
        """
        self.trainee.peft.train()
        learnt = sum(batch.response_tokens for batch in micro)
        mine = []
        self.gradients.begin(len(micro))
        for number in self.processes.own_numbers(len(micro)):
            torch.manual_seed(derive_seed(self.job.seed, f"micro/{plan.step}/{number}"))
            loss = self.trainee.summed_loss(micro[number].to(self.trainee.device))
            whole = loss / max(1, learnt)
            if self.trainee.router_loss is not None:
                whole = whole + self.trainee.router_loss() / len(micro)
            (whole if self.scale is None else whole * self.scale.value).backward()
            self.gradients.add()
            mine.append(loss.detach())
        self.gradients.finish()
        losses = self.processes.in_order(mine, len(micro))
        total = torch.zeros((), device=self.trainee.device)
        for each in losses:
            total += each
        mean = total.item() / max(1, learnt)
        if not math.isfinite(mean):
            self._refuse(plan, "loss", mean, not_finite(losses))
        norm, rate, scaling = self._update(plan, len(micro))
        self.step = plan.step
        tokens = sum(batch.tokens for batch in micro)
        self.fresh_tokens += tokens
        self.trace.append(
            {
                "step": plan.step,
                "epoch": plan.epoch,
                "loss": mean,
                "grad_norm": norm,
                "learning_rate": rate,
                "tokens": tokens,
                "response_tokens": learnt,
                "batch": digest("step-batch", [batch.digest for batch in micro]),
                **scaling,
            }
        )

    def _update(self, plan: StepPlan, count: int) -> tuple[float, float, dict[str, Any]]:
        """Change the weights by their gradients; return norm and rate, and how it was scaled.

        With a scaled loss, a step whose gradients overflow changes nothing, and neither does it
        count for the schedule of learning rates.
        """
        scale = self.scale
        if scale is not None:
            scale.divide(self.trainee.trained)
        norm = clip(self.trainee.trained, self.params.max_grad_norm)
        overflowed = not math.isfinite(norm)
        if overflowed and (scale is None or not scale.can_halve()):
            self._refuse(plan, "gradient norm", norm, range(count))
        rate = self.rate(plan.step - (scale.skipped if scale is not None else 0))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1)
        if not overflowed:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if scale is None:
            return norm, rate, {}
        used = {"loss_scale": scale.value, "skipped": overflowed}
        scale.update(overflowed=overflowed)
        return 0.0 if overflowed else norm, rate, used

    def put_back(self, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]) -> None:
        """Restore what `_optimizer_state` gave."""
        if self.scale is not None:
            numbers = self.scale.restore(numbers)
        trainee = self.trainee
        restore_state(self.optimizer, trainee.names, trainee.trained, tensors, numbers)

    def _optimizer_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return the optimizer's tensors, and its numbers with those of the scale."""
        trainee = self.trainee
        tensors, numbers = state_of(self.optimizer, trainee.names, trainee.trained)
        return tensors, numbers | (self.scale.numbers() if self.scale is not None else {})

    def _refuse(self, plan: StepPlan, what: str, value: float, micro: Sequence[int]) -> None:
        """Raise an error that names the step, its packs and their rows."""
        packs = [index for number in micro for index in plan.micro[number]]
        raise NotFiniteError(
            f"step {plan.step} ({self.train.named(packs)}): the {what} is {value}",
            hint="look at these rows; if they are as they should be, lower learning_rate, lengthen "
            "warmup_steps, or compute in bfloat16",
        )

    # ---- held-out rows ----------------------------------------------------------------------

    def _held_out_loss(self) -> float:
        """Return the mean loss of held-out response tokens, without dropout or noise."""
        self.trainee.peft.eval()
        size = self.params.micro_batch_size
        groups = [
            (tuple(range(first, min(first + size, len(self.held_out)))),)
            for first in range(0, len(self.held_out), size)
        ]
        mine, counts = [], []
        own = [groups[number] for number in self.processes.own_numbers(len(groups))]
        for (batch,) in prepared(self.held_out, own, self.params.dataloader_num_workers):
            with torch.no_grad():
                mine.append(self.trainee.summed_loss(batch.to(self.trainee.device)))
            counts.append(torch.tensor(batch.response_tokens, device=self.trainee.device))
        total = 0.0
        losses = self.processes.in_order(mine, len(groups))
        learnt = sum(map(int, self.processes.in_order(counts, len(groups))))
        for group, summed in zip(groups, losses, strict=True):
            loss = summed.item()
            if not math.isfinite(loss):
                raise NotFiniteError(
                    f"after step {self.step} the validation loss is {loss} "
                    f"({self.held_out.named(group[0])})",
                    hint="look at these rows, lower learning_rate, or compute in bfloat16",
                )
            total += loss
        return total / max(1, learnt)

    def evaluate_if_due(self, plan: StepPlan, last: bool) -> bool:
        """Evaluate after the steps asked for and after the last; keep weights that are better."""
        every = self.eval_every
        due = last or (plan.last_of_epoch if every is None else plan.step % every == 0)
        if not due or not len(self.held_out):
            return False
        before = [loss for step, loss in self.losses.items() if step > 0]
        started = time.monotonic()
        loss = self.losses[plan.step] = self.trace[-1]["eval_loss"] = self._held_out_loss()
        self.ending.record_seconds(0.0, evaluation=time.monotonic() - started)
        if self.params.metric_for_best_model and (not before or loss < min(before)):
            self.best = self.trainee.snapshot()
        return True

    # ---- states and checkpoints -------------------------------------------------------------

    def _identity(self) -> str:
        """Return the digest of all inputs that the bits of this training depend on.

        How many processes there are is not among it: it moves no bit.
        """
        operational = set(operational_fields(type(self.params)))
        parts = {
            "params": self.params.model_dump(mode="json", exclude=operational),
            "seed": self.job.seed,
            "train": table_digest(self.job.train),
            "validation": table_digest(self.job.validation),
            "weights": self.trainee.digests,
            "attention": self.trainee.attention,
            "environment": bits_depend_on(self.trainee.device) | self.trainee.kernels,
        }
        self.processes.check_same(parts, "before the first step")
        return digest("training", parts)

    def _resume(self) -> None:
        """Resume from the newest checkpoint of this job; without one, clear the work folder."""
        found = checkpoints.newest(self.job.work, self.identity) if self.processes.first else None
        found = self.processes.from_first(found)
        kept = states.kept(self.job.work, found.progress["trace"]) if found else None
        # Without all its states, on every machine, a training is not whole.
        if found is None or not all(self.processes.from_all(kept is not None)):
            if self.processes.leads:
                checkpoints.clear(self.job.work)
                states.clear(self.job.work)
            return
        self.states = kept or []
        trainee = self.trainee
        trainee.restore(found.adapter)
        self.put_back(found.optimizer, found.numbers)
        self.step, self.best = found.step, found.best
        self.trace = found.progress["trace"]
        self.ending.restore(found.progress["ending"])
        self.losses = {int(step): loss for step, loss in found.progress["losses"].items()}

    def keep_state(self, *, files: bool) -> None:
        """Hash the state after the newest step, and write its digest into the step's entry.

        One process of each machine does, for the run's store there.
        """
        if not self.processes.leads:
            return
        trainee = self.trainee
        tensors, numbers = self._optimizer_state()
        groups = {"adapter": trainee.snapshot(), "optimizer": tensors}
        state = states.keep(self.job.work, self.step, groups, numbers, files=files)
        self.trace[-1][IN_TRACE] = state.digest()
        self.states.append(state)

    def _save_if_due(self, plan: StepPlan, evaluated: bool, last: bool) -> None:
        every = self.save_every
        due = evaluated or plan.last_of_epoch if every is None else plan.step % every == 0
        if not due and not last:
            return
        trainee = self.trainee
        if self.processes.size > 1:
            weights = digest_of(dict(zip(trainee.names, trainee.trained, strict=True)))
            self.processes.check_same({"the adapter's weights": weights}, f"step {plan.step}")
        if not self.processes.first:
            return
        tensors, numbers = self._optimizer_state()
        state = checkpoints.Checkpoint(
            identity=self.identity,
            step=self.step,
            adapter=trainee.snapshot(),
            optimizer=tensors,
            numbers=numbers,
            best=self.best,
            progress={
                "trace": self.trace,
                "losses": self.losses,
                "ending": self.ending.state(),
            },
        )
        checkpoints.save(self.job.work, state, self.params.save_total_limit)

    # ---- what comes out ---------------------------------------------------------------------

    def _report(self) -> None:
        self.tracking.step(self.trace[-1])
        note = f"loss {self.trace[-1]['loss']:.3f}"
        if "eval_loss" in self.trace[-1]:
            note += f", validation {self.trace[-1]['eval_loss']:.3f}"
        rate = self.fresh_tokens / self.fresh_seconds
        self.job.report(Progress(self.step, len(self.plans), note=note, rate=rate))
