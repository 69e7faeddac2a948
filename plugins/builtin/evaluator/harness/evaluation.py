"""Evaluate a model with the harness: tasks from its release, data from pinned files, offline."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import datasets
import huggingface_hub.constants
import numpy as np
import torch
from lm_eval.api.metrics import mean
from lm_eval.evaluator import evaluate as run_tasks
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from khichdi.plugins.kinds import EvaluationResult, Progress
from khichdi.plugins.toolkit.determinism import deterministic
from khichdi.plugins.toolkit.frozen_linear import install
from khichdi.plugins.toolkit.model_loading import (
    attach_adapter,
    load_model,
    load_tokenizer,
    quiet,
)
from khichdi.schema.errors import StepError

from .installed import check_release, task_folders
from .samples import metrics_of, predictions_of
from .task_data import Leaf, entry_for, prepare

if TYPE_CHECKING:
    from khichdi.plugins.kinds import EvaluationJob

    from ..lm_eval_params import LmEvalParams

RANDOM_SEED, OTHER_SEED = 0, 1234
"""The harness's own defaults, for tasks that draw as they load."""


def evaluate(params: LmEvalParams, job: EvaluationJob) -> EvaluationResult:
    """Run the tasks; see `Evaluator.evaluate`."""
    check_release(params.harness)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="khichdi-")))
        stack.enter_context(quiet())
        stack.enter_context(_harness_quiet())
        stack.enter_context(offline())
        stack.enter_context(_seeded())
        loaded = load_tasks(params, job.files["data"], folder)
        stack.enter_context(deterministic(params.cpu_threads))
        torch.manual_seed(OTHER_SEED)
        model = _model(params, job)
        sizes = [len(task.eval_docs) for task in loaded["tasks"].values()]
        model.total = sum(min(size, params.limit or size) for size in sizes)
        try:
            found: Any = run_tasks(
                lm=model,
                task_dict=loaded,
                limit=params.limit,
                bootstrap_iters=0,
                apply_chat_template=params.apply_chat_template,
                fewshot_as_multiturn=params.apply_chat_template,
            )
        except ValueError as error:
            raise StepError(f"the harness refuses the tasks: {error}") from error
        return _result(found, loaded["tasks"])


def load_tasks(params: LmEvalParams, data: Mapping[str, Path], folder: Path) -> Any:
    """Return the harness's tasks, which read their data from folders below `folder`.

    Raises:
        StepError: there is no such task, a task has no data, or a split is not in it.
    """
    manager = _manager(params.tasks)
    entries = {name: _entry_of(manager, name, data) for name in params.tasks}
    leaves: dict[str, list[Leaf]] = {}
    for name, entry in entries.items():
        leaves.setdefault(entry, []).extend(_leaves(manager, name))
    for entry, tasks in leaves.items():
        prepare(_inside(data[entry]), tasks, folder / entry)
    try:
        built: list[Any] = []
        for name, entry in entries.items():
            changes = {
                "dataset_path": str(folder / entry),
                "dataset_kwargs": {"cache_dir": str(folder / "cache")},
            }
            one = manager._factory.build(
                manager.task_index[name], overrides=changes, registry=manager.task_index
            )
            built += one if isinstance(one, list) else [one]
        loaded: Any = manager.load(built)
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        raise StepError(
            f"the harness cannot load the tasks: {type(error).__name__}: {error}",
            hint="is the data that of the task? Its card or the names of its files say which "
            "configuration and split they are",
        ) from error
    for task in loaded["tasks"].values():
        _configure(task, params)
    return loaded


def _manager(names: tuple[str, ...]) -> Any:
    """Return an index of tasks: of the folders that name them, or of all where that lacks some."""
    folders = [str(path) for path in task_folders(names)]
    few = TaskManager(include_defaults=False, include_path=folders)
    try:
        for name in names:
            list(_leaves(few, name))
    except StepError:
        return TaskManager()
    return few


def _entry_of(manager: Any, name: str, data: Mapping[str, Path]) -> str:
    """Return the entry of `data` that a task, or all tasks of a group or tag, read.

    Raises:
        StepError: there is no such task, or its parts read different entries.
    """
    entries = {_entry(leaf.task, data, name) for leaf in _leaves(manager, name)}
    if len(entries) > 1:
        raise StepError(
            f"the tasks of `{name}` read different entries of `data`: {', '.join(sorted(entries))}",
            hint="name the tasks one by one, or give the data of the group in one entry",
        )
    return entries.pop()


