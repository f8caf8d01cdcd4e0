"""An OpenAPI document -> what the reference page shows: operations by tag, schemas, each with an example."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

Schema = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
REFERENCE = "#/components/schemas/"
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "matches {}",
}
DEPTH = 6
"""Examples nest no deeper, so that a schema that holds itself has one."""


@dataclass(frozen=True, slots=True)
class TypePart:
    """A piece of a type's description; `anchor` names the schema that it stands for."""

    text: str
    anchor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A parameter of an operation or a property of a schema."""

    name: str
    place: str
    """`path`, `query`, `header`; empty for a property."""
    required: bool
    type: list[TypePart]
    notes: list[str]
    """Limits, default and examples."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation may answer with."""

    status: str
    description: str
    media_types: list[str]
    schema: list[TypePart]
    headers: list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method on a path."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    body: list[TypePart]
    body_example: str | None
    answers: list[Answer]
    answer_example: str | None
    curl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaEntry:
    """A named schema."""

    anchor: str
    name: str
    description: str
    type: list[TypePart]
    fields: list[Field]
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The whole page."""

    title: str
    version: str
    description: str
    groups: list[tuple[str, list[Operation]]]
    schemas: list[SchemaEntry]


def build_reference(document: dict[str, Any], base_url: str) -> Reference:
    """Give what the page shows.

    Args:
        document: OpenAPI 3.1, with every reference into its own `components.schemas`.
        base_url: where the server is, for the curl examples; without a trailing slash.
    """
    schemas: dict[str, Schema] = document.get("components", {}).get("schemas", {})
    groups: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                operation = _operation(path, method, methods[method], schemas, base_url)
                groups.setdefault(methods[method].get("tags", ["other"])[0], []).append(operation)
    return Reference(
        title=document["info"]["title"],
        version=document["info"]["version"],
        description=document["info"].get("description", ""),
        groups=list(groups.items()),
        schemas=[_schema_entry(name, schema, schemas) for name, schema in schemas.items()],
    )


def _operation(path: str, method: str, raw: dict[str, Any], schemas: dict[str, Schema], base_url: str) -> Operation:
    body = _json_schema(raw.get("requestBody", {}))
    example = None if body is None else example_of(body, schemas)
    good: dict[str, Any] = next((raw["responses"][status] for status in raw["responses"] if status[0] == "2"), {})
    result = _json_schema(good)
    return Operation(
        anchor=re.sub(r"[^a-z0-9]+", "-", f"{method}{path}".lower()).strip("-"),
        method=method.upper(),
        path=path,
        summary=raw.get("summary", ""),
        description=raw.get("description", ""),
        parameters=[_parameter(parameter) for parameter in raw.get("parameters", [])],
        body=[] if body is None else list(type_parts(body)),
        body_example=None if body is None else _pretty(example),
        answers=[_answer(status, answer) for status, answer in raw["responses"].items()],
        answer_example=None if result is None else _pretty(example_of(result, schemas)),
        curl=_curl(path, method, raw, example, base_url),
    )


def _json_schema(holder: dict[str, Any]) -> Schema | None:
    """Give the schema of the JSON that a request or an answer carries."""
    content = holder.get("content", {})
    found = next((entry.get("schema") for kind, entry in content.items() if "json" in kind), None)
    return found or None


def _parameter(raw: dict[str, Any]) -> Field:
    schema = raw.get("schema", {})
    return Field(
        name=raw["name"],
        place=raw["in"],
        required=raw.get("required", False),
        type=list(type_parts(schema)),
        notes=_notes({**schema, **({"examples": raw["examples"]} if isinstance(raw.get("examples"), list) else {})}),
        description=raw.get("description", ""),
    )


def _answer(status: str, raw: dict[str, Any]) -> Answer:
    schema = _json_schema(raw)
    media_types = list(raw.get("content", {}))
    if "application/problem+json" in media_types:
        media_types = ["application/problem+json"]
    return Answer(
        status=status,
        description=raw.get("description", ""),
        media_types=media_types,
        schema=[] if schema is None else list(type_parts(schema)),
        headers=[(name, header.get("description", "")) for name, header in raw.get("headers", {}).items()],
    )


def _schema_entry(name: str, schema: Schema, schemas: dict[str, Schema]) -> SchemaEntry:
    required = schema.get("required", [])
    return SchemaEntry(
        anchor=schema_anchor(name),
        name=name,
        description=schema.get("description", ""),
        type=list(type_parts(schema)),
        fields=[
            Field(
                name=field,
                place="",
                required=field in required,
                type=list(type_parts(inner)),
                notes=_notes(inner),
                description=inner.get("description", ""),
            )
            for field, inner in schema.get("properties", {}).items()
        ],
        example=_pretty(example_of(schema, schemas)),
    )


def schema_anchor(name: str) -> str:
    """Give the fragment at which a schema is described."""
    return f"schema-{name}"


def type_parts(schema: Schema) -> Iterator[TypePart]:
    """Describe a schema's type: `array of ` + `Video`, `"a" | "b"`, `string (date-time)`, …"""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        yield TypePart(name, schema_anchor(name))
    elif alternatives := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        for index, alternative in enumerate(alternatives):
            if index:
                yield TypePart(" | ")
            yield from type_parts(alternative)
    elif "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        yield TypePart(" | ".join(json.dumps(value, ensure_ascii=False) for value in values))
    elif schema.get("type") == "array":
        yield TypePart("array of ")
        yield from type_parts(schema.get("items", {}))
    elif isinstance(schema.get("additionalProperties"), dict):
        yield TypePart("map of string to ")
        yield from type_parts(schema["additionalProperties"])
    else:
        note = f" ({schema['format']})" if "format" in schema else ""
        yield TypePart(f"{schema.get('type', 'any')}{note}")


