"""How much of real configurations `recipe import` carries over, beside the tools' own parsers.

    KHICHDI_TEST_CONFIGS=FOLDER python benchmarks/imports.py [--peers FOLDER] [--seed N] [--draw 30]

The folder has `INDEX.tsv` with what each configuration trains. The first table is by that: refused,
valid, whole (valid, and nothing is lost); the second lists what keeps text LoRA from being whole.
With `--peers`, a folder of folders that the tools were installed into (`pip install --no-deps
--target`), as many recipes as asked are drawn by the seed, and each field is compared with
what the tool's own parser makes of the file. Differences are printed.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khichdi.compiler.importers.report import Report
from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.project.import_config import ImportedFile, import_file
from khichdi.schema.errors import InputError
from khichdi.schema.yaml_reader import parse

TEXT_LORA = "sft-lora"
Recipe = dict[str, Any]


@dataclass
class Group:
    """What became of the configurations that train the same kind of thing."""

    files: int = 0
    refused: int = 0
    valid: int = 0
    whole: int = 0
    broken: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peers", type=Path, help="folder with the tools")
    parser.add_argument("--seed", type=int, default=1, help="draws the files that are compared")
    parser.add_argument("--draw", type=int, default=30, help="how many are compared")
    options = parser.parse_args()
    folder = Path(os.environ["KHICHDI_TEST_CONFIGS"])
    with open(folder / "INDEX.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    groups: dict[str, Group] = defaultdict(Group)
    why: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    done: dict[tuple[str, str], ImportedFile] = {}
    for row in rows:
        group = groups[row["what it trains"]]
        group.files += 1
        found = attempt(folder, row, group)
        if found is None:
            continue
        done[row["file"], row["tool"]] = found
        group.valid += not found.faults
        group.whole += found.complete
        if row["what it trains"] == TEXT_LORA and not found.complete:
            reasons = reasons_of(found)
            why.update(reasons)
            alone.update(reasons if len(reasons) == 1 else ())
    show(groups, why, alone)
    if options.peers:
        valid = {key: found for key, found in done.items() if not found.faults}
        compare(folder, valid, options)
    pretend = [name for name, group in groups.items() if name != TEXT_LORA and group.valid]
    print(f"\nnot ours, but valid: {', '.join(pretend) or 'none'}")
    print(f"tracebacks: {sum(len(group.broken) for group in groups.values())}")
    return 0


def attempt(folder: Path, row: dict[str, str], group: Group) -> ImportedFile | None:
    info = folder / "llama-factory" / "dataset_info.json"
    described = str(info) if row["tool"] == "llama-factory" and info.exists() else None
    try:
        return import_file(str(folder / row["file"]), row["tool"], dataset_info=described)
    except InputError:
        group.refused += 1
    except Exception as error:
        group.broken.append(f"{row['file']}: {type(error).__name__}: {error}")
    return None


def reasons_of(found: ImportedFile) -> set[str]:
    report: Report = found.report
    keys = {str(entry.key[0]) for entry in report.not_mapped if isinstance(entry.key[-1], int)}
    for entry in report.not_mapped:
        listed = len(entry.key) > 2 and isinstance(entry.key[1], int)
        keys.add(f"{entry.key[0]}[].{entry.key[2]}" if listed else str(entry.key[0]))
    keys |= {f"{d.key} left out" for d in report.defaults if not d.ours}
    return keys or {f"refused value: {fault.message}" for fault in found.faults}


def show(groups: dict[str, Group], why: Counter[str], alone: Counter[str]) -> None:
    print(f"{'what it trains':26} files refused  valid  whole")
    for name, group in sorted(groups.items(), key=lambda item: -item[1].files):
        print(f"{name:26} {group.files:5} {group.refused:7} {group.valid:6} {group.whole:6}")
        print("".join(f"  {line}\n" for line in group.broken), end="")
    ours = groups[TEXT_LORA]
    print(f"\ntext LoRA: {ours.whole} of {ours.files} whole ({ours.whole / ours.files:.0%}), "
          f"{ours.valid} valid ({ours.valid / ours.files:.0%})")  # fmt: skip
    print("\nwhat keeps the rest (configurations, of them for this alone)")
    for name, count in why.most_common():
        print(f"{count:4} {alone[name]:3}  {name}")


# ---- beside the tools' own parsers -------------------------------------------------------------


def at(path: str) -> Callable[[Recipe], Any]:
    """Return a function that looks a value of a recipe up."""

    def look(recipe: Recipe) -> Any:
        value: Any = recipe
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    return look


def base(recipe: Recipe) -> Any:
    source = recipe["model"]["base"]
    return source.get("repo") or source.get("folder")


def bits(recipe: Recipe) -> Any:
    return recipe["model"]["quantization"].get("bits")


def held_out(recipe: Recipe) -> Any:
    split = recipe["mixture"]["validation"] or {}
    return split.get("fraction") or split.get("count") or 0


SAME_OPTIMIZER = {"adamw_torch_fused": "adamw_torch", "adamw_hf": "adamw_torch",
                  "paged_adamw": "paged_adamw_32bit"}  # fmt: skip
SAME_SCHEDULE = {"constant_with_warmup": "constant", "cosine_with_restarts": "cosine"}
Field = tuple[str, Callable[[Any], Any], Callable[[Recipe], Any]]


def plain(value: Any) -> Any:
    """Return a parsed value as a recipe would have it."""
    value = getattr(value, "value", value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return SAME_OPTIMIZER.get(value, SAME_SCHEDULE.get(value, value))
    if isinstance(value, set | tuple):
        return sorted(value)
    return value


def same(*names: str, under: str = "train") -> list[Field]:
    return [(name, lambda v: v, at(f"{under}.{name}")) for name in names]


COMMON: list[Field] = [
    *same("learning_rate", "weight_decay", "max_grad_norm", "adam_beta1", "adam_beta2",
          "adam_epsilon", "gradient_accumulation_steps", "save_total_limit"),
    ("seed", lambda v: v, at("seed")),
    ("lora_dropout", lambda v: v, at("model.adapter.dropout")),
    ("lora_alpha", lambda v: v, at("model.adapter.alpha")),
    ("max_steps", lambda v: None if v == -1 else v, at("train.max_steps")),
]  # fmt: skip
HF: list[Field] = [
    ("model_name_or_path", lambda v: v, base),
    ("per_device_train_batch_size", lambda v: v, at("train.micro_batch_size")),
    ("num_train_epochs", lambda v: v, at("train.num_epochs")),
    ("optim", lambda v: v, at("train.optimizer")),
    ("lr_scheduler_type", lambda v: v, at("train.lr_scheduler")),
]
CHECKS: dict[str, list[Field]] = {
    "axolotl": [
        *COMMON,
        *same("sequence_len", "micro_batch_size", "num_epochs", "evals_per_epoch",
              "saves_per_epoch", "loss_watchdog_threshold",
              "neftune_noise_alpha", "optimizer", "lr_scheduler", "loraplus_lr_ratio"),
        ("loss_watchdog_patience", lambda v: v,
         lambda r: at("train.loss_watchdog_patience")(r) or 3),
        ("base_model", lambda v: v, base),
        ("lora_r", lambda v: v, at("model.adapter.r")),
        ("load_in_4bit", lambda v: 4 if v else None, lambda r: bits(r) if bits(r) == 4 else None),
        ("load_in_8bit", lambda v: 8 if v else None, lambda r: bits(r) if bits(r) == 8 else None),
        ("sample_packing", bool, at("train.sample_packing")),
        ("gradient_checkpointing", bool, at("train.gradient_checkpointing")),
        ("val_set_size", lambda v: v, held_out),
        ("lora_target_linear", lambda v: "all-linear" if v else None,
         at("model.adapter.target_modules")),
        ("excess_length_strategy", lambda v: {"raise": "error"}.get(v, v), at("train.overlong")),
        ("datasets", len, lambda r: len(r["data"])),
    ],
    "trl": [
        *COMMON, *HF,
        ("lora_r", lambda v: v, at("model.adapter.r")),
        ("max_length", lambda v: v, at("train.sequence_len")),
        ("packing", bool, at("train.sample_packing")),
        ("gradient_checkpointing", bool, at("train.gradient_checkpointing")),
    ],
    "llama-factory": [
        *COMMON, *HF,
        ("lora_rank", lambda v: v, at("model.adapter.r")),
        ("cutoff_len", lambda v: v, at("train.sequence_len")),
        ("packing", bool, at("train.sample_packing")),
        ("quantization_bit", lambda v: v, bits),
        ("val_size", lambda v: v, held_out),
        ("disable_gradient_checkpointing", lambda v: not v, at("train.gradient_checkpointing")),
        ("dataset", lambda v: len(v if isinstance(v, list) else v.split(",")),
         lambda r: len(r["data"])),
    ],
}  # fmt: skip
"""What the parser has, as a recipe would say it, and where the recipe has it."""
ONLY_WHERE = {
    "evals_per_epoch": lambda theirs, ours: held_out(ours) and theirs["evals_per_epoch"] != 1,
    "loss_watchdog_patience": lambda theirs, _: theirs["loss_watchdog_threshold"] is not None,
    # Older files give `batch_size`, which is divided after the parser.
    "gradient_accumulation_steps": lambda theirs, _: not theirs.get("batch_size"),
}
"""Fields that mean something beside others only; the end of an epoch is a recipe's default."""


