"""Run a training job, from its checks to its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from khichdi.plugins.kinds import TrainingResult
from khichdi.plugins.toolkit import determinism
from khichdi.plugins.toolkit.malloc import keeping_freed_memory
from khichdi.plugins.toolkit.model_loading import quiet
from khichdi.schema.errors import StepError

from .acceleration.liger import modeling_put_back
from .distributed.world import Processes
from .low_bit_adamw import check_torchao
from .result import outcome
from .tracking import check_installed, own_environment
from .trainer import Training

if TYPE_CHECKING:
    from khichdi.plugins.kinds import TrainingJob

    from .params import QloraParams


def run(
    params: QloraParams, job: TrainingJob, processes: Processes | None = None
) -> TrainingResult:
    """Run the job together with the other processes; see `Runtime.train`."""
    if job.train.num_rows == 0:
        raise StepError(
            "there is nothing to train on: no pack has any row",
            hint="look at what the filters dropped, and at sequence_len",
        )
    check_installed(params.report_to)
    check_torchao(params.optimizer)
    with (
        memory_and_disk(),
        quiet(),
        determinism.deterministic(params.cpu_threads, params.determinism),
        modeling_put_back(),
        own_environment(params.report_to),
        keeping_freed_memory(),
    ):
        training = Training(params, job, processes)
        training.run()
        return outcome(training)


@contextmanager
def memory_and_disk() -> Iterator[None]:
    """Add remedies to errors of memory and disk."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise StepError(
            f"not enough memory: {str(error).splitlines()[0]}",
            hint="lower micro_batch_size or sequence_len, set gradient_checkpointing, or lower "
            "weight_cache_gib",
        ) from error
    except OSError as error:
        raise StepError(
            f"a checkpoint or the adapter cannot be read or written: {error}",
            hint="check whether the disk is full; the run resumes from its last checkpoint",
        ) from error
