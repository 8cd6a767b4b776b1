"""Runs the statements for Snowflake as far as a stand-in goes.

    run.py parse FILE     fails unless sqlfluff's Snowflake grammar takes every statement of the file
    run.py load PLAN      loads a lake into fakesnow, in several orders, and compares the state; prints what it has seen

fakesnow gives a Snowflake connection that DuckDB answers. What it does not know is done here, plainly: it lists the files that PATTERN matches and
names them in FILES, it fills tables named like the streams with what arrived, and it runs the statement that the task holds. Storage integrations,
notifications, pipes, streams and the task's schedule are not run.
"""

import json
import os
import random
import re
import sys
from datetime import datetime
from decimal import Decimal

# What no stand-in runs.
NOT_RUN = ("CREATE STREAM", "CREATE TASK", "CREATE PIPE", "ALTER TASK")
COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position"


def parse(path):
    from sqlfluff.api import simple

    with open(path) as file:
        simple.parse(file.read(), dialect="snowflake")


def code(statement):
    """The statement without the comments before it."""
    lines = statement["text"].splitlines()
    while not lines[0] or lines[0].startswith("--"):
        lines.pop(0)
    return "\n".join(lines)


def body(statement):
    """What a task or a pipe does."""
    return code(statement).split("\nAS\n", 1)[1]


class Load:
    """A statement that loads a folder, by the statement that declares its stage."""

    def __init__(self, copy, stages):
        self.copy = copy
        self.stage, self.pattern = re.search(r"FROM @(\w+)\nPATTERN = '([^']*)'", copy).groups()
        self.folder = re.search(r"URL = 'file://([^']*)'", stages[self.stage]).group(1)

    def files(self):
        found = []
        for folder, _, names in os.walk(self.folder):
            paths = (os.path.join(folder, name) for name in names)
            found += [os.path.relpath(path, self.folder) for path in paths if re.fullmatch(self.pattern, path)]
        return [(self, file) for file in found]

    def run(self, cursor, files, options=""):
        """Loads some of the files, in this order; gives what became of each."""
        names = ", ".join(f"'{file}'" for file in files)
        text = re.sub(r"PATTERN = '[^']*'", lambda _: f"FILES = ({names})", self.copy)
        return [status for _, status, *_ in cursor.execute(text + options).fetchall()]


class Warehouse:
    """A database of its own with everything declared and nothing loaded."""

    def __init__(self, connect, name, statements):
        self.cursor = connect(database=name, schema="lake").cursor()
        self.ran = []
        for statement in statements:
            if not code(statement).startswith(NOT_RUN + ("COPY INTO",)):
                self.cursor.execute(code(statement))
                self.ran.append(statement["name"])
        named = {statement["name"]: statement for statement in statements}
        stages = {name: statement["text"] for name, statement in named.items() if name.endswith("_stage")}
        self.loads = [Load(code(statement), stages) for name, statement in named.items() if name.endswith(" backlog")]
        pipes = {body(statement) for name, statement in named.items() if name.endswith("_pipe")}
        assert pipes == {load.copy for load in self.loads}, "a pipe loads what the backlog's statement loads"
        self.task = body(named["merge_current_items"])
        for table in ("changes", "snapshot_markers"):
            self.cursor.execute(f"CREATE TABLE {stream(table)} AS SELECT {self.identity(table)} FROM {quoted(table)} WHERE FALSE")
            self.cursor.execute(f"CREATE TABLE seen_{table} AS SELECT * FROM {stream(table)}")

    def identity(self, table):
        return "line" if table == "snapshot_markers" else "order_id, cdc_event_id"

    def load(self, files, options=""):
        """Loads files of several folders. Gives what became of them, each outcome once."""
        return {
            outcome
            for load in self.loads
            if (chosen := [file for source, file in files if source is load])
            for outcome in load.run(self.cursor, chosen, options)
        }

    def query(self, sql):
        return self.cursor.execute(sql).fetchall()

    def merge(self):
        """Numbers of rows inserted, updated and deleted."""
        return tuple(int(number) for number in self.query(self.task)[0])

    def arrive(self):
        """Merges what was loaded since the last time, and then once more as if everything had come again."""
        for table in ("changes", "snapshot_markers"):
            rows = f"SELECT {self.identity(table)} FROM {quoted(table)}"
            self.query(f"CREATE OR REPLACE TABLE {stream(table)} AS {rows} EXCEPT ALL SELECT * FROM seen_{table}")
            self.query(f"CREATE OR REPLACE TABLE seen_{table} AS {rows}")
        merged = self.merge()
        self.query(f"CREATE OR REPLACE TABLE {stream('changes')} AS SELECT * FROM seen_changes")
        self.query(f"CREATE OR REPLACE TABLE {stream('snapshot_markers')} AS SELECT '{{}}' AS line")
        assert self.merge() == (0, 0, 0), "asking every key again changes what was merged"
        return merged

    def rows(self, table):
        """The rows of a table or view by their key, of which there may be one row each."""
        columns = [name.lower() for (name,) in self.query(COLUMNS.format(table.upper()))]
        rows = [dict(zip(columns, values, strict=True)) for values in self.query(f"SELECT * FROM {quoted(table)}")]
        found = {row["order_id"]: row for row in rows}
        assert len(found) == len(rows), f"{table} has {len(rows)} rows of {len(found)} items"
        return found

    def count(self, table):
        return self.query(f"SELECT count(*) FROM {quoted(table)}")[0][0]


