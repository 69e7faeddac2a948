"""Language identification gives the library's own answers."""

from __future__ import annotations

import pytest
from row_batches import batch_of

from khichdi.plugins import Drop, FilterInputs
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and nobody saw it happen.",
    "Der schnelle braune Fuchs springt über den faulen Hund, und niemand hat es gesehen.",
    "El zorro marrón salta sobre el perro perezoso y nadie lo vio.",
    "El raposo marrón salta sobre o can preguiceiro e ninguén o viu.",
    "素早い茶色の狐がのろまな犬を飛び越えた。",
    "ok",
    "",
]


NO_LETTERS = Drop("language-undetermined", "no letters")


def create(**params):
    pytest.importorskip("py3langid", reason="the extra `curate` is not installed")
    filter_ = load_registry().create("filter", "language-id", {"fields": ["input"], **params})
    filter_.begin(FilterInputs())
    return filter_


@pytest.mark.parametrize("bound", [0.0, 0.5, 0.8, 1.0])
def test_rows_stay_where_the_library_says_the_language_with_that_confidence(bound):
    filter_ = create(languages=["en", "de"], min_confidence=bound)
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    library = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    answers = list(map(library.classify, TEXTS))
    found = filter_.reasons(batch_of([{"input": text} for text in TEXTS]))
    assert [reason is None for reason in found] == [
        language in ("en", "de") and confidence >= bound and text != ""
        for text, (language, confidence) in zip(TEXTS, answers, strict=True)
    ]
    for (language, confidence), reason in zip(answers, found, strict=True):
        if reason:
            seen = f"{language} (confidence {confidence:.3f})"
            unsure = Drop("language-undetermined", f"perhaps {seen}")
            assert reason in (Drop("language", seen) if confidence >= bound else unsure, NO_LETTERS)


def test_english_is_kept_and_german_is_not():
    found = create(languages=["en"]).reasons(batch_of([{"input": text} for text in TEXTS[:3]]))
    assert [reason and reason.detail[:2] for reason in found] == [None, "de", "es"]


@pytest.mark.parametrize("text", ["42", "", " - ", "😀", "3.14 + 2 = 5.14", "٤٢"])
def test_no_language_is_invented_for_a_text_without_letters(text):
    assert create(languages=["en"], min_confidence=0).reasons(batch_of([{"input": text}])) == [
        NO_LETTERS
    ]


@pytest.mark.parametrize("text", ["Yes", "OK"])
def test_no_language_is_invented_for_a_text_that_is_too_short(text):
    (found,) = create(languages=["en"]).reasons(batch_of([{"input": text}]))
    assert found.reason == "language-undetermined"


def test_a_language_that_the_model_does_not_know_is_named_with_what_it_knows():
    with pytest.raises(StepError, match="does not know the language `eng`") as caught:
        create(languages=["eng"])
    assert "did you mean `en`? it knows " in (caught.value.hint or "")
