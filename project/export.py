"""Export the model of a finished run: merged, as GGUF, for Ollama, or the adapter's folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..compiler.lower import export_step
from ..plugins.registry import Registry
from ..runtime.adapter_folder import tokenizer_folder, trained_base
from ..runtime.execute import Executor
from ..runtime.inference import trained_step
from ..runtime.store.store import store_error
from ..runtime.tempdirs import scratch_folder
from ..schema.did_you_mean import nearest
from ..schema.errors import InputError, StoreError
from ..schema.plan import Plan, PlanStep, PluginRef
from ..schema.record import RecordedStep
from .model_card import chat_template_of
from .observer import Observer
from .run_lookup import Run

ADAPTER, OLLAMA = "adapter", "ollama"
"""What is exported without an exporter: a copy of the folder; a GGUF file with a Modelfile."""


@dataclass(frozen=True)
class Exported:
    """An exported model: its folder, its files, and the step that made it, if one did."""

    folder: Path
    files: tuple[str, ...]
    step: RecordedStep | None


def export_run(
    run: Run,
    to: str,
    folder: Path,
    params: Mapping[str, Any],
    observer: Observer | None = None,
    *,
    allow_local_plugins: bool = False,
) -> Exported:
    """Export the model of a finished run to a folder; nothing is trained again.

    The export is a step with a key, as one that a recipe asks for: the store keeps its result.

    Args:
        run: the run.
        to: an exporter's name, `adapter` or `ollama`.
        folder: a folder to write to, which does not exist or is empty.
        params: the exporter's parameters.
        observer: receives the progress of the step.
        allow_local_plugins: run the plugin files that the run contains: code by its author.

    Raises:
        InputError: there is no such exporter or parameter, or the folder has something in it.
        StoreError: the store does not have base or adapter any more.
        WorkError: the exporter failed.
    """
    from ..runtime.audit.plugin_files import registry_of

    plan = run.plan()
    trained_step(plan)
    _check_empty(folder)
    registry = registry_of(run.folder, run.record, allow=allow_local_plugins)
    known = sorted({*registry.names("exporter"), ADAPTER, OLLAMA})
    if to not in known:
        near = nearest(to, known)
        raise InputError(
            f"there is no export `{to}`",
            hint=f"did you mean `{near}`?" if near else f"exports: {', '.join(known)}",
        )
    if to == ADAPTER:
        if params:
            raise InputError(f"an adapter is exported as it is: leave out {', '.join(params)}")
        return Exported(folder, _copy(run.adapter, folder), None)
    step = export_step(plan, _exporter(run, plan, registry, to, params))
    done = _execute(run, plan, registry, step, observer or Observer())
    files = _copy(run.store.folder(done.result.outputs["model"]), folder)
    if to == OLLAMA:
        (folder / "Modelfile").write_text(_modelfile(run, plan, registry), encoding="utf-8")
        files = (*files, "Modelfile")
    return Exported(folder, files, done)


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} has something in it", hint="name a folder that is not there, or is empty"
        )


def _exporter(
    run: Run, plan: Plan, registry: Registry, to: str, params: Mapping[str, Any]
) -> PluginRef:
    """Return the exporter with its parameters, and the recipe's chat template among them."""
    name = "gguf" if to == OLLAMA else to
    entry = registry.get("exporter", name)
    fields = entry.plugin.params_model.model_fields
    unknown = [one for one in params if one not in fields]
    if unknown:
        raise InputError(f"the exporter `{name}` has no parameter `{unknown[0]}`")
    given = dict(params)
    if "chat_template" in fields:
        base = trained_base(plan, run.record)
        if base is not None and run.store.folder(base.output).is_dir():
            own = chat_template_of(plan, base.folder(run.store.folder(base.output)), registry)
            given |= {"chat_template": own} if own else {}
    try:
        plugin = registry.create("exporter", name, given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"exporter `{name}`, {place}: {first['msg']}") from None
    return PluginRef(
        kind="exporter",
        name=name,
        version=entry.plugin.version,
        params=plugin.params.model_dump(mode="json"),
        operational=tuple(sorted(plugin.operational())),
        file=entry.file,
    )


def _execute(
    run: Run, plan: Plan, registry: Registry, step: PlanStep, observer: Observer
) -> RecordedStep:
    """Execute the step, or take its result from the store."""
    needed = {reference.rsplit("#", 1)[0] for reference in step.inputs.values()}
    before = [one for one in plan.steps if one.name in needed]
    for one in before:
        if run.store.result(one.key) is None:
            raise StoreError(
                f"{run.store.root} does not have the result of {one.name} any more",
                hint="run the recipe again, which makes it again",
            )
    small = plan.model_copy(update={"steps": (*before, step)})
    to_run = run.store.result(step.key) is None
    with scratch_folder("export") as scratch:
        log = Path(scratch) / "log.txt"
        with observer.running(small, log, 1) if to_run else nullcontext():
            executor = Executor(small, run.store, registry, {}, observer)
            return executor.run()[-1]


def _copy(source: Path, folder: Path) -> tuple[str, ...]:
    """Copy a folder's files; they are the user's, who may change them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    except OSError as error:
        raise store_error(error, f"cannot write to {folder}") from None
    found = (path for path in source.rglob("*") if path.is_file())
    return tuple(sorted(path.relative_to(source).as_posix() for path in found))


def _modelfile(run: Run, plan: Plan, registry: Registry) -> str:
    from ..plugins.toolkit.model_loading import base_config
    from ..plugins.toolkit.tokenization import load_tokenizer
    from .modelfile import modelfile

    base = trained_base(plan, run.record)
    assert base is not None
    folder = base.folder(run.store.folder(base.output))
    ref = next(step.parts["template"] for step in plan.steps if "template" in step.parts)
    config = base_config(folder) or {}
    room = (config.get("text_config") or config).get("max_position_embeddings")
    model: Any = (run.record.bound or {}).get("model") or {}
    trained = next(step for step in run.record.steps if step.kind == "runtime")
    adapter = run.store.folder(trained.result.outputs["adapter"])
    return modelfile(
        registry.create(ref.kind, ref.name, ref.params),
        load_tokenizer(tokenizer_folder(adapter, folder)),
        title=f"{run.record.recipe}, result hash {run.result_hash}",
        room=room if isinstance(room, int) else None,
        license_=model.get("license"),
    )