def stream(table):
    return {"changes": "arrived_changes", "snapshot_markers": "arrived_markers"}[table]


def quoted(table):
    return f'"{table.upper()}"'


def equal(ours, theirs):
    """Whether a value of Snowflake's is what headwater's JSON says."""
    if isinstance(ours, datetime):
        return theirs is not None and ours == datetime.fromisoformat(theirs)
    if isinstance(ours, Decimal):
        return theirs is not None and ours == Decimal(str(theirs))
    return ours == theirs


def compare(found, expected):
    assert expected and found.keys() == expected.keys(), f"items differ: {sorted(found.keys() ^ expected.keys())}"
    for key, row in expected.items():
        assert found[key].keys() == row.keys(), f"columns differ: {found[key].keys() ^ row.keys()}"
        differences = [(name, found[key][name], value) for name, value in row.items() if not equal(found[key][name], value)]
        assert not differences, f"{key}: {differences}"


def check_silver(warehouse, personal, masked):
    """Compares the views for analysts with the state, column by column. Gives how many changes they show."""
    silver, current = warehouse.rows("silver_current"), warehouse.rows("current")
    assert silver.keys() == current.keys()
    changes = warehouse.query("SELECT * FROM silver_changes")
    assert not [row for row in [*silver.values(), *changes] if personal in str(row)], "a personal value is shown"
    for key, row in silver.items():
        assert set(masked) < row.keys() < current[key].keys(), f"columns of silver_current: {list(row)}"
        for name, value in row.items():
            expected = current[key][name]
            if name in masked and expected is not None:
                expected = "***"
            assert value == expected, f"{key}, {name}: {value}"
    assert {row["customer_email"] for row in silver.values()} == {None, "***"}
    return len(changes)


def load(path):
    import fakesnow
    import snowflake.connector

    with open(path) as file:
        plan = json.load(file, parse_float=Decimal)
    expected = {row["order_id"]: row for row in plan["current"]}
    seen = {"not_run": [statement["name"] for statement in plan["statements"] if code(statement).startswith(NOT_RUN)]}
    orders = {"in_order": lambda _: None, "shuffled": random.Random(1).shuffle}
    with fakesnow.patch():
        for name in plan["orders"]:
            warehouse = Warehouse(snowflake.connector.connect, name, plan["statements"])
            files = sorted((file for load in warehouse.loads for file in load.files()), key=lambda file: file[1])
            orders[name](files)
            sizes, waiting, deleted = random.Random(name), files, 0
            while waiting:
                size = sizes.randint(1, 12)
                assert warehouse.load(waiting[:size]) == {"LOADED"}
                waiting = waiting[size:]
                deleted += warehouse.arrive()[2]
            compare(warehouse.rows("current"), expected)
            changes = check_silver(warehouse, plan["personal"], plan["masked"])

            assert warehouse.load(files) == {"LOAD_SKIPPED"}, "files were loaded again"
            assert warehouse.load(files, "\nFORCE = TRUE") == {"LOADED"}
            assert warehouse.arrive() == (0, 0, 0), "copies of what was there changed the state"
            assert check_silver(warehouse, plan["personal"], plan["masked"]) == changes, "silver_changes shows copies"
            seen.update(ran=warehouse.ran, files=len(files), items=warehouse.count("current"), changes=changes)
            seen.setdefault("deleted", {})[name] = deleted
    print(json.dumps(seen))


{"parse": parse, "load": load}[sys.argv[1]](sys.argv[2])
