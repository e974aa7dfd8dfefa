"""What all requests and answers of the API share. JSON names are camelCase; unknown fields are refused."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

NAME = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME, description="1 to 63 small letters, digits and inner hyphens, letter first")]
ShortText = Annotated[str, Field(max_length=1024)]
Labels = Annotated[dict[str, Annotated[str, Field(max_length=256)]], Field(max_length=64)]


class Model(BaseModel):
    """Base of all: camelCase outside, snake_case inside, strict about what it knows."""

    # Validators are built when a model is first used: the daemon answers sooner.
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        from_attributes=True,
        allow_inf_nan=False,
        defer_build=True,
    )