def parsed_by(tool: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return what a tool's own classes make of a configuration, defaults and all."""
    data = {key: value for key, value in data.items() if value is not None}
    if tool == "axolotl":
        schema = importlib.import_module("axolotl.utils.schemas.config")
        return dict(schema.AxolotlInputConfig(**data))
    classes = {
        "trl": [("trl.scripts.utils", "ScriptArguments"), ("trl", "SFTConfig"),
                ("trl", "ModelConfig")],
        "llama-factory": [(f"llamafactory.hparams.{name}", cls) for name, cls in (
            ("model_args", "ModelArguments"), ("data_args", "DataArguments"),
            ("training_args", "TrainingArguments"), ("finetuning_args", "FinetuningArguments"))],
    }[tool]  # fmt: skip
    found: dict[str, Any] = {}
    for module, name in classes:
        cls = getattr(importlib.import_module(module), name)
        fields = cls.__dataclass_fields__
        given = {key: value for key, value in data.items() if key in fields}
        if "output_dir" in fields:  # a CPU here: what it would refuse of a GPU says nothing
            given |= {"output_dir": "x", "bf16": False, "fp16": False, "tf32": None}
            for other in ("deepspeed", "ddp_timeout", "fsdp", "fsdp_config", "report_to"):
                given.pop(other, None)
        found |= {key: value for key, value in vars(cls(**given)).items()}
    return found


def compare(folder: Path, valid: dict[tuple[str, str], ImportedFile], options: Any) -> None:
    for peer in sorted(options.peers.iterdir()):
        sys.path.append(str(peer))
    os.environ["DISABLE_VERSION_CHECK"] = "1"  # LLaMA-Factory's own switch
    drawn = random.Random(options.seed).sample(sorted(valid), min(options.draw, len(valid)))
    print(f"\n{len(drawn)} of {len(valid)} valid recipes, drawn by the seed {options.seed}")
    fields = differ = said = refused = 0
    for file, tool in drawn:
        raw = parse((folder / file).read_bytes(), file).data
        try:
            theirs = parsed_by(tool, raw)
        except Exception as error:
            refused += 1
            print(f"  {file}: {tool}'s parser refuses it: {' '.join(str(error).split())[:110]}")
            continue
        recipe = bound(valid[file, tool])
        for name, convert, ours in CHECKS[tool]:
            if name not in theirs or theirs[name] is None:
                continue
            if name in ONLY_WHERE and not ONLY_WHERE[name](theirs, recipe):
                continue
            want, have = plain(convert(plain(theirs[name]))), plain(ours(recipe))
            if want is None:
                continue
            fields += 1
            if want != have:
                lost = any(entry.key[0] == name for entry in valid[file, tool].report.not_mapped)
                said, differ = said + lost, differ + (not lost)
                note = " (reported as not mapped)" if lost else ""
                print(f"  {file}: {name}: theirs {want!r}, ours {have!r}{note}")
    print(f"{fields} fields compared: {differ} differ, {said} are reported as not mapped; "
          f"{refused} files that the parser refuses")  # fmt: skip


def bound(found: ImportedFile) -> Recipe:
    def read(name: str, where: Path) -> tuple[Path, bytes]:
        return Path("imported.yaml"), found.text.encode()

    return validate("imported.yaml", Path(), read, load_registry()).recipe.to_json()


if __name__ == "__main__":
    sys.exit(main())
