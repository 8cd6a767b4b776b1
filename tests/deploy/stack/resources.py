"""Looks at created resources through the services' own APIs, and tells them in CloudFormation's words."""

import json
import re
from functools import cache

import boto3
from botocore.exceptions import ClientError


# Codes that say that something is not there.
ABSENT = re.compile(r"NotFound|NoSuch|NonExist|^404$")
# Services that have no code of their own for it, and how their words begin.
WORDS = {"GetWorkGroup": "WorkGroup .*not found", "DescribeTaskDefinition": "Unable to describe task definition"}


@cache
def client(service):
    return boto3.client(service)


@cache
def account():
    return client("sts").get_caller_identity()["Account"]


def region():
    return client("sts").meta.region_name


def only(found):
    """The one element; None when there is none, which is a resource that is not there."""
    return found[0] if found else None


def answer(call, **arguments):
    """What a call answers; None when the service has no such thing."""
    try:
        return call(**arguments)
    except ClientError as error:
        words = WORDS.get(error.operation_name)
        told = error.response["Error"]
        if ABSENT.search(told["Code"]) or (words and re.match(words, told["Message"])):
            return None
        raise


def bucket(name):
    s3 = client("s3")
    if answer(s3.head_bucket, Bucket=name) is None:
        return None
    found = {
        "BucketName": name,
        "VersioningConfiguration": answer(s3.get_bucket_versioning, Bucket=name),
    }
    blocked = answer(s3.get_public_access_block, Bucket=name)
    if blocked:
        found["PublicAccessBlockConfiguration"] = blocked["PublicAccessBlockConfiguration"]
    ownership = answer(s3.get_bucket_ownership_controls, Bucket=name)
    if ownership:
        found["OwnershipControls"] = ownership["OwnershipControls"]
    encryption = answer(s3.get_bucket_encryption, Bucket=name)
    if encryption:
        rules = encryption["ServerSideEncryptionConfiguration"]["Rules"]
        for rule in rules:
            rule["ServerSideEncryptionByDefault"] = rule.pop("ApplyServerSideEncryptionByDefault", None)
        found["BucketEncryption"] = {"ServerSideEncryptionConfiguration": rules}
    lifecycle = answer(s3.get_bucket_lifecycle_configuration, Bucket=name)
    if lifecycle:
        found["LifecycleConfiguration"] = {"Rules": lifecycle["Rules"]}
    return found


def bucket_policy(name, properties):
    policy = answer(client("s3").get_bucket_policy, Bucket=properties["Bucket"])
    return policy and {"Bucket": properties["Bucket"], "PolicyDocument": policy["Policy"]}


def key(name):
    kms = client("kms")
    found = answer(kms.describe_key, KeyId=name)
    if found is None:
        return None
    rotation = answer(kms.get_key_rotation_status, KeyId=name) or {}
    policy = kms.get_key_policy(KeyId=name, PolicyName="default")["Policy"]
    return {**found["KeyMetadata"], "EnableKeyRotation": rotation.get("KeyRotationEnabled"), "KeyPolicy": policy}


def alias(name):
    aliases = client("kms").list_aliases()["Aliases"]
    return only([found for found in aliases if found["AliasName"] == name])


def role(name):
    iam = client("iam")
    found = answer(iam.get_role, RoleName=name)
    if found is None:
        return None
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    inline = [iam.get_role_policy(RoleName=name, PolicyName=policy) for policy in names]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return {
        **found["Role"],
        "Policies": [{"PolicyName": policy["PolicyName"], "PolicyDocument": policy["PolicyDocument"]} for policy in inline],
        "ManagedPolicyArns": [policy["PolicyArn"] for policy in attached],
    }


def role_policy(name, properties):
    roles = []
    for role_name in properties["Roles"]:
        policy = answer(client("iam").get_role_policy, RoleName=role_name, PolicyName=properties["PolicyName"])
        if policy is None:
            return None
        roles.append(role_name)
    return {"PolicyName": properties["PolicyName"], "PolicyDocument": policy["PolicyDocument"], "Roles": roles}


