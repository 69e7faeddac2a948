"""Serve the model of a run over HTTP, as OpenAI's API does, until Ctrl-C or SIGTERM.

`/v1/chat/completions`, `/v1/completions` and `/v1/models`; the model `base` is the base alone.
`/process`, `/tokenize` and `/decode` answer HELM, as the LLM Efficiency Challenge asked.
Answers are greedy unless a request has a temperature. Where others can reach the address, clients
have to show a token, which is best given by KHICHDI_SERVE_TOKEN.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack

from ..project.run_lookup import open_run
from ..project.server.listening import token_of
from ..project.server.serve import TOKEN, ServeOptions, serve
from .arguments import address_arguments, model_arguments, run_argument
from .output import emit
from .waiting import waiting

DEFAULT = ServeOptions()


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    address_arguments(parser, DEFAULT.host, DEFAULT.port, TOKEN)
    parser.add_argument(
        "--no-token", action="store_true",
        help="let everybody who reaches the address use the model, as HELM's client has no token",
    )  # fmt: skip
    parser.add_argument(
        "--queue", type=int, default=DEFAULT.waiting, metavar="N",
        help=f"requests that may wait (default: {DEFAULT.waiting})",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=DEFAULT.timeout, metavar="SECONDS",
        help=f"time that a request may take (default: {DEFAULT.timeout:.0f})",
    )  # fmt: skip
    parser.add_argument(
        "--max-new-tokens", type=int, default=DEFAULT.new_tokens, metavar="N",
        help=f"tokens of an answer where a request has no limit (default: {DEFAULT.new_tokens})",
    )  # fmt: skip
    model_arguments(parser)


def run(options: Namespace) -> int:
    """Serve, and print the address."""
    chosen = ServeOptions(
        host=options.host,
        port=options.port,
        token=options.token if options.no_token else token_of(options.token, TOKEN),
        anybody=options.no_token,
        waiting=options.queue,
        timeout=options.timeout,
        new_tokens=options.max_new_tokens,
        threads=options.threads,
        allow_local_plugins=options.allow_local_plugins,
    )
    opened = open_run(options.run, store=options.store)
    with ExitStack() as stack:
        stack.enter_context(waiting(options, "loading the model"))

        def ready(address: str, models: tuple[str, ...]) -> None:
            stack.close()
            document = {"url": f"{address}/v1", "models": list(models)}
            emit(options, document, f"{models[0]} at {address}/v1   Ctrl-C stops")
            sys.stdout.flush()

        serve(opened, chosen, ready)
    return 0
