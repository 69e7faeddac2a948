"""Make the material of the `quickstart` recipe: a tiny base model and its task files.

    python recipes/quickstart/make.py --out recipes/quickstart          # both
    python recipes/quickstart/make.py tasks --out recipes/quickstart    # the task files only
    python recipes/quickstart/make.py base --out recipes/quickstart     # the base model only

The base reads plain facts (facts.toml) as sentences and lists, never in the layout of a
fine-tuning prompt (the words of the headings occur, so that their tokens are trained). The task
files ask for the same facts as instructions. So the base knows the answers but does not know how
it will be asked: that is what a fine-tuning run on it has to add.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretraining_text import Pairs, documents, filler  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from transformers import MistralForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent

SEED = 20240
VOCAB_SIZE = 1024
BLOCK = 128
BATCH = 16
STEPS = 2000
PEAK_LR = 3e-3
BOS, EOS, PAD, UNK = "<s>", "</s>", "<pad>", "<unk>"

# ---------------------------------------------------------------------------------------------
# Facts


def read_facts() -> dict[str, Pairs]:
    """The pairs of facts.toml by relation, with antonyms in both directions and the sums."""
    facts: dict[str, Pairs] = {}
    for name, text in tomllib.loads((HERE / "facts.toml").read_text("utf-8")).items():
        pairs = [item.replace("_", " ").split(":") for item in text.split()]
        facts[name] = [(left, right) for left, right in pairs]
    facts["opposite"] += [(right, left) for left, right in facts["opposite"]]
    facts["sum"] = [(f"{a} + {b}", str(a + b)) for a in range(1, 13) for b in range(1, 13)]
    return facts


# ---------------------------------------------------------------------------------------------
# The base model


def make_tokenizer(facts: dict[str, Pairs]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learned from a sample of the pre-training text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    stream = documents(facts, SEED)
    sample = [next(stream) for _ in range(20000)]
    core = Tokenizer(models.BPE(unk_token=UNK))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[UNK, BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(sample, trainer)
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A $B",
        special_tokens=[(BOS, core.token_to_id(BOS))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> MistralForCausalLM:
    """A randomly initialised model of the Mistral architecture, small enough for git."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(SEED)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        sliding_window=None,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return MistralForCausalLM(config)


def blocks(tokenizer: PreTrainedTokenizerFast, facts: dict[str, Pairs]) -> Iterator[list[int]]:
    """The pre-training text as token blocks of equal length, documents end to end."""
    stream = documents(facts, SEED + 1)
    buffer: list[int] = []
    while True:
        while len(buffer) < BLOCK:
            buffer += tokenizer(next(stream))["input_ids"] + [tokenizer.eos_token_id]
        yield buffer[:BLOCK]
        buffer = buffer[BLOCK:]


