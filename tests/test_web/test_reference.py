"""The reference page: whatever an OpenAPI document says is shown, and the commands in it work."""

import json
import shlex
from typing import Any

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.web.reference import Reference, build_reference, example_of, type_parts

BASE = "http://127.0.0.1:8765"


def build(client: TestClient) -> Reference:
    """Give the reference of the application's own API."""
    return build_reference(client.get("/openapi.json").json(), BASE)


def described(schema: dict[str, Any]) -> str:
    """Give a type's description as one text."""
    return "".join(part.text for part in type_parts(schema))


def test_every_operation_and_schema_is_shown(client: TestClient) -> None:
    """None is left out, each has an address of its own."""
    document = client.get("/openapi.json").json()
    page = client.get("/docs").text
    count = sum(len(methods) for methods in document["paths"].values())
    operations = [operation for _, group in build(client).groups for operation in group]
    assert len({operation.anchor for operation in operations}) == count
    for operation in operations:
        assert f'id="{operation.anchor}"' in page
        assert operation.summary
        assert operation.description
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page


def test_the_commands_in_the_reference_work(client: TestClient) -> None:
    """Each reaches its route: what it answers with is none of 405, 415, 422."""
    for _, group in build(client).groups:
        for operation in group:
            words = shlex.split(operation.curl.replace("\\\n", ""))
            assert words[0] == "curl"
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            [url] = [word for word in words if word.startswith(BASE)]
            body = words[words.index("--json") + 1] if "--json" in words else None
            headers = {"Content-Type": "application/json"} if body else {}
            if "/wait" in url or "/events" in url:
                continue
            answer = client.request(method, url.removeprefix(BASE), content=body, headers=headers)
            assert answer.status_code not in {405, 415, 422}, operation.curl


def test_examples_are_json_in_the_shape_of_their_schema(client: TestClient) -> None:
    """An example has all the fields that its schema lists, unless the schema brings its own."""
    document = client.get("/openapi.json").json()["components"]["schemas"]
    for schema in build(client).schemas:
        example = json.loads(schema.example)
        if "example" not in document[schema.name] and "properties" in document[schema.name]:
            assert set(example) == set(document[schema.name]["properties"])


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"$ref": "#/components/schemas/Video"}, "Video"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Video"}}, "array of Video"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"enum": ["a", "b"], "type": "string"}, '"a" | "b"'),
        ({"const": 1}, "1"),
        ({"type": "string", "format": "date-time"}, "string (date-time)"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "map of string to integer"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({"type": "array"}, "array of any"),
        ({}, "any"),
    ],
)
def test_types_are_described_in_words(schema: dict[str, Any], text: str) -> None:
    """As a person would write them."""
    assert described(schema) == text


def test_a_schema_that_holds_itself_has_an_example() -> None:
    """Which ends somewhere."""
    schemas = {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Tree"}}}}
    example = example_of(schemas["Tree"], schemas)
    assert example["left"]["left"]["left"]["left"]["left"]["left"] is None


def test_what_few_documents_have_is_shown_too() -> None:
    """Operations without tags, parameters with limits and named examples, bodies, answers of any kind."""
    document = {
        "info": {"title": "Test", "version": "1"},
        "paths": {
            "/things/{id}": {
                "put": {
                    "parameters": [
                        {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 3}},
                        {"name": "a b", "in": "query", "required": True, "examples": {"one": {"value": 1}}},
                        {"name": "n", "in": "query", "required": True, "schema": {"examples": [7]}},
                        {
                            "name": "depth",
                            "in": "query",
                            "schema": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}], "default": 2},
                        },
                    ],
                    "requestBody": {"content": {"application/json": {"schema": {"enum": ["it's"]}}}},
                    "responses": {"204": {"description": "Done"}},
                }
            }
        },
    }
    reference = build_reference(document, BASE)
    [(tag, [operation])] = reference.groups
    assert tag == "other"
    assert operation.parameters[0].notes == ["at least 3 characters"]
    assert operation.parameters[3].notes == ["≤ 9", "default 2"]
    assert operation.answer_example is None
    assert shlex.split(operation.curl.replace("\\\n", "")) == [
        "curl", "-X", "PUT", f"{BASE}/things/ID?a%20b=A%20B&n=7", "--json", '"it\'s"'
    ]  # fmt: skip
    assert reference.schemas == []
