"""Write the model card of a run's adapter, with the metadata that the Hugging Face hub reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from ...schema.plan import Plan
from ...schema.printable import printable
from ...schema.record import Record
from ..adapter_folder import HUB, TrainedBase
from .markdown import inline, markdown_table, origin

UNKNOWN = "not stated"


def model_card(
    plan: Plan, record: Record, base: TrainedBase | None, claimed: Collection[str]
) -> str:
    """Return the card as Markdown.

    Args:
        plan: the plan that ran.
        record: the run's record.
        base: the base that the adapter was trained on.
        claimed: the metrics that do not follow from hashed predictions and losses.
    """
    lines = [*_metadata(plan, record, base), f"# {inline(record.recipe)}", ""]
    lines += [f"{_article(_adapter(record))} for {_base_words(base)}, trained by a khichdi recipe."]
    lines += ["", "## Base", "", *markdown_table(["", ""], _base(plan, record, base))]
    lines += ["", "## Use", "", *_use(base)]
    lines += ["", "## Data", "", *markdown_table(DATA, list(_data(plan, record)))]
    if record.metrics:
        rows = [
            [name, _number(value), "claimed" if name in claimed else "hashed"]
            for name, value in sorted(record.metrics.items())
        ]
        lines += ["", "## Metrics", "", *markdown_table(METRICS, rows), "", BASES]
    lines += ["", "## Verify", "", *_verify(record)]
    return printable("\n".join(lines)).rstrip() + "\n"


METRICS = ["metric", "value", "basis"]
DATA = ["data set", "from (claimed)", "license (declared)", "rows after sampling"]
BASES = (
    "`hashed` metrics follow from predictions and losses that the result hash covers; `claimed` "
    "ones are as the run says. `_before` marks the base alone."
)


def _metadata(plan: Plan, record: Record, base: TrainedBase | None) -> Iterator[str]:
    yield "---"
    yield "library_name: peft"
    yield "pipeline_tag: text-generation"
    if base is not None and base.repo:
        yield f"base_model: {json.dumps(base.repo)}"
    license_ = _license(record)
    yield f"license: {json.dumps(license_) if license_ else 'unknown'}"
    sets = [
        (step.package_url or "").removeprefix(HUB)
        for step in plan.steps
        if step.name.startswith("data/") and (step.package_url or "").startswith(HUB)
    ]
    if sets:
        yield "datasets:"
        yield from (f"- {json.dumps(name)}" for name in sorted(set(sets)))
    yield "tags:"
    yield "- khichdi"
    adapter = _adapter(record)
    if adapter:
        yield f"- {json.dumps(adapter)}"
    yield "---"
    yield ""


def _license(record: Record) -> str | None:
    """Return the license of the base as the recipe declares it."""
    found = ((record.bound or {}).get("model") or {}).get("license")
    return str(found) if found else None


def _adapter(record: Record) -> str:
    model: Any = (record.bound or {}).get("model") or {}
    return str((model.get("adapter") or {}).get("use") or "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def _article(adapter: str) -> str:
    return f"An adapter (`{inline(adapter)}`)" if adapter else "An adapter"


def _base_words(base: TrainedBase | None) -> str:
    if base is None:
        return "a base that the record does not name"
    return f"`{inline(base.repo)}`" if base.repo else "a base from local files"


def _base(plan: Plan, record: Record, base: TrainedBase | None) -> list[list[str]]:
    model: Any = (record.bound or {}).get("model") or {}
    quantization = {k: v for k, v in (model.get("quantization") or {}).items() if v is not None}
    use = str(quantization.pop("use", ""))
    rows = [["license (declared)", _license(record) or UNKNOWN]]
    if base is not None:
        step = next(s for s in plan.steps if s.kind == "runtime")
        source = plan.step(next(name for role, name, _ in step.sources() if role == "base"))
        rows.insert(0, ["from (claimed)", origin(source)])
        rows.append(["files", f"sha256 over all: {base.output.manifest}"])
    if use:
        words = ", ".join(f"{name} {value}" for name, value in quantization.items())
        rows.append(["trained over", f"{use}: {words}" if words else use])
    return rows


def _data(plan: Plan, record: Record) -> Iterator[list[str]]:
    done = {step.name: step.result.facts for step in record.steps}
    for step in plan.steps:
        if step.kind != "reader" or not step.name.startswith("data/"):
            continue
        name = str(step.settings["data_set"])
        rows: Any = done.get(f"data/{name}/sample", {}).get("rows_out", 0)
        license_ = str(step.settings.get("license") or "as each row says")
        yield [name, origin(plan.step(f"data/{name}/source")), license_, f"{rows:,}"]


def _use(base: TrainedBase | None) -> list[str]:
    lines = [
        "```python",
        "from peft import AutoPeftModelForCausalLM",
        "from transformers import AutoTokenizer",
        "",
        'folder = "."  # this folder, or the repository that it was uploaded to',
        "model = AutoPeftModelForCausalLM.from_pretrained(folder)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        "```",
        "",
    ]
    if base is not None and base.repo is None:
        lines += [
            "The base has no address that others can reach: `base_model_name_or_path` in "
            "`adapter_config.json` is a folder of the machine that trained. Elsewhere, load a copy "
            "of the base, and this folder by `PeftModel.from_pretrained(base, folder)`.",
            "",
        ]
    if base is not None and base.is_gguf():
        lines += [
            "The base is a GGUF file: load it by `AutoModelForCausalLM.from_pretrained(..., "
            "gguf_file=...)`, and put this folder on it with `PeftModel.from_pretrained`.",
            "",
        ]
    lines.append(
        "Where the run is, `recipe chat RUN` loads the pinned base, quantized as it was trained "
        "over, and renders prompts by the recipe's template."
    )
    return lines


def _verify(record: Record) -> list[str]:
    return [
        *markdown_table(
            ["", ""],
            [["recipe hash", record.recipe_hash], ["result hash", record.result_hash]],
        ),
        "",
        "The same recipe, with its lock, gives the same result on the same kind of machine. "
        "`recipe audit RUN` derives what the run claims again; `recipe bundle RUN` packs it for "
        "others to audit, and `recipe verify` checks signatures.",
    ]
