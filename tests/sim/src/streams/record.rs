//! A stream record's JSON, rendered once when the change is appended: a page is a concatenation.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::numbers::Numbers;
use super::{NewRecord, REGION, ViewType};
use crate::item::{Item, size};
use crate::sequence::Sequence;

/// A record of a shard.
#[derive(Debug)]
pub(super) struct Record {
    /// Its position.
    pub(super) sequence: Sequence,
    /// When the change was made, in milliseconds since the epoch. The record itself tells the second only.
    pub(super) at: i64,
    /// The record as GetRecords spells it.
    pub(super) json: Box<str>,
}

impl Record {
    /// The creation time that the record tells, in milliseconds since the epoch.
    pub(super) fn told_time(&self) -> i64 {
        self.at - self.at.rem_euclid(1000)
    }
}

/// Makes the record of a change, with its eventID. `None` for a change from nothing to nothing.
pub(super) fn render(change: &NewRecord<'_>, view: ViewType, numbers: &mut Numbers, now: i64) -> Option<(Record, String)> {
    let operation = change.operation()?;
    let sequence = numbers.next();
    let event_id = numbers.event_id();
    let new = change.new.filter(|_| matches!(view, ViewType::NewImage | ViewType::NewAndOldImages));
    let old = change.old.filter(|_| matches!(view, ViewType::OldImage | ViewType::NewAndOldImages));
    let wire = Wire {
        event_id: &event_id,
        event_name: operation,
        event_version: "1.1",
        event_source: "aws:dynamodb",
        aws_region: REGION,
        dynamodb: StreamRecord {
            approximate_creation_date_time: numbers.choose([Seconds::Whole, Seconds::Fraction, Seconds::Exponent])(now.div_euclid(1000)),
            keys: change.key,
            new_image: new,
            old_image: old,
            sequence_number: &sequence,
            size_bytes: [Some(change.key), new, old].into_iter().flatten().map(size::item).sum(),
            stream_view_type: view,
        },
        user_identity: change.by_ttl.then_some(Identity { principal_id: "dynamodb.amazonaws.com", r#type: "Service" }),
    };
    #[expect(clippy::expect_used, reason = "maps with text keys, numbers and text always have a JSON form")]
    let json = serde_json::to_string(&wire).expect("a record has a JSON form").into_boxed_str();
    Some((Record { sequence, at: now, json }, event_id))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(rename = "eventID")]
    event_id: &'a str,
    event_name: &'static str,
    event_version: &'static str,
    event_source: &'static str,
    aws_region: &'static str,
    dynamodb: StreamRecord<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_identity: Option<Identity>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamRecord<'a> {
    approximate_creation_date_time: Seconds,
    keys: &'a Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_image: Option<&'a Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_image: Option<&'a Item>,
    sequence_number: &'a Sequence,
    size_bytes: usize,
    stream_view_type: ViewType,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    principal_id: &'static str,
    r#type: &'static str,
}

/// Seconds since the epoch in the spellings of a JSON number that the service has been seen to use.
#[derive(Debug, Clone, Copy)]
enum Seconds {
    Whole(i64),
    Fraction(i64),
    Exponent(i64),
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match self {
            Self::Whole(seconds) => return serializer.serialize_i64(*seconds),
            Self::Fraction(seconds) => format!("{seconds}.0"),
            Self::Exponent(seconds) => format!("{seconds:E}"),
        };
        RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn item(json: Value) -> Item {
        serde_json::from_value(json).unwrap()
    }

    fn rendered(view: ViewType, old: Option<&Item>, new: Option<&Item>, by_ttl: bool) -> Value {
        let key = item(json!({"id": {"S": "ü"}}));
        let change = NewRecord { key: &key, hash: 0, old, new, by_ttl };
        let (record, event_id) = render(&change, view, &mut Numbers::of("a", 1, None), 1_664_559_083_999).unwrap();
        let value: Value = serde_json::from_str(&record.json).unwrap();
        assert_eq!(value["eventID"], json!(event_id));
        assert_eq!(value["dynamodb"]["SequenceNumber"], json!(record.sequence));
        value
    }

    #[test]
    fn a_record_carries_what_the_service_says_it_carries() {
        let old = item(json!({"id": {"S": "ü"}, "n": {"N": "1"}}));
        let new = item(json!({"id": {"S": "ü"}, "n": {"N": "22"}}));
        let value = rendered(ViewType::NewAndOldImages, Some(&old), Some(&new), false);
        let event_id = value["eventID"].as_str().unwrap();
        assert!(event_id.len() == 32 && event_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let sequence = &value["dynamodb"]["SequenceNumber"];
        let time = &value["dynamodb"]["ApproximateCreationDateTime"];
        assert_eq!(time.as_f64(), Some(1_664_559_083.0), "floored to the second");
        assert_eq!(
            value,
            json!({
                "eventID": event_id, "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": time, "Keys": {"id": {"S": "ü"}},
                    "NewImage": {"id": {"S": "ü"}, "n": {"N": "22"}}, "OldImage": {"id": {"S": "ü"}, "n": {"N": "1"}},
                    "SequenceNumber": sequence, "SizeBytes": 4 + 7 + 7, "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
            })
        );
    }

    #[test]
    fn the_event_name_follows_from_the_images() {
        let image = item(json!({"id": {"S": "ü"}}));
        let name = |old, new| rendered(ViewType::KeysOnly, old, new, false)["eventName"].clone();
        assert_eq!(name(None, Some(&image)), "INSERT");
        assert_eq!(name(Some(&image), Some(&image)), "MODIFY");
        assert_eq!(name(Some(&image), None), "REMOVE");
    }

    #[test]
    fn the_view_type_decides_which_images_there_are() {
        let image = item(json!({"id": {"S": "ü"}}));
        for (view, has_new, has_old) in [
            (ViewType::KeysOnly, false, false),
            (ViewType::NewImage, true, false),
            (ViewType::OldImage, false, true),
            (ViewType::NewAndOldImages, true, true),
        ] {
            let value = rendered(view, Some(&image), Some(&image), false);
            let images = [value["dynamodb"].get("NewImage"), value["dynamodb"].get("OldImage")].map(|image| image.is_some());
            assert_eq!(images, [has_new, has_old], "{view:?}");
        }
    }

    #[test]
    fn only_a_deletion_by_time_to_live_has_a_user_identity() {
        let image = item(json!({"id": {"S": "ü"}}));
        let value = rendered(ViewType::KeysOnly, Some(&image), None, true);
        assert_eq!(value["userIdentity"], json!({"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}));
        assert_eq!(rendered(ViewType::KeysOnly, Some(&image), None, false).get("userIdentity"), None);
    }

    #[test]
    fn the_time_is_spelled_in_every_way_that_is_one_number() {
        let spelled =
            [Seconds::Whole, Seconds::Fraction, Seconds::Exponent].map(|spell| serde_json::to_string(&spell(1_664_559_080)).unwrap());
        assert_eq!(spelled, ["1664559080", "1664559080.0", "1.66455908E9"]);
    }

    #[test]
    fn sizes_are_those_of_items() {
        let image = item(json!({"id": {"S": "ü"}, "n": {"N": "1000000"}, "m": {"N": "-12345"}}));
        let value = rendered(ViewType::NewImage, None, Some(&image), false);
        assert_eq!(value["dynamodb"]["SizeBytes"], 4 + 4 + (1 + 2) + (1 + 5));
    }
}
