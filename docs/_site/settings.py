"""The settings of a dataclass as rows of a table: from its JSON schema, and the strings below its
fields.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter
from sphinx.pycode import ModuleAnalyzer


def settings(cls: type) -> Iterator[tuple[str, ...]]:
    """Name, default, bounds and help of every setting."""
    schema = TypeAdapter(cls).json_schema()["properties"]
    yield "name", "default", "values", "meaning"
    for f in fields(cls):  # type: ignore[arg-type]
        yield f"``{f.name}``", f"``{f.default!r}``", values(schema[f.name]), meaning(cls, f.name)


def values(schema: dict[str, Any]) -> str:
    """What a setting may be, in words, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(values(s) for s in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"``{value!r}``" for value in schema["enum"])
    word = {"boolean": "``True`` or ``False``", "null": "``None``", "array": "sequence"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f"{word.get(schema['type'], schema['type'])} {', '.join(bounds)}".strip()


def meaning(cls: type, name: str) -> str:
    """The string below a setting, in the class or the nearest base that has one."""
    for base in cls.__mro__:
        if base.__module__.startswith("hrdis."):
            docs = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
            if (base.__name__, name) in docs:
                return " ".join(docs[base.__name__, name]).strip()
    return ""
