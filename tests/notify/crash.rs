//! A worker that is gone in the middle of telling: another one goes on, and nobody is left uninformed.

use std::collections::BTreeMap;

use headwater::clock::unix_seconds;
use headwater::lease::gap::Gap;
use headwater::lease::notice::{Belief, Notice, NoticeKind};

use super::receiver::{Answer, Receiver};
use super::world::{DEADLINE, STAGE, World};
use crate::support::wait_until;

/// The notice of a gap as a worker left it that is gone.
async fn left_behind(world: &World, gap: &Gap, open: bool, webhook: Option<Belief>) {
    let notice = Notice {
        version: 0,
        kind: NoticeKind::Gap,
        subject: gap.key.strip_prefix("gap/").unwrap().to_owned(),
        stage: STAGE.to_owned(),
        since: unix_seconds(),
        open,
        beliefs: webhook.map(|belief| BTreeMap::from([("webhook".to_owned(), belief)])).unwrap_or_default(),
        teller: Some("gone".to_owned()),
        summary: "s".to_owned(),
        action: "a".to_owned(),
        details: serde_json::Map::new(),
    };
    assert!(world.leases().write_notice(None, notice).await.unwrap().is_some());
}

#[tokio::test]
async fn a_message_that_may_not_have_arrived_is_sent_again_by_another_worker() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    receiver.answer([Answer::Silence]);
    let gap = world.lose("shard-1").await;
    let mut one = world.worker("one", &receiver.url("/"));
    let looking = tokio::spawn(async move { one.look().await });
    wait_until(DEADLINE, "the message is on its way", async || receiver.posts().len() == 1).await;
    looking.abort();
    assert!(looking.await.unwrap_err().is_cancelled());

    let mut other = world.worker("other", &receiver.url("/"));
    other.look().await;
    assert_eq!(receiver.states(), ["raised"], "the first worker may still be at it");
    wait_until(DEADLINE, "another worker sends it", async || {
        other.look().await;
        receiver.states().len() > 1
    })
    .await;
    assert_eq!(receiver.states(), ["raised", "raised"]);
    world.bring_back(&gap).await;
    other.look().await;
    other.look().await;
    assert_eq!(receiver.states(), ["raised", "raised", "cleared"]);
    assert!(world.notices().await.is_empty());
}

#[tokio::test]
async fn wherever_a_worker_ended_receivers_come_to_believe_what_is_true() {
    let unsure = Some(Belief::Unsure);
    for (what, open, belief, lasts, expected) in [
        ("before the message was sent", true, None, true, &["raised"][..]),
        ("between the message and its note", true, unsure, true, &["raised"]),
        ("between the message and its note, and then it was over", true, unsure, false, &["cleared"]),
        ("before any message, and then it was over", true, None, false, &[]),
        ("before it told that it is over", false, Some(Belief::Raised), false, &["cleared"]),
        ("between telling that it is over and the note", false, unsure, false, &["cleared"]),
        ("between telling that it is over and the note, and then it was not", false, unsure, true, &["raised"]),
        ("before it told that it is over, and then it was not", false, Some(Belief::Raised), true, &[]),
    ] {
        let (world, receiver) = (World::new().await, Receiver::start().await);
        let gap = world.lose("shard-1").await;
        if !lasts {
            world.bring_back(&gap).await;
        }
        left_behind(&world, &gap, open, belief).await;
        let mut worker = world.worker("next", &receiver.url("/"));
        let mut settled = Vec::new();
        wait_until(DEADLINE, &format!("it is settled ({what})"), async || {
            worker.look().await;
            settled = world.notices().await;
            settled.iter().all(|notice| notice.teller.is_none())
        })
        .await;
        worker.look().await;
        assert_eq!(receiver.states(), expected, "{what}");
        let beliefs: Vec<_> = settled.iter().map(|notice| (notice.open, notice.beliefs.get("webhook").copied())).collect();
        let believed = [(true, Some(Belief::Raised))];
        assert_eq!(beliefs, if lasts { &believed[..] } else { &[] }, "{what}");
    }
}
