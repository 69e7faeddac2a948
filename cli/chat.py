"""Chat with the model of a run, on its pinned base and by its recipe's template.

    /base     switch between the trained model and its base, to compare
    /again    answer the last message again
    /reset    forget the conversation
    /exit     leave; so does the end of input

Without a terminal, each line of standard input is a message.
"""

from __future__ import annotations

import contextlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from ..plugins.toolkit.answer_text import Piece, Sampling
from ..project.generate import check_sampling, run_model
from ..project.run_lookup import open_run
from ..runtime.inference import RunModel, row_of
from ..schema.errors import KhichdiError
from ..schema.printable import printable
from .arguments import model_arguments, run_argument
from .generate import sampling_arguments, sampling_of
from .output import emit

HELP = "/base compares, /again answers again, /reset forgets, /exit leaves"


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument("--system", metavar="TEXT", help="a system message")
    parser.add_argument("--base", action="store_true", help="start with the base alone")
    sampling_arguments(parser)
    model_arguments(parser)


def run(options: Namespace) -> int:
    """Answer messages until the input ends."""
    sampling = sampling_of(options)
    check_sampling(sampling)
    opened = open_run(options.run, store=options.store)
    with run_model(
        opened, threads=options.threads, allow_local_plugins=options.allow_local_plugins
    ) as model:
        chat = Chat(model, sampling, options)
        chat.say(f"{model.name}   {HELP}")
        status = chat.talk()
    if options.json:
        emit(options, {"run": str(opened.folder), "messages": chat.messages}, "")
    return status


class Chat:
    """A conversation: its messages, and which model answers.

    Attributes:
        messages: those that the model is given, the answers among them.
        base: whether the base alone answers.
    """

    def __init__(self, model: RunModel, sampling: Sampling, options: Namespace) -> None:
        self.model = model
        self.sampling = sampling
        self.base: bool = options.base
        self.silent: bool = options.json or options.quiet
        self.shows: bool = not options.json
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty() and self.shows
        self.system = [{"role": "system", "content": options.system}] if options.system else []
        self.messages = list(self.system)

    def talk(self) -> int:
        """Take lines until the input ends, and return the exit status."""
        try:
            for line in self.lines():
                if not self.take(line):
                    break
        except KeyboardInterrupt:  # at the prompt: there is nothing to interrupt but the chat
            print(file=sys.stderr)
            return 130
        return 0

    def lines(self) -> Iterator[str]:
        """Yield the lines of the input; on a terminal, after a prompt and with line editing."""
        if not self.terminal:
            yield from (line.rstrip("\n") for line in sys.stdin)
            return
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  `input` edits lines by it
        while True:
            try:
                yield input("base> " if self.base else "> ")
            except EOFError:
                print()
                return

    def take(self, line: str) -> bool:
        """Take a message or a command; return whether the chat continues."""
        text = line.strip()
        if text in ("/exit", "/quit"):
            return False
        if text == "/base":
            self.base = not self.base
            self.say("the base alone answers" if self.base else "the trained model answers")
        elif text == "/reset":
            self.messages = list(self.system)
            self.say("the conversation is forgotten")
        elif text == "/again":
            self._again()
        elif text.startswith("/") and " " not in text:
            self.say(HELP)
        elif text:
            self._answer(line)
        return True

    def say(self, text: str) -> None:
        """Print a remark, which is not part of the conversation."""
        if not self.silent:
            print(printable(text), file=sys.stderr)

    def _again(self) -> None:
        asked = [n for n, message in enumerate(self.messages) if message["role"] == "user"]
        if not asked:
            self.say("there is no message to answer again")
            return
        question = self.messages[asked[-1]]["content"]
        self.messages = self.messages[: asked[-1]]
        self._answer(question)

    def _answer(self, question: str) -> None:
        """Stream the answer to a message; the two are remembered if it was not interrupted."""
        asked = [*self.messages, {"role": "user", "content": question}]
        try:
            answer = "".join(self._shown(asked))
        except KeyboardInterrupt:
            print()
            self.say("interrupted; the message is forgotten")
            return
        except KhichdiError as error:
            self.say(f"error: {error.message}")
            self.say(error.hint or "`/reset` forgets the conversation")
            return
        self.messages = [*asked, {"role": "assistant", "content": answer}]

    def _shown(self, messages: list[dict[str, str]]) -> Iterator[str]:
        prompt = self.model.encode(row_of(messages))
        room = self.model.room
        wanted = self.sampling.max_new_tokens
        self.model.check_room(prompt)
        tokens = wanted if room is None else min(wanted, room - len(prompt))
        sampling = Sampling(
            tokens, self.sampling.temperature, self.sampling.top_p, self.sampling.seed,
            self.sampling.stop,
        )  # fmt: skip
        last: Piece | None = None
        for last in self.model.stream(prompt, sampling, base=self.base):
            if self.shows:
                print(printable(last.text), end="", flush=True)
            yield last.text
        if self.shows:
            print(flush=True)
        if last is not None and last.finish == "length":
            self.say(f"… {last.tokens:,} tokens, the limit")
