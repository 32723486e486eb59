"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import mandora  # noqa: E402
from mandora import records, settings  # noqa: E402

project = "mandora"
author = "The mandora developers"
copyright = "The mandora developers, Apache-2.0"
version = release = mandora.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"mandora {version}"
html_copy_source = False

myst_enable_extensions = ["deflist", "substitution"]
myst_heading_anchors = 3

# The documentation builds without the extras.
autodoc_mock_imports = [
    "torch", "kornia", "onnx", "onnxscript", "safetensors", "sklearn", "pydicom", "gdcm",
]  # fmt: skip
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# attributes are described once, in the class's docstring
napoleon_use_ivar = True


def settings_table(model: type[settings.Settings]) -> str:
    """A Markdown table of the keys of a settings class, their defaults and their meaning."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.default is PydanticUndefined else f"`{field.default}`"
        if field.default is None:
            default = "none"
        elif isinstance(field.default, settings.Settings):
            # only what this stage sets otherwise than the class that is listed by itself
            own = field.default.model_dump(exclude_defaults=True).items()
            default = ", ".join(f"`{k} = {v}`" for k, v in own) or "see below"
        rows.append(f"| `{name}` | {default} | {field.description or ''} |")
    return "\n".join(rows)


def reasons_table() -> str:
    """A Markdown table of the reasons why a number is missing."""
    rows = ["| reason | meaning |", "|---|---|"]
    rows += [f"| `{reason}` | {text} |" for reason, text in records.REASON_TEXT.items()]
    return "\n".join(rows)


# Tables that come from the code cannot drift away from it.
myst_substitutions = {
    "version": version,
    "reasons": reasons_table(),
    **{
        cls.__name__: settings_table(cls)
        for cls in vars(settings).values()
        if isinstance(cls, type)
        and issubclass(cls, settings.Settings)
        and cls is not settings.Settings
    },
}
