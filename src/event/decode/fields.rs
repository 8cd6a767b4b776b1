//! The members of a GetRecords response that matter, as serde visitors.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Decoded;
use crate::event::fault::shown;
use crate::event::typed_json::Text;
use crate::event::{Item, Operation, SequenceNumber, StreamRecord};

/// How DynamoDB Local spells the eventName of a TTL delete.
const UNKNOWN_OPERATION: &str = "UNKNOWN_TO_SDK_VERSION";
/// The principal that deletes expired items.
const TTL_PRINCIPAL: &str = "dynamodb.amazonaws.com";
const TTL_PRINCIPAL_TYPE: &str = "Service";
/// 9999-12-31T23:59:59Z: later instants have no four-digit year and no partition.
const LAST_SECOND: i64 = 253_402_300_799;

/// A page whose records are of type `R`: decoded, or left as their text.
pub(super) struct RawPage<'a, R> {
    pub(super) records: Vec<R>,
    pub(super) next_iterator: Option<Cow<'a, str>>,
}

/// A page whose records are only told apart.
pub(super) type OpenPage<'a> = RawPage<'a, &'a RawValue>;

/// Declares the members of an object that are read; all others are ignored.
macro_rules! members {
    ($(#[$doc:meta])* $name:ident { $($member:ident = $($text:literal)|+),+ $(,)? }) => {
        $(#[$doc])*
        enum $name {
            $($member,)+
            Other,
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct MemberVisitor;

                impl Visitor<'_> for MemberVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("the name of a member")
                    }

                    fn visit_str<E: de::Error>(self, name: &str) -> Result<$name, E> {
                        Ok(match name {
                            $($($text)|+ => $name::$member,)+
                            _ => $name::Other,
                        })
                    }
                }

                deserializer.deserialize_identifier(MemberVisitor)
            }
        }
    };
}

members!(PageMember { Records = "Records", Next = "NextShardIterator" });
members!(RecordMember { Id = "eventID", Name = "eventName", Change = "dynamodb", Identity = "userIdentity" });
members!(ChangeMember {
    Created = "ApproximateCreationDateTime",
    Keys = "Keys",
    New = "NewImage",
    Old = "OldImage",
    Sequence = "SequenceNumber",
});
members!(
    /// The API's JSON has capitals, the documentation and Lambda's events do not.
    IdentityMember { Principal = "PrincipalId" | "principalId", Kind = "Type" | "type" }
);

impl<'de, R: Deserialize<'de>> Deserialize<'de> for RawPage<'de, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PageVisitor<R>(PhantomData<R>);

        impl<'de, R: Deserialize<'de>> Visitor<'de> for PageVisitor<R> {
            type Value = RawPage<'de, R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a GetRecords response")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut records, mut next_iterator) = (None, None);
                while let Some(member) = map.next_key()? {
                    match member {
                        PageMember::Records => once(&mut records, Some(map.next_value()?), "Records")?,
                        PageMember::Next => once(&mut next_iterator, optional_text(&mut map)?, "NextShardIterator")?,
                        PageMember::Other => skip(&mut map)?,
                    }
                }
                let records = records.ok_or_else(|| de::Error::missing_field("Records"))?;
                Ok(RawPage { records, next_iterator: next_iterator.filter(|text| !text.is_empty()) })
            }
        }

        deserializer.deserialize_map(PageVisitor(PhantomData))
    }
}

/// The members of a record, in whatever order they come.
#[derive(Default)]
struct Parts<'a> {
    event_id: Option<Cow<'a, str>>,
    event_name: Option<Cow<'a, str>>,
    change: Option<Change<'a>>,
    identity: Option<Identity>,
}

/// The member `dynamodb` of a record.
#[derive(Default)]
struct Change<'a> {
    created: Option<i64>,
    keys: Option<Item<'a>>,
    new_image: Option<Item<'a>>,
    old_image: Option<Item<'a>>,
    sequence: Option<SequenceNumber>,
}

impl<'a> Parts<'a> {
    fn assemble(self) -> Result<StreamRecord<'a>, String> {
        let change = self.change.ok_or("the record has no dynamodb member")?;
        let event_name = self.event_name.ok_or("the record has no eventName")?;
        let operation = operation(&event_name, &change)?;
        if change.new_image.is_some() && operation == Operation::Remove {
            return Err("REMOVE with a NewImage: nothing is left of an item that was removed".to_owned());
        }
        if change.new_image.is_none() && operation != Operation::Remove {
            return Err(format!("{event_name} without a NewImage: the stream's view type must be NEW_AND_OLD_IMAGES"));
        }
        Ok(StreamRecord {
            event_id: self.event_id.ok_or("the record has no eventID")?,
            operation,
            sequence: change.sequence.ok_or("the record has no SequenceNumber")?,
            created: change.created.ok_or("the record has no ApproximateCreationDateTime")?,
            keys: change.keys.filter(|keys| !keys.0.is_empty()).ok_or("the record has no Keys")?,
            new_image: change.new_image,
            old_image: change.old_image,
            ttl_delete: self.identity.is_some_and(|identity| identity.is_ttl) && operation == Operation::Remove,
        })
    }
}

