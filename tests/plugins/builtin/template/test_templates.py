from __future__ import annotations

import json
import time

import pytest

from khichdi.plugins.registry import load_registry
from khichdi.plugins.toolkit.tokenization import encode
from khichdi.schema.errors import RowError, StepError

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Llama 2 writes it: a beginning of its own, no generation prompt, no system turn.
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + "
    "' [/INST]' }}{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
    "{% else %}{{ raise_exception('no ' + m.role + ' here') }}{% endif %}{% endfor %}"
)
# As reasoning models do: what was thought is written only in the last answer.
FORGETS = (
    "{% for m in messages %}{{ m.role + ': ' }}{% if m.role == 'assistant' and loop.last %}"
    "{{ '<think></think>' }}{% endif %}{{ m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)

# The question itself depends on whether it is answered.
REWRITES = (
    "{% for m in messages %}{{ m.role + (' answered: ' if messages[-1].role == 'assistant' else "
    "': ') + m.content + '\n' }}{% endfor %}"
)
# As Phi-3 does: a last token, which no earlier answer has.
TAILED = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"
    "{{ '<|assistant|>' if add_generation_prompt else eos_token }}"
)
MARKED = (
    "{% for m in messages %}{{ m.role + ': ' }}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content + '!' }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '\n' }}"
    "{% endfor %}"
)
DATED = "{{ strftime_now('%d %B %Y') }}" + CHATML
ENDLESS = (
    "{% for a in range(9999) %}{% for b in range(9999) %}{{ 'x' * 99 }}{% endfor %}{% endfor %}"
)


def row(instruction="", input="", output="", turns=()):
    names = ("role", "text")
    return {
        "id": "data/a#0",
        "instruction": instruction,
        "input": input,
        "output": output,
        "turns": [dict(zip(names, turn, strict=True)) for turn in turns],
    }


