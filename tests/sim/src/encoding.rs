//! How the JSON protocols spell bytes, times and names.

use base64_simd::STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserializer, Serialize, Serializer};

use crate::call::ApiError;

/// The account that everything belongs to.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The name of a resource, such as `stream/orders` of `kinesis`.
pub(crate) fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:us-east-1:{ACCOUNT}:{resource}")
}

/// The error for a member outside its limits, in the words of AWS's request validation.
pub(crate) fn constraint(member: &str, rule: &str) -> ApiError {
    ApiError::validation(format!("1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {rule}"))
}

/// Reads base64 text. For `deserialize_with`.
pub(crate) fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Bytes;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("base64 text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
            STANDARD.decode_to_vec(text).map(Bytes::from).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text)
}

/// Writes base64 text. For `serialize_with`.
pub(crate) fn to_base64<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode_to_string(bytes))
}

/// A text that means nothing to a caller: an iterator, a paging token.
pub(crate) fn seal(content: &impl Serialize) -> String {
    STANDARD.encode_to_string(serde_json::to_vec(content).unwrap_or_default())
}

/// What [`seal`] has sealed; `None` for anything else.
pub(crate) fn unseal<T: DeserializeOwned>(token: &str) -> Option<T> {
    serde_json::from_slice(&STANDARD.decode_to_vec(token).ok()?).ok()
}

/// A time in seconds, with the milliseconds behind the point.
#[expect(clippy::cast_precision_loss, reason = "milliseconds are exact in a double for longer than there are calendars")]
pub(crate) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// Milliseconds of a time in seconds.
#[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_milliseconds() {
        for time in [0, 1, 1_459_799_926_480, 1_795_046_400_001] {
            assert_eq!(millis(seconds(time)), time);
        }
        assert_eq!(serde_json::to_string(&seconds(1_459_799_926_480)).unwrap(), "1459799926.48");
    }

    #[test]
    fn what_was_sealed_is_unsealed_and_text_of_other_form_is_refused() {
        assert_eq!(unseal::<(String, i64)>(&seal(&("orders", 7))), Some(("orders".to_owned(), 7)));
        assert_eq!(unseal::<(String, i64)>("AAAA"), None);
        assert_eq!(unseal::<(String, i64)>("?"), None);
    }
}
