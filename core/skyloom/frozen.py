"""The base of every configuration and record that is kept as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pydantic import ValidationError


class Frozen(BaseModel):
    """A record that cannot change and knows every one of its keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        defer_build=True,  # most runs use few of the records; building a validator costs milliseconds
    )


def first_fault(error: ValidationError) -> str:
    """Say in one line what is wrong with the first field that is not valid."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"at '{place}': {first['msg']}" if place else str(first["msg"])
