//! Asking DynamoDB for an export, waiting for it, and finding out where it lies.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{ExportDescription, ExportFormat, ExportStatus, ExportType, ExportViewType, IncrementalExportSpecification};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::retry::{Cause, RetryPolicy, Transient, retry};

/// An export takes minutes at least.
const POLL: Duration = Duration::from_secs(10);

/// What is to be exported, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    /// The table's ARN.
    pub table_arn: String,
    /// The bucket.
    pub bucket: String,
    /// The account that the bucket belongs to, if it is another one than the table's.
    pub bucket_owner: Option<String>,
    /// What the keys begin with; may be empty.
    pub prefix: String,
    /// The same request with the same token is the same export, for eight hours: what makes asking again safe.
    pub token: String,
    /// How much of the table.
    pub extent: Extent,
}

/// How much of a table is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every item, as of now.
    Whole,
    /// What was written within a time: at least 15 minutes, at most a day.
    Changes {
        /// From here on, in seconds since the epoch.
        from: i64,
        /// Up to here, not included; up to the latest possible time if it is none.
        to: Option<i64>,
    },
}

/// There is no export to read, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Exports are made from the backups of point-in-time recovery.
    #[error(
        "table {0} has no point-in-time recovery, which exports are made from: enable it with `aws dynamodb update-continuous-backups \
         --table-name {0} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true`, or take a snapshot without an export"
    )]
    NoRecovery(String, #[source] AwsError),
    /// The token was used, or the bucket is being written to.
    #[error("the export conflicts with another one: wait until that is done, then begin a new one")]
    Conflict(#[source] AwsError),
    /// Before point-in-time recovery was enabled, or later than its latest time.
    #[error(
        "point-in-time recovery does not reach the time of the export: see EarliestRestorableDateTime and LatestRestorableDateTime of `aws \
         dynamodb describe-continuous-backups --table-name {0}`, and choose a time between them"
    )]
    Time(String, #[source] AwsError),
    /// Too many at a time.
    #[error("the account has as many exports as it may have at a time: wait until one is done, see `aws dynamodb list-exports`")]
    Limit(#[source] AwsError),
    /// It is not finished.
    #[error("export {0} is still being written: wait until `aws dynamodb describe-export --export-arn {0}` says COMPLETED")]
    Running(String),
    /// DynamoDB gave up on it.
    #[error("export {arn} failed, {code}: {message}")]
    Failed {
        /// Which.
        arn: String,
        /// DynamoDB's code.
        code: String,
        /// DynamoDB's words.
        message: String,
    },
    /// Its rows may be parts of items.
    #[error("export {0} was filtered, so its rows may be without some attributes: export the table without a filter")]
    Filtered(String),
    /// Anything else.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl Transient for ExportError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Aws(error) if error.is_transient())
    }

    fn cause(&self) -> Cause {
        if let Self::Aws(error) = self { error.cause() } else { Cause::Unavailable }
    }
}

/// Asks for an export in DynamoDB JSON, and returns its ARN. Asking again with the same request is safe.
pub async fn begin(client: &Client, request: &ExportRequest) -> Result<String, ExportError> {
    let asked = || async {
        let (kind, changes) = match request.extent {
            Extent::Whole => (ExportType::FullExport, None),
            Extent::Changes { from, to } => {
                let changes = IncrementalExportSpecification::builder()
                    .export_from_time(DateTime::from_secs(from))
                    .set_export_to_time(to.map(DateTime::from_secs))
                    .export_view_type(ExportViewType::NewImage);
                (ExportType::IncrementalExport, Some(changes.build()))
            }
        };
        let answer = client
            .export_table_to_point_in_time()
            .table_arn(&request.table_arn)
            .s3_bucket(&request.bucket)
            .set_s3_bucket_owner(request.bucket_owner.clone())
            .set_s3_prefix(Some(request.prefix.trim_matches('/').to_owned()).filter(|prefix| !prefix.is_empty()))
            .client_token(&request.token)
            .export_format(ExportFormat::DynamodbJson)
            .export_type(kind)
            .set_incremental_export_specification(changes)
            .send()
            .await;
        answer.map_err(|error| refusal(&request.table_arn, AwsError::new("ExportTableToPointInTime", &request.table_arn, &error)))
    };
    let answer = retry(RetryPolicy::START_UP, &CancellationToken::new(), asked).await?;
    let arn = answer.export_description.and_then(|export| export.export_arn);
    Ok(arn.ok_or_else(|| AwsError::of("ExportTableToPointInTime", Failure::Unavailable, "the answer has no ARN of an export"))?)
}

