"""Runs the SQL of a file in DuckDB and prints the rows of its last statement, one JSON object a line.

    query_duckdb.py FILE

Every value is printed as DuckDB's own text of it, so that no digit is lost; null stays null. The session's time zone is not UTC, because nothing may depend
on it.
"""

import json
import sys

import duckdb


def main(path):
    database = duckdb.connect()
    database.execute("SET TimeZone = 'Pacific/Chatham'")
    with open(path, encoding="utf-8") as file:
        statements = database.extract_statements(file.read())
    for statement in statements[:-1]:
        database.execute(statement)
    last = statements[-1].query.strip().rstrip(";")
    names = [column[0] for column in database.execute(last).description]
    if last.upper().startswith("SELECT"):
        texts = ", ".join(f'CAST("{name}" AS VARCHAR) AS "{name}"' for name in names)
        database.execute(f"SELECT {texts} FROM ({last})")
    for row in database.fetchall():
        print(json.dumps(dict(zip(names, row))))


main(*sys.argv[1:])