def _notes(schema: Schema) -> list[str]:
    limits = [text.format(schema[key]) for key, text in LIMITS.items() if key in schema]
    for alternative in schema.get("anyOf", []):
        limits += [text.format(alternative[key]) for key, text in LIMITS.items() if key in alternative]
    if schema.get("default") is not None:
        limits.append(f"default {json.dumps(schema['default'], ensure_ascii=False)}")
    examples = [value for value in schema.get("examples", []) if not isinstance(value, dict | list)]
    if examples:
        limits.append("e.g. " + ", ".join(json.dumps(value, ensure_ascii=False) for value in examples))
    return limits


def example_of(schema: Schema, schemas: dict[str, Schema], depth: int = 0) -> Any:
    """Give an example: the one that the schema or its parts name, else a plain value of its type."""
    if "$ref" in schema:
        return example_of(schemas.get(schema["$ref"].removeprefix(REFERENCE), {}), schemas, depth)
    for given in (schema.get("example"), *schema.get("examples", [])[:1], schema.get("const"), schema.get("default")):
        if given is not None:
            return given
    if "enum" in schema:
        return schema["enum"][0]
    if alternatives := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return example_of(alternatives[0], schemas, depth)
    return _plain_example(schema, schemas, depth)


def _plain_example(schema: Schema, schemas: dict[str, Schema], depth: int) -> Any:
    if depth >= DEPTH:
        return None
    kind = schema.get("type")
    if kind == "array":
        return [example_of(schema.get("items", {}), schemas, depth + 1)]
    if kind == "object" or "properties" in schema:
        return {name: example_of(inner, schemas, depth + 1) for name, inner in schema.get("properties", {}).items()}
    if kind == "string":
        return "2024-05-01T12:00:00Z" if schema.get("format") == "date-time" else "…"
    return {"integer": 1, "number": 1.0, "boolean": True}.get(str(kind))


def _curl(path: str, method: str, raw: dict[str, Any], body: Any, base_url: str) -> str:
    """Give a command that calls an operation; what has no example stands in capitals, to be filled in."""
    parameters = raw.get("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["name"].upper())
    query = {p["name"]: _parameter_example(p) for p in parameters if p["in"] == "query" and p.get("required")}
    url = base_url + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    words = ["curl", *([] if method == "get" else ["-X", method.upper()]), shlex.quote(url)]
    kinds = raw["responses"].get("200", {}).get("content", {})
    if "text/event-stream" in kinds:
        words.insert(1, "--no-buffer")
    if any(kind.startswith("image/") for kind in kinds):
        words += ["--output", "picture.jpg"]
    command = " ".join(words)
    if body is not None:
        command += " \\\n  --json " + shlex.quote(json.dumps(body, ensure_ascii=False))
    return command


def _parameter_example(parameter: dict[str, Any]) -> Any:
    schema = parameter.get("schema", {})
    examples = parameter.get("examples") or schema.get("examples") or [parameter["name"].upper()]
    return examples[0] if isinstance(examples, list) else parameter["name"].upper()


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
