"""What a client of another language sees of the simulator: boto3, knowing nothing but the endpoint.

Takes the endpoint's URL. Prints what it found, a line a matter; ends with an error at the first thing that is not as AWS has it.
"""

import gzip
import json
import sys
import time
import urllib.request
from collections import defaultdict

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
DEADLINE = 30


def client(service):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id="boto3",
        aws_secret_access_key="any",
        config=Config(retries={"mode": "standard", "max_attempts": 5}),
    )


def control(command, **body):
    """A request to the simulator itself."""
    request = urllib.request.Request(f"{ENDPOINT}/_sim/{command}", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def wait_for(what, condition):
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {DEADLINE} s in vain for {what}"
        time.sleep(0.05)
    return found


def refusal(error, call, **arguments):
    """Makes a call that is to be refused with an exception that boto3 has a class for, and gives the exception."""
    try:
        call(**arguments)
    except error as refused:
        assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 400, refused.response
        assert refused.response["Error"]["Message"], refused.response
        return refused.response
    raise AssertionError(f"not refused with {error.__name__}")


def create_table(dynamodb, name, **others):
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        **others,
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": DEADLINE})
    return dynamodb.describe_table(TableName=name)["Table"]


def conditional_writes():
    """Conditions refuse a write with the exceptions that a program catches."""
    dynamodb = client("dynamodb")
    errors = dynamodb.exceptions
    create_table(dynamodb, "leases")
    item = {"id": {"S": "lease"}, "counter": {"N": "1"}, "owner": {"S": "alpha"}}
    dynamodb.put_item(TableName="leases", Item=item, ConditionExpression="attribute_not_exists(id)")
    refusal(
        errors.ConditionalCheckFailedException,
        dynamodb.put_item,
        TableName="leases",
        Item=item,
        ConditionExpression="attribute_not_exists(id)",
    )
    stale = {
        "Key": {"id": {"S": "lease"}},
        "UpdateExpression": "SET #counter = :next",
        "ConditionExpression": "#counter = :seen",
        "ExpressionAttributeNames": {"#counter": "counter"},
        "ExpressionAttributeValues": {":seen": {"N": "7"}, ":next": {"N": "8"}},
    }
    refused = refusal(
        errors.ConditionalCheckFailedException,
        dynamodb.update_item,
        TableName="leases",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
        **stale,
    )
    assert refused["Item"] == item, refused
    refused = refusal(
        errors.TransactionCanceledException,
        dynamodb.transact_write_items,
        TransactItems=[{"Put": {"TableName": "leases", "Item": {"id": {"S": "other"}}}}, {"Update": {"TableName": "leases", **stale}}],
    )
    assert [reason["Code"] for reason in refused["CancellationReasons"]] == ["None", "ConditionalCheckFailed"], refused
    refusal(errors.ResourceNotFoundException, dynamodb.get_item, TableName="nothing", Key={"id": {"S": "x"}})
    refusal(
        errors.ResourceInUseException,
        dynamodb.create_table,
        TableName="leases",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    found = dynamodb.scan(TableName="leases", ConsistentRead=True)["Items"]
    assert found == [item], found
    print("DynamoDB refuses conditional writes with the exceptions of boto3")


class Writes:
    """Writes items, several versions of each, and remembers what a reader of the stream has to find."""

    def __init__(self, dynamodb, table, items):
        self.dynamodb, self.table = dynamodb, table
        self.versions = {f"item {number}": 0 for number in range(items)}

    def round(self):
        for name in self.versions:
            self.versions[name] += 1
            self.put(name)
            # A write that changes nothing is no change.
            self.put(name)

    def put(self, name):
        item = {"id": {"S": name}, "version": {"N": str(self.versions[name])}}
        self.dynamodb.put_item(TableName=self.table, Item=item)


def all_shards(streams, arn):
    """The stream's shards, described in pages of three, and how many pages that were."""
    shards, pages, start = [], 0, {}
    while True:
        described = streams.describe_stream(StreamArn=arn, Limit=3, **start)["StreamDescription"]
        assert len(described["Shards"]) <= 3
        shards += described["Shards"]
        pages += 1
        if "LastEvaluatedShardId" not in described:
            return shards, pages
        start = {"ExclusiveStartShardId": described["LastEvaluatedShardId"]}


def read_shard(streams, arn, shard):
    """The records of a shard to its end, or until it has none at the moment."""
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = []
    while iterator:
        page = streams.get_records(ShardIterator=iterator, Limit=7)
        records += page["Records"]
        iterator = page.get("NextShardIterator")
        if not page["Records"] and iterator:
            return records, "open"
    return records, "closed"


def lineage():
    """A stream that has split is read parent by parent, and holds every change of every item in its order."""
    dynamodb, streams = client("dynamodb"), client("dynamodbstreams")
    table = create_table(dynamodb, "orders", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    arn = table["LatestStreamArn"]
    listed = streams.list_streams(TableName="orders")["Streams"]
    assert [stream["StreamArn"] for stream in listed] == [arn], listed

    writes = Writes(dynamodb, "orders", items=40)
    writes.round()
    first, _ = all_shards(streams, arn)
    # Two splits of the first shard's line, a shard that continues in one, a shard that continues in three.
    split = control("reshard", stream="orders", shard=first[0]["ShardId"])["children"]
    writes.round()
    continued = control("reshard", stream=arn, shard=split[0], into=1)["children"]
    writes.round()
    control("reshard", stream=arn, shard=split[1], into=3)
    control("reshard", stream=arn, shard=continued[0], into=2)
    writes.round()

    shards, pages = all_shards(streams, arn)
    ids = [shard["ShardId"] for shard in shards]
    assert len(set(ids)) == len(ids) == len(first) + 2 + 1 + 3 + 2, ids
    assert pages > 1
    children = defaultdict(list)
    for shard in shards:
        children[shard.get("ParentShardId")].append(shard["ShardId"])
    for parent in ids:
        some = streams.describe_stream(StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": parent})
        assert [shard["ShardId"] for shard in some["StreamDescription"]["Shards"]] == children[parent], (parent, some)

    # Generation by generation: parents before their children.
    read, generation, generations = defaultdict(list), children[None], 0
    while generation:
        for shard in generation:
            records, end = read_shard(streams, arn, shard)
            assert end == ("closed" if children[shard] else "open"), (shard, end)
            bounds = next(known for known in shards if known["ShardId"] == shard)["SequenceNumberRange"]
            assert ("EndingSequenceNumber" in bounds) == (end == "closed"), bounds
            sequences = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
            assert sequences == sorted(set(sequences)), shard
            assert all(int(bounds["StartingSequenceNumber"]) <= sequence for sequence in sequences), shard
            assert all(sequence <= int(bounds["EndingSequenceNumber"]) for sequence in sequences if end == "closed"), shard
            for record in records:
                read[record["dynamodb"]["Keys"]["id"]["S"]].append(record)
        generation = [child for shard in generation for child in children[shard]]
        generations += 1

    assert set(read) == set(writes.versions)
    for name, records in read.items():
        versions = [int(record["dynamodb"]["NewImage"]["version"]["N"]) for record in records]
        assert versions == list(range(1, writes.versions[name] + 1)), (name, versions)
        assert [record["eventName"] for record in records] == ["INSERT"] + ["MODIFY"] * (len(records) - 1), name
        for before, after in zip(records, records[1:]):
            assert after["dynamodb"]["OldImage"] == before["dynamodb"]["NewImage"], name
    count = sum(map(len, read.values()))
    events = {record["eventID"] for records in read.values() for record in records}
    assert len(events) == count
    print(f"DynamoDB Streams: {count} records of {len(read)} items in order, in {generations} generations of shards")


def kinesis_records(kinesis, stream):
    """Reads a stream by the children that its shards tell of, each after all of its parents."""
    roots = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=stream)["Shards"] if "ParentShardId" not in shard]
    queue, done, records = list(roots), set(), []
    while queue:
        shard = queue.pop(0)
        position = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**position)["ShardIterator"]
        while iterator:
            page = kinesis.get_records(ShardIterator=iterator, Limit=10)
            records += [(shard, record) for record in page["Records"]]
            iterator = page.get("NextShardIterator")
            if iterator and not page["Records"] and page["MillisBehindLatest"] == 0:
                break
        else:
            done.add(shard)
            assert page["ChildShards"], page
            for child in page["ChildShards"]:
                if done.issuperset(child["ParentShards"]) and child["ShardId"] not in queue:
                    queue.append(child["ShardId"])
    return records


def resharded_kinesis():
    """A Kinesis stream that splits and merges keeps the order of every partition key."""
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName="changes", ShardCount=2)

    def active():
        summary = kinesis.describe_stream_summary(StreamName="changes")["StreamDescriptionSummary"]
        return summary["StreamStatus"] == "ACTIVE" and summary

    wait_for("the stream to be created", active)
    put = defaultdict(list)

    def write(first, last):
        entries = [{"Data": f"{n}".encode(), "PartitionKey": f"key {n % 25}"} for n in range(first, last)]
        answer = kinesis.put_records(StreamName="changes", Records=entries)
        assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == len(entries), answer
        for entry in entries:
            put[entry["PartitionKey"]].append(entry["Data"])

    write(0, 100)
    shard = kinesis.list_shards(StreamName="changes")["Shards"][0]
    start, end = (int(shard["HashKeyRange"][bound]) for bound in ("StartingHashKey", "EndingHashKey"))
    kinesis.split_shard(StreamName="changes", ShardToSplit=shard["ShardId"], NewStartingHashKey=str((start + end) // 2))
    wait_for("the split", lambda: active() and active()["OpenShardCount"] == 3)
    write(100, 200)
    halves = [one["ShardId"] for one in kinesis.list_shards(StreamName="changes")["Shards"] if one.get("ParentShardId") == shard["ShardId"]]
    kinesis.merge_shards(StreamName="changes", ShardToMerge=halves[0], AdjacentShardToMerge=halves[1])
    wait_for("the merge", lambda: active() and active()["OpenShardCount"] == 2)
    write(200, 300)

    found = defaultdict(list)
    records = kinesis_records(kinesis, "changes")
    for _, record in records:
        found[record["PartitionKey"]].append(record["Data"])
    assert found == put
    print(f"Kinesis: {len(records)} records of {len(found)} keys in order, in {len({shard for shard, _ in records})} shards")


def buffered_firehose():
    """Firehose gathers records until its time is up, and writes them as one compressed object."""
    firehose, s3 = client("firehose"), client("s3")
    s3.create_bucket(Bucket="lake")
    firehose.create_delivery_stream(
        DeliveryStreamName="delivery",
        ExtendedS3DestinationConfiguration={
            "BucketARN": "arn:aws:s3:::lake",
            "RoleARN": "arn:aws:iam::123456789012:role/delivery",
            "Prefix": "changes/",
            "ErrorOutputPrefix": "errors/",
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 60},
            "CompressionFormat": "GZIP",
        },
    )

    def status():
        description = firehose.describe_delivery_stream(DeliveryStreamName="delivery")["DeliveryStreamDescription"]
        return description["DeliveryStreamStatus"] == "ACTIVE"

    wait_for("the delivery stream", status)
    lines = [json.dumps({"n": n}).encode() + b"\n" for n in range(60)]
    for first in range(0, len(lines), 20):
        batch = [{"Data": line} for line in lines[first : first + 20]]
        answer = firehose.put_record_batch(DeliveryStreamName="delivery", Records=batch)
        assert answer["FailedPutCount"] == 0 and len(answer["RequestResponses"]) == 20, answer
    assert s3.list_objects_v2(Bucket="lake")["KeyCount"] == 0
    control("clock", advance_seconds=61)
    objects = wait_for("the object", lambda: s3.list_objects_v2(Bucket="lake", Prefix="changes/").get("Contents"))
    assert len(objects) == 1 and objects[0]["Key"].endswith(".gz"), objects
    body = s3.get_object(Bucket="lake", Key=objects[0]["Key"])["Body"].read()
    assert len(body) == objects[0]["Size"]
    assert gzip.decompress(body) == b"".join(lines)
    print(f"Firehose: {len(lines)} records in one object of gzip")


def create_if_absent():
    """S3 writes an object only if there is none, when asked to."""
    s3 = client("s3")
    s3.put_object(Bucket="lake", Key="commit", Body=b"first", IfNoneMatch="*")
    try:
        s3.put_object(Bucket="lake", Key="commit", Body=b"second", IfNoneMatch="*")
        raise AssertionError("the second write was not refused")
    except ClientError as refused:
        assert refused.response["Error"]["Code"] == "PreconditionFailed", refused.response
        assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 412, refused.response
    assert s3.get_object(Bucket="lake", Key="commit")["Body"].read() == b"first"
    s3.put_object(Bucket="lake", Key="commit", Body=b"third")
    assert s3.get_object(Bucket="lake", Key="commit", Range="bytes=1-3")["Body"].read() == b"hir"
    print("S3: an object is created once")


conditional_writes()
lineage()
resharded_kinesis()
buffered_firehose()
create_if_absent()
