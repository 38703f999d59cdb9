"""Requests that Qdrant rejects, with its own error texts. Read from Qdrant 1.19.0; each rule names its file there.

A body that serde cannot read is a 400 "Format error in JSON body", one that breaks a range is a 422 "Validation error"
(`src/actix/mod.rs`, validation_error_handler), what the collection does not fit is a 400 "Wrong input".
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lab.images.standins.common import Refused, Request

DISTANCES: Final = ("Cosine", "Euclid", "Dot", "Manhattan")
"""`lib/segment/src/types.rs`, Distance."""
SCHEMAS: Final = ("keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid")
"""`lib/segment/src/types.rs`, PayloadSchemaType."""
_NAME: Final = '<>:"/\\|?*\0\x1f'
"""`lib/common/common/src/validation.rs`, INVALID_NAME_CHARS."""
DIMENSIONS: Final = 65536
BODY: Final = 32 << 20
"""`config/config.yaml`, service.max_request_size_mb: of JSON; snapshots are not limited."""
_WHOLE: Final = 1 << 64


def refused(status: int, message: str) -> Refused:
    """An error in the API's words."""
    return Refused(status, message, {"status": {"error": message}, "time": 0.0})


def unauthorized(message: str) -> Refused:
    """The one error that is no JSON: `src/actix/auth.rs`."""
    error = Refused(401, message, message)
    error.answer.type = "text/plain; charset=utf-8"
    return error


def unread(message: str) -> Refused:
    """Serde could not read the body."""
    return refused(400, f"Format error in JSON body: {message}")


def invalid(where: str, message: str) -> Refused:
    """A validator said no."""
    return refused(422, f"Validation error in {where}: [{message}]")


def body(request: Request) -> None:
    """`src/actix/mod.rs`: the limit of JSON bodies."""
    if len(request.body) > BODY and "multipart" not in request.header("content-type"):
        raise refused(400, f"JSON payload ({len(request.body)} bytes) is larger than allowed (limit: {BODY} bytes).")


def new_collection(name: str, asked: Any) -> None:
    """`lib/storage/src/content_manager/collection_meta_ops.rs`, CreateCollection, and its path."""
    if not 1 <= len(name) <= 255:
        raise invalid("path parameters", f"collection_name: value {name!r} invalid, must be from 1 to 255 characters")
    for char in _NAME:
        if char in name:
            raise invalid("path parameters", f'collection_name: collection name cannot contain "{char}" char')
    if not isinstance(asked, dict):
        raise unread("invalid type, expected struct CreateCollection")
    for key in ("replication_factor", "write_consistency_factor", "shard_number"):
        if asked.get(key) is not None and asked[key] < 1:
            raise invalid("JSON body", f"{key}: value {asked[key]} invalid, must be 1 or larger")
    vectors = asked.get("vectors") or {}
    each = {"": vectors} if "size" in vectors or "distance" in vectors else vectors
    for params in each.values():
        _vector_params(params)


def _vector_params(params: Any) -> None:
    """`lib/collection/src/operations/types.rs`, VectorParams: the enum around it is untagged, and so is its error."""
    size = params.get("size") if isinstance(params, dict) else None
    if not isinstance(size, int) or size < 1 or params.get("distance") not in DISTANCES:
        raise unread("data did not match any variant of untagged enum VectorsConfig")
    if size > DIMENSIONS:
        raise invalid("JSON body", f"vectors.size: value {size} invalid, must be from 1 to {DIMENSIONS}")


def index(asked: Mapping[str, Any]) -> None:
    """`lib/collection/src/operations/types.rs`, CreateFieldIndex."""
    schema = asked.get("field_schema", "keyword")
    kind = schema.get("type") if isinstance(schema, dict) else schema
    if not asked.get("field_name"):
        raise unread("missing field `field_name`")
    if kind not in SCHEMAS:
        raise unread("data did not match any variant of untagged enum PayloadFieldSchema")


def point_id(value: Any) -> None:
    """`lib/segment/src/types.rs`, ExtendedPointId."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _WHOLE:
        return
    if isinstance(value, str):
        try:
            uuid.UUID(value)
        except ValueError:
            pass
        else:
            return
    raise unread(f"value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID")


def points(collection: Mapping[str, Any], found: Iterable[Mapping[str, Any]]) -> None:
    """Ids, names and sizes of vectors (`lib/segment/src/common/operation_error.rs`)."""
    for point in found:
        point_id(point.get("id"))
        if "vector" not in point:
            raise unread("missing field `vector`")
        vectors = point["vector"]
        for name, vector in (vectors if isinstance(vectors, dict) else {"": vectors}).items():
            fits(collection, name, vector)


def fits(collection: Mapping[str, Any], name: str, vector: Any) -> None:
    """A vector, dense or sparse, must exist in the collection and have its size."""
    dense = collection.get("vectors") or {}
    dense = {"": dense} if "size" in dense else dense
    sparse = collection.get("sparse_vectors") or {}
    if name not in dense and name not in sparse:
        raise refused(400, f"Wrong input: Not existing vector name error: {name}")
    is_sparse = isinstance(vector, dict) and "indices" in vector
    if is_sparse != (name in sparse):
        raise refused(400, "Wrong input: Conversion between sparse and regular vectors failed")
    if is_sparse:
        _sparse(vector)
    elif isinstance(vector, list) and len(vector) != dense[name]["size"]:
        message = f"Vector dimension error: expected dim: {dense[name]['size']}, got {len(vector)}"
        raise refused(400, f"Wrong input: {message}")


def _sparse(vector: Mapping[str, Any]) -> None:
    """`lib/sparse/src/common/sparse_vector.rs`, validate_sparse_vector_impl."""
    if len(vector["indices"]) != len(vector.get("values", ())):
        raise invalid("JSON body", "values: must be the same length as indices")
    if len(set(vector["indices"])) != len(vector["indices"]):
        raise invalid("JSON body", "indices: must be unique")


def limit(asked: Mapping[str, Any]) -> None:
    """`lib/api/src/rest/schema.rs`: limits are 1 or larger."""
    value = asked.get("limit")
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise unread(f"invalid type for `limit`: {value!r}, expected usize")
    if value < 1:
        raise invalid("JSON body", "limit: value 0 invalid, must be 1 or larger")
