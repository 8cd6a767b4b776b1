//! What a client sees when something goes wrong, and what took effect all the same.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::journal::Event;
use crate::server::exchange;

#[tokio::test]
async fn a_reset_connection_leaves_no_effect() {
    let account = Account::new().await;
    account.always("PutObject", &json!("reset"));
    let mut stream = TcpStream::connect(account.server.address()).await.unwrap();
    stream.write_all(b"PUT /lake/a HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx").await.unwrap();
    let error = stream.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(account.object("a"), None);
    assert_eq!(account.faults.counts(), [("reset", 1)].into());
}

#[tokio::test]
async fn a_lost_answer_took_effect() {
    let account = Account::new().await;
    account.always("PutObject", &json!("lose_answer"));
    assert!(account.put("w", "a", "x").await.is_err());
    assert_eq!(account.object("a").unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_truncated_answer_ends_before_its_length() {
    let account = Account::new().await;
    account.put("w", "a", "0123456789").await.unwrap();
    account.always("GetObject", &json!("truncate"));
    let mut stream = TcpStream::connect(account.server.address()).await.unwrap();
    stream.write_all(b"GET /lake/a HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("content-length: 10"), "{head}");
    assert_eq!(body, "01234");
    assert!(account.send("w", "GET /lake/a", &[], "").await.is_err(), "a client notices");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_is_lost_instead_of_truncated() {
    let account = Account::new().await;
    account.always("PutObject", &json!("truncate"));
    assert!(account.put("w", "a", "x").await.is_err());
    assert_eq!(account.object("a").unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_comes_whole() {
    let account = Account::new().await;
    account.put("w", "a", "0123456789").await.unwrap();
    account.always("GetObject", &json!({"slow": {"pieces": 5, "ms": 1000}}));
    let begun = Instant::now();
    let reply = account.send("w", "GET /lake/a", &[], "").await.unwrap();
    assert_eq!(reply.text(), "0123456789");
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_took_effect() {
    let account = Account::new().await;
    account.always("PutObject", &json!({"hang": {}}));
    assert!(timeout(Duration::from_hours(1), account.put("w", "a", "x")).await.is_err());
    assert_eq!(account.object("a").unwrap(), "x");
    account.faults.clear();
    account.always("PutObject", &json!({"hang": {"ms": 60_000}}));
    let begun = Instant::now();
    assert_eq!(account.put("w", "a", "y").await.unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_arrives_after_its_sender_gave_up() {
    let account = Account::new().await;
    account.always("PutObject", &json!({"delay": {"ms": 10_000}}));
    assert!(timeout(Duration::from_secs(1), account.put("w", "a", "late")).await.is_err());
    assert_eq!(account.object("a"), None);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(account.object("a").unwrap(), "late");
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_takes_effect_in_order_when_its_pause_ends() {
    let account = Arc::new(Account::new().await);
    let end = account.cloud.clock.now() + 60_000;
    account.faults.pause("w1", end);
    let mut waiting = Vec::new();
    for body in ["1", "2", "3"] {
        let account = account.clone();
        waiting.push(tokio::spawn(async move { account.put("w1", "a", body).await.unwrap().status }));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    account.put("w2", "a", "other").await.unwrap();
    assert_eq!(account.writers(), ["w2 creates a (5 bytes)"], "others go on");
    for held in waiting {
        assert_eq!(held.await.unwrap(), 200);
    }
    assert!(account.cloud.clock.now() >= end);
    let entries = account.cloud.journal.since(1);
    assert!(entries.iter().all(|entry| entry.at >= end && entry.worker == "w1"));
    assert_eq!((entries.len(), account.object("a").unwrap()), (3, Bytes::from_static(b"3")));
    let begun = account.cloud.clock.now();
    account.put("w1", "a", "4").await.unwrap();
    assert!(account.cloud.clock.now() - begun < 1000, "the pause is over");
}

#[tokio::test(start_paused = true)]
async fn a_request_keeps_its_turn_though_the_pause_ends_before_it_is_looked_at() {
    let account = Account::new().await;
    let shared = account.shared();
    let put = |body: &'static str| {
        let head = Request::put("/lake/a").header("authorization", "AWS4-HMAC-SHA256 Credential=w/1").body(()).unwrap().into_parts().0;
        Box::pin(exchange::take(shared.clone(), head, Bytes::from_static(body.as_bytes())))
    };
    account.faults.pause("w", i64::MAX);
    let mut first = put("1");
    assert!(futures::poll!(&mut first).is_pending());
    account.faults.pause("w", account.cloud.clock.now());
    put("2").await.unwrap();
    first.await.unwrap();
    assert_eq!(account.object("a").unwrap(), "2", "who comes later writes last");
}

#[tokio::test(start_paused = true)]
async fn a_pause_can_be_cut_short() {
    let account = Arc::new(Account::new().await);
    account.faults.pause("w", i64::MAX);
    let held = tokio::spawn({
        let account = account.clone();
        async move { account.put("w", "a", "x").await.unwrap().status }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(account.object("a"), None);
    account.faults.pause("w", account.cloud.clock.now());
    assert_eq!(held.await.unwrap(), 200);
}

#[tokio::test]
async fn each_service_has_its_own_way_to_say_too_fast() {
    let account = Account::new().await;
    account.always("*", &json!({"throttle": "ProvisionedThroughputExceededException"}));
    let reply = account.put("w", "a", "x").await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("<Code>SlowDown</Code>"));
    assert_eq!(account.object("a"), None);
    let target = [("x-amz-target", "DynamoDBStreams_20120810.GetRecords")];
    let reply = account.send("w", "POST /", &target, "{}").await.unwrap();
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"));
}

#[tokio::test]
async fn a_conflict_is_told_only_to_conditional_writes() {
    let account = Account::new().await;
    account.always("PutObject", &json!("condition_fails"));
    assert_eq!(account.put("w", "a", "x").await.unwrap().status, 200);
    let reply = account.send("w", "PUT /lake/b", &[("if-none-match", "*")], "x").await.unwrap();
    assert_eq!(reply.status, 409);
    assert!(reply.text().contains("ConditionalRequestConflict"));
    assert_eq!(account.object("b"), None);
    assert_eq!(account.faults.counts(), [("condition_fails", 1)].into(), "where nothing went wrong, nothing is counted");
    let told = account.cloud.journal.since(0).into_iter().filter(|entry| matches!(entry.event, Event::Fault { .. })).count();
    assert_eq!(told, 1, "and nothing is told");
}

#[tokio::test]
async fn only_a_write_that_would_have_been_carried_out_counts_as_a_failed_condition() {
    let account = Account::new().await;
    let call = async |operation: &str, body: Value| {
        let target = format!("DynamoDB_20120810.{operation}");
        account.send("w", "POST /", &[("x-amz-target", &target)], body.to_string()).await.unwrap().status
    };
    let key = json!([{"AttributeName": "id", "KeyType": "HASH"}]);
    let definitions = json!([{"AttributeName": "id", "AttributeType": "S"}]);
    let table = json!({"TableName": "orders", "KeySchema": key, "AttributeDefinitions": definitions, "BillingMode": "PAY_PER_REQUEST"});
    assert_eq!(call("CreateTable", table).await, 200);
    account.always("*", &json!("condition_fails"));
    let put = |condition: &str| {
        let mut put = json!({"TableName": "orders", "Item": {"id": {"S": "a"}}});
        if !condition.is_empty() {
            put["ConditionExpression"] = json!(condition);
        }
        put
    };
    let transaction = |condition: &str| json!({"TransactItems": [{"Put": put(condition)}]});
    let mut seen = Vec::new();
    for (operation, body) in [
        ("PutItem", put("")),
        ("PutItem", put("attribute_not_exists(id)")),
        ("PutItem", put("attribute_exists(id)")),
        ("TransactWriteItems", transaction("attribute_not_exists(id)")),
        ("TransactWriteItems", transaction("attribute_exists(id)")),
    ] {
        let status = call(operation, body).await;
        seen.push((status, account.faults.counts().get("condition_fails").copied().unwrap_or_default()));
    }
    assert_eq!(seen, [(200, 0), (400, 0), (400, 1), (400, 1), (400, 2)]);
}
