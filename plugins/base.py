"""Base class of plugins: parameters, a name, a version, and one method."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from ..schema.document import Document, later, operational, operational_fields

__all__ = ["Params", "Plugin", "later", "operational"]


class Params(Document):
    """The parameters of a plugin; they are written beside `use:` in the recipe.

    Every field has a description. Fields are part of the step's key unless declared by
    `operational(...)`. `use` and `template` are words of the language and cannot be fields.
    """


P = TypeVar("P", bound=Params)


class Plugin(Generic[P]):
    """Base of all kinds. `class MaxWords(Filter[MaxWordsParams])` is the whole ceremony.

    Attributes:
        name: the word after `use:`; lower case, digits and dashes.
        version: raised whenever the same parameters and input would give another result. It is
            part of every key, so a raised version reruns what depends on it.
        requires: distributions that the plugin imports when it runs, for the message when one
            is missing. Heavy imports belong inside methods, so that commands start fast.
        seeded: whether the plugin draws random numbers; only then is a seed part of its key.
        example: parameters that work, as a recipe would give them; `recipe plugins show` prints
            them, and the conformance kit starts from them. Those with a default may be left out.
        alternatives: two methods of a kind, of which a plugin defines exactly one; the other has a
            default.
        deprecated: what to use in its place, once the plugin is to go; commands then warn of each
            recipe that names it. A parameter is deprecated by `Field(..., deprecated="use ...")`.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ()
    seeded: ClassVar[bool] = False
    example: ClassVar[Mapping[str, Any]] = {}
    alternatives: ClassVar[tuple[str, ...]] = ()
    deprecated: ClassVar[str | None] = None
    params_model: ClassVar[type[Params]] = Params

    def __init__(self, params: P) -> None:
        self.params = params

    def rehearsal(self) -> dict[str, Any]:
        """Return parameters to change for a rehearsal: the same way through the code, in seconds.

        A rehearsal gives the plugin a few dozen rows and a model of two thin layers.
        """
        return {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in vars(cls).get("__orig_bases__", ()):
            for argument in get_args(base) if get_origin(base) else ():
                if inspect.isclass(argument) and issubclass(argument, Params):
                    cls.params_model = argument

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring: what `recipe plugins` and editors show."""
        return (inspect.getdoc(cls) or "").split("\n", 1)[0].strip()

    @classmethod
    def example_step(cls) -> dict[str, Any]:
        """Return a whole step of a recipe: `use`, the example, and what the language asks beside.

        A kind that needs more than parameters overrides this.
        """
        return {"use": cls.name, **cls.example}

    @classmethod
    def operational(cls) -> frozenset[str]:
        """Return the names of the parameters that cannot change results."""
        return operational_fields(cls.params_model)