def pretrain(model: MistralForCausalLM, stream: Iterator[list[int]]) -> None:
    """Next-token training with AdamW, a short warm-up and one cosine."""
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_LR, betas=(0.9, 0.95), weight_decay=0.05
    )
    model.train()
    began = time.monotonic()
    for step in range(STEPS):
        warm = min(1.0, (step + 1) / 100)
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * warm * (1 + math.cos(math.pi * step / STEPS)) / 2
        batch = torch.tensor([next(stream) for _ in range(BATCH)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == STEPS - 1:
            seconds = time.monotonic() - began
            print(f"step {step:5d}  loss {loss.item():.3f}  {seconds:6.1f} s", flush=True)


def make_base(out: Path, facts: dict[str, Pairs]) -> None:
    """Train the base and write it, in bfloat16, with its tokenizer."""
    import torch

    torch.set_num_threads(1)  # one thread adds floats in one order
    tokenizer = make_tokenizer(facts)
    model = make_model(tokenizer)
    print(f"parameters: {sum(p.numel() for p in model.parameters()):,}")
    pretrain(model, blocks(tokenizer, facts))
    model.bfloat16().save_pretrained(out / "base")
    tokenizer.save_pretrained(out / "base")
    config = out / "base" / "tokenizer_config.json"
    names = json.loads(config.read_text("utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    config.write_text(json.dumps(names, indent=2) + "\n", "utf-8")  # a name older releases know
    for path in sorted((out / "base").iterdir()):
        path.chmod(0o644)


# ---------------------------------------------------------------------------------------------
# The task files

# number, name, relation, category, definition, output language, rows before extra ones
TASKS: list[tuple[int, str, str, str, str, str, int]] = [
    (9001, "capital_of_country", "capital", "Question Answering",
     "Name the capital city of the country.", "English", 90),
    (9002, "opposite_of_word", "opposite", "Word Semantics",
     "Give the opposite of the word.", "English", 90),
    (9003, "plural_of_noun", "plural", "Word Semantics",
     "Write the plural of the noun.", "English", 82),
    (9004, "past_tense_of_verb", "past", "Word Semantics",
     "Write the past tense of the verb.", "English", 88),
    (9005, "kind_of_thing", "kind", "Text Categorization",
     "Say what kind of thing the word names.", "English", 90),
    (9006, "sum_of_two_numbers", "sum", "Mathematics",
     "Add the two numbers.", "English", 90),
    (9007, "number_in_spanish", "spanish", "Translation",
     "Write the number in Spanish.", "Spanish", 38),
    (9008, "question_about_capital", "question", "Question Generation",
     "Write a question that has this answer.", "English", 40),
]  # fmt: skip
# Rows for a filter to find: inputs longer than 60 words, and rows that are said twice.
LONG_ROWS = 2
DUPLICATES = {9001: 2, 9002: 2, 9003: 1, 9004: 2, 9005: 1, 9006: 2}


def instance(number: int, text: str, output: str, serial: int) -> dict[str, object]:
    """One row with an id that depends on what it says and where it stands."""
    digest = hashlib.sha256(f"{number}|{serial}|{text}|{output}".encode()).hexdigest()[:32]
    return {"id": f"task{number}-{digest}", "input": text, "output": [output]}


def long_input(rng: random.Random, text: str) -> str:
    """The same question at the end of more than 60 words that do not matter."""
    words = ""
    while len(words.split()) <= 60:
        words += filler(rng) + " "
    return words + "What matters here: " + text


def example(text: str, output: str, why: str) -> dict[str, str]:
    """An entry of Positive Examples or Negative Examples."""
    return {"input": text, "output": output, "explanation": why}


def task_file(
    number: int, pairs: Pairs, category: str, definition: str, language: str, rows: int
) -> dict[str, Any]:
    """One task in the Natural Instructions schema."""
    rng = random.Random(SEED + number)
    pairs = rng.sample(pairs, len(pairs))
    shown, asked = pairs[:2], pairs[2 : 2 + rows]
    if number in DUPLICATES:
        long = [(long_input(rng, x), y) for x, y in rng.sample(pairs, LONG_ROWS)]
        asked = asked + long + rng.sample(asked, DUPLICATES[number])
        rng.shuffle(asked)
    return {
        "Contributors": ["khichdi"],
        "Source": ["quickstart"],
        "URL": [],
        "Categories": [category],
        "Reasoning": [],
        "Definition": [definition],
        "Input_language": ["English"],
        "Output_language": [language],
        "Instruction_language": ["English"],
        "Domains": ["Commonsense"],
        "Positive Examples": [example(x, y, f'"{y}" is right.') for x, y in shown],
        "Negative Examples": [example(shown[0][0], shown[1][1], "This answers another input.")],
        "Instances": [instance(number, x, y, i) for i, (x, y) in enumerate(asked)],
        "Instance License": ["Apache-2.0"],
    }


def make_tasks(out: Path, facts: dict[str, Pairs]) -> None:
    """Write every task file."""
    folder = out / "tasks"
    folder.mkdir(parents=True, exist_ok=True)
    questions = [(y, f"What is the capital of {x}?") for x, y in facts["capital"]]
    sources = {**facts, "question": questions}
    for number, name, relation, category, definition, language, rows in TASKS:
        task = task_file(number, sources[relation], category, definition, language, rows)
        text = json.dumps(task, indent=1, ensure_ascii=False) + "\n"
        (folder / f"task{number}_{name}.json").write_text(text, "utf-8")
        print(f"task{number}_{name}: {len(task['Instances'])} instances")


def main() -> None:
    """Parse the command line and make what it names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["all", "tasks", "base"], default="all")
    parser.add_argument("--out", type=Path, default=HERE, help="where base/ and tasks/ go")
    options = parser.parse_args()
    facts = read_facts()
    if options.what in ("all", "tasks"):
        make_tasks(options.out, facts)
    if options.what in ("all", "base"):
        make_base(options.out, facts)


if __name__ == "__main__":
    main()
