"""The columns that each kind of table must have (CONTRACTS.md, section 2); further columns are welcome.

A column that is null throughout passes for any type, and a number passes for a wider one.
"""

import pyarrow as pa

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXT, INT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
MATCH = pa.struct([("item", INT), ("id", TEXT), ("kind", TEXT), ("value", REAL), ("text", TEXT)])

SCHEMAS: dict[str, pa.Schema] = {
    "documents": pa.schema([("id", TEXT), ("text", TEXT), ("url", TEXT), ("source", TEXT), ("metadata", TEXT)]),
    "dropped": pa.schema(
        [
            ("id", TEXT), ("step", TEXT), ("rule", TEXT), ("value", REAL),
            ("threshold", REAL), ("matched_id", TEXT), ("text", TEXT), ("url", TEXT), ("source", TEXT),
            ("metadata", TEXT), ("language", TEXT), ("language_score", REAL), ("quality_score", REAL), ("left", TEXT),
        ]
    ),
    "ledger": pa.schema([("id", TEXT)]),
    "decontamination": pa.schema(
        [
            ("task", TEXT), ("items", INT), ("testable", INT), ("short", INT), ("common", INT), ("found", INT),
            ("with_answer", INT), ("question_only", INT), ("context_only", INT), ("documents", INT),
            ("matches", pa.list_(MATCH)),
        ]
    ),
    "runs": pa.schema(
        [
            ("name", TEXT), ("dataset", TEXT), ("N", REAL), ("D", REAL),
            ("M", REAL), ("target_multiplier", REAL), ("C", REAL),
        ]
    ),
    "metrics": pa.schema([("step", INT), ("tokens", INT), ("loss", REAL), ("lr", REAL)]),
    "scores": pa.schema(
        [
            ("model", TEXT), ("task", TEXT), ("shots", INT), ("metric", TEXT), ("value", REAL),
            ("low", REAL), ("high", REAL), ("n", INT), ("baseline", REAL), ("centered", REAL),
        ]
    ),
    "images": pa.schema([("id", TEXT), ("image", IMAGE), ("label", INT)]),
    "adversarial": pa.schema(
        [
            ("id", TEXT), ("label", INT), ("clean_prediction", INT), ("status", TEXT), ("norm", TEXT),
            ("radius_low", REAL), ("radius_high", REAL), ("attack", TEXT), ("target", INT), ("prediction", INT),
            ("robust_at", pa.list_(REAL)), ("queries", INT), ("gradients", INT), ("tensor", TEXT), ("row", INT),
        ]
    ),
    "spectrum": pa.schema(
        [
            ("id", TEXT), ("label", INT), ("norm", TEXT), ("eps", REAL), ("cutoff", INT), ("size", REAL),
            ("right_all", FLAG), ("right_low", FLAG), ("right_mixed", FLAG), ("right_high", FLAG),
            ("energy_low", REAL), ("energy_mixed", REAL), ("energy_high", REAL),
        ]
    ),
    "transfer": pa.schema(
        [
            ("source", TEXT), ("target", TEXT), ("norm", TEXT), ("eps", REAL), ("accuracy", REAL), ("low", REAL),
            ("high", REAL), ("n", INT), ("carried", REAL),
        ]
    ),
    "features": pa.schema(
        [
            ("model", TEXT), ("layer", INT), ("id", TEXT), ("low_share", REAL), ("drift", REAL),
            ("robust", FLAG),
        ]
    ),
    "certified": pa.schema(
        [
            ("id", TEXT), ("label", INT), ("sigma", REAL), ("prediction", INT), ("radius", REAL), ("votes", INT),
            ("samples", INT), ("p_lower", REAL),
        ]
    ),
    "patched": pa.schema(
        [
            ("id", TEXT), ("label", INT), ("count", INT), ("status", TEXT), ("patches", pa.list_(INT)), ("steps", INT),
            ("prediction", INT), ("row", INT),
        ]
    ),
    "frontier": pa.schema([("C", REAL), ("N", REAL), ("D", REAL), ("M", REAL), ("loss", REAL)]),
    "plan": pa.schema([("N", REAL), ("D", REAL), ("M", REAL)]),
    "comparison": pa.schema([("law", TEXT), ("parameters", INT), ("aicc", REAL), ("loo_rms", REAL)]),
    "tasks": pa.schema([("name", TEXT), ("chance", REAL), ("accuracy", REAL), ("model", TEXT), ("chosen", pa.bool_())]),
    "draws": pa.schema([("draw", INT)]),
    "predictions": pa.schema([("N", REAL), ("D", REAL), ("predicted", REAL), ("low", REAL), ("high", REAL)]),
}  # fmt: skip

FEATURES = {  # what the `datasets` library has to be told; it reads everything else from parquet itself
    IMAGE: {"_type": "Image"},
}


def widen(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column of one type may stand where another is wanted."""
    if found == wanted or pa.types.is_null(found):
        return True
    if pa.types.is_floating(wanted) or pa.types.is_integer(wanted):
        return pa.types.is_integer(found) or (pa.types.is_floating(wanted) and pa.types.is_floating(found))
    return pa.types.is_large_string(found) and pa.types.is_string(wanted)
