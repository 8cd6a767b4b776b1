//! An independent reader of Kinesis streams: the plain AWS SDK, every shard from its trim horizon, and Amazon's library for aggregated
//! records.

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{Shard, ShardIteratorType};
use serde_json::Value;

use super::kinesis_agg;

/// What every line of ours begins with, and no aggregated record.
const LINE: u8 = b'{';
/// A page without records, at the tip of a shard that is still open, is the end of it. Stand-ins have no gaps between records.
const AT_THE_TIP: Option<i64> = Some(0);

/// The shards of the stream, open and closed.
pub(crate) async fn shards(config: &SdkConfig, stream: &str) -> Vec<Shard> {
    // The stand-ins list them all at once.
    Client::new(config).list_shards().stream_name(stream).send().await.unwrap().shards.unwrap()
}

/// The event ids of all changes in the stream, in no order, as often as they are in it.
pub(crate) async fn event_ids(config: &SdkConfig, stream: &str) -> Vec<String> {
    let client = Client::new(config);
    let mut lines = Vec::new();
    for shard in shards(config, stream).await {
        let (plain, aggregated): (Vec<_>, Vec<_>) =
            records(&client, stream, &shard.shard_id).await.into_iter().partition(|data| data.first() == Some(&LINE));
        lines.extend(plain);
        lines.extend(kinesis_agg::unpack(&aggregated).await.into_iter().flatten().map(|record| record.data));
    }
    lines.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap()["cdc_event_id"].as_str().unwrap().to_owned()).collect()
}

/// The data of every record in the shard, in order.
pub(crate) async fn records(client: &Client, stream: &str, shard: &str) -> Vec<Vec<u8>> {
    let start = client.get_shard_iterator().stream_name(stream).shard_id(shard).shard_iterator_type(ShardIteratorType::TrimHorizon);
    let mut position = start.send().await.unwrap().shard_iterator;
    let mut records = Vec::new();
    while let Some(iterator) = position {
        let page = client.get_records().shard_iterator(iterator).send().await.unwrap();
        let at_the_end = page.records().is_empty() && page.millis_behind_latest() == AT_THE_TIP;
        records.extend(page.records.into_iter().map(|record| record.data.into_inner()));
        position = page.next_shard_iterator.filter(|_| !at_the_end);
    }
    records
}
