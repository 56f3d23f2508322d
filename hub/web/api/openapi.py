"""`openapi.json`, made from the table of endpoints. Pure; decides nothing that the table does not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from hub.crm.idempotency import KEY_PATTERN
from hub.web.api.endpoint import PREFIX, Endpoint, Nothing
from hub.web.request_context import MAX_ID

WITH_BODY = ("POST", "PATCH")


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error. `code` is stable, `message` is English, `details` are facts; the log has it by `request_id`."""

    code: str
    message: str
    details: dict[str, Any]
    request_id: str


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every error has this shape."""

    error: ErrorBody


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these endpoints."""
    types: list[Any] = [ErrorAnswer]
    types += [e.body for e in endpoints if e.method in WITH_BODY and e.body is not Nothing]
    types += [e.answer for e in endpoints if e.answer is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    _name_base64(components)
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schema_of, schema_of[id(ErrorAnswer)])
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hub", "version": "1"},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _name_base64(schema: Any) -> None:
    """Say what base64 looks like: `contentEncoding` alone constrains nothing."""
    match schema:
        case {"contentEncoding": "base64"}:
            schema["pattern"] = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
        case dict():
            for one in schema.values():
                _name_base64(one)
        case list():
            for one in schema:
                _name_base64(one)


def _in_place(schema: Any, components: dict[str, Any]) -> Any:
    """Return a schema with the enums that it refers to written in their place: a parameter stands for itself."""
    match schema:
        case {"$ref": str(ref)}:
            return components[ref.rpartition("/")[2]]
        case dict():
            return {name: _in_place(one, components) for name, one in schema.items()}
        case list():
            return [_in_place(one, components) for one in schema]
    return schema


def _operation(endpoint: Endpoint, schema_of: dict[int, Any], error: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": endpoint.summary, "parameters": _parameters(endpoint)}
    if endpoint.who == "anyone":
        operation["security"] = []
    if endpoint.method in WITH_BODY and endpoint.body is not Nothing:
        content = {"application/json": {"schema": schema_of[id(endpoint.body)]}}
        # An empty body is an empty object.
        is_required = any(field.required for field in msgspec.structs.fields(endpoint.body))
        operation["requestBody"] = {"required": is_required, "content": content}
    answer: dict[str, Any] = {"schema": schema_of[id(endpoint.answer)]} if endpoint.answer is not None else {}
    operation["responses"] = {
        str(endpoint.status): {"description": "done", "content": dict.fromkeys(endpoint.content_types, answer)},
        "default": {"description": "refused", "content": {"application/json": {"schema": error}}},
    }
    return operation


_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_WORD = {"type": "string", "pattern": "^[a-z][a-z0-9_.]{0,79}$"}
"""`{name}`: what is known by a word, as a list of values."""


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _WORD if name == "name" else _ID}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    _, components = msgspec.json.schema_components([endpoint.query])
    query = components[endpoint.query.__name__]
    for name, described in query.get("properties", {}).items():
        schema = _in_place(described, components)
        # An empty value is read as none at all.
        found.append({"name": name, "in": "query", "required": name in query.get("required", ()), "schema": schema})
    if endpoint.method == "POST":
        schema = {"type": "string", "pattern": KEY_PATTERN}
        found.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema})
    return found
