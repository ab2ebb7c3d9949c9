"""The base of every configuration and record that is kept as JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A record that cannot change and knows every one of its keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        defer_build=True,  # most runs use few of the records; building a validator costs milliseconds
    )
