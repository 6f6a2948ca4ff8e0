"""The fields of answers, as their types have them."""

from collections.abc import Iterator

from policy_server.web.schemas import Json, schemas


def field_paths(name: str) -> list[str]:
    """The fields of a shape and of those in it, such as ``participants[].uuids``; of an inner shape only its fields."""
    return list(_paths(name, schemas([]), ""))


def _paths(name: str, shapes: Json, before: str) -> Iterator[str]:
    for field, schema in shapes[name]["properties"].items():
        path = before + field + ("[]" if "$ref" in schema.get("items", {}) else "")
        inner = [each for each in (schema, schema.get("items", {}), *schema.get("anyOf", ())) if "$ref" in each]
        if inner:
            yield from _paths(inner[0]["$ref"].rpartition("/")[2], shapes, f"{path}.")
        else:
            yield path
