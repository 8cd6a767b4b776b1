//! What is missing or not allowed ends the command with an exit code and with words that say what to do.

use super::{CONFIG, DELIVERY_STREAM, DONE, FAILED, KINESIS, LAKE_CONFIG, create_table, init, outcome};
use crate::support::stand_ins::StandIns;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_starts_without_what_is_needed_is_told_what_to_do() {
    let stack = StandIns::start().await;
    create_table(&stack).await;
    wrong_credentials(&stack).await;
    let (code, words) = init(&stack, CONFIG, &[]).await;
    assert_eq!(code, DONE, "{words}");
    missing_delivery_stream(&stack).await;
    missing_kinesis_stream(&stack).await;
    stack.stop().await;
}

/// DynamoDB Local looks at the form of the key. ministack looks at no credentials: tests of the lake do, on another S3.
async fn wrong_credentials(stack: &StandIns) {
    let ill_formed = [("AWS_ACCESS_KEY_ID", "head-water")];
    for command in [["init", "--config", CONFIG], ["run", "--config", CONFIG]] {
        let (code, words) = outcome(stack.headwater_with(&ill_formed, &command)).await;
        assert_eq!(code, FAILED, "{words}");
        assert!(words.contains("credentials") && words.contains("UnrecognizedClientException"), "{words}");
    }
}

async fn missing_delivery_stream(stack: &StandIns) {
    let client = aws_sdk_firehose::Client::new(&stack.services());
    client.delete_delivery_stream().delivery_stream_name(DELIVERY_STREAM).send().await.unwrap();
    let (code, words) = outcome(stack.headwater(&["run", "--config", CONFIG])).await;
    assert_eq!(code, FAILED, "{words}");
    assert!(
        words.contains("check delivery stream 'sales-orders': there is no such delivery stream: create it or run `headwater init`"),
        "{words}"
    );
}

async fn missing_kinesis_stream(stack: &StandIns) {
    let client = aws_sdk_kinesis::Client::new(&stack.services());
    client.delete_stream().stream_name(KINESIS).send().await.unwrap();
    let capture = ["run", "--config", CONFIG, "--stage", "capture"];
    let deliver = ["run", "--config", LAKE_CONFIG, "--stage", "deliver"];
    for (command, expected) in [
        (capture, "open the Kinesis stream 'sales-orders': the stream does not exist: create it or run `headwater init`"),
        (deliver, "describe the Kinesis stream 'sales-orders': create it (`headwater init`)"),
    ] {
        let (code, words) = outcome(stack.headwater(&command)).await;
        assert_eq!(code, FAILED, "{words}");
        assert!(words.contains(expected) && words.contains("ResourceNotFoundException"), "{words}");
    }
}
