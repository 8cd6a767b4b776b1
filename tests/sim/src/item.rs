//! Items as DynamoDB's JSON protocol spells them. Numbers stay text, so no digit is lost.
//!
//! An item that has passed [`canonical::check`] is spelled in one way only: numbers without needless zeros, sets in ascending order, binary in
//! padded base64. Two such items are equal by value exactly when they are equal as Rust values.

pub mod canonical;
pub mod decimal;
mod protocol;
pub mod size;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use base64_simd::STANDARD;
use serde::Serialize;

pub use decimal::Decimal;
pub(crate) use protocol::{EMPTY_VALUE, MANIFOLD_VALUE};

/// The attributes of an item.
pub type Item = BTreeMap<String, AttributeValue>;

/// A typed value. Binary stays in its base64 text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the variants are DynamoDB's type names")]
pub enum AttributeValue {
    S(String),
    N(String),
    B(String),
    SS(Vec<String>),
    NS(Vec<String>),
    BS(Vec<String>),
    M(Item),
    L(Vec<AttributeValue>),
    BOOL(bool),
    NULL(bool),
}

impl AttributeValue {
    /// The type's name in the protocol.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::SS(_) => "SS",
            Self::NS(_) => "NS",
            Self::BS(_) => "BS",
            Self::M(_) => "M",
            Self::L(_) => "L",
            Self::BOOL(_) => "BOOL",
            Self::NULL(_) => "NULL",
        }
    }

    /// The order of two values of one of the ordered types (S and B by bytes, N by value); `None` for any other two.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::S(left), Self::S(right)) => Some(left.cmp(right)),
            (Self::N(left), Self::N(right)) => Some(left.parse::<Decimal>().ok()?.cmp(&right.parse().ok()?)),
            (Self::B(left), Self::B(right)) => Some(bytes(left).cmp(&bytes(right))),
            _ => None,
        }
    }
}

/// The bytes behind base64 text. Text that is not base64 never gets into an item, so it has none.
pub fn bytes(base64: &str) -> Cow<'static, [u8]> {
    STANDARD.decode_to_vec(base64).map_or(Cow::Borrowed(&[]), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::AttributeValue::{B, N, S};
    use super::*;

    #[test]
    fn values_are_ordered_by_what_they_mean_and_only_within_a_type() {
        assert_eq!(N("9".into()).order(&N("10".into())), Some(Ordering::Less));
        assert_eq!(S("9".into()).order(&S("10".into())), Some(Ordering::Greater));
        // 0xFB and 0x00: their base64 texts "+w==" and "AA==" stand the other way round.
        assert_eq!(B("+w==".into()).order(&B("AA==".into())), Some(Ordering::Greater));
        assert_eq!(S("1".into()).order(&N("1".into())), None);
        assert_eq!(AttributeValue::BOOL(true).order(&AttributeValue::BOOL(true)), None);
    }
}
