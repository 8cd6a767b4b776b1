//! What a record that cannot be decoded still tells.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::contract::TableSchema;
use crate::event::item_from_json;
use crate::table::Key;

/// As far as a record of a table's stream can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// When the change was made, in seconds since the epoch.
    pub(super) time: Option<i64>,
    /// Its item.
    pub(super) key: Option<Key>,
}

impl Told {
    /// By the record's JSON. What is no number or no key of the table tells nothing.
    pub(super) fn by(raw: &str, schema: &TableSchema) -> Self {
        #[derive(Deserialize)]
        struct Outer<'r> {
            #[serde(borrow)]
            dynamodb: Change<'r>,
        }
        #[derive(Deserialize)]
        struct Change<'r> {
            #[serde(borrow, rename = "ApproximateCreationDateTime", default)]
            created: Option<&'r RawValue>,
            #[serde(borrow, rename = "Keys", default)]
            keys: Option<&'r RawValue>,
        }
        let Ok(Outer { dynamodb: change }) = serde_json::from_str(raw) else { return Self::default() };
        let seconds = change.created.and_then(|raw| raw.get().parse::<f64>().ok()).filter(|seconds| seconds.is_finite());
        let keys = change.keys.and_then(|raw| item_from_json(raw.get()).ok());
        Self {
            #[expect(clippy::cast_possible_truncation, reason = "a time to the second, which saturates")]
            time: seconds.map(|seconds| seconds.floor() as i64),
            key: keys.and_then(|keys| Key::of_item(schema, &keys).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::AttributeType;

    #[test]
    fn what_can_be_read_of_a_broken_record_is_told() {
        let schema = TableSchema::keys_only("t", vec![("id".to_owned(), AttributeType::N)]);
        let told = |change: &str| Told::by(&format!(r#"{{"eventName":"INSERT","dynamodb":{change}}}"#), &schema);
        let key = Some(Key::of_texts(vec!["1.5".to_owned()]));
        let whole = told(r#"{"ApproximateCreationDateTime":7.9,"Keys":{"id":{"N":"1.50"}},"NewImage":{"id":{"Q":"?"}}}"#);
        assert_eq!(whole, Told { time: Some(7), key: key.clone() });
        assert_eq!(told(r#"{"ApproximateCreationDateTime":"soon","Keys":{"id":{"N":"15e-1"}}}"#), Told { time: None, key });
        assert_eq!(told(r#"{"Keys":{"id":{"S":"a"}}}"#), Told::default(), "no key of this table");
        assert_eq!(told(r#"{"Keys":7}"#), Told::default());
        assert_eq!(told("null"), Told::default());
        assert_eq!(Told::by("{", &schema), Told::default());
    }
}