def _entry(task: str, data: Mapping[str, Path], asked: str) -> str:
    found = entry_for(task, list(data))
    if found is None:
        raise StepError(
            f"task `{task}` has no data",
            hint=f"add its data set to `data`, as in `data: {{{asked}: {{use: huggingface, "
            "repo: …, repo_type: dataset}}`",
        )
    return found


def _leaves(manager: Any, name: str) -> Iterator[Leaf]:
    """Yield the tasks of a task, group or tag."""
    entry = manager.task_index.get(name)
    if entry is None:
        hint = "list them with `lm-eval ls tasks`, of the release that is installed"
        raise StepError(f"the harness has no task `{name}`", hint=hint)
    if name in manager.all_tags:
        for member in sorted(entry.tags):
            yield from _leaves(manager, member)
    elif name in manager.all_groups:
        for member in entry.cfg.get("task") or ():
            inner = member if isinstance(member, str) else member.get("task") or member.get("group")
            yield from _leaves(manager, str(inner))
    else:
        yield Leaf.of(name, entry.cfg or {})


def _configure(task: Any, params: LmEvalParams) -> None:
    """Set the number of examples, seed and length of answers, as the harness's own front does."""
    own = task.get_config("num_fewshot")
    if own is None or (params.num_fewshot is not None and own != 0):
        task.set_config(key="num_fewshot", value=params.num_fewshot or 0)
    task.set_fewshot_seed(seed=params.fewshot_seed)
    if params.max_gen_toks is not None and task.get_config("output_type") == "generate_until":
        changes = {"max_gen_toks": params.max_gen_toks}
        task.set_config(key="generation_kwargs", value=changes, update=True)


def _result(found: Any, tasks: Mapping[str, Any]) -> EvaluationResult:
    predictions: list[dict[str, Any]] = []
    for name, task in sorted(tasks.items()):
        means = {metric: how is mean for metric, how in task.aggregation().items()}
        version = str(task.VERSION)
        predictions += predictions_of(name, found["samples"][name], means, version)
    return EvaluationResult(metrics_of(found["results"]), predictions)


class _Reporting(HFLM):  # type: ignore[misc]
    """The harness's model of transformers, which reports its progress."""

    report: Any = None
    done = total = 0

    def _model_call(self, inps: Any, *rest: Any, **more: Any) -> Any:
        self._count(len(inps))
        return super()._model_call(inps, *rest, **more)

    def _model_generate(self, context: Any, *rest: Any, **more: Any) -> Any:
        self._count(len(context))
        return super()._model_generate(context, *rest, **more)

    def _count(self, requests: int) -> None:
        self.done += requests
        self.report(Progress(self.done, max(self.done, self.total), unit="requests"))


def _model(params: LmEvalParams, job: EvaluationJob) -> _Reporting:
    tokenizer = load_tokenizer(job.base)
    model = load_model(job.base, job.quantizer)
    if job.adapter is not None:
        model = attach_adapter(model, job.adapter)
    dtype = getattr(torch, job.quantizer.dtype())
    install(model, dtype, int(params.weight_cache_gib * 2**30))
    found = _Reporting(
        pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=params.batch_size
    )
    found.report = job.report
    return found


def _inside(folder: Path) -> Path:
    """Return the only folder in a folder, where there is nothing else, as of an archive."""
    inside = list(folder.iterdir())
    return _inside(inside[0]) if len(inside) == 1 and inside[0].is_dir() else folder


# ---- the process ----------------------------------------------------------------------------


@contextmanager
def offline() -> Iterator[None]:
    """Keep the hub's libraries from the network: what is not pinned is an error."""
    owners = [(huggingface_hub.constants, "HF_HUB_OFFLINE"), (datasets.config, "HF_HUB_OFFLINE")]
    before = [getattr(owner, name) for owner, name in owners]
    for owner, name in owners:
        setattr(owner, name, True)
    try:
        yield
    finally:
        for (owner, name), value in zip(owners, before, strict=True):
            setattr(owner, name, value)


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed the global generators as the harness does, and put their states back."""
    states = random.getstate(), np.random.get_state()
    random.seed(RANDOM_SEED)
    np.random.seed(OTHER_SEED)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(OTHER_SEED)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


@contextmanager
def _harness_quiet() -> Iterator[None]:
    """Keep the harness's remarks and bars of data sets off the screen."""
    logger = logging.getLogger("lm_eval")
    level, bars = logger.level, datasets.utils.logging.is_progress_bar_enabled()
    logger.setLevel(logging.CRITICAL)
    datasets.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.utils.logging.enable_progress_bar()
