"""A query that sorts the view `transcripts` by itself is spared the sorting that the view does.

The view is in order, for people. DuckDB sorts for it all turns, texts and all, before it looks at what is asked: a
gibibyte for a million of them, also where the query sorts them once more and wants fifty.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import duckdb

from oversight.store.database import literal, sql_file

_MAY = re.compile(r"\btranscripts\b.*\border\s+by\b", re.IGNORECASE | re.DOTALL)


def unsorted(con: duckdb.DuckDBPyConnection, query: str) -> str:
    """The query, reading the turns in no order where it is one SELECT from `transcripts` whose own order leaves no two
    turns equal, so that the rows are the same."""
    if not _MAY.search(query):
        return query
    tree = json.loads(con.execute(f"SELECT json_serialize_sql({literal(query)})").fetchall()[0][0])
    if tree["error"] or len(tree["statements"]) != 1:
        return query
    node = tree["statements"][0]["node"]
    if node["cte_map"]["map"] or not _is_the_view(node.get("from_table") or {}):
        return query
    renamed = {column.get("alias", "").lower() for column in node["select_list"]}
    if not _orders(node["modifiers"]) or renamed & _KEY or '"class": "WINDOW"' in json.dumps(node):
        return query
    return f"WITH transcripts AS ({_body()}) {query}"


_KEY = {"id", "episode", "turn"}


def _orders(modifiers: list[dict[str, Any]]) -> bool:
    """Whether a query's ORDER BY names the turn and its episode."""
    by = [order["expression"] for one in modifiers for order in one.get("orders", ())]
    named = {one["column_names"][-1].lower() for one in by if one["class"] == "COLUMN_REF"}
    return "turn" in named and bool(named & {"id", "episode"})


def _is_the_view(source: dict[str, object]) -> bool:
    """Whether a query reads from `transcripts` alone, under that name."""
    named = [source.get(part) for part in ("type", "catalog_name", "schema_name", "table_name")]
    return named == ["BASE_TABLE", "", "", "transcripts"]


@cache
def _body() -> str:
    """What the view says before it sorts."""
    found = re.search(
        r"^CREATE OR REPLACE VIEW transcripts AS\n(.*?)\nORDER BY [^;]*;$",
        sql_file("views.sql"),
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None
    return found[1]
