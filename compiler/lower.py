"""Lower a bound recipe to a plan: the graph of steps, their keys and the recipe hash.

    source -> tokens                                     the base, where the recipe sets tokens
    source -> read -> filter ... -> score -> sample      per data set
    source -> read -> filter ...                         per benchmark that a filter names
    mixture -> filter ... -> split                       the end of a recipe of data alone
    pack -> train                                        with the base's source
    evaluate with the base, evaluate with the adapter
    export of base and adapter

Order of data sets in the recipe does not matter: they are taken in order of their names.
"""

from __future__ import annotations

from typing import Any

from ..plugins.registry import Registry
from ..schema.digest import derive_seed
from ..schema.lock import Lock
from ..schema.plan import Plan, PlanStep, PluginRef, step_key
from ..schema.recipe import Benchmark, DataSet, Mixture, Recipe, Step, Train
from ..schema.rows import VERSION as ROW_SCHEMA
from ..schema.yaml_reader import Path
from .instances import ask, base_title
from .plan_graph import PlanGraph


def lower(recipe: Recipe, registry: Registry, lock: Lock | None) -> Plan:
    """Return the plan of a bound recipe.

    Without a lock, or where it does not have a source, the plan is provisional: `locked` is false,
    and its hashes cover requests, not bytes.
    """
    plan = _graph(recipe, registry, lock).plan()
    if recipe.train is None:
        return plan
    varies_by = ask(registry, "runtime", recipe.train, lambda runtime: runtime.varies_by())
    return plan.model_copy(update={"varies_by": varies_by})


def source_places(recipe: Recipe, registry: Registry) -> dict[str, Path]:
    """Return, for each source step of the plan, where the recipe writes it."""
    return _graph(recipe, registry, None).places


def _graph(recipe: Recipe, registry: Registry, lock: Lock | None) -> PlanGraph:
    graph = PlanGraph(recipe, registry, lock)
    if recipe.model is not None:
        graph.source("base", recipe.model.base, ("model", "base"))
        if recipe.model.tokens is not None:
            changes = recipe.model.tokens.changes()
            graph.core("tokens", inputs={"base": "base#files"}, settings=changes)
    for name in sorted({name for step in _filter_steps(recipe) for name in _against(step)}):
        _benchmark(graph, name, recipe.benchmarks[name])
    rows = {name: _data_set(graph, name, recipe.data[name]) for name in sorted(recipe.data)}
    mixed = graph.core("mixture", inputs=rows)
    mixed = _filters(graph, "mixture", recipe.mixture.filters, f"{mixed}#rows", ("mixture",))
    graph.core(
        "split", inputs={"rows": mixed}, settings=_split_settings(recipe.mixture), seeded=True
    )
    if not recipe.data_only:
        _model(graph, recipe)
    return graph


def _model(graph: PlanGraph, recipe: Recipe) -> None:
    """Add what comes after the data: packing, training, evaluation and exports."""
    model, train = recipe.training()
    template = graph.ref("template", train.template)
    graph.core(
        "pack",
        inputs={"train": "split#train", "validation": "split#validation", **graph.base()},
        parts={"template": template},
        settings=_pack_settings(train),
    )
    quantizer = graph.ref("quantizer", model.quantization)
    base_name = base_title(graph.registry, model.base) or "base"
    graph.step(
        "train",
        "runtime",
        train,
        inputs={**graph.base(), "train": "pack#train", "validation": "pack#validation"},
        parts={"quantizer": quantizer, "adapter": graph.ref("adapter", model.adapter)},
        settings={"base_name": base_name},
    )
    for index, step in enumerate(recipe.evaluate):
        parts = {"template": template, "quantizer": quantizer}
        _evaluate(graph, step, parts, ("evaluate", index))
    for step in recipe.export:
        graph.step(
            f"export/{step.use}",
            "exporter",
            step,
            inputs={**graph.base(), "adapter": "train#adapter"},
            parts={"quantizer": quantizer},
            settings={"base_name": base_name},
        )


def _split_settings(mixture: Mixture) -> dict[str, Any]:
    """Return the settings of the split; unused settings stay out of its key."""
    settings: dict[str, Any] = {"order": mixture.order, "validation": None}
    if mixture.validation is not None:
        settings["validation"] = mixture.validation.to_json()
        if not mixture.validation.group_by:
            del settings["validation"]["group_by"]
    if mixture.weights is not None:
        settings["weights"] = mixture.weights
    return settings


def _pack_settings(train: Train) -> dict[str, Any]:
    """Return how samples are packed; the usual choices stay out of the key."""
    settings: dict[str, Any] = {
        "sequence_len": train.sequence_len,
        "sample_packing": train.sample_packing,
    }
    if train.packing_strategy != "bfd":
        settings["packing_strategy"] = train.packing_strategy
    if train.overlong != "truncate":
        settings["overlong"] = train.overlong
    return settings


