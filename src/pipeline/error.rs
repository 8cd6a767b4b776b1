//! Why the service cannot start.

use std::path::PathBuf;

use crate::aws::AwsError;
use crate::contract::ContractErrors;
use crate::lake::LakeError;
use crate::notify::InvalidWebhook;
use crate::route::RouteError;

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such table.
    #[error("table '{0}' does not exist: create it, or correct table.name, AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB")]
    MissingTable(String),
    /// The table has no stream.
    #[error("table '{0}' has no stream: enable one with the view type NEW_AND_OLD_IMAGES")]
    NoStream(String),
    /// The stream is disabled and everything it held has landed, or nothing is known of what it held.
    #[error("the stream of table '{0}' is disabled: enable it with the view type NEW_AND_OLD_IMAGES, then start again")]
    StreamDisabled(String),
    /// The stream does not carry what replication needs.
    #[error(
        "the stream of table '{table}' carries {view}, which is not enough to replicate the table: disable it and enable it again with the \
         view type NEW_AND_OLD_IMAGES (a stream's view type cannot be changed)"
    )]
    WrongView {
        /// The table.
        table: String,
        /// The view type, as the API spells it.
        view: &'static str,
    },
    /// The contract cannot be read.
    #[error("read the contract {path}")]
    ContractFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The contract has errors, or does not describe this table.
    #[error("{0}")]
    Contract(ContractErrors),
    /// DynamoDB refused or could not be reached.
    #[error(
        "{doing}: check AWS_REGION, the credentials and, for an endpoint that is not AWS's, AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_DYNAMODB_STREAMS"
    )]
    Aws {
        /// What was being done.
        doing: String,
        /// What happened.
        #[source]
        source: AwsError,
    },
    /// The Kinesis stream cannot be read.
    #[error(
        "describe the Kinesis stream '{stream}': create it (`headwater init`), or correct kinesis.stream, AWS_REGION or AWS_ENDPOINT_URL_KINESIS"
    )]
    Kinesis {
        /// The stream.
        stream: String,
        /// What happened.
        #[source]
        source: AwsError,
    },
    /// The leases are of another stream.
    #[error(
        "the lease table '{application}' is about {other}, not the Kinesis stream '{stream}': choose another deliver.application, or delete the \
         table if nothing of the other stream is left to be read"
    )]
    OtherStream {
        /// The lease table.
        application: String,
        /// The stream of the configuration.
        stream: String,
        /// The stream of the leases.
        other: String,
    },
    /// The route cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The lake refused or could not be reached.
    #[error("open the lake")]
    Lake(#[source] LakeError),
    /// Nobody could be told of what needs a person.
    #[error(transparent)]
    Webhook(#[from] InvalidWebhook),
}
