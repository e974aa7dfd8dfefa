"""The REST API: one module per resource, pydantic models at the edge, problem+json for every error."""
