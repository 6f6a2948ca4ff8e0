"""The JSON Schema of a rule file, so that editors complete and check while an admin types."""


def rule_file_schema() -> dict[str, object]:
    """The schema, draft 2020-12."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
