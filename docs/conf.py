"""The site: ``make docs``. Everything it shows is on this machine, so that it builds and opens
without a network.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_site"))

import hrdis  # noqa: E402

project = "hrdis"
release = version = hrdis.__version__
html_title = f"hrdis {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings", "pages"]
exclude_patterns = ["_build", "_site"]
nitpicky = True  # a name in a signature or in backticks leads somewhere, or the build fails
# What others document.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(torch|nn|np|numpy|PIL|Image|pathlib|typing|threading|collections|pydantic|tyro|yaml)\b.*",
    ),
    (
        "py:.*",
        r"Tensor|Any|Path|Callable|Generator|Iterator|Iterable|Sequence|Mapping|IO|ABC|Protocol|Positional",
    ),
    ("py:.*", r"bool|int|float|str|bytes|dict|list|tuple|type|object|None"),
    ("py:class", r"Shape|AnySolver|AnyFinding"),  # an alias, and type variables
    ("py:class", r"[A-Z|]+|model|auto|types\.Annotated"),  # options and their values in annotations
]

myst_heading_anchors = 3

# Formulas stand in the docstrings as plain text, in the letters of the code: literal blocks, and no
# script draws them.
default_role = "py:obj"
smartquotes_action = "D"  # dashes; y' is no quotation
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # a method's page says once what it does, on its interface
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

highlight_language = "none"  # a formula is no Python

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
