//! Webhooks that fail, hang and redirect.

use headwater::lease::notice::Belief;

use super::receiver::{Answer, Receiver};
use super::world::{DEADLINE, Log, World};
use crate::support::wait_until;

/// What stands in the address and nowhere else.
const SECRET: &str = "T0p-secret";

#[tokio::test]
async fn a_message_is_tried_again_until_it_is_taken_and_nobody_else_gets_it_twice() {
    let (world, receiver, log) = (World::new().await, Receiver::start().await, Log::listen());
    receiver.answer([Answer::Status(500), Answer::Status(429), Answer::Status(404), Answer::Status(204)]);
    world.lose("shard-1").await;
    let mut worker = world.worker("one", &receiver.url(&format!("/{SECRET}")));
    wait_until(DEADLINE, "the message is taken", async || {
        worker.look().await;
        world.notices().await[0].beliefs["webhook"] == Belief::Raised
    })
    .await;
    worker.look().await;
    assert_eq!(receiver.states(), ["raised"; 4]);
    let post = &receiver.posts()[3];
    assert_eq!((post.path.as_str(), post.content_type.as_str()), (format!("/{SECRET}").as_str(), "application/json"));
    assert_eq!(post.body["app"], "headwater");
    assert_eq!(log.notifications().len(), 1, "the log was told once: {}", log.text());
    assert!(log.text().contains("500 Internal Server Error"), "{}", log.text());
    assert!(!log.text().contains(SECRET), "{}", log.text());
}

#[tokio::test]
async fn a_message_that_is_refused_holds_up_no_other_one() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    receiver.answer([Answer::Status(400)]);
    world.lose("shard-1").await;
    world.lose("shard-2").await;
    world.worker("one", &receiver.url("/")).look().await;
    let mut believed: Vec<_> = world.notices().await.iter().map(|notice| notice.beliefs.get("webhook").copied()).collect();
    believed.sort_by_key(Option::is_some);
    assert_eq!(believed, [None, Some(Belief::Raised)]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (world, receiver, elsewhere, log) = (World::new().await, Receiver::start().await, Receiver::start().await, Log::listen());
    receiver.answer([Answer::RedirectTo(elsewhere.url("/"))]);
    world.lose("shard-1").await;
    world.worker("one", &receiver.url(&format!("/{SECRET}"))).look().await;
    assert_eq!((receiver.posts().len(), elsewhere.posts().len()), (1, 0));
    assert_eq!(world.notices().await[0].beliefs.get("webhook"), None, "it was not taken");
    assert!(log.text().contains("redirects are not followed") && !log.text().contains(SECRET), "{}", log.text());
}

#[tokio::test]
async fn a_webhook_that_hangs_is_given_up_for_this_look_and_holds_up_nobody() {
    let (world, receiver, log) = (World::new().await, Receiver::start().await, Log::listen());
    receiver.answer([Answer::Silence, Answer::Silence]);
    world.lose("shard-1").await;
    world.lose("shard-2").await;
    let mut worker = world.worker("one", &receiver.url(&format!("/{SECRET}")));
    tokio::time::timeout(DEADLINE, worker.look()).await.expect("a look is bounded");
    assert_eq!(receiver.posts().len(), 1, "it was not waited for twice");
    assert_eq!(log.notifications().len(), 2, "the log was told of both: {}", log.text());
    assert!(log.text().contains("no answer within 10s") && !log.text().contains(SECRET), "{}", log.text());
    let believed: Vec<_> = world.notices().await.iter().map(|notice| notice.beliefs.get("webhook").copied()).collect();
    assert!(believed.contains(&Some(Belief::Unsure)) && believed.contains(&None), "{believed:?}");
}

#[tokio::test]
async fn nobody_there_is_told_without_the_address() {
    let (world, log) = (World::new().await, Log::listen());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    world.lose("shard-1").await;
    world.worker("one", &format!("http://user:{SECRET}@{nobody}/{SECRET}?key={SECRET}")).look().await;
    assert_eq!(log.notifications().len(), 1);
    assert!(log.text().contains("a receiver did not take a notification") && !log.text().contains(SECRET), "{}", log.text());
}
