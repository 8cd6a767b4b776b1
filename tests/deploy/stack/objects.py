"""Reads the Parquet objects in and below a folder by DuckDB. Prints JSON.

    objects.py rows FOLDER       each row, with the path of its object as `lake_object`; numbers are text, so that no digit is lost
    objects.py columns FOLDER    the columns of the objects, which all must have the same, in the words of the Glue catalog
"""

import json
import os
import sys

import duckdb

# How the Glue catalog spells the types of Parquet as DuckDB names them. Decimals are spelled alike.
TYPES = {
    "VARCHAR": "string",
    "VARCHAR[]": "array<string>",
    "BOOLEAN": "boolean",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "DOUBLE": "double",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}


def objects(folder):
    found = (os.path.join(where, name) for where, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if path.endswith(".parquet"))


def rows(folder):
    found = []
    for path in objects(folder):
        query = "SELECT to_json(rows) FROM read_parquet($path, hive_partitioning = false) AS rows"
        for (text,) in duckdb.execute(query, {"path": path}).fetchall():
            found.append({**json.loads(text, parse_int=str, parse_float=str), "lake_object": os.path.relpath(path, folder)})
    return found


def columns(folder):
    seen = []
    for path in objects(folder):
        query = "DESCRIBE SELECT * FROM read_parquet($path, hive_partitioning = false)"
        described = [[name, TYPES.get(kind, kind.lower())] for name, kind, *_ in duckdb.execute(query, {"path": path}).fetchall()]
        if described not in seen:
            seen.append(described)
    (only,) = seen
    return only


def main(command, folder):
    json.dump({"rows": rows, "columns": columns}[command](folder), sys.stdout)


main(*sys.argv[1:])