ONE = row("Add.", "2 and 3", "5")
BARE = row("Why?", "", "Because.")
TALK = row(
    "a",
    "",
    "b",
    [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
)


def segments(name, row, tokenizer=None, **params):
    template = load_registry().create("template", name, params)
    return [(piece.text, piece.learn) for piece in template.segments(row, tokenizer)]


@pytest.fixture(scope="module")
def make_tokenizer():
    """Return a maker of real tokenizers with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def make(chat_template, eos="<|im_end|>"):
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {character: n for n, character in enumerate(alphabet)}
        backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, bos_token="<s>", eos_token=eos
        )
        tokenizer.chat_template = chat_template
        return tokenizer

    return make


# ---- plain text -----------------------------------------------------------------------------


def test_alpaca_writes_the_input_only_where_there_is_one():
    assert segments("alpaca", ONE) == [
        ("### Instruction:\nAdd.\n\n### Input:\n2 and 3\n\n### Response:\n", False),
        ("5", True),
    ]
    assert segments("alpaca", BARE) == [
        ("### Instruction:\nWhy?\n\n### Response:\n", False),
        ("Because.", True),
    ]


def test_alpaca_starts_with_its_sentence_when_asked():
    [(with_input, _), _] = segments("alpaca", ONE, preamble=True)
    [(without_input, _), _] = segments("alpaca", BARE, preamble=True)
    assert with_input.startswith("Below is an instruction that describes a task, paired with an")
    assert without_input == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nWhy?\n\n### Response:\n"
    )


def test_alpaca_repeats_its_sections_for_every_turn():
    assert segments("alpaca", TALK) == [
        ("s\n\n### Instruction:\na\n\n### Response:\n", False),
        ("b", True),
        ("\n\n### Instruction:\nc\n\n### Response:\n", False),
        ("d", True),
    ]


def test_question_answer_writes_two_lines():
    assert segments("question-answer", BARE) == [
        ("Question: Why?\nAnswer:", False),
        (" Because.", True),
    ]
    assert segments("question-answer", ONE)[0] == ("Question: Add.\n\n2 and 3\nAnswer:", False)


def test_turns_after_the_last_answer_are_not_written():
    unanswered = row(turns=[("user", "a"), ("assistant", "b"), ("user", "c")])
    assert segments("question-answer", unanswered)[-1] == (" b", True)
    with pytest.raises(StepError, match="no answer to learn"):
        segments("alpaca", row(turns=[("user", "a")]))


def test_a_turn_that_is_not_to_be_learned_is_written_all_the_same():
    turns = row(turns=[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")])
    turns["turns"][1]["extra"] = '{"train": false}'
    assert [piece for piece, learn in segments("alpaca", turns) if learn] == ["d"]
    assert [p for p, learn in segments("alpaca", TALK, learn="last") if learn] == ["d"]


def test_learning_all_counts_prompts_too(make_tokenizer):
    tokenizer = make_tokenizer(None, eos="</s>")
    turns = row(turns=[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")])
    turns["turns"][3]["extra"] = '{"train": false}'
    params = {"learn": "all"}
    [one] = (
        load_registry().create("template", "question-answer", params).renderings(turns, tokenizer)
    )
    assert one.text == "Question: a\nAnswer: b</s>\n\nQuestion: c\nAnswer: d</s>"
    assert [p.text for p in one.segments() if p.learn] == ["Question: a\nAnswer:", " b</s>"]


def test_text_fills_the_prompt_that_the_recipe_writes():
    params = {"prompt": "{system}{{task}}\nQ: {instruction} ({input})\nA:", "answer": " {output}"}
    assert segments("text", ONE | {"task": ""}, **params) == [
        ("{task}\nQ: Add. (2 and 3)\nA:", False),
        (" 5", True),
    ]
    asked = row(turns=[("system", "s"), ("user", "a"), ("assistant", "b")], instruction="a")
    assert segments("text", asked | {"task": ""}, **params)[0][0].startswith("s{task}\nQ: a (")
    two = {"prompt": "{instruction} + {input}:", "prompt_without_input": "{instruction}:"}
    with_input, without = ONE | {"task": ""}, ONE | {"task": "", "input": ""}
    assert " + " in segments("text", with_input, **two)[0][0]
    assert segments("text", without, **two)[0][0] == f"{ONE['instruction']}:"
    assert segments("text", BARE | {"task": ""}) == [("", False), ("Because.", True)]
    with pytest.raises(RowError, match="has 2 answers"):
        segments("text", TALK | {"task": ""}, **params)
    with pytest.raises(ValueError, match=r"did you mean `\{instruction\}`"):
        segments("text", ONE, prompt="{instructions}")


@pytest.mark.parametrize("field", ["tool_calls", "reasoning_content", "name"])
@pytest.mark.parametrize("name", ["alpaca", "question-answer"])
def test_a_text_template_names_what_it_cannot_write(name, field):
    carrying = row(turns=[("user", "a"), ("assistant", "b")])
    carrying["turns"][1]["extra"] = json.dumps({field: "x"})
    with pytest.raises(RowError, match=f"does not write `{field}`"):
        segments(name, carrying)


# ---- the tokenizer's own --------------------------------------------------------------------


def test_chat_learns_the_answers_with_their_end_marker(make_tokenizer):
    tokenizer = make_tokenizer(CHATML)

    pieces = segments("chat", TALK, tokenizer)

    assert pieces == [
        ("<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n",
         False),
        ("b<|im_end|>", True),
        ("\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n", False),
        ("d<|im_end|>", True),
        ("\n", False),
    ]  # fmt: skip
    messages = [{"role": t["role"], "content": t["text"]} for t in TALK["turns"]]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert "".join(text for text, _ in pieces) == whole


def test_the_prompt_is_what_the_tokenizer_generates_from(make_tokenizer):
    tokenizer = make_tokenizer(CHATML)
    message = [{"role": "user", "content": "Add.\n\n2 and 3"}]

    prompt = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)

    assert load_registry().create("template", "chat", {}).prompt(ONE, tokenizer).text == prompt
    assert segments("chat", ONE, tokenizer)[0] == (prompt, False)


def test_a_template_without_a_generation_prompt_gives_the_same_talk(make_tokenizer):
    talk = row(turns=[(t["role"], t["text"]) for t in TALK["turns"][1:]])
    assert segments("chat", talk, make_tokenizer(INST, eos="</s>")) == [
        ("<s>[INST] a [/INST]", False),
        (" b</s>", True),
        ("[INST] c [/INST]", False),
        (" d</s>", True),
    ]


def test_a_system_message_is_added_where_there_is_none(make_tokenizer):
    tokenizer = make_tokenizer(CHATML)
    own, added = (segments("chat", r, tokenizer, system="x")[0][0] for r in (TALK, BARE))
    assert own.startswith("<|im_start|>system\ns<")
    assert added.startswith("<|im_start|>system\nx<")


@pytest.mark.parametrize(
    ("template", "which", "message"),
    [
        (None, BARE, "has no chat template"),
        (INST, TALK, "the chat template refuses the chat: no system here"),
        (REWRITES, TALK, "rewrites what stands before turn 2"),
        ("{{ messages | random }}", BARE, r"draws at random \(`random`\)"),
        ("{{ lipsum() }}", BARE, r"draws at random \(`lipsum`\)"),
        ("{% for m in messages %}", BARE, "not valid Jinja: line 1"),
        (ENDLESS, BARE, "writes over 16,777,216 characters"),
        ("{{ messages[0].content.__class__.mro() }}", BARE, "refuses the chat: access to"),
        ("{{ 1 // 0 }}", BARE, "fails on the chat: ZeroDivisionError"),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_an_error(make_tokenizer, template, which, message):
    with pytest.raises(StepError, match=message):
        segments("chat", which, make_tokenizer(template))


LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
RECURSIVE = "{% for a in [1] recursive %}{{ loop([1] * 99) if loop.depth < 9 }}{% endfor %}"
MACRO = "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
DOUBLED = (
    "{% set s = namespace(t='ab') %}{% for a in range(60) %}{% set s.t = s.t OP s.t %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (LOOPS, "over 1,048,576 turns of loops and calls of macros"),
        (RECURSIVE, "over 1,048,576 turns"),
        (MACRO, "over 1,048,576 turns"),
        (
            MACRO.replace("m(60)", "m(9999)").replace("{{ m(n - 1) }}", "", 1),
            "macros call each other",
        ),
        (DOUBLED.replace("OP", "~"), "over 16,777,216 characters"),
        (DOUBLED.replace("OP", "+"), "over 16,777,216 characters"),
        ("{{ 'a' * 10 ** 10 }}", "over 16,777,216 characters"),
        ("{{ [1] * 10 ** 9 }}", "over 16,777,216 characters or items"),
        ("{{ 10 ** 9999 }}", "thousands of digits"),
        ("{{ '%99999999d' % 1 }}", "width beyond any text"),
        ("{{ 'a'.zfill(10 ** 10) }}", "a number beyond any text's length"),
        ("{{ 'a' | center(10 ** 10) }}", "a number beyond any text's length"),
        ("{% set x = 'ab' * 99999 %}{{ x.replace('a', x) }}", "too long together"),
        ("{% set x = 'ab' * 99999 %}{{ x | replace('a', x) }}", "too long together"),
        ("{% set x = 'ab' * 99999 %}{{ x.join(x) }}", "too long together"),
    ],
)
def test_a_chat_template_without_an_end_stops_at_a_count(make_tokenizer, template, message):
    start = time.process_time()
    with pytest.raises(StepError, match=f"the chat template has no end: .*{message}"):
        segments("chat", BARE, make_tokenizer(template))
    assert time.process_time() - start < 20


@pytest.mark.slow
@pytest.mark.heavy  # transformers renders it
def test_a_chat_template_of_many_turns_is_within_the_limits():
    from khichdi.plugins.builtin.template.chat_template import ChatTemplate

    template = (
        "{% for m in messages %}{% if loop.first %}{{ loop.length }}:{% endif %}"
        "{% for w in m.content.split() %}{{ w ~ ' ' + w }}{{ ', ' if not loop.last }}{% endfor %};"
        "{% endfor %}"
    )
    chat = [{"role": "user", "content": "a b " * 500}] * 1000
    for _ in range(2):  # each rendering counts from the start
        text, _ = ChatTemplate(template, {}, None).render(chat, None)
        assert text.startswith("1000:a a, b b, a a")
        assert text.count(";") == 1000


# ---- answers that are rewritten -------------------------------------------------------------


def samples(turns, tokenizer, **params):
    """Return the text of each sample, with what is learned in brackets."""
    template = load_registry().create("template", "chat", params)
    return [
        "".join(f"[{piece.text}]" if piece.learn else piece.text for piece in one.segments())
        for one in template.renderings(turns, tokenizer)
    ]


FOUR = row(turns=[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")])


def test_a_chat_whose_answers_are_rewritten_is_one_sample_for_each(make_tokenizer):
    tokenizer = make_tokenizer(FORGETS)
    each = [
        "user: a\nassistant: [<think></think>b\n]",
        "user: a\nassistant: b\nuser: c\nassistant: [<think></think>d\n]",
    ]
    assert samples(FOUR, tokenizer) == each
    assert samples(FOUR, tokenizer, history="per-answer", learn="last") == each[1:]
    assert samples(FOUR, tokenizer, history="as-written") == each[1:]
    assert samples(FOUR, tokenizer, learn="all") == [
        "[user: a\nassistant: b\nuser: c\nassistant: <think></think>d\n]"
    ]


def test_a_chat_that_only_ends_differently_stays_one_sample(make_tokenizer):
    tokenizer = make_tokenizer(TAILED)
    markers = ["<|end|>", "<|user|>", "<|assistant|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": markers})
    template = load_registry().create("template", "chat", {})
    [sample] = template.renderings(FOUR, tokenizer)
    ids, labels = encode(sample, tokenizer)
    assert ids == tokenizer.apply_chat_template(
        [{"role": t["role"], "content": t["text"]} for t in FOUR["turns"]], return_dict=False
    )
    learned = tokenizer.decode([label for label in labels if label != -100])
    assert learned == "b<|end|>d<|end|><|im_end|>"


def test_the_marks_of_a_template_rule(make_tokenizer):
    tokenizer = make_tokenizer(MARKED)
    assert samples(FOUR, tokenizer) == ["user: a\nassistant: [b!]\nuser: c\nassistant: [d!]\n"]
    assert samples(FOUR, tokenizer, learn="last") == [
        "user: a\nassistant: b!\nuser: c\nassistant: [d!]\n"
    ]


def test_a_template_that_reads_the_clock_needs_a_date(make_tokenizer, monkeypatch):
    tokenizer = make_tokenizer(DATED)
    with pytest.raises(StepError, match="strftime_now") as caught:
        samples(FOUR, tokenizer)
    assert "date: 2026-11-26" in caught.value.hint

    class Clock:
        def now(self, zone=None):
            raise AssertionError("the clock was read")

    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock())
    [text] = samples(FOUR, tokenizer, date="2024-02-29")
    assert text.startswith("29 February 2024<|im_start|>user")
    with pytest.raises(ValueError, match="day is out of range"):
        samples(FOUR, tokenizer, date="2023-02-29")


def test_a_template_of_the_recipes_own(make_tokenizer):
    tokenizer = make_tokenizer(None)
    assert samples(BARE, tokenizer, jinja=CHATML)[0].endswith("assistant\n[Because.<|im_end|>]\n")
    tokenizer.chat_template = {"default": CHATML, "plain": MARKED}
    assert samples(BARE, tokenizer, jinja="plain") == ["user: Why?\nassistant: [Because.!]\n"]
    with pytest.raises(StepError, match="no chat template named `other`"):
        samples(BARE, tokenizer, jinja="other")
