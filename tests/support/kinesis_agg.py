"""Packs and unpacks aggregated Kinesis records with Amazon's Python library, aws-kinesis-agg.

    kinesis_agg.py unpack FILE   each line of the file is the data of a Kinesis record, in base64
    kinesis_agg.py pack FILE     each line of the file is a list of user records, to be packed together

Prints a line for each line of the file: lists of user records for `unpack`, the data in base64 for `pack`. A user record is
[partition key, explicit hash key or null, data in base64].
"""

import base64
import json
import sys

from aws_kinesis_agg import aggregator, deaggregator


def unpack(line):
    # The form in which Lambda is given a record.
    record = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "sequenceNumber": "1",
            "approximateArrivalTimestamp": 0,
            "partitionKey": "of the Kinesis record",
            "data": line.strip(),
        }
    }
    unpacked = [found["kinesis"] for found in deaggregator.iter_deaggregate_records([record])]
    if not all(found.get("aggregated") for found in unpacked):
        sys.exit("a record was taken for a plain one: " + line)
    if [found["subSequenceNumber"] for found in unpacked] != list(range(len(unpacked))):
        sys.exit("the sub-sequence numbers do not count from 0: " + line)
    return json.dumps([[found["partitionKey"], found["explicitHashKey"], found["data"].decode()] for found in unpacked])


def pack(line):
    packed = aggregator.AggRecord()
    for partition_key, explicit_hash_key, data in json.loads(line):
        if not packed.add_user_record(partition_key, base64.b64decode(data), explicit_hash_key):
            sys.exit("the user records do not fit one record: " + line)
    _, _, data = packed.get_contents()
    return base64.b64encode(data).decode()


def main(mode, path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            print({"pack": pack, "unpack": unpack}[mode](line))


main(*sys.argv[1:])
