"""Errors as RFC 9457 problem documents."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class FieldProblem(BaseModel):
    """One thing that is wrong with a request."""

    field: str = Field(description="Where: `body.path`, `query.limit`, …", examples=["query.limit"])
    message: str = Field(examples=["Input should be less than or equal to 200"])
    value: Any = Field(None, description="What was given, if it was.", examples=[1000])


class Problem(BaseModel):
    """What went wrong, for a person (`detail`) and for a program (`code`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no job with the id 0190a1b2-….",
                "instance": "/api/v1/jobs/0190a1b2-…",
                "code": "JOB_NOT_FOUND",
            }
        }
    )

    type: str = Field("about:blank", description="`code` says more; no further documents are defined.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="A sentence: what was wrong, with which value, and what to do.")
    instance: str = Field(description="The path of the request.")
    code: str = Field(description="A stable word that programs may rely on.")
    errors: list[FieldProblem] | None = Field(None, description="Each field that is wrong, for `VALIDATION_ERROR`.")
