//! The SDK's own deserialiser as the oracle of [`parse_page`](crate::event::decode::parse_page).

use std::borrow::Cow;

use aws_sdk_dynamodbstreams as streams;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use proptest::collection::vec;
use proptest::prelude::*;

use super::arbitrary::{change, wire_page};
use super::{canonical, canonical_item};
use crate::event::decode::{Decoded, parse_page};
use crate::event::{Item, Value};

/// Answers every request with the same body.
#[derive(Debug, Clone)]
struct Canned(String);

impl HttpConnector for Canned {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        let status = aws_smithy_runtime_api::http::StatusCode::try_from(200_u16).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.0.as_str()))))
    }
}

fn sdk_page(body: &str) -> streams::operation::get_records::GetRecordsOutput {
    let canned = Canned(body.to_owned());
    let connector = move |_: &HttpConnectorSettings, _: &RuntimeComponents| SharedHttpConnector::new(canned.clone());
    let http_client: SharedHttpClient = http_client_fn(connector);
    let config = streams::Config::builder()
        .behavior_version(streams::config::BehaviorVersion::latest())
        .region(streams::config::Region::new("eu-west-1"))
        .credentials_provider(streams::config::Credentials::new("key", "secret", None, None, "test"))
        .http_client(http_client)
        .build();
    let call = streams::Client::from_conf(config).get_records().shard_iterator("iterator").send();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(call).unwrap()
}

fn item(attributes: &std::collections::HashMap<String, streams::types::AttributeValue>) -> Item<'_> {
    Item(attributes.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), convert(value))).collect())
}

fn convert(attribute: &streams::types::AttributeValue) -> Value<'_> {
    use streams::types::AttributeValue as Sdk;

    fn texts(members: &[String]) -> Vec<Cow<'_, str>> {
        members.iter().map(|member| Cow::Borrowed(member.as_str())).collect()
    }
    let base64 = |bytes: &aws_smithy_types::Blob| Cow::Owned(aws_smithy_types::base64::encode(bytes));
    match attribute {
        Sdk::S(text) => Value::S(text.as_str().into()),
        Sdk::N(digits) => Value::N(digits.as_str().into()),
        Sdk::B(bytes) => Value::B(base64(bytes)),
        Sdk::Bool(value) => Value::Bool(*value),
        Sdk::Null(_) => Value::Null,
        Sdk::Ss(members) => Value::Ss(texts(members)),
        Sdk::Ns(members) => Value::Ns(texts(members)),
        Sdk::Bs(members) => Value::Bs(members.iter().map(base64).collect()),
        Sdk::L(values) => Value::L(values.iter().map(convert).collect()),
        Sdk::M(map) => Value::M(item(map)),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_streaming_pass_reads_what_the_sdk_reads(changes in vec(change(), 0..4)) {
        let body = wire_page(&changes);
        let (ours, theirs) = (parse_page(body.as_bytes()).unwrap(), sdk_page(&body));
        prop_assert_eq!(ours.next_iterator.as_deref(), theirs.next_shard_iterator());
        prop_assert_eq!(ours.records.len(), theirs.records().len());
        for (ours, theirs) in ours.records.iter().zip(theirs.records()) {
            let Decoded::Record(ours) = ours else { panic!("{ours:?}") };
            let change = theirs.dynamodb().unwrap();
            prop_assert_eq!(Some(ours.event_id.as_ref()), theirs.event_id());
            prop_assert_eq!(ours.operation.as_str(), theirs.event_name().unwrap().as_str());
            prop_assert_eq!(Some(ours.sequence.digits()), change.sequence_number());
            prop_assert_eq!(ours.created, change.approximate_creation_date_time().unwrap().secs());
            prop_assert_eq!(ours.ttl_delete, theirs.user_identity().is_some());
            prop_assert_eq!(canonical_item(&ours.keys), canonical_item(&item(change.keys().unwrap())));
            prop_assert_eq!(canonical(ours.new_image.as_ref()), canonical(change.new_image().map(item).as_ref()));
            prop_assert_eq!(canonical(ours.old_image.as_ref()), canonical(change.old_image().map(item).as_ref()));
        }
    }
}