fn refusal(table_arn: &str, error: AwsError) -> ExportError {
    let table = || table_arn.rsplit_once("table/").map_or(table_arn, |(_, table)| table).to_owned();
    match error.code.as_ref() {
        "PointInTimeRecoveryUnavailableException" => ExportError::NoRecovery(table(), error),
        "ExportConflictException" => ExportError::Conflict(error),
        "InvalidExportTimeException" => ExportError::Time(table(), error),
        "LimitExceededException" => ExportError::Limit(error),
        _ => ExportError::Aws(error),
    }
}

/// Waits until an export is complete, and returns where it lies, for [`open`](super::open). `progress` is told how long that has taken whenever
/// DynamoDB says that it is not done. Dropping the future ends the waiting, not the export.
pub async fn wait(client: &Client, arn: &str, mut progress: impl FnMut(Duration)) -> Result<String, ExportError> {
    let begun = Instant::now();
    loop {
        match locate(client, arn).await {
            Err(ExportError::Running(_)) => progress(begun.elapsed()),
            done => return done,
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Where a complete export lies, for [`open`](super::open).
pub async fn locate(client: &Client, arn: &str) -> Result<String, ExportError> {
    let asked = || async {
        let answer = client.describe_export().export_arn(arn).send().await;
        answer.map_err(|error| AwsError::new("DescribeExport", arn, &error))
    };
    let answer = retry(RetryPolicy::SERVICE, &CancellationToken::new(), asked).await?;
    let unclear = |what: &str| AwsError::of("DescribeExport", Failure::Unavailable, format!("the answer has no {what} of {arn}"));
    let export = answer.export_description.ok_or_else(|| unclear("description"))?;
    match &export.export_status {
        Some(ExportStatus::Completed) => {}
        Some(ExportStatus::Failed) => {
            return Err(ExportError::Failed {
                arn: arn.to_owned(),
                code: export.failure_code.unwrap_or_else(|| "without a code".to_owned()),
                message: export.failure_message.unwrap_or_else(|| "DynamoDB gives no reason".to_owned()),
            });
        }
        _ => return Err(ExportError::Running(arn.to_owned())),
    }
    if export.filter_specification.is_some() {
        return Err(ExportError::Filtered(arn.to_owned()));
    }
    location(arn, &export).ok_or_else(|| unclear("bucket").into())
}

/// The folder of the export's manifest; without one, where the documentation says that it is.
fn location(arn: &str, export: &ExportDescription) -> Option<String> {
    let bucket = export.s3_bucket.as_deref()?;
    let folder = if let Some((folder, _)) = export.export_manifest.as_deref().and_then(|manifest| manifest.rsplit_once('/')) {
        folder.to_owned()
    } else {
        let prefix = export.s3_prefix.as_deref().unwrap_or_default().trim_matches('/');
        let (_, id) = arn.rsplit_once('/')?;
        format!("{prefix}/AWSDynamoDB/{id}").trim_start_matches('/').to_owned()
    };
    Some(format!("s3://{bucket}/{folder}"))
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sdk_dynamodb::config::retry::RetryConfig;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use serde_json::{Value, json};

    use super::*;

    const TABLE: &str = "arn:aws:dynamodb:us-east-1:1:table/orders";
    const ARN: &str = "arn:aws:dynamodb:us-east-1:1:table/orders/export/01-ab";

    /// A client that is given these answers, one after another.
    fn dynamodb(answers: &[(u16, Value)]) -> (Client, StaticReplayClient) {
        let events = answers.iter().map(|(status, body)| {
            let response = HttpResponse::new((*status).try_into().unwrap(), SdkBody::from(body.to_string()));
            ReplayEvent::new(HttpRequest::new(SdkBody::empty()), response)
        });
        let http = StaticReplayClient::new(events.collect());
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .retry_config(RetryConfig::disabled())
            .http_client(http.clone())
            .build();
        (Client::from_conf(config), http)
    }

    fn described(fields: &Value) -> (u16, Value) {
        (200, json!({ "ExportDescription": fields }))
    }

    fn refused(code: &str) -> (u16, Value) {
        (400, json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "the service's words" }))
    }

    fn request(extent: Extent) -> ExportRequest {
        let text = |text: &str| text.to_owned();
        let (table_arn, bucket, prefix, token) = (text(TABLE), text("backups"), text("exports/"), text("snapshot-1"));
        ExportRequest { table_arn, bucket, bucket_owner: None, prefix, token, extent }
    }

    async fn sent(extent: Extent) -> Value {
        let (client, http) = dynamodb(&[described(&json!({"ExportArn": ARN, "ExportStatus": "IN_PROGRESS"}))]);
        assert_eq!(begin(&client, &request(extent)).await.unwrap(), ARN);
        let sent = http.actual_requests().next().unwrap().body().bytes().unwrap().to_vec();
        serde_json::from_slice(&sent).unwrap()
    }

    #[tokio::test]
    async fn an_export_is_asked_for_with_a_token_so_that_asking_again_is_safe() {
        let expected = json!({
            "TableArn": TABLE, "S3Bucket": "backups", "S3Prefix": "exports", "ClientToken": "snapshot-1", "ExportFormat": "DYNAMODB_JSON",
            "ExportType": "FULL_EXPORT"
        });
        assert_eq!(sent(Extent::Whole).await, expected);
    }

    #[tokio::test]
    async fn changes_are_asked_for_with_their_time() {
        let sent = sent(Extent::Changes { from: 1_795_230_000, to: Some(1_795_233_600) }).await;
        assert_eq!(sent["ExportType"], "INCREMENTAL_EXPORT");
        let specification = json!({"ExportFromTime": 1_795_230_000, "ExportToTime": 1_795_233_600, "ExportViewType": "NEW_IMAGE"});
        assert_eq!(sent["IncrementalExportSpecification"], specification);
    }

    #[tokio::test]
    async fn a_refusal_says_what_to_do() {
        for (code, advice) in [
            ("PointInTimeRecoveryUnavailableException", "aws dynamodb update-continuous-backups --table-name orders"),
            ("ExportConflictException", "wait until that is done"),
            ("InvalidExportTimeException", "aws dynamodb describe-continuous-backups --table-name orders"),
            ("LimitExceededException", "aws dynamodb list-exports"),
            ("TableNotFoundException", "the service's words"),
        ] {
            let (client, _) = dynamodb(&[refused(code)]);
            let error = begin(&client, &request(Extent::Whole)).await.unwrap_err();
            assert!(error.to_string().contains(advice), "{code}: {error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_export_is_waited_for_until_it_has_a_place() {
        let running = || described(&json!({"ExportStatus": "IN_PROGRESS"}));
        let done = json!({
            "ExportStatus": "COMPLETED", "S3Bucket": "backups", "S3Prefix": "exports",
            "ExportManifest": "exports/AWSDynamoDB/01-ab/manifest-files.json"
        });
        let (client, _) = dynamodb(&[running(), running(), described(&done)]);
        let mut told = Vec::new();
        let location = wait(&client, ARN, |waited| told.push(waited.as_secs())).await.unwrap();
        assert_eq!(location, "s3://backups/exports/AWSDynamoDB/01-ab");
        assert_eq!(told, [0, POLL.as_secs()]);
    }

    #[tokio::test]
    async fn without_a_manifest_the_place_is_made_of_the_arn() {
        for (prefix, expected) in [(Value::Null, "s3://b/AWSDynamoDB/01-ab"), (json!("x/y/"), "s3://b/x/y/AWSDynamoDB/01-ab")] {
            let (client, _) = dynamodb(&[described(&json!({"ExportStatus": "COMPLETED", "S3Bucket": "b", "S3Prefix": prefix}))]);
            assert_eq!(locate(&client, ARN).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn an_export_that_cannot_be_read_has_no_place() {
        for (fields, expected) in [
            (json!({"ExportStatus": "IN_PROGRESS"}), "is still being written"),
            (json!({"ExportStatus": "FAILED", "FailureCode": "S3NoSuchBucket", "FailureMessage": "gone"}), "failed, S3NoSuchBucket: gone"),
            (json!({"ExportStatus": "COMPLETED", "FilterSpecification": {"FilterExpression": "a = :a"}}), "was filtered"),
        ] {
            let (client, _) = dynamodb(&[described(&fields)]);
            let error = locate(&client, ARN).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