fn operation(event_name: &str, change: &Change<'_>) -> Result<Operation, String> {
    match (event_name, &change.new_image, &change.old_image) {
        ("INSERT", ..) | (UNKNOWN_OPERATION, Some(_), None) => Ok(Operation::Insert),
        ("MODIFY", ..) | (UNKNOWN_OPERATION, Some(_), Some(_)) => Ok(Operation::Modify),
        ("REMOVE", ..) | (UNKNOWN_OPERATION, None, Some(_)) => Ok(Operation::Remove),
        _ => Err(format!("unknown eventName '{}'", shown(event_name))),
    }
}

impl<'de> Deserialize<'de> for Decoded<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordVisitor;

        impl<'de> Visitor<'de> for RecordVisitor {
            type Value = Decoded<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a stream record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Decoded<'de>, A::Error> {
                let mut parts = Parts::default();
                while let Some(member) = map.next_key()? {
                    match member {
                        RecordMember::Id => once(&mut parts.event_id, optional_text(&mut map)?, "eventID")?,
                        RecordMember::Name => once(&mut parts.event_name, optional_text(&mut map)?, "eventName")?,
                        RecordMember::Change => once(&mut parts.change, map.next_value()?, "dynamodb")?,
                        RecordMember::Identity => once(&mut parts.identity, map.next_value()?, "userIdentity")?,
                        RecordMember::Other => skip(&mut map)?,
                    }
                }
                parts.assemble().map(Decoded::Record).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_map(RecordVisitor)
    }
}

impl<'de> Deserialize<'de> for Change<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChangeVisitor;

        impl<'de> Visitor<'de> for ChangeVisitor {
            type Value = Change<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the change of a stream record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Change<'de>, A::Error> {
                let mut change = Change::default();
                while let Some(member) = map.next_key()? {
                    match member {
                        ChangeMember::Created => {
                            let created = map.next_value::<Option<EpochSeconds>>()?.map(|EpochSeconds(seconds)| seconds);
                            once(&mut change.created, created, "ApproximateCreationDateTime")?;
                        }
                        ChangeMember::Keys => once(&mut change.keys, map.next_value()?, "Keys")?,
                        ChangeMember::New => once(&mut change.new_image, map.next_value()?, "NewImage")?,
                        ChangeMember::Old => once(&mut change.old_image, map.next_value()?, "OldImage")?,
                        ChangeMember::Sequence => {
                            let digits = optional_text(&mut map)?;
                            let sequence = digits.map(|digits| digits.parse().map_err(de::Error::custom)).transpose()?;
                            once(&mut change.sequence, sequence, "SequenceNumber")?;
                        }
                        ChangeMember::Other => skip(&mut map)?,
                    }
                }
                Ok(change)
            }
        }

        deserializer.deserialize_map(ChangeVisitor)
    }
}

/// Who made a change.
struct Identity {
    is_ttl: bool,
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdentityVisitor;

        impl<'de> Visitor<'de> for IdentityVisitor {
            type Value = Identity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an identity")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Identity, A::Error> {
                let (mut principal, mut kind) = (None, None);
                while let Some(member) = map.next_key()? {
                    match member {
                        IdentityMember::Principal => principal = optional_text(&mut map)?,
                        IdentityMember::Kind => kind = optional_text(&mut map)?,
                        IdentityMember::Other => skip(&mut map)?,
                    }
                }
                Ok(Identity { is_ttl: principal.as_deref() == Some(TTL_PRINCIPAL) && kind.as_deref() == Some(TTL_PRINCIPAL_TYPE) })
            }
        }

        deserializer.deserialize_map(IdentityVisitor)
    }
}

/// Seconds since the epoch, from an integer or from a fraction, which is floored.
struct EpochSeconds(i64);

impl<'de> Deserialize<'de> for EpochSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondsVisitor;

        impl Visitor<'_> for SecondsVisitor {
            type Value = EpochSeconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds from 1970 to 9999")
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<EpochSeconds, E> {
                if (0..=LAST_SECOND).contains(&seconds) {
                    Ok(EpochSeconds(seconds))
                } else {
                    Err(E::invalid_value(de::Unexpected::Signed(seconds), &self))
                }
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<EpochSeconds, E> {
                self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<EpochSeconds, E> {
                #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and what is out of range is refused")]
                self.visit_i64(seconds.floor() as i64)
            }
        }

        deserializer.deserialize_any(SecondsVisitor)
    }
}

/// A member that is given twice says nothing for certain. A null is none.
fn once<T, E: de::Error>(slot: &mut Option<T>, value: Option<T>, member: &'static str) -> Result<(), E> {
    match value {
        Some(_) if slot.is_some() => Err(E::duplicate_field(member)),
        Some(value) => {
            *slot = Some(value);
            Ok(())
        }
        None => Ok(()),
    }
}

fn optional_text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    Ok(map.next_value::<Option<Text<'de>>>()?.map(|Text(text)| text))
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}
