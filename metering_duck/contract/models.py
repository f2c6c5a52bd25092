"""What all models of a config share: which keys they take, and which texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StrictStr, WithJsonSchema


def plain_text(text: str) -> str:
    """The text, if it is Unicode text.

    Raises: ValueError for a lone surrogate, which crashes DuckDB's client.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate, which is not text; expected Unicode text") from None
    return text


def _some_text(text: str) -> str:
    if not text:
        raise ValueError("is empty; some text is required")
    return plain_text(text)


Text = Annotated[StrictStr, AfterValidator(plain_text)]
SomeText = Annotated[StrictStr, AfterValidator(_some_text), WithJsonSchema({"type": "string", "minLength": 1})]


class Model(BaseModel):
    """Frozen, closed, and named in the JSON's camelCase or in snake_case."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
