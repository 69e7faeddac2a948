"""How many tokens a second our QLoRA runtime trains on, beside TRL's SFTTrainer.

    python benchmarks/train.py --base FOLDER --rows FILE [FILE ...] [--trl PYTHON] [--r 16 128]
    python benchmarks/train.py --device cuda --shape mistral-7b --r 128 --seq 8192 [--memory-gb 24]

FOLDER holds a model as a recipe's base does: config.json with safetensors, or one GGUF file. Rows
are files of Natural Instructions, or JSON with instruction, input and output. With `--shape` the
weights and tokens are random.

Every row has the same base in NF4 with double quantization, the same packs in the same order, the
same LoRA on all linear modules from the same initial values, AdamW, one pack a step. Each runs in
a process of its own, all in turn, `--times` times; the first steps are not timed. Tokens are those
that were fed, never padding. First of all our logits and gradients are compared with float32; where
they are further from it than twice what peft's are, nothing is timed.

Losses are shown beside one another. Systems round in bfloat16 at different places, and TRL stores
the adapter itself in bfloat16: `--agree` says how far the loss of any step may be from our first
row's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import train_data

from khichdi.plugins.toolkit import torch_environment as threads

NO_CHECKPOINTS = {"gradient_checkpointing": False}
ROWS: list[tuple[str, str, dict[str, Any], str]] = [
    ("ours, strict", "ours", {}, "any"),
    ("ours, strict, no weight cache", "ours", {"weight_cache_gib": 0.0}, "any"),
    ("ours, strict, checkpoints", "ours", {"gradient_checkpointing": True}, "any"),
    ("ours, strict, 16 GiB weight cache", "ours", {"weight_cache_gib": 16.0}, "cuda"),
    ("ours, fast", "ours", {"determinism": "fast"}, "cuda"),
    ("ours, strict, Liger", "ours", {"use_liger_kernel": True}, "cuda"),
    (
        "ours, fast, Liger",
        "ours",
        {"determinism": "fast", "use_liger_kernel": True},
        "cuda",
    ),
    ("TRL, defaults", "trl", {}, "any"),
    ("TRL, no checkpoints", "trl", NO_CHECKPOINTS, "any"),
    ("TRL, our attention", "trl", {"attention": "registered"}, "any"),
    (
        "TRL, no checkpoints, our attention",
        "trl",
        NO_CHECKPOINTS | {"attention": "registered"},
        "any",
    ),
    (
        "TRL, no checkpoints, our attention, Liger",
        "trl",
        NO_CHECKPOINTS | {"attention": "registered", "use_liger_kernel": True},
        "cuda",
    ),
]
"""Name, system, settings, and the devices it is for."""


def run(options: argparse.Namespace, python: str, words: list[str]) -> dict[str, Any] | str:
    """Run one process of this file; return what it printed last, or why there is nothing."""
    command = [python, __file__, *words, "--work", str(options.work), "--base", str(options.base)]
    for name in ("device", "threads", "seq", "warm_up", "memory_gb"):
        if getattr(options, name) is not None:
            command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    environment = {
        # The same for all, and the fastest for each: ours sets these by itself.
        **{name: threads.SETTINGS[name] for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")},
        "OMP_NUM_THREADS": str(options.threads),
        "TOKENIZERS_PARALLELISM": "false",
        **os.environ,
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
    return next((line for line in reversed(lines) if "rror" in line or "not" in line), lines[-1])


def everything(options: argparse.Namespace, r: int) -> dict[str, list[dict[str, Any]]]:
    """Measure every row, in turn, `times` times."""
    found: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    for turn in range(options.times):
        for name, system, settings, device in ROWS:
            left_out = options.only and name not in options.only
            if device not in ("any", options.device) or left_out or name in failed:
                continue
            python = sys.executable if system == "ours" else options.trl
            words = ["--measure", system, "--settings", json.dumps(settings), "--r", str(r)]
            result = run(options, python, words)
            if isinstance(result, str):
                failed[name] = result
            else:
                found.setdefault(name, []).append(result)
                seconds = statistics.median(result["steps"]["wall"])
                print(f"  r {r}, turn {turn + 1}: {name}: {seconds:.2f} s a step", file=sys.stderr)
    for name, why in failed.items():
        print(f"{name}: did not run ({why[:160]})")
        found.pop(name, None)
    return found


# ---- what is printed ------------------------------------------------------------------------


def report(options: argparse.Namespace, r: int, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print a line for each row: rates of the median step, and of the least processor time."""
    cuda = options.device == "cuda"
    memory = "reserved GiB" if cuda else "host GiB"
    print(f"\n{'r ' + str(r):<42}{'tok/s':>8}{'min':>8}{'max':>8}{'resp/s':>8}", end="")
    print(f"{'s/step':>8}{'cpu s':>8}{memory:>14}{'loss':>9}")
    for name, runs in found.items():
        line = figures(runs, options.warm_up)
        peak = max(one["peak"]["reserved" if cuda else "host"] for one in runs)
        print(f"{name:<42}{line['rate']:>8.0f}{line['low']:>8.0f}{line['high']:>8.0f}", end="")
        print(f"{line['response']:>8.0f}{line['seconds']:>8.2f}{line['cpu']:>8.2f}", end="")
        print(f"{peak:>14.2f}{runs[0]['losses'][-1]:>9.4f}")
    compare(options, found)


