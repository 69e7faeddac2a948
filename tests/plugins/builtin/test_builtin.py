from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "bitsandbytes",
    "datasets",
    "httpx",
    "huggingface_hub",
    "jsonschema",
    "numpy",
    "peft",
    "pyarrow",
    "torch",
    "transformers",
}


def test_loading_every_plugin_imports_no_heavy_library():
    code = (
        "import sys; from khichdi.plugins.registry import load_registry; "
        "names = [p.plugin.name for p in load_registry()]; assert 'jsonl' in names; "
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
