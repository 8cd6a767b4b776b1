use aws_sdk_kinesis::types::builders::StreamDescriptionSummaryBuilder;

use super::*;

fn summary(with: impl FnOnce(StreamDescriptionSummaryBuilder) -> StreamDescriptionSummaryBuilder) -> StreamDescriptionSummary {
    let active = StreamDescriptionSummary::builder()
        .stream_name("changes")
        .stream_arn("arn:aws:kinesis:eu-central-1:123456789012:stream/changes")
        .stream_status(StreamStatus::Active)
        .retention_period_hours(24)
        .stream_creation_timestamp(aws_smithy_types::DateTime::from_secs(0))
        .open_shard_count(1);
    with(active.set_enhanced_monitoring(Some(Vec::new()))).build().unwrap()
}

#[test]
fn a_stream_that_takes_records_by_key_is_written_to() {
    for status in [StreamStatus::Active, StreamStatus::Updating] {
        assert_eq!(check(&summary(|stream| stream.stream_status(status)), LargeRecords::ClaimCheck), Ok(RECORD_LIMIT));
    }
    let by_key = summary(|stream| stream.record_distribution_strategy(RecordDistributionStrategy::UserPartitionKey));
    assert_eq!(check(&by_key, LargeRecords::Quarantine), Ok(RECORD_LIMIT));
}

#[test]
fn a_stream_that_would_lose_the_order_is_refused_with_the_reason() {
    let auto = summary(|stream| stream.record_distribution_strategy(RecordDistributionStrategy::Auto));
    let reason = check(&auto, LargeRecords::ClaimCheck).unwrap_err();
    assert!(reason.contains("would not stay in order") && reason.contains("USER_PARTITION_KEY"), "{reason}");
}

#[test]
fn a_stream_that_is_not_there_yet_or_no_longer_is_refused() {
    for (status, expected) in [(StreamStatus::Creating, "being created"), (StreamStatus::Deleting, "being deleted")] {
        let reason = check(&summary(|stream| stream.stream_status(status)), LargeRecords::ClaimCheck).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn larger_records_are_sent_only_to_a_stream_that_takes_them() {
    let sized = |kib| check(&summary(|stream| stream.max_record_size_in_kib(kib)), LargeRecords::Raise);
    assert_eq!(sized(10240), Ok(10 << 20));
    assert_eq!(sized(2048), Ok(2 << 20));
    assert!(sized(1024).unwrap_err().contains("UpdateMaxRecordSize"));
    assert!(check(&summary(|stream| stream), LargeRecords::Raise).is_err());
    assert_eq!(check(&summary(|stream| stream.max_record_size_in_kib(10240)), LargeRecords::ClaimCheck), Ok(RECORD_LIMIT));
}

#[test]
fn a_key_that_cannot_be_used_is_told_apart_from_a_permission_of_the_stream() {
    let mut error = AwsError::of("PutRecords", Failure::Denied, "told");
    assert!(route_error("put".into(), error).to_string().contains("kinesis:PutRecords"));
    error = AwsError::of("PutRecords", Failure::Denied, "told");
    error.code = "KMSAccessDeniedException".into();
    assert!(route_error("put".into(), error).to_string().contains("kms:GenerateDataKey"));
}