def table(name):
    dynamodb = client("dynamodb")
    found = answer(dynamodb.describe_table, TableName=name)
    if found is None:
        return None
    found = found["Table"]
    found["BillingMode"] = found.get("BillingModeSummary", {}).get("BillingMode")
    backups = answer(dynamodb.describe_continuous_backups, TableName=name)
    if backups:
        status = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
        found["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": status == "ENABLED"}
    encryption = found.pop("SSEDescription", None)
    if encryption:
        found["SSESpecification"] = {
            "SSEEnabled": encryption["Status"] == "ENABLED",
            "SSEType": encryption.get("SSEType"),
            "KMSMasterKeyId": encryption.get("KMSMasterKeyArn"),
        }
    return found


def stream(name):
    found = answer(client("kinesis").describe_stream_summary, StreamName=name)
    if found is None:
        return None
    found = found["StreamDescriptionSummary"]
    return {
        **found,
        "Name": found["StreamName"],
        "ShardCount": found["OpenShardCount"],
        "StreamEncryption": {"EncryptionType": found.get("EncryptionType"), "KeyId": found.get("KeyId")},
    }


def delivery_stream(name):
    found = answer(client("firehose").describe_delivery_stream, DeliveryStreamName=name)
    if found is None:
        return None
    found = found["DeliveryStreamDescription"]
    found["ExtendedS3DestinationConfiguration"] = only(found["Destinations"])["ExtendedS3DestinationDescription"]
    if "Source" in found:
        found["KinesisStreamSourceConfiguration"] = found["Source"]["KinesisStreamSourceDescription"]
    return found


def glue_database(name):
    found = answer(client("glue").get_database, Name=name)
    return found and {"CatalogId": account(), "DatabaseInput": found["Database"]}


def glue_table(name, properties):
    found = answer(client("glue").get_table, DatabaseName=properties["DatabaseName"], Name=name)
    return found and {"CatalogId": account(), "DatabaseName": properties["DatabaseName"], "TableInput": found["Table"]}


def crawler(name):
    found = answer(client("glue").get_crawler, Name=name)
    if found is None:
        return None
    found = found["Crawler"]
    schedule = found.get("Schedule")
    found["Schedule"] = schedule if isinstance(schedule, dict) else {"ScheduleExpression": schedule}
    return found


def workgroup(name):
    found = answer(client("athena").get_work_group, WorkGroup=name)
    return found and {**found["WorkGroup"], "WorkGroupConfiguration": found["WorkGroup"].get("Configuration")}


