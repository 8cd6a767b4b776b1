"""Prints the change rows of a table in a lake, one JSON object a line, in the order in which they stand in their objects.

    read_lake.py LAKE TABLE

Beside the lake's own columns each row has `lake_object`, the path of its object below the table's folder. DuckDB reads the objects.
Numbers are printed as text with every digit, since JSON readers would round them.
"""

import json
import os
import sys

import duckdb

# The formats of lake objects by the end of their names, and how DuckDB turns each row into JSON text.
READERS = {
    ".parquet": "SELECT filename, to_json(rows) FROM read_parquet($objects, filename = true, hive_partitioning = false) AS rows",
    ".json.gz": "SELECT filename, json FROM read_ndjson_objects($objects, filename = true)",
}


def objects(changes, ending):
    for folder, _, names in os.walk(changes):
        for name in names:
            if name.endswith(ending):
                yield os.path.join(folder, name)


def main(lake, table):
    root = os.path.join(lake, table)
    database = duckdb.connect()
    # One thread keeps the rows in the order of their objects.
    database.execute("SET threads = 1")
    for ending, query in READERS.items():
        found = sorted(objects(os.path.join(root, "changes"), ending))
        if not found:
            continue
        for path, text in database.execute(query, {"objects": found}).fetchall():
            row = json.loads(text, parse_int=str, parse_float=str)
            row.pop("filename", None)
            row["lake_object"] = os.path.relpath(path, root)
            print(json.dumps(row))


main(*sys.argv[1:])
