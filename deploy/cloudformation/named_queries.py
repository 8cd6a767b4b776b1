#!/usr/bin/env python3
"""Puts the statements of deploy/athena/ into the template as named queries, between the lines `# queries: begin` and `# queries: end`.

    python3 deploy/cloudformation/named_queries.py            rewrites headwater.yaml
    python3 deploy/cloudformation/named_queries.py --check    says whether it would change it (exit code 1)
    python3 deploy/cloudformation/named_queries.py --declared LAKE.sql FIREHOSE.sql
                                                              first makes files of deploy/athena of what `headwater contract ddl` printed

Athena runs one statement at a time, so each statement of a file becomes a query of its own. Views come in an order in which each finds those that it
needs, and their names begin with their number. Tables are not among them: the template declares those itself. Views of files called ..._firehose.sql
stand for the others of the same name where Firehose writes the lake.
"""

import argparse
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "  # queries: begin\n", "  # queries: end\n"
VIEW = re.compile(r'^CREATE OR REPLACE VIEW "?(\w+)"? AS$', re.MULTILINE)
# IS DISTINCT FROM is followed by a column.
READS = re.compile(r'(?<!DISTINCT )\b(?:FROM|JOIN)\s+"?(\w+)"?')
# Athena's limit of a query's text, in bytes.
LONGEST = 262_144
TABLES = {"changes", "delivered", "claims", "snapshot_markers"}


def statements(path):
    """The statements of a file, each with the comment above it and without its semicolon."""
    parts = re.split(r";[ \t]*(?:\n|$)", path.read_text(encoding="utf-8"))
    return [part.strip("\n") for part in parts if part.strip()]


def code(text):
    """A statement without its comments."""
    return re.sub(r"--[^\n]*", "", text)


class Query:
    def __init__(self, text, condition=None, name=None):
        self.text, self.condition = text, condition
        view = VIEW.search(text)
        self.view = view.group(1) if view else None
        self.name = self.view or name
        # What it defines itself, by WITH, is nobody else's.
        self.reads = set(READS.findall(code(text))) - set(re.findall(r"\b(\w+) AS \(", code(text))) - {self.view}
        if len(text.encode()) > LONGEST:
            sys.exit(f"{self.name}: Athena takes queries of at most {LONGEST} bytes")

    def purpose(self):
        """The first sentence of the comment above it."""
        comment = " ".join(line.removeprefix("--").strip() for line in self.text.splitlines() if line.startswith("--"))
        return re.split(r"(?<=[.:?]) ", comment)[0].replace('"', "'")

    def block(self, number):
        words = self.name.split("_") + (["firehose"] if self.condition == "ThroughFirehose" else [])
        label = f"{number:02} {self.name}" if self.view else f"analysis: {self.name.replace('_', ' ')}"
        lines = [f"  Query{''.join(word.capitalize() for word in words)}:", "    Type: AWS::Athena::NamedQuery"]
        if self.condition:
            lines.append(f"    Condition: {self.condition}")
        lines += [
            "    Properties:",
            f'      Name: "{label}"',
            f'      Description: "{self.purpose()}"',
            "      Database: !Ref GlueDatabase",
            "      WorkGroup: !Ref WorkGroup",
            "      QueryString: |-",
        ]
        return "\n".join(lines + [f"        {line}".rstrip() for line in self.text.splitlines()]) + "\n"


def in_order(views):
    """Each view behind those that it reads."""
    placed, waiting, ours = [], list(views), {query.view for query in views}
    for query in waiting:
        if unknown := query.reads - ours - TABLES:
            sys.exit(f"view {query.view} reads {', '.join(sorted(unknown))}, which is neither a table of the template nor a view of these files")
    while waiting:
        ready = [query for query in waiting if not (query.reads & ours) - {other.view for other in placed}]
        if not ready:
            sys.exit(f"these views read each other: {', '.join(sorted(query.view for query in waiting))}")
        placed += ready
        waiting = [query for query in waiting if query not in ready]
    return placed


def blocks(sql):
    """The text between the marks."""
    files = sorted(sql.glob("*.sql")) + sorted(sql.glob("gold/*.sql"))
    found = [(path, Query(text)) for path in files for text in statements(path)]
    of_firehose = {query.view: query for path, query in found if query.view and path.stem.endswith("_firehose")}
    others = {query.view: query for path, query in found if query.view and not path.stem.endswith("_firehose")}
    views = []
    for name in list(others) + sorted(set(of_firehose) - set(others)):
        ours, theirs = others.get(name), of_firehose.get(name)
        if ours and theirs and ours.text != theirs.text:
            ours.condition = "HeadwaterWritesTheLake"
        if theirs and not (ours and ours.text == theirs.text):
            theirs.condition = "ThroughFirehose"
            views.append(theirs)
        if ours:
            views.append(ours)
    analyses = [Query(text, name=path.stem) for path in sorted(sql.glob("analyses/*.sql")) for text in statements(path)]
    numbers = {}
    views = in_order(views)
    for query in views:
        numbers.setdefault(query.view, len(numbers) + 1)
    return "".join(query.block(numbers.get(query.view)) for query in views + analyses)


def declare(sql, lake, firehose):
    """What `headwater contract ddl --dialect athena` printed for each layout, in the files of `sql` that are about no table in particular."""
    files = {"current": "current.sql", "silver_current": "silver.sql", "silver_changes": "silver.sql"}
    # The other views are the same for both layouts.
    of_firehose = {"current": None, "silver_current": None, "silver_changes": "silver_firehose.sql"}
    texts = {}
    for path, names, rest in [(lake, files, "tables.sql"), (firehose, of_firehose, "tables_firehose.sql")]:
        for text in statements(path):
            if name := names.get(Query(text).view, rest):
                texts.setdefault(name, []).append(f"{text};\n")
    if "`delivered`" in lake.read_text(encoding="utf-8") or set(texts) != {*files.values(), "silver_firehose.sql", "tables.sql", "tables_firehose.sql"}:
        sys.exit(f"{lake} and {firehose}: what `headwater contract ddl --dialect athena` prints is expected, by layout lake and by layout firehose")
    for name, parts in texts.items():
        (sql / name).write_text("\n".join(parts), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when the template is not up to date")
    parser.add_argument("--template", type=pathlib.Path, default=HERE / "headwater.yaml")
    parser.add_argument("--sql", type=pathlib.Path, default=HERE.parent / "athena", help="the folder of the statements")
    parser.add_argument("--declared", nargs=2, type=pathlib.Path, metavar=("LAKE", "FIREHOSE"), help="first make files of --sql of these two")
    arguments = parser.parse_args()
    if arguments.declared and arguments.check:
        parser.error("--check changes nothing, --declared writes files")
    if arguments.declared:
        declare(arguments.sql, *arguments.declared)
    old = arguments.template.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"{arguments.template}: one line '{BEGIN.strip()}' and one line '{END.strip()}' are expected")
    head, rest = old.split(BEGIN)
    new = head + BEGIN + blocks(arguments.sql) + END + rest.split(END)[1]
    if arguments.check:
        if new != old:
            sys.exit(f"{arguments.template} does not hold the statements of {arguments.sql}: run {pathlib.Path(__file__).name} without --check")
    else:
        arguments.template.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
