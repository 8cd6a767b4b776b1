"""Prints what the CREATE EXTERNAL TABLE statements of a file declare, one JSON object a line.

    athena_tables.py FILE

sqlglot parses them as Athena does. A statement that it does not know, or anything that is no table, ends the script with an error.
"""

import json
import sys

import sqlglot
from sqlglot import exp


def column(definition):
    comment = definition.find(exp.CommentColumnConstraint)
    return {
        "name": definition.name,
        "type": definition.args["kind"].sql("hive").lower().replace(" ", ""),
        "comment": comment.this.this if comment else None,
    }


def columns(expressions):
    return [column(each) for each in expressions if isinstance(each, exp.ColumnDef)]


def table(statement):
    if not isinstance(statement, exp.Create) or statement.kind != "TABLE":
        sys.exit(f"no CREATE TABLE: {statement!r}")
    found = {"name": statement.this.this.name, "columns": columns(statement.this.expressions), "partitions": [], "properties": {}}
    for each in statement.args["properties"].expressions:
        match each:
            case exp.PartitionedByProperty():
                found["partitions"] = columns(each.this.expressions)
            case exp.LocationProperty():
                found["location"] = each.this.this
            case exp.FileFormatProperty():
                found["stored"] = each.this.name
            case exp.RowFormatSerdeProperty():
                found["serde"] = each.this.this
            case exp.SchemaCommentProperty():
                found["comment"] = each.this.this
            case exp.ExternalProperty():
                found["external"] = True
            case exp.Property():
                found["properties"][each.this.this] = each.args["value"].this
            case _:
                sys.exit(f"not known: {each!r}")
    return found


def main(path):
    with open(path, encoding="utf-8") as file:
        statements = sqlglot.parse(file.read(), read="athena", error_level=sqlglot.ErrorLevel.RAISE)
    for statement in statements:
        if statement is not None:
            print(json.dumps(table(statement)))


main(*sys.argv[1:])