def alarm(name):
    return only(client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"])


def dashboard(name):
    return answer(client("cloudwatch").get_dashboard, DashboardName=name)


def topic(arn):
    found = answer(client("sns").get_topic_attributes, TopicArn=arn)
    return found and {**found["Attributes"], "TopicName": arn.rsplit(":", 1)[1]}


def subscription(arn):
    return only([found for found in client("sns").list_subscriptions()["Subscriptions"] if found["SubscriptionArn"] == arn])


def topic_policy(name, properties):
    topics = [client("sns").get_topic_attributes(TopicArn=arn)["Attributes"] for arn in properties["Topics"]]
    return {"PolicyDocument": topics[0]["Policy"], "Topics": [found["TopicArn"] for found in topics]}


def cluster(name):
    found = only(client("ecs").describe_clusters(clusters=[name], include=["SETTINGS", "CONFIGURATIONS"])["clusters"])
    return found and {**found, "ClusterSettings": found.get("settings")}


def task_definition(arn):
    found = answer(client("ecs").describe_task_definition, taskDefinition=arn)
    # One that is deregistered can be looked at for ever.
    return found["taskDefinition"] if found and found["taskDefinition"]["status"] == "ACTIVE" else None


def service(arn):
    cluster_name = arn.split("/")[-2]
    found = only(client("ecs").describe_services(cluster=cluster_name, services=[arn])["services"])
    return found and {**found, "Cluster": found["clusterArn"].rsplit("/", 1)[1]}


def security_group(name):
    found = answer(client("ec2").describe_security_groups, GroupIds=[name])
    group = found and only(found["SecurityGroups"])
    if not group:
        return None
    egress = [
        {**rule, "CidrIp": address["CidrIp"], "Description": address.get("Description")}
        for rule in group["IpPermissionsEgress"]
        for address in rule["IpRanges"]
    ]
    return {**group, "GroupDescription": group["Description"], "SecurityGroupEgress": egress}


def schedule(name, properties):
    return answer(client("scheduler").get_schedule, Name=name, GroupName=properties.get("GroupName", "default"))


def schedule_group(name):
    return answer(client("scheduler").get_schedule_group, Name=name)


def rule(name):
    events = client("events")
    name = name.rsplit("/", 1)[-1]
    found = answer(events.describe_rule, Name=name)
    return found and {**found, "Targets": events.list_targets_by_rule(Rule=name)["Targets"]}


def log_group(name):
    groups = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return only([group for group in groups if group["logGroupName"] == name])


def log_stream(name, properties):
    group = properties["LogGroupName"]
    streams = answer(client("logs").describe_log_streams, logGroupName=group, logStreamNamePrefix=name) or {"logStreams": []}
    found = only([found for found in streams["logStreams"] if found["logStreamName"] == name])
    return found and {**found, "LogGroupName": group}


# Properties that say how a resource is deleted, which no service shows.
UNSEEN = {"AWS::Athena::WorkGroup": {"RecursiveDeleteOption"}}

# How a resource of each type is looked at, and its ARN.
LOOKS = {
    "AWS::Athena::WorkGroup": (workgroup, "arn:aws:athena:{region}:{account}:workgroup/{name}"),
    "AWS::CloudWatch::Alarm": (alarm, "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"),
    "AWS::CloudWatch::Dashboard": (dashboard, None),
    "AWS::DynamoDB::Table": (table, "arn:aws:dynamodb:{region}:{account}:table/{name}"),
    "AWS::EC2::SecurityGroup": (security_group, None),
    "AWS::ECS::Cluster": (cluster, "arn:aws:ecs:{region}:{account}:cluster/{name}"),
    "AWS::ECS::Service": (service, None),
    "AWS::ECS::TaskDefinition": (task_definition, None),
    "AWS::Events::Rule": (rule, "arn:aws:events:{region}:{account}:rule/{name}"),
    "AWS::Glue::Crawler": (crawler, None),
    "AWS::Glue::Database": (glue_database, None),
    "AWS::Glue::Table": (glue_table, None),
    "AWS::IAM::Policy": (role_policy, None),
    "AWS::IAM::Role": (role, "arn:aws:iam::{account}:role/{name}"),
    "AWS::KMS::Alias": (alias, None),
    "AWS::KMS::Key": (key, "arn:aws:kms:{region}:{account}:key/{name}"),
    "AWS::Kinesis::Stream": (stream, "arn:aws:kinesis:{region}:{account}:stream/{name}"),
    "AWS::KinesisFirehose::DeliveryStream": (delivery_stream, "arn:aws:firehose:{region}:{account}:deliverystream/{name}"),
    "AWS::Logs::LogGroup": (log_group, "arn:aws:logs:{region}:{account}:log-group:{name}:*"),
    "AWS::Logs::LogStream": (log_stream, None),
    "AWS::S3::Bucket": (bucket, "arn:aws:s3:::{name}"),
    "AWS::S3::BucketPolicy": (bucket_policy, None),
    "AWS::SNS::Subscription": (subscription, None),
    "AWS::SNS::Topic": (topic, "{name}"),
    "AWS::SNS::TopicPolicy": (topic_policy, None),
    "AWS::Scheduler::ScheduleGroup": (schedule_group, None),
    "AWS::Scheduler::Schedule": (schedule, "arn:aws:scheduler:{region}:{account}:schedule/default/{name}"),
}


def look(kind, name, properties):
    """The resource as its service shows it; None when it, or what it belongs to, is not there."""
    function, _ = LOOKS[kind]
    arguments = (name,) if function.__code__.co_argcount == 1 else (name, properties)
    return answer(lambda: function(*arguments))


def attribute(kind, name, wanted):
    """What Fn::GetAtt means, by the reference of the resource type."""
    if wanted in ("Arn", "TopicArn", "Ref"):
        return LOOKS[kind][1].format(region=region(), account=account(), name=name)
    if kind == "AWS::EC2::SecurityGroup" and wanted == "GroupId":
        return name
    if kind == "AWS::ECS::Service" and wanted == "Name":
        return name.rsplit("/", 1)[1]
    if kind == "AWS::SNS::Topic" and wanted == "TopicName":
        return name.rsplit(":", 1)[1]
    if kind == "AWS::S3::Bucket" and wanted == "RegionalDomainName":
        return f"{name}.s3.{region()}.amazonaws.com"
    raise ValueError(f"Fn::GetAtt of {wanted} of {kind} is not known here")
