"""Put the text of a Jinja file where a template's parameter names the file.

The text is then part of the recipe and of its hash, and the file is kept with the run.
"""

from __future__ import annotations

from dataclasses import replace

from ..schema.errors import InputError
from .load import Loaded, Open

PLACE = ("train", "template")
ENDING = ".jinja"


def with_template_files(loaded: Loaded, open_file: Open) -> Loaded:
    """Return a recipe whose template has the text of each file that its parameters name.

    A file is named by a value that ends with `.jinja`, seen from the folder of the recipe that
    wrote it.
    """
    train = loaded.data.get("train")
    template = train.get("template") if isinstance(train, dict) else None
    if not isinstance(train, dict) or not isinstance(template, dict):
        return loaded
    texts: dict[str, str] = {}
    files, faults = [*loaded.files], [*loaded.faults]
    for name, value in template.items():
        if not isinstance(value, str) or not value.endswith(ENDING) or "\n" in value:
            continue
        try:
            path, raw = open_file(value, loaded.folder((*PLACE, name)))
            texts[name] = raw.decode()
            files.append(path)
        except (InputError, UnicodeDecodeError):
            message = f"there is no text file `{value}` beside the recipe"
            hint = "a value that ends with `.jinja` names a file with a Jinja template, in UTF-8"
            faults.append(loaded.diagnose((*PLACE, name), "file", message, hint))
    data = loaded.data | {"train": train | {"template": template | texts}}
    return replace(loaded, data=data, files=files, faults=faults)
