//! The services and their operations, so that a rule which can never strike is told from one that can.

use serde::{Deserialize, Serialize};

/// A service, as a rule names it. Some operations, such as GetRecords, belong to two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants are the services' names")]
pub enum Service {
    DynamoDb,
    DynamoDbStreams,
    Kinesis,
    Firehose,
    S3,
}

const DYNAMODB: &[&str] = &[
    "BatchGetItem",
    "BatchWriteItem",
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeContinuousBackups",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "ListTables",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
    "UpdateTable",
    "UpdateTimeToLive",
];
const DYNAMODB_STREAMS: &[&str] = &["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
const KINESIS: &[&str] = &[
    "CreateStream",
    "DeleteStream",
    "DescribeStream",
    "DescribeStreamSummary",
    "GetRecords",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreams",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "SplitShard",
    "UpdateMaxRecordSize",
    "UpdateStreamRecordDistributionStrategy",
];
const FIREHOSE: &[&str] =
    &["CreateDeliveryStream", "DeleteDeliveryStream", "DescribeDeliveryStream", "ListDeliveryStreams", "PutRecord", "PutRecordBatch"];
const S3: &[&str] = &[
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteObject",
    "DeleteObjects",
    "GetBucketLocation",
    "GetObject",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListObjectsV2",
    "PutObject",
    "UploadPart",
];

impl Service {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::DynamoDb, Self::DynamoDbStreams, Self::Kinesis, Self::Firehose, Self::S3];

    /// The service that a request is for, by its header `X-Amz-Target` if it has one.
    pub fn of(target: Option<&str>) -> Option<Self> {
        let Some(target) = target else { return Some(Self::S3) };
        let prefix = target.split_once('.').map_or(target, |(prefix, _)| prefix);
        Self::ALL.into_iter().find(|service| service.prefix() == Some(prefix))
    }

    /// As a rule names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::DynamoDbStreams => "dynamodbstreams",
            Self::Kinesis => "kinesis",
            Self::Firehose => "firehose",
            Self::S3 => "s3",
        }
    }

    /// What its targets begin with; none for S3, which has no targets.
    fn prefix(self) -> Option<&'static str> {
        match self {
            Self::DynamoDb => Some("DynamoDB_20120810"),
            Self::DynamoDbStreams => Some("DynamoDBStreams_20120810"),
            Self::Kinesis => Some("Kinesis_20131202"),
            Self::Firehose => Some("Firehose_20150804"),
            Self::S3 => None,
        }
    }

    /// The operations that the simulator has.
    pub(super) fn operations(self) -> &'static [&'static str] {
        match self {
            Self::DynamoDb => DYNAMODB,
            Self::DynamoDbStreams => DYNAMODB_STREAMS,
            Self::Kinesis => KINESIS,
            Self::Firehose => FIREHOSE,
            Self::S3 => S3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Quirks;
    use crate::clock::Clock;
    use crate::cloud::Cloud;
    use crate::journal::Journal;

    #[tokio::test]
    async fn every_service_knows_its_operations() {
        let cloud = Cloud::new(Clock::starting_at(0), Journal::forgetting());
        for service in Service::ALL {
            let Some(prefix) = service.prefix() else { continue };
            for operation in service.operations() {
                let target = format!("{prefix}.{operation}");
                let code = cloud.call(&target, "", b"{}", &Quirks::default()).map_or_else(|error| error.code, |_| "");
                assert_ne!(code, "UnknownOperationException", "{target}");
                assert_eq!(Service::of(Some(&target)), Some(service));
            }
        }
        assert_eq!((Service::of(None), Service::of(Some("Lambda.Invoke"))), (Some(Service::S3), None));
    }

    #[test]
    fn services_are_written_as_one_lower_case_word() {
        let words = Service::ALL.map(|service| serde_json::to_value(service).unwrap());
        assert_eq!(words, ["dynamodb", "dynamodbstreams", "kinesis", "firehose", "s3"]);
        assert_eq!(words, Service::ALL.map(Service::name));
    }
}
