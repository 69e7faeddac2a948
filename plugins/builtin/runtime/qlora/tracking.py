"""Log losses and learning rates to TensorBoard and other trackers during training.

transformers has a callback for each tracker; here its hooks are called by our loop. What trackers
do is not part of a result: one that fails is left out, and training continues.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    from .params import QloraParams

log = logging.getLogger("khichdi")

LOGGED = ("loss", "grad_norm", "learning_rate", "epoch", "eval_loss")
"""Keys of a step's trace entry that are reported to trackers."""


def check_installed(names: tuple[str, ...]) -> None:
    """Refuse trackers that are not installed, before anything is loaded.

    Raises:
        StepError: one is not.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise StepError(
            f"report_to names packages that are not installed: {', '.join(missing)}",
            hint=f"`pip install {' '.join(missing)}`, or leave it out of report_to",
        )


class Tracking:
    """The trackers of one training; none unless `report_to` names some."""

    def __init__(self, params: QloraParams, name: str, total: int) -> None:
        """Prepare what `report_to` names.

        Args:
            params: `report_to` and `logging_dir`, and what trackers show as settings.
            name: the run's name.
            total: optimizer steps of a whole training.
        """
        self.params, self.name, self.total = params, name, total
        self._callbacks: dict[str, Any] = {}

    def begin(self, model: Any, step: int) -> None:
        """Start the trackers; `step` is where training resumes."""
        if not self.params.report_to:
            return
        from transformers import TrainerControl, TrainerState, TrainingArguments

        folder = Path(self.params.logging_dir).absolute() / self.name
        params = self.params
        self._control = TrainerControl()
        self._state = TrainerState(max_steps=self.total, global_step=step)
        self._arguments = TrainingArguments(
            output_dir=str(folder),
            run_name=self.name,
            report_to="none",
            use_cpu=True,
            per_device_train_batch_size=params.micro_batch_size,
            gradient_accumulation_steps=params.gradient_accumulation_steps,
            learning_rate=params.learning_rate,
            weight_decay=params.weight_decay,
            max_grad_norm=params.max_grad_norm,
            warmup_steps=params.warmup_steps,
            max_steps=self.total,
        )
        for tracker in params.report_to:
            self._try(tracker, partial(self._start, tracker, folder))
        self._all("on_train_begin", model=model)

    def step(self, entry: dict[str, Any]) -> None:
        """Show an entry of the trace."""
        if not self._callbacks:
            return
        self._state.global_step = entry["step"]
        self._state.epoch = float(entry["epoch"])
        self._all("on_log", logs={key: entry[key] for key in LOGGED if key in entry})

    def end(self) -> None:
        """Finish what trackers write."""
        self._all("on_train_end")

    def _start(self, tracker: str, folder: Path) -> None:
        from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

        options: dict[str, Any] = {}
        if tracker == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            options["tb_writer"] = SummaryWriter(log_dir=str(folder))
        self._callbacks[tracker] = INTEGRATION_TO_CALLBACK[tracker](**options)

    def _all(self, hook: str, **given: Any) -> None:
        for tracker, callback in list(self._callbacks.items()):
            state = (self._arguments, self._state, self._control)
            self._try(tracker, partial(getattr(callback, hook), *state, **given))

    def _try(self, tracker: str, act: Callable[[], Any]) -> None:
        """Do something with a tracker; leave it out from here on if it fails."""
        try:
            act()
        except Exception as error:  # of a tracker, its network or its disk
            self._callbacks.pop(tracker, None)
            log.warning("%s is left out: %s: %s", tracker, type(error).__name__, error)


@contextmanager
def own_environment(names: tuple[str, ...]) -> Iterator[None]:
    """Put environment variables back that trackers set."""
    if not names:
        yield
        return
    before = dict(os.environ)
    try:
        yield
    finally:
        with suppress(OSError):
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)
