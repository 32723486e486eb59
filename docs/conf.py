"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import mandora  # noqa: E402

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

myst_enable_extensions = ["deflist"]
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
