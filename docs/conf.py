"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
    """A Markdown table of the keys of a settings class, their values and their meaning.

    Stages of training and the paper's experiments have presets: their table has a column for
    each, and the keys of all their own tables.
    """
    if not model.__name__.startswith(("Train", "Reproduce")):
        rows = ["| key | default | meaning |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            default = "required" if field.default is PydanticUndefined else shown(field.default)
            if isinstance(field.default, settings.Settings):
                default = "see [](settings.md)"
            rows.append(f"| `{name}` | {default} | {field.description or ''} |")
        return "\n".join(rows)
    presets = [settings.preset(name, model) for name in settings.PRESETS]
    heads = " | ".join(f"`{name}`" for name in settings.PRESETS)
    rows = [f"| key | {heads} | meaning |", "|---|" + "---|" * len(presets) + "---|"]
    return "\n".join([*rows, *preset_rows(presets)])


def preset_rows(presets: list[settings.Settings], above: str = "") -> Iterator[str]:
    """The rows of a stage's table, the keys of its own tables after its own keys."""
    for name, field in type(presets[0]).model_fields.items():
        values = [getattr(preset, name) for preset in presets]
        if isinstance(values[0], settings.Settings):
            yield from preset_rows(values, f"{above}{name}.")
        else:
            cells = " | ".join(shown(value) for value in values)
            yield f"| `{above}{name}` | {cells} | {field.description or ''} |"


def shown(value: object) -> str:
    """A value as the tables write it."""
    if value is None:
        return "none"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


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
