"""Identify the language of rows from their text, and keep some languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from khichdi.plugins import Drop, Filter, FilterInputs, Params
from khichdi.plugins.toolkit import language_identifier
from khichdi.schema.did_you_mean import did_you_mean
from khichdi.schema.errors import StepError

from .base.text_fields import TextField

if TYPE_CHECKING:
    import pyarrow as pa

Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class LanguageIdParams(Params):
    """Languages to keep, and the minimum probability."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input", "output"),
        min_length=1,
        description="Fields whose text is identified, joined.",
    )
    languages: tuple[Code, ...] = Field(
        min_length=1, description="Languages to keep, by ISO 639 code, such as `en`."
    )
    min_confidence: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Minimum probability of the identified language.",
    )


class LanguageId(Filter[LanguageIdParams]):
    """Keep rows whose identified language is one of those listed (py3langid).

    The model comes with the package, so nothing is downloaded. A row whose language is not
    identified with enough confidence, or that has no letters, is dropped as undetermined.
    """

    name = "language-id"
    version = 2
    example = {"languages": ["en"]}
    requires = ("numpy", "py3langid")

    _identifier: Any

    def begin(self, inputs: FilterInputs) -> None:
        """Load the model. Raises `StepError` for a language that it does not know."""
        self._identifier = language_identifier()
        known = self._identifier.labels
        for language in self.params.languages:
            if language not in known:
                raise StepError(
                    f"py3langid does not know the language `{language}`",
                    hint=f"{did_you_mean(language, known)}it knows {', '.join(sorted(known))}",
                )

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `language` or `language-undetermined`, with what was identified."""
        from .similarity.word_hashes import field_texts

        texts = field_texts(batch, self.params.fields)
        return [self._reason(text) for text in texts]

    def _reason(self, text: str) -> Drop | None:
        if not any(map(str.isalpha, text)):
            return Drop("language-undetermined", "no letters")
        language, confidence = self._identifier.classify(text)
        seen = f"{language} (confidence {confidence:.3f})"
        if confidence < self.params.min_confidence:
            return Drop("language-undetermined", f"perhaps {seen}")
        return None if language in self.params.languages else Drop("language", seen)
