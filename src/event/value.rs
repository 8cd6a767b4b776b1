//! The item model: DynamoDB's ten attribute types, borrowed from the page they were read from.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One of DynamoDB's attribute types, spelled as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AttributeType {
    /// String.
    S,
    /// Number.
    N,
    /// Binary.
    B,
    /// Boolean.
    Bool,
    /// Null.
    Null,
    /// Set of strings.
    Ss,
    /// Set of numbers.
    Ns,
    /// Set of binaries.
    Bs,
    /// List.
    L,
    /// Map.
    M,
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
            Self::L => "L",
            Self::M => "M",
        })
    }
}

/// An attribute's value. Numbers keep the digits of the wire, binaries stay base64 text: nothing is converted on the way.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// String.
    S(Cow<'a, str>),
    /// Number, as the wire spells it.
    N(Cow<'a, str>),
    /// Binary, as base64 text.
    B(Cow<'a, str>),
    /// Boolean.
    Bool(bool),
    /// Null, which differs from absent.
    Null,
    /// Set of strings.
    Ss(Vec<Cow<'a, str>>),
    /// Set of numbers.
    Ns(Vec<Cow<'a, str>>),
    /// Set of binaries, each as base64 text.
    Bs(Vec<Cow<'a, str>>),
    /// List.
    L(Vec<Value<'a>>),
    /// Map.
    M(Item<'a>),
}

impl Value<'_> {
    /// The type of this value.
    pub const fn attribute_type(&self) -> AttributeType {
        match self {
            Self::S(_) => AttributeType::S,
            Self::N(_) => AttributeType::N,
            Self::B(_) => AttributeType::B,
            Self::Bool(_) => AttributeType::Bool,
            Self::Null => AttributeType::Null,
            Self::Ss(_) => AttributeType::Ss,
            Self::Ns(_) => AttributeType::Ns,
            Self::Bs(_) => AttributeType::Bs,
            Self::L(_) => AttributeType::L,
            Self::M(_) => AttributeType::M,
        }
    }
}

/// An item, or a map within one: attributes in the order of the wire (which means nothing).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Item<'a>(pub Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Item<'a> {
    /// The attribute of that name.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Attributes in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}
