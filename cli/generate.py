"""Generate answers by the model of a run, on its pinned base and by its recipe's template.

Answers are greedy unless `--temperature` is given, and as the run's evaluation generates them.
`--file` takes a prompt from each line; a `.jsonl` has texts, or objects with `prompt`, `messages`
or `instruction` and `input`.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..plugins.toolkit.answer_text import Sampling
from ..project.generate import (
    NEW_TOKENS,
    Answer,
    Prompt,
    as_prompt,
    generate,
    read_prompts,
    run_model,
)  # fmt: skip
from ..project.run_lookup import open_run
from ..runtime.store.atomic_io import write_atomically
from ..schema.errors import InputError
from .arguments import model_arguments, run_argument
from .output import emit, quoted


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument(
        "--prompt", metavar="TEXT", action="append", default=[], help="a prompt; may come again"
    )
    parser.add_argument("--file", metavar="FILE", help="a file of prompts, `.txt` or `.jsonl`")
    parser.add_argument("--system", metavar="TEXT", help="a system message for --prompt")
    parser.add_argument(
        "--raw", action="store_true", help="take prompts as they are, without the template"
    )
    parser.add_argument("--output", metavar="FILE", help="write prompts and answers as JSON Lines")
    sampling_arguments(parser)
    model_arguments(parser)
    parser.add_argument("--base", action="store_true", help="answer by the base alone")


def sampling_arguments(parser: ArgumentParser) -> None:
    """Add how answers are generated."""
    parser.add_argument(
        "--max-new-tokens", type=int, default=NEW_TOKENS, metavar="N",
        help=f"tokens of an answer at most (default: {NEW_TOKENS})",
    )  # fmt: skip
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="draw tokens (default: 0, greedy)",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="draw among the likeliest (default: 1)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of draws (default: 0)")
    parser.add_argument(
        "--stop", metavar="TEXT", action="append", default=[], help="text that ends an answer"
    )


def sampling_of(options: Namespace) -> Sampling:
    """Return how answers are generated."""
    return Sampling(
        options.max_new_tokens, options.temperature, options.top_p, options.seed,
        tuple(options.stop),
    )  # fmt: skip


def run(options: Namespace) -> int:
    """Print or write the answers."""
    prompts, sampling = _prompts(options), sampling_of(options)
    opened = open_run(options.run, store=options.store)
    with run_model(
        opened, threads=options.threads, allow_local_plugins=options.allow_local_plugins
    ) as model:
        answers = generate(model, prompts, sampling, base=options.base)
    pairs = list(zip(prompts, answers, strict=True))
    document = {
        "run": str(opened.folder),
        "base": options.base,
        "answers": [_document(prompt, answer) for prompt, answer in pairs],
    }
    text = "\n".join(_shown(prompt, answer, alone=len(pairs) == 1) for prompt, answer in pairs)
    if options.output:
        lines = [json.dumps(one, ensure_ascii=False) for one in document["answers"]]
        write_atomically(Path(options.output), "\n".join(lines) + "\n")
        text = f"wrote {len(lines):,} answers to {options.output}"
    emit(options, document, text)
    return 0


def _prompts(options: Namespace) -> list[Prompt]:
    if bool(options.prompt) == bool(options.file):
        raise InputError("what to answer?", hint="give --prompt TEXT, or --file FILE")
    if options.file:
        if options.system:
            raise InputError(
                "--system goes with --prompt",
                hint="in a `.jsonl`, write `messages` that start with a system message",
            )
        return read_prompts(Path(options.file), raw=options.raw)
    if options.raw and options.system:
        raise InputError("--raw takes a prompt as it is: leave out --system")
    return [as_prompt(one, system=options.system, raw=options.raw) for one in options.prompt]


def _document(prompt: Prompt, answer: Answer) -> dict[str, Any]:
    return {
        **_asked(prompt),
        "answer": answer.text,
        "tokens": answer.tokens,
        "finish": answer.finish,
    }


def _asked(prompt: Prompt) -> dict[str, Any]:
    """Return the words of a prompt, in the form in which a file has them."""
    if isinstance(prompt, str):
        return {"prompt": prompt}
    if prompt["turns"]:
        turns = [{"role": one["role"], "content": one["text"]} for one in prompt["turns"][:-1]]
        return {"messages": turns}
    return {name: prompt[name] for name in ("instruction", "input") if prompt[name]}


def _shown(prompt: Prompt, answer: Answer, *, alone: bool) -> str:
    cut = "" if answer.finish == "stop" else f"\n… {answer.tokens:,} tokens, the limit"
    if alone:
        return answer.text + cut
    asked = _asked(prompt)
    last = asked["messages"][-1]["content"] if "messages" in asked else " ".join(asked.values())
    return f"> {quoted(last)}\n{answer.text}{cut}\n"