def figures(runs: list[dict[str, Any]], warm_up: int) -> dict[str, float]:
    """Return rates over all runs of a row; each step is its least over the runs for `cpu`."""
    tokens, learnt = runs[0]["tokens"][warm_up:], runs[0]["response"][warm_up:]
    rates = [n / s for one in runs for n, s in zip(tokens, one["steps"]["wall"], strict=True)]
    medians = [statistics.median(steps) for steps in zip(*walls(runs), strict=True)]
    return {
        "rate": sum(tokens) / sum(medians),
        "low": min(rates),
        "high": max(rates),
        "response": sum(learnt) / sum(medians),
        "seconds": statistics.mean(medians),
        "cpu": statistics.mean(map(min, zip(*(one["steps"]["cpu"] for one in runs), strict=True))),
    }


def walls(runs: list[dict[str, Any]]) -> list[list[float]]:
    return [one["steps"]["wall"] for one in runs]


def compare(options: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print how our best row stands to TRL's, whether losses agree, and bits repeat."""
    lines = {name: figures(runs, options.warm_up) for name, runs in found.items()}
    ours = [name for name in lines if name.startswith("ours")]
    if not ours:
        return
    first = found[ours[0]][0]["losses"]
    far = {
        name: max(abs(a - b) for one in runs for a, b in zip(first, one["losses"], strict=True))
        for name, runs in found.items()
    }
    worst = max(far, key=far.__getitem__)
    words = "agree" if far[worst] <= options.agree else "DO NOT AGREE"
    print(f"losses {words}: at most {far[worst]:.4f} apart in any step ({worst})")
    hashes = {one["adapter"] for name in ours for one in found[name]}
    print(f"adapters of ours over all runs and rows: {len(hashes)} ({', '.join(sorted(hashes))})")
    best = max(ours, key=lambda name: lines[name]["rate"])
    for own in (False, True):
        trl = [n for n in lines if n.startswith("TRL") and ("our attention" in n) == own]
        if trl:
            other = max(trl, key=lambda name: lines[name]["rate"])
            wall = lines[best]["rate"] / lines[other]["rate"]
            cpu = lines[other]["cpu"] / lines[best]["cpu"]
            print(f"{best} / {other}: {wall:.2f} times by the clock, {cpu:.2f} by processor time")


def hardware(options: argparse.Namespace, r: int, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print model FLOPs over the matrix rate that was measured in this run."""
    rate = run(options, sys.executable, ["--measure", "matrix", "--r", str(r)])
    if isinstance(rate, str):
        print(f"matrix rate: not measured ({rate})")
        return
    print(f"bf16 matrix rate {rate['tflops']:.1f} TFLOP/s: {rate['what']}")
    for name, runs in found.items():
        learnt = sum(runs[0]["response"]) / sum(runs[0]["tokens"])
        flops = rate["token"] + learnt * rate["head"]
        share = figures(runs, options.warm_up)["rate"] * flops / (rate["tflops"] * 1e12)
        print(f"{name:<42}{share:>7.1%} of it, in model FLOPs ({flops / 1e9:.2f} GFLOP a token)")


def matrix(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the rate of a layer's own products, and count what a token takes."""
    import time

    import torch
    from train_systems import packs
    from transformers import AutoConfig

    gguf = (
        {"gguf_file": next(options.base.glob("*.gguf")).name}
        if not (options.base / "config.json").is_file()
        else {}
    )
    config = AutoConfig.from_pretrained(str(options.base), **gguf)
    torch.set_num_threads(options.threads)
    d, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    size = getattr(config, "head_dim", None) or d // config.num_attention_heads
    wide, narrow = size * config.num_attention_heads, size * config.num_key_value_heads
    shapes = [(d, wide), (d, narrow), (d, narrow), (wide, d), (d, f), (d, f), (f, d)]
    weights, low = sum(i * o for i, o in shapes), options.r * sum(i + o for i, o in shapes)
    # Of each token: the frozen weights forward and backward, the adapter three times, and half of
    # its sample's tokens in scores and values, forward once and backward two and a half times.
    lengths = [n for row in packs(options).column("lengths").to_pylist() for n in row]
    context = sum(n * n for n in lengths) / (2 * sum(lengths))
    token = layers * (4 * weights + 6 * low + 3.5 * 4 * wide * context)
    device, best = torch.device(options.device), 0.0
    drawn = [torch.randn(options.seq, i, device=device).bfloat16() for i, _ in shapes]
    others = [torch.randn(i, o, device=device).bfloat16() for i, o in shapes]
    for _ in range(10):
        _wait(device)
        begin = time.perf_counter()
        for left, right in zip(drawn, others, strict=True):
            left @ right
        _wait(device)
        spent = time.perf_counter() - begin
        best = max(best, 2 * options.seq * weights / spent / 1e12)
    what = f"best of 10 for a layer's {len(shapes)} products with {options.seq} rows"
    return {"tflops": best, "token": token, "head": 4 * config.vocab_size * d, "what": what}


def _wait(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize()


# ---- running it -----------------------------------------------------------------------------


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, help="folder of a base model")
    parser.add_argument("--rows", type=Path, nargs="+", help="files of rows")
    parser.add_argument("--shape", choices=train_data.SHAPES, help="a model of random weights")
    parser.add_argument("--trl", default=sys.executable, help="a Python with TRL")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--r", type=int, nargs="+", default=[16, 128])
    parser.add_argument("--seq", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a run")
    parser.add_argument("--own_run-up", type=int, default=3)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gb", type=float, help="GPU memory that each process may take")
    parser.add_argument("--agree", type=float, default=0.03)
    parser.add_argument("--only", nargs="*", help="names of the rows to measure; all if left out")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--settings", default="{}", help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(options: argparse.Namespace) -> str:
    """Write packs, and the base where it is a random one; say what the packs are."""
    import pyarrow.parquet as pq

    packs = options.warm_up + options.steps
    if options.shape:
        options.base = options.base or train_data.random_base(options.shape, options.work / "base")
        vocabulary = train_data.SHAPES[options.shape]["vocab_size"]
        table = train_data.random_packs(vocabulary, options.seq, packs)
    else:
        table = train_data.real_packs(options.rows, options.base, options.seq, packs)
    pq.write_table(table, options.work / "packs.parquet")
    return train_data.told(table, options.seq)


def one(options: argparse.Namespace) -> None:
    """Do what one process is for."""
    import train_gate
    import train_systems

    options.r = options.r[0]
    if options.measure == "gate":
        train_gate.gate(options)
    elif options.measure == "matrix":
        print(json.dumps(matrix(options)))
    else:
        train_systems.measure(options, options.measure, json.loads(options.settings))


def main() -> None:
    options = parsed()
    if options.measure:
        one(options)
        return
    if not options.shape and not (options.base and options.rows):
        raise SystemExit("give --base with --rows, or --shape")
    with tempfile.TemporaryDirectory() as folder:
        options.work = Path(folder)
        print(prepare(options))
        load = ", ".join(f"{x:.2f}" for x in os.getloadavg())
        print(f"{options.device}, {options.threads} threads; load {load}")
        for r in options.r:
            right = run(options, sys.executable, ["--measure", "gate", "--r", str(r)])
            if isinstance(right, str):
                raise SystemExit(f"r {r}: {right}")
            print(f"r {r}, relative errors against float32: {json.dumps(right)}")
            found = everything(options, r)
            report(options, r, found)
            hardware(options, r, found)


if __name__ == "__main__":
    main()
