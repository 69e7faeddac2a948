"""Recipe document, language version 1.

These classes are the fixed part of the language. A `Step` names a plugin by `use`; its other keys
are that plugin's parameters. `compiler.bind` makes subclasses of these classes whose steps are
unions over the installed plugins, so that parameters are checked and completed with the rest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticKnownError

from .document import Document, later, operational, refuse_duplicates

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)]
"""Lower-case letters, digits, dots, dashes and underscores: safe in step names and file names."""


def _no_truth(value: Any) -> Any:
    """Refuse `true`, which Python takes for 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("literal_error", {"expected": "1"})
    return value


Version = Annotated[Literal[1], BeforeValidator(_no_truth)]
"""A version of the language that this compiler speaks."""


class Step(Document):
    """A plugin by name; the other keys are its parameters."""

    model_config = ConfigDict(allow_inf_nan=False)

    use: str = Field(description="Plugin name.")

    def params(self) -> dict[str, Any]:
        """Return the plugin's parameters as JSON values, defaults written out."""
        own = set(type(self).model_fields) - {"use"}
        return self.model_dump(mode="json", include=own)


TokenText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
"""The text of a token."""


class Tokens(Document):
    """Special tokens of the tokenizer, and tokens that it is to have beside its own."""

    bos_token: TokenText | None = Field(
        None, description="Token that begins a text, where the tokenizer puts one."
    )
    eos_token: TokenText | None = Field(
        None,
        description="Token that ends an answer: trained at its end, and generation stops at it.",
    )
    pad_token: TokenText | None = Field(
        None, description="Token for padding. Training has no padding; other tools read it."
    )
    unk_token: TokenText | None = Field(None, description="Token for text without another token.")
    add: tuple[TokenText, ...] = Field(
        (),
        description="Texts that become tokens where the tokenizer lacks them; they are decoded as "
        "text.",
    )
    add_special: tuple[TokenText, ...] = Field(
        (),
        description="The same for special tokens, which decoding leaves out of answers.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Tokens:
        if not self.changes():
            raise ValueError("name at least one token, or leave `tokens` out")
        refuse_duplicates((*self.add, *self.add_special), "token")
        return self

    def changes(self) -> dict[str, Any]:
        """Return what is set, as JSON values."""
        return {name: value for name, value in self.to_json().items() if value}

    def trained(self) -> tuple[str, ...]:
        """Return the tokens to add that mean nothing until they are trained: all but padding."""
        return tuple(text for text in (*self.add_special, *self.add) if text != self.pad_token)


class Model(Document):
    """The base model, how it is stored, and which weights are trained."""

    base: Step = Field(description="Source of the base weights and the tokenizer.")
    license: str | None = operational(
        None, description="SPDX id of the base model's license; rules check it."
    )
    tokens: Tokens | None = later(
        None, description="Changes to the tokenizer: special tokens, and added ones."
    )
    quantization: Step = Field(description="How the base weights are stored during training.")
    adapter: Step = Field(description="Which weights are trained.")


class Expect(Document):
    """The author's expectation of a data set, for estimates before it is read.

    A run reports where the rows differ from it.
    """

    rows: int = Field(ge=1, description="Rows that the data set contributes, after its sampler.")
    tokens_per_row: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Mean tokens of a rendered row."
    )


class DataSet(Document):
    """A data set: source, reader, filters, scorer and sampler."""

    source: Step = Field(description="Where the files come from.")
    read: Step = Field(description="How files are parsed into rows.")
    license: str | None = Field(
        None,
        description=(
            "SPDX id of the data set's license; the default for rows that do not state one."
        ),
    )
    filters: tuple[Step, ...] = Field((), description="Filters, applied in this order.")
    score: Step | None = Field(
        None, description="Scorer that gives each row a number to sample by."
    )
    sample: Step = Field(description="Which of the filtered rows go into the mixture.")
    expect: Expect | None = operational(
        None,
        description="Expected rows and their length, for `recipe plan` before the data is read.",
        exclude_if=lambda expect: expect is None,
    )


class Benchmark(Document):
    """An evaluation set: rows that must not be trained on; filters compare data sets with it."""

    source: Step = Field(description="Where the files come from.")
    read: Step = Field(description="How files are parsed into rows.")
    filters: tuple[Step, ...] = Field((), description="Filters, applied in this order.")


