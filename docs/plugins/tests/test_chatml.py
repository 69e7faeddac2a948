"""The conformance kit, and what is particular to `chatml`."""

from pathlib import Path

import pytest
from khichdi.plugins import Segment, StepError
from khichdi.plugins.testing import TemplateTests

from khichdi_examples.chatml import Chatml, ChatmlParams


class TestChatml(TemplateTests):
    """What every template is held to."""

    plugin = Chatml
    record = Path(__file__).with_name("version.json")
    wrong_params = ({"system": ""},)


def render(row: dict[str, object], system: str | None = None) -> list[Segment]:
    """Return the pieces of a row."""
    whole = {"id": "a#0", "instruction": "", "input": "", "output": "", "turns": [], **row}
    return Chatml(ChatmlParams(system=system)).segments(whole, None)


def test_a_row_without_turns_is_a_question_and_an_answer() -> None:
    """The answer ends with its marker."""
    assert render({"instruction": "Add.", "input": "1 + 1", "output": "2"}, "Be brief.") == [
        Segment(
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>user\nAdd.\n\n1 + 1<|im_end|>\n<|im_start|>assistant\n",
            learn=False,
        ),
        Segment("2<|im_end|>", learn=True),
    ]


def test_every_answer_of_a_talk_is_learnt() -> None:
    """What follows the last answer is left out, and a system turn of the row stays."""
    talk = [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    turns = [{"role": role, "text": text} for role, text in [*talk, ("user", "e")]]
    found = render({"turns": turns}, "Be brief.")
    assert [piece.text for piece in found if piece.learn] == ["b<|im_end|>", "d<|im_end|>"]
    assert "".join(piece.text for piece in found) == "\n".join(
        f"<|im_start|>{role}\n{text}<|im_end|>" for role, text in talk
    )


def test_a_talk_without_an_answer_is_an_error() -> None:
    """It names the row."""
    with pytest.raises(StepError, match="a#0"):
        render({"turns": [{"role": "user", "text": "hm"}]})