def _data_set(graph: PlanGraph, name: str, data: DataSet) -> str:
    place: Path = ("data", name)
    rows = _read(graph, f"data/{name}", data, place, data.license)
    if data.score is not None:
        rows = _score(graph, f"data/{name}/score", data.score, rows)
    return (
        graph.step(f"data/{name}/sample", "sampler", data.sample, inputs={"rows": rows}) + "#rows"
    )


def _benchmark(graph: PlanGraph, name: str, benchmark: Benchmark) -> None:
    place: Path = ("benchmarks", name)
    graph.benchmarks[name] = _read(graph, f"benchmarks/{name}", benchmark, place, None)


def _read(
    graph: PlanGraph, label: str, data: DataSet | Benchmark, place: Path, license_: str | None
) -> str:
    """Add what turns bytes into filtered rows, and return the reference to them."""
    graph.source(f"{label}/source", data.source, (*place, "source"))
    graph.step(
        f"{label}/read",
        "reader",
        data.read,
        inputs={"files": f"{label}/source#files"},
        settings={"data_set": place[-1], "license": license_, "row_schema": ROW_SCHEMA},
    )
    return _filters(graph, label, data.filters, f"{label}/read#rows", place)


def _score(graph: PlanGraph, name: str, step: Step, rows: str) -> str:
    inputs = {"rows": rows}
    parts = {}
    scorer: Any = graph.registry.get("scorer", step.use).plugin
    if scorer.uses_model:
        model, _ = graph.recipe.training()
        inputs |= graph.base()
        parts["quantizer"] = graph.ref("quantizer", model.quantization)
    return graph.step(name, "scorer", step, inputs=inputs, parts=parts) + "#rows"


def _filters(
    graph: PlanGraph, label: str, filters: tuple[Step, ...], rows: str, place: Path
) -> str:
    """Add a chain of filters and return the reference to the rows that are left."""
    for index, step in enumerate(filters):
        plugin: Any = graph.registry.get("filter", step.use).plugin
        name = graph.free(f"{label}/filter/{step.use}")
        inputs = {"rows": rows}
        for field in sorted(plugin.sources):
            where = (*place, "filters", index, field)
            graph.source(f"{name}/{field}", getattr(step, field), where)
            inputs[field] = f"{name}/{field}#files"
        for benchmark in _against(step):
            inputs[f"against/{benchmark}"] = graph.benchmarks[benchmark]
        if plugin.uses_tokenizer:
            inputs |= graph.base()
        rows = graph.step(name, "filter", step, inputs=inputs) + "#rows"
    return rows


def _filter_steps(recipe: Recipe) -> list[Step]:
    sets = [data.filters for _, data in sorted(recipe.data.items())]
    return [step for filters in (*sets, recipe.mixture.filters) for step in filters]


def _against(step: Step) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(step, "against", ())
    return names


def _evaluate(graph: PlanGraph, step: Step, parts: dict[str, PluginRef], place: Path) -> None:
    """Add the step twice: with the base alone, which no change of training reruns, and after."""
    plugin: Any = graph.registry.get("evaluator", step.use).plugin
    name = f"evaluate/{step.use}"
    inputs = graph.base()
    if plugin.uses_rows:
        inputs["rows"] = "split#validation"
    else:
        parts = {"quantizer": parts["quantizer"]}
    for field in sorted(plugin.sources):
        for key, source in sorted(getattr(step, field).items()):
            graph.source(f"{name}/{field}/{key}", source, (*place, field, key))
            inputs[f"{field}/{key}"] = f"{name}/{field}/{key}#files"
    seed = derive_seed(graph.recipe.seed, name)
    graph.step(f"{name}/base", "evaluator", step, inputs=inputs, parts=parts, seed=seed)
    inputs = {**inputs, "adapter": "train#adapter"}
    graph.step(f"{name}/adapter", "evaluator", step, inputs=inputs, parts=parts, seed=seed)


def export_step(plan: Plan, plugin: PluginRef, chat_template: str | None = None) -> PlanStep:
    """Return the step that exports the model of a plan; without a chat template, as a recipe's.

    Args:
        plan: the plan, which has a training.
        plugin: an exporter with its parameters, defaults written out.
        chat_template: the chat template to write into the model; None for the base's own.
    """
    train = next(step for step in plan.steps if step.kind == "runtime")
    keys = {step.name: step.key for step in plan.steps}
    kept = {"base", "tokens"} & train.inputs.keys()
    inputs: dict[str, str] = {role: train.inputs[role] for role in sorted(kept)}
    inputs["adapter"] = f"{train.name}#adapter"
    parts = {"quantizer": train.parts["quantizer"]}
    settings = {"base_name": train.settings["base_name"]}
    if chat_template is not None:
        settings["chat_template"] = chat_template
    found = {role: reference.rsplit("#", 1) for role, reference in inputs.items()}
    told = {role: f"{keys[step]}#{output}" for role, (step, output) in found.items()}
    return PlanStep(
        name=f"export/{plugin.name}",
        kind="exporter",
        plugin=plugin,
        parts=parts,
        settings=settings,
        inputs=inputs,
        key=step_key("exporter", plugin, parts, settings, told, None),
    )
