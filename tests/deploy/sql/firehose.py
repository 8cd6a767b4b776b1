"""Compares the views over what Firehose delivered with the views over the lake that headwater wrote, and prints counts and differences as JSON.

    firehose.py TABLE_FOLDER SCRIPTS

SCRIPTS holds the views of each layout: lake.sql and firehose.sql. Below the table's folder lie changes/, firehose/, claims/ and snapshots/.
"""

import collections
import json
import os
import sys

import duckdb

HIVE = "hive_partitioning = true, hive_types = {'dt': VARCHAR, 'hr': VARCHAR}"
MARKERS = "{snapshot_id: 'VARCHAR', \"table\": 'VARCHAR', started_at: 'VARCHAR', completed_at: 'VARCHAR', \"rows\": 'BIGINT', whole: 'BOOLEAN'}"


def database(table, views, tables):
    """A database with the tables that the layout's views stand on, and the views."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE TABLE snapshot_markers AS FROM read_json('{table}/snapshots/*.json', columns = {MARKERS})")
    for statement in tables:
        connection.execute(statement)
    with open(views, encoding="utf-8") as text:
        connection.execute(text.read())
    return connection


def lake(table, scripts):
    # DuckDB has instants of its own type where the declared tables have UTC times.
    times = "cdc_time::TIMESTAMP AS cdc_time, created_at::TIMESTAMP AS created_at, old_created_at::TIMESTAMP AS old_created_at"
    changes = f"CREATE TABLE changes AS SELECT * REPLACE ({times}) FROM read_parquet('{table}/changes/**/*.parquet', union_by_name = true, {HIVE})"
    return database(table, os.path.join(scripts, "lake.sql"), [changes])


def firehose(table, scripts, types):
    columns = "{" + ", ".join(f"{name}: '{kind}'" for name, kind in types.items()) + "}"
    extra = columns[:-1] + ", cdc_claim_check: 'VARCHAR', cdc_hash_range: 'VARCHAR'}"
    read = "CREATE TABLE {} AS FROM read_json('{}', format = 'newline_delimited', columns = {}, {})"
    claimed = HIVE.replace(", 'hr': VARCHAR", "")
    return database(
        table,
        os.path.join(scripts, "firehose.sql"),
        [
            read.format("delivered", f"{table}/firehose/**/*.gz", extra, HIVE),
            read.format("claims", f"{table}/claims/**/*.json", columns, claimed),
        ],
    )


def main(table, scripts):
    ours = lake(table, scripts)
    described = ours.execute("DESCRIBE changes").fetchall()
    types = {name: kind for name, kind, *_ in described if name not in ("dt", "hr")}
    theirs = firehose(table, scripts, types)

    def count(name):
        return theirs.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]

    def rows(connection, name, distinct):
        kept = [column for column, *_ in connection.execute(f'DESCRIBE "{name}"').fetchall() if column not in ("dt", "hr")]
        names = ", ".join(f'"{column}"' for column in kept)
        return kept, collections.Counter(map(repr, connection.execute(f'SELECT {distinct} {names} FROM "{name}"').fetchall()))

    differences = []
    # Firehose may deliver a row again; the views above make that good.
    for name, distinct in [("changes", "DISTINCT"), ("snapshots", ""), ("current", ""), ("silver_current", ""), ("silver_changes", "")]:
        mine, other = rows(ours, name, distinct), rows(theirs, name, distinct)
        if mine != other:
            differences.append([name, list((mine[1] - other[1]).elements())[:3], list((other[1] - mine[1]).elements())[:3]])
    counts = {name: count(name) for name in ("delivered", "changes", "silver_changes", "current")}
    print(json.dumps({**counts, "differences": differences}))


main(*sys.argv[1:])
