"""The conformance kit, and what is particular to `gettext`."""

from pathlib import Path

import pytest
from khichdi.plugins import Drop, SourceFile, StepError
from khichdi.plugins.testing import ReaderTests

from khichdi_examples.gettext import Gettext, GettextParams

PO = r"""
msgid ""
msgstr ""
"Language: es\n"
"Content-Type: text/plain; charset=UTF-8\n"

#: menu.c:7
msgctxt "menu"
msgid "Open"
msgstr "Abrir"

#, fuzzy, c-format
msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d archivo"
msgstr[1] "%d archivos"

msgid "Close"
msgstr ""
msgid ""
"A long "
"\"line\""
msgstr "Una línea\tlarga"

#~ msgid "Old"
#~ msgstr "Viejo"
"""


class TestGettext(ReaderTests):
    """What every reader is held to."""

    plugin = Gettext
    record = Path(__file__).with_name("version.json")
    files = {"es.po": PO}


def read(text: str, folder: Path, **params: str) -> list[object]:
    """Return rows and drops of a file."""
    path = folder / "es.po"
    path.write_text(text, encoding="utf-8")
    found: list[object] = []
    for item in Gettext(GettextParams(**params)).read([SourceFile("es.po", path)]):
        found += [item] if isinstance(item, Drop) else item.to_pylist()
    return found


def test_each_message_is_a_row_or_a_drop(tmp_path: Path) -> None:
    """Numbers count what is dropped too."""
    fuzzy, empty, opened, long = read(PO, tmp_path)
    assert fuzzy == Drop("fuzzy", "%d file", "es.po#1")
    assert empty == Drop("untranslated", "Close", "es.po#2")
    assert opened == {
        "id": "es.po#0",
        "task": "menu",
        "instruction": "Translate into es.",
        "input": "Open",
        "output": "Abrir",
    }
    assert (long["id"], long["input"], long["output"]) == (
        "es.po#3",
        'A long "line"',
        "Una línea\tlarga",
    )


def test_fuzzy_translations_can_be_kept(tmp_path: Path) -> None:
    """Of plural forms the singular is taken."""
    rows = [r for r in read(PO, tmp_path, fuzzy="keep") if isinstance(r, dict)]
    assert rows[1]["output"] == "%d archivo"


@pytest.mark.parametrize(
    ("text", "line"),
    [('msgid "a\nmsgstr "b"\n', 1), ('msgid "a"\nwhat?\n', 2), ('msgstr "a"\n', 1)],
)
def test_a_broken_file_is_an_error_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    """It names the file too."""
    with pytest.raises(StepError, match=f"es.po, line {line}:"):
        read(text, tmp_path)
