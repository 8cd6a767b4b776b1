"""Parses a file of SQL statements and prints what each is, as JSON.

    parse_sql.py DIALECT FILE

A statement that the parser only passes through, because it is beyond it, counts as a mistake.
"""

import json
import sys

import sqlglot
from sqlglot import exp


def main(dialect, file):
    parsed = []
    with open(file, encoding="utf-8") as sql:
        for statement in sqlglot.parse(sql.read(), dialect=dialect):
            if statement is None or isinstance(statement, exp.Command):
                sys.exit(f"not understood: {statement}")
            unknown = sorted({call.name for call in statement.find_all(exp.Anonymous)})
            parsed.append({"kind": statement.key, "unknown_functions": unknown})
    print(json.dumps(parsed))


main(*sys.argv[1:])
