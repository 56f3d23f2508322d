"""What schemathesis checks of Hub beside its own checks."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode


@schemathesis.check
def schema_valid_is_never_called_malformed(_ctx: Any, response: Any, case: Any) -> None:
    """A request that fits the schema may be refused for what it says, but not as one that cannot be read."""
    meta = case.meta
    if meta is None or meta.generation.mode != GenerationMode.POSITIVE or response.status_code != 400:
        return
    error = response.json()["error"]
    assert error["code"] != "bad_request", f"fits the schema, and is called malformed: {error['message']}"


@schemathesis.check
def refusals_have_one_shape(_ctx: Any, response: Any, _case: Any) -> None:
    """Every refusal says code, message and details, carries the same headers, and comes with its challenge."""
    assert response.headers.get("x-content-type-options") == ["nosniff"]
    if response.status_code < 400:
        return
    error = response.json()["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert response.headers.get("x-request-id") == [error["request_id"]]
    assert error["code"] != "internal_error"
    if response.status_code == 405:
        assert response.headers.get("allow"), "405 without Allow"
    if response.status_code == 401:
        assert response.headers.get("www-authenticate")
