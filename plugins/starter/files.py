"""Templates of the files in a new plugin distribution."""

PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$project"
version = "0.1.0"
description = "The $kind $name for khichdi"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["khichdi"]

# This is how khichdi finds it.
[project.entry-points.khichdi]
$name = "$package"

[tool.setuptools]
packages = ["$package"]

[tool.pytest.ini_options]
testpaths = ["tests"]

[tool.ruff]
line-length = 100

# khichdi's own classes declare the attributes of plugins.
[tool.ruff.lint]
extend-ignore = ["RUF012"]
"""

README = """\
# $project

The $kind `$name` for khichdi recipes.

    pip install -e .
    recipe plugins show $kind/$name

In a recipe:

```yaml
$recipe
```

`python -m pytest` runs the tests: the conformance kit that every $kind is held to. The same
parameters and input must give the same result for as long as `version` stays the same. The kit
notices a change of the source; raise `version`, and `KHICHDI_RECORD=1 python -m pytest` records it.
"""

MODULE = '''\
"""The $kind `$name` for khichdi recipes."""

from __future__ import annotations

from khichdi.plugins import hookimpl

from .plugin import $Class


@hookimpl
def khichdi_${kind}s() -> list[type[$Class]]:
    """Return the plugins of this distribution."""
    return [$Class]
'''

TEST = '''\
"""The conformance kit: what every $kind is held to."""

from pathlib import Path

from khichdi.plugins.testing import ${Base}Tests

from $package.plugin import $Class


class Test$Class(${Base}Tests):
    """The tests are those of the kit; add your own below."""

    plugin = $Class
    record = Path(__file__).with_name("version.json")
$given'''