TextField = Literal["instruction", "input", "output", "task", "provenance"]
"""A column of text that near-identical rows share."""

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Validation(Document):
    """The validation set: a count, or a fraction of the mixture."""

    count: int | None = Field(None, ge=1, description="Rows in the validation set.")
    fraction: float | None = Field(
        None, gt=0, lt=1, description="Fraction of the mixture in the validation set."
    )
    group_by: tuple[TextField, ...] = Field(
        (),
        description=(
            "Rows that agree in all of these fields (ignoring case, white space and "
            "punctuation) go into the same split. `count` is then an upper bound."
        ),
    )

    @model_validator(mode="after")
    def _one_of(self) -> Validation:
        if (self.count is None) == (self.fraction is None):
            raise ValueError("give either `count` or `fraction`")
        return self


class Mixture(Document):
    """The mixture of all data sets: filters, order and validation set."""

    filters: tuple[Step, ...] = Field(
        (), description="Filters over all data sets together, in order of their names."
    )
    order: Literal["shuffle", "by-source", "interleave", "short-first"] = Field(
        "shuffle",
        description=(
            "Order of training rows: `shuffle` is random; `by-source` keeps each data set "
            "together; `interleave` shuffles each data set and spreads it by `weights`; "
            "`short-first` is a curriculum by text length."
        ),
    )
    weights: dict[Name, Weight] | None = Field(
        None,
        min_length=1,
        description=(
            "For `interleave`: how often each data set is drawn from while it has rows left; every "
            "row is used once. If omitted, data sets are spread evenly from start to end."
        ),
    )
    validation: Validation | None = Field(
        None, description="The validation set, split off before training."
    )


class Train(Step):
    """Training; the other keys are the runtime's parameters."""

    template: Step = Field(description="How a row is rendered as text.")
    sequence_len: int = Field(
        2048, ge=8, description="Tokens in a pack; for a longer sample, see `overlong`."
    )
    overlong: Literal["truncate", "drop", "error"] = Field(
        "truncate",
        description="What becomes of a sample of more than `sequence_len` tokens: it is shortened "
        "at its end (`truncate`), left out (`drop`), or ends the run (`error`). Each is listed in "
        "the drop log of `pack`.",
    )
    sample_packing: bool = Field(
        True,
        description="Pack several samples together; `packing_strategy` says how.",
    )
    packing_strategy: Literal["bfd", "wrapped"] = Field(
        "bfd",
        description=(
            "`bfd` (best fit, longest first) packs whole samples, which cannot attend to one "
            "another; `wrapped` concatenates all samples and splits the text every `sequence_len` "
            "tokens: nothing is truncated, and samples attend to those before them in the pack."
        ),
    )


PluginFile = Annotated[str, StringConstraints(pattern=r"^[^\\]+\.py$", max_length=400)]
"""A path of a Python file, with forward slashes."""


class Recipe(Document):
    """A whole recipe."""

    recipe: Version = Field(description="Version of the recipe language.")
    name: Name = operational("recipe", description="Name of the recipe.")
    description: str | None = operational(None, description="One line for `recipe list`.")
    plugins: tuple[PluginFile, ...] = operational(
        (),
        description="Python files whose plugins this recipe may name, by their paths relative to "
        "this file; each lies beside it or below. They are run when the recipe is read.",
        exclude_if=lambda files: not files,
    )
    seed: int = Field(0, ge=0, lt=2**48, description="Seed of all randomness.")
    model: Model | None = Field(
        None,
        description="The model to train. A recipe without `model` and `train` ends with its data.",
    )
    data: dict[Name, DataSet] = Field(min_length=1, description="Data sets by name.")
    benchmarks: dict[Name, Benchmark] = Field(
        {}, description="Evaluation sets by name; filters name them in `against:`."
    )
    mixture: Mixture = Field(default=Mixture(), description="How the data sets are combined.")
    train: Train | None = Field(None, description="How the model is trained; with `model`.")
    evaluate: tuple[Step, ...] = Field(
        (), description="Metrics on validation rows, before and after training."
    )
    export: tuple[Step, ...] = Field(
        (), description="Further formats to export the trained model to, beside the adapter."
    )
    rules: tuple[Step, ...] = operational((), description="Conditions that the recipe must meet.")

    @property
    def data_only(self) -> bool:
        """Whether the recipe ends with its data: it has neither a model nor a training."""
        return self.model is None and self.train is None

    def training(self) -> tuple[Model, Train]:
        """Return the model and how it is trained.

        Raises:
            ValueError: the recipe ends with its data; ask `data_only` first.
        """
        if self.model is None or self.train is None:
            raise ValueError(f"recipe `{self.name}` trains nothing")
        return self.model, self.train

    def curation(self) -> Recipe:
        """Return the recipe without all that comes after its data."""
        gone: dict[str, Any] = {"model": None, "train": None, "evaluate": (), "export": ()}
        return self.model_copy(update=gone)
