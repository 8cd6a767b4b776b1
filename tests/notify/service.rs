//! The notifier as a part of the service.

use aws_sdk_dynamodb::Client;
use headwater::clock::WallClock;
use headwater::config;
use headwater::pipeline::Pipeline;
use tokio_util::sync::CancellationToken;

use super::receiver::Receiver;
use super::world::{DEADLINE, TABLE, World};
use crate::support::{table, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_made_a_service_stop_is_told_before_it_ends() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    table::create(&Client::new(&world.dynamo.sdk_config()), TABLE, "id").await;
    let text = format!(
        "[table]\nname = \"{TABLE}\"\n[lake]\nurl = \"{}\"\n[notify]\nwebhook = \"{}\"",
        world.folder.path().display(),
        receiver.url("/")
    );
    let settings = config::parse(&text, world.folder.path()).unwrap();
    for _ in 0..2 {
        let pipeline = Pipeline::build(&settings, &world.dynamo.sdk_config(), WallClock::system()).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(pipeline.run(stop.clone()));
        wait_until(DEADLINE, "the service reads", async || !world.leases().read().await.unwrap().leases.is_empty()).await;
        world.lose("shard-1").await;
        stop.cancel();
        running.await.unwrap().unwrap();
    }
    assert_eq!(receiver.states(), ["raised"], "by the first one, and not again by the second one");
}
