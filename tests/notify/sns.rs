//! A topic of SNS, on a stand-in that passes messages on to HTTP subscribers by their filters.

use std::time::Duration;

use aws_sdk_sns::Client;
use headwater::config::NotifySettings;
use headwater::lease::notice::Belief;
use serde_json::Value;

use super::receiver::Receiver;
use super::world::{DEADLINE, Log, World};
use crate::support::moto::Moto;
use crate::support::wait_until;

fn settings(topic: &str, webhook: Option<&str>) -> NotifySettings {
    NotifySettings {
        sns_topic_arn: Some(topic.to_owned()),
        webhook: webhook.map(|url| url.parse().unwrap()),
        trim_warning: Duration::from_hours(6),
    }
}

async fn topic(client: &Client, name: &str) -> String {
    client.create_topic().name(name).send().await.unwrap().topic_arn.unwrap()
}

/// Passes what the filter lets through on to a path of the receiver.
async fn subscribe(client: &Client, topic: &str, receiver: &Receiver, path: &str, filter: &str) {
    let subscribe = client.subscribe().topic_arn(topic).protocol("http").endpoint(receiver.url(path));
    subscribe.attributes("FilterPolicy", filter).send().await.unwrap();
}

/// The messages that reached a path: subject lines, and what they hold.
fn messages(receiver: &Receiver, path: &str) -> Vec<(String, Value)> {
    let posts = receiver.posts().into_iter().filter(|post| post.path == path);
    let text = |body: &Value, field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field} in {body}")).to_owned();
    posts.map(|post| (text(&post.body, "Subject"), serde_json::from_str(&text(&post.body, "Message")).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_choose_by_kind_and_state_and_get_each_message_once() {
    let (world, moto, receiver) = (World::new().await, Moto::start().await, Receiver::start().await);
    let client = Client::new(&moto.sdk_config());
    let topic = topic(&client, "headwater").await;
    for (path, filter) in
        [("/raised", r#"{"state": ["raised"]}"#), ("/cleared", r#"{"state": ["cleared"]}"#), ("/quarantine", r#"{"kind": ["quarantine"]}"#)]
    {
        subscribe(&client, &topic, &receiver, path, filter).await;
    }
    let gap = world.lose("shard-1").await;
    let mut workers = ["one", "other"].map(|owner| world.worker_with(owner, &settings(&topic, None), &moto.sdk_config()));
    for lasts in [true, false] {
        if !lasts {
            world.bring_back(&gap).await;
        }
        for _ in 0..3 {
            let [one, other] = &mut workers;
            tokio::join!(one.look(), other.look());
        }
    }
    wait_until(DEADLINE, "the messages are passed on", async || receiver.posts().len() >= 2).await;
    let (raised, cleared) = (messages(&receiver, "/raised"), messages(&receiver, "/cleared"));
    assert_eq!((raised.len(), cleared.len(), messages(&receiver, "/quarantine").len()), (1, 1, 0));
    assert_eq!(raised[0].0, "headwater raised: gap of orders");
    assert_eq!((&raised[0].1["app"], &raised[0].1["subject"]), (&Value::from("headwater"), &cleared[0].1["subject"]));
    assert!(world.notices().await.is_empty());
}

#[tokio::test]
async fn a_topic_that_is_missing_holds_up_no_webhook_and_is_told_once_it_is_there() {
    let (world, moto, receiver) = (World::new().await, Moto::start().await, Receiver::start().await);
    let client = Client::new(&moto.sdk_config());
    let arn = topic(&client, "headwater").await;
    client.delete_topic().topic_arn(&arn).send().await.unwrap();
    world.lose("shard-1").await;
    let log = Log::listen();
    let mut worker = world.worker_with("one", &settings(&arn, Some(&receiver.url("/webhook"))), &moto.sdk_config());
    worker.look().await;
    assert_eq!(receiver.states(), ["raised"]);
    assert!(log.text().contains("Publish") && log.text().contains("NotFound"), "{}", log.text());
    topic(&client, "headwater").await;
    subscribe(&client, &arn, &receiver, "/topic", r#"{"state": ["raised"]}"#).await;
    wait_until(DEADLINE, "the topic is told", async || {
        worker.look().await;
        !messages(&receiver, "/topic").is_empty()
    })
    .await;
    worker.look().await;
    let posts = receiver.posts();
    let to = |path: &str| posts.iter().filter(|post| post.path == path).count();
    assert_eq!((to("/topic"), to("/webhook")), (1, 1));
}

#[tokio::test]
async fn a_topic_that_keeps_an_order_is_told_as_well() {
    let (world, moto) = (World::new().await, Moto::start().await);
    let client = Client::new(&moto.sdk_config());
    let topic = client.create_topic().name("headwater.fifo").attributes("FifoTopic", "true").send().await.unwrap().topic_arn.unwrap();
    world.lose("shard-1").await;
    world.worker_with("one", &settings(&topic, None), &moto.sdk_config()).look().await;
    assert_eq!(world.notices().await[0].beliefs.get("sns"), Some(&Belief::Raised));
}
