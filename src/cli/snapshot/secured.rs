//! Whether a snapshot can be asked for: somebody must read the table's stream, or what changes during the snapshot might be lost.

use aws_config::SdkConfig;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::clock::{ServiceClock, WallClock};
use crate::lease::Checkpoint;
use crate::lease::table::{Contents, LeaseTable};
use crate::retry::{RetryPolicy, retry};
use crate::stream::TableInfo;
use crate::stream::dynamodb::TableStreams;

/// Nobody reads the table's stream, so changes that are made during a snapshot might be lost.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSecured {
    #[error(
        "table '{0}' has no stream that is enabled: enable one with the view type NEW_AND_OLD_IMAGES, start `headwater run`, then ask again"
    )]
    NoStream(String),
    #[error(
        "the lease table '{application}' has no lease on a shard of the stream that table '{table}' has now: no worker has begun to read it, so \
         nothing keeps what is changed during the snapshot. Start `headwater run` first, then ask again"
    )]
    NoLeases { table: String, application: String },
}

/// Looks at the table and at the lease table. An error says why no snapshot can be asked for.
pub(in crate::cli) async fn secured(sdk: &SdkConfig, table: &str, leases: &LeaseTable) -> anyhow::Result<(TableInfo, Contents)> {
    let info = describe(sdk, table).await?;
    let contents = super::read(leases).await?;
    check(table, leases.name(), &info, &contents)?;
    Ok((info, contents))
}

async fn describe(sdk: &SdkConfig, table: &str) -> anyhow::Result<TableInfo> {
    let api = TableStreams::new(sdk, table, ServiceClock::new(WallClock::system()));
    let described = retry(RetryPolicy::START_UP, &CancellationToken::new(), || api.table()).await;
    described.map_err(|error: AwsError| match error.failure {
        Failure::NotFound => anyhow::Error::new(error)
            .context(format!("table '{table}' does not exist: correct table.name, AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB")),
        _ => anyhow::Error::new(error).context(format!("describe table '{table}'")),
    })
}

/// Whether somebody reads the stream, or has begun to: then leases say from where, and no change of the time to come is lost.
fn check(table: &str, application: &str, info: &TableInfo, contents: &Contents) -> Result<(), NotSecured> {
    let Some(stream) = info.stream.as_ref().filter(|stream| stream.enabled) else {
        return Err(NotSecured::NoStream(table.to_owned()));
    };
    let of_stream = contents.leases.iter().filter(|lease| lease.stream == stream.arn);
    if of_stream.filter(|lease| lease.checkpoint != Checkpoint::ShardEnd).count() == 0 {
        return Err(NotSecured::NoLeases { table: table.to_owned(), application: application.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AttributeType, ShardId};
    use crate::lease::Lease;
    use crate::stream::{StreamArn, StreamInfo, View};

    fn table(enabled: bool) -> TableInfo {
        let stream = StreamInfo { arn: StreamArn::new("arn"), enabled, retention: 86_400 };
        TableInfo { keys: vec![("id".into(), AttributeType::S)], stream: Some(stream), view: View::NewAndOldImages }
    }

    fn leases(checkpoint: Checkpoint) -> Contents {
        let lease = Lease::new(ShardId::new("s"), StreamArn::new("arn"), checkpoint);
        Contents { leases: vec![lease], ..Contents::default() }
    }

    #[test]
    fn a_snapshot_needs_somebody_who_keeps_the_changes_made_meanwhile() {
        let check = |info: &TableInfo, contents: &Contents| {
            super::check("orders", "headwater-orders", info, contents).map_err(|error| error.to_string())
        };
        assert_eq!(check(&table(true), &leases(Checkpoint::TrimHorizon)), Ok(()), "a lease without an owner keeps its place too");
        let nobody = check(&table(true), &Contents::default()).unwrap_err();
        assert!(nobody.contains("'headwater-orders'") && nobody.contains("Start `headwater run` first"), "{nobody}");
        assert_eq!(check(&table(true), &leases(Checkpoint::ShardEnd)), Err(nobody), "what is read to its end keeps nothing");
        let of_another =
            TableInfo { stream: Some(StreamInfo { arn: StreamArn::new("new"), enabled: true, retention: 86_400 }), ..table(true) };
        assert!(check(&of_another, &leases(Checkpoint::TrimHorizon)).is_err(), "what is read is the stream before this one");
        let disabled = check(&table(false), &leases(Checkpoint::TrimHorizon)).unwrap_err();
        assert!(disabled.contains("NEW_AND_OLD_IMAGES"), "{disabled}");
    }
}
