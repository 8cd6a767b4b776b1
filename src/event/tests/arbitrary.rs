//! Arbitrary changes: all attribute types, deep nesting, numbers at any exponent, with and without a contract that matches or clashes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use crate::contract::{Column, ColumnType, KeyColumn, TableSchema, TimestampFormat};
use crate::event::number::canonical;
use crate::event::typed_json::{write_typed_item, write_typed_json};
use crate::event::{AttributeType, Item, Operation, Value};

/// What happened to an item, and how its table is laid out in the lake.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) schema: TableSchema,
    pub(super) keys: Item<'static>,
    pub(super) new: Option<Item<'static>>,
    pub(super) old: Option<Item<'static>>,
    pub(super) ttl: bool,
}

impl Change {
    pub(super) fn operation(&self) -> Operation {
        match (&self.new, &self.old) {
            (Some(_), Some(_)) => Operation::Modify,
            (Some(_), None) => Operation::Insert,
            (None, _) => Operation::Remove,
        }
    }
}

/// A GetRecords body that holds these changes.
pub(super) fn wire_page(changes: &[Change]) -> String {
    let mut body = r#"{"NextShardIterator":"arn|1|next","Records":["#.to_owned();
    for (i, change) in changes.iter().enumerate() {
        if i > 0 {
            body.push(',');
        }
        let name = change.operation().as_str();
        write!(body, r#"{{"awsRegion":"eu-west-1","eventID":"id-{i}","eventName":"{name}","eventVersion":"1.1","dynamodb":"#).unwrap();
        write!(body, r#"{{"ApproximateCreationDateTime":{},"SequenceNumber":"{}","Keys":"#, 1_700_000_000 + i, 1000 + i).unwrap();
        write_typed_item(&change.keys, &mut body);
        for (member, image) in [("NewImage", &change.new), ("OldImage", &change.old)] {
            if let Some(image) = image {
                write!(body, r#","{member}":"#).unwrap();
                write_typed_item(image, &mut body);
            }
        }
        body.push_str(r#","SizeBytes":1,"StreamViewType":"NEW_AND_OLD_IMAGES"}"#);
        if change.ttl {
            body.push_str(r#","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}"#);
        }
        body.push('}');
    }
    body.push_str("]}");
    body
}

/// Insert, modify or remove of an arbitrary item under an arbitrary schema.
pub(super) fn change() -> impl Strategy<Value = Change> {
    let keys = (key(), proptest::option::of(key()));
    (keys, any::<bool>(), item(), item(), vec(any::<bool>(), 40), 0_u8..4, any::<bool>()).prop_flat_map(
        |((partition, sort), contract, new, other, keep, kind, ttl)| {
            let named: Vec<(String, Value<'static>)> =
                std::iter::once(("Pk".to_owned(), partition)).chain(sort.map(|sort| ("sort key".to_owned(), sort))).collect();
            let schema = schema(&named, contract);
            let with_keys = |item: &Item<'static>| {
                let mut attributes = item.0.clone();
                attributes.retain(|(name, _)| named.iter().all(|(key, _)| key != name));
                attributes.extend(named.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.clone())));
                attributes
            };
            // The old image shares many attributes with the new one.
            let mut shared = keep.iter().cycle();
            let mut old: Vec<_> = new.0.iter().filter(|_| *shared.next().unwrap_or(&true)).cloned().collect();
            old.extend(other.0.iter().filter(|(name, _)| old.iter().all(|(known, _)| known != name)).cloned().collect::<Vec<_>>());
            let images = (Just(with_keys(&new)).prop_shuffle(), Just(with_keys(&Item(old))).prop_shuffle());
            let keys = Item(named.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect());
            images.prop_map(move |(new, old)| Change {
                schema: schema.clone(),
                keys: keys.clone(),
                new: (kind < 3).then_some(Item(new)),
                old: (kind != 0).then_some(Item(old)),
                ttl: ttl && kind == 3,
            })
        },
    )
}

/// A schema of these keys, with a column of every kind if there is a contract.
fn schema(keys: &[(String, Value<'_>)], contract: bool) -> TableSchema {
    let keys: Vec<_> = keys.iter().map(|(name, value)| (name.clone(), value.attribute_type())).collect();
    let mut schema = TableSchema::keys_only("the \"orders\"", keys);
    if contract {
        schema.columns = columns();
    }
    assert!(schema.keys.iter().all(|KeyColumn { column, .. }| schema.columns.iter().all(|c| c.name != *column)));
    schema
}

fn columns() -> Vec<Column> {
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    let timestamp = |format| ColumnType::Timestamp { format };
    [
        ("name", AttributeType::S, ColumnType::Text),
        ("code", AttributeType::N, ColumnType::Text),
        ("blob", AttributeType::B, ColumnType::Text),
        ("quantity", AttributeType::N, ColumnType::BigInt),
        ("price", AttributeType::N, decimal(12, 2)),
        ("wide", AttributeType::N, decimal(38, 10)),
        ("active", AttributeType::Bool, ColumnType::Boolean),
        ("seconds", AttributeType::S, timestamp(TimestampFormat::Seconds)),
        ("millis", AttributeType::S, timestamp(TimestampFormat::Millis)),
        ("micros", AttributeType::S, timestamp(TimestampFormat::Micros)),
        ("tags", AttributeType::Ss, ColumnType::Json),
        ("sizes", AttributeType::Ns, ColumnType::Json),
        ("thumbs", AttributeType::Bs, ColumnType::Json),
        ("items", AttributeType::L, ColumnType::Json),
        ("document", AttributeType::M, ColumnType::Json),
        ("address.city", AttributeType::S, ColumnType::Text),
        ("address.zip", AttributeType::N, ColumnType::BigInt),
        ("address.geo.lat", AttributeType::N, decimal(9, 6)),
        ("address.geo.lon", AttributeType::N, decimal(9, 6)),
    ]
    .into_iter()
    .map(|(path, source, kind)| Column {
        name: path.replace('.', "_"),
        path: path.split('.').map(str::to_owned).collect(),
        source,
        kind,
        classification: None,
    })
    .collect()
}

fn key() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![text().prop_map(|text| Value::S(text.into())), number().prop_map(|n| Value::N(n.into())), binary().prop_map(Value::B)]
}

/// An item whose attributes sometimes have the names of the contract's columns, and then sometimes the types.
fn item() -> impl Strategy<Value = Item<'static>> {
    let geo = fields(vec![field("lat", small_number()), field("lon", small_number())]);
    let address = fields(vec![field("city", text_value()), field("zip", small_number()), field("geo", geo.prop_map(Value::M).boxed())]);
    let instant = |places: usize| {
        (0_i64..4_000_000_000, 0_u32..1_000_000).prop_map(move |(seconds, micros)| {
            let time = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            let fraction = format!(".{micros:06}");
            Value::S(if places == 0 { time } else { time.replace('Z', &format!("{}Z", &fraction[..=places])) }.into())
        })
    };
    fields(vec![
        field("name", text_value()),
        field("code", number().prop_map(|n| Value::N(n.into())).boxed()),
        field("blob", binary().prop_map(Value::B).boxed()),
        field("quantity", small_number()),
        field("price", small_number()),
        field("wide", number().prop_map(|n| Value::N(n.into())).boxed()),
        field("active", any::<bool>().prop_map(Value::Bool).boxed()),
        field("seconds", instant(0).boxed()),
        field("millis", instant(3).boxed()),
        field("micros", instant(6).boxed()),
        field("tags", set_of_texts().boxed()),
        field("sizes", set_of_numbers().boxed()),
        field("thumbs", set_of_binaries().boxed()),
        field("items", vec(plain(), 0..4).prop_map(Value::L).boxed()),
        field("document", map_of(plain()).boxed()),
        field("address", address.prop_map(Value::M).boxed()),
    ])
}

type Field = (&'static str, BoxedStrategy<Option<Value<'static>>>);

/// Absent, of the type that the contract expects, or of any.
fn field(name: &'static str, fitting: BoxedStrategy<Value<'static>>) -> Field {
    (name, prop_oneof![3 => Just(None), 4 => fitting.prop_map(Some), 1 => value().prop_map(Some)].boxed())
}

/// A map with these fields and perhaps unknown ones.
fn fields(fields: Vec<Field>) -> BoxedStrategy<Item<'static>> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    (values, btree_map(text(), value(), 0..3))
        .prop_map(move |(values, unknown)| {
            let known = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            let all: BTreeMap<String, Value<'static>> = unknown.into_iter().chain(known).collect();
            Item(all.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect())
        })
        .boxed()
}

/// Any value, nested up to 32 levels.
fn value() -> BoxedStrategy<Value<'static>> {
    let tree = leaf().prop_recursive(6, 24, 4, |inner| prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::L), map_of(inner)]);
    prop_oneof![
        6 => tree.clone(),
        1 => (tree, vec(any::<bool>(), 0..=26)).prop_map(|(tree, levels)| {
            levels.into_iter().fold(tree, |inner, list| {
                if list { Value::L(vec![inner]) } else { Value::M(Item(vec![("in".into(), inner)])) }
            })
        }),
    ]
    .boxed()
}

/// A value that plain JSON can hold.
fn plain() -> BoxedStrategy<Value<'static>> {
    let leaf = prop_oneof![text_value(), number().prop_map(|n| Value::N(n.into())), any::<bool>().prop_map(Value::Bool), Just(Value::Null)];
    leaf.prop_recursive(3, 12, 3, |inner| prop_oneof![vec(inner.clone(), 0..3).prop_map(Value::L), map_of(inner)]).boxed()
}

fn leaf() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        text_value(),
        number().prop_map(|n| Value::N(n.into())),
        binary().prop_map(Value::B),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        set_of_texts(),
        set_of_numbers(),
        set_of_binaries(),
    ]
}

fn map_of(inner: impl Strategy<Value = Value<'static>>) -> impl Strategy<Value = Value<'static>> {
    btree_map(text(), inner, 0..4).prop_map(|map| Value::M(Item(map.into_iter().map(|(name, v)| (Cow::Owned(name), v)).collect())))
}

fn set_of_texts() -> impl Strategy<Value = Value<'static>> {
    btree_set(text(), 1..4).prop_map(|set| set.into_iter().map(Cow::Owned).collect()).prop_shuffle().prop_map(Value::Ss)
}

fn set_of_numbers() -> impl Strategy<Value = Value<'static>> {
    // A set has no number twice, however it is spelled.
    vec(number(), 1..4).prop_map(|numbers| {
        let by_value: BTreeMap<String, String> = numbers.into_iter().map(|n| (canonical(&n).unwrap().into_owned(), n)).collect();
        Value::Ns(by_value.into_values().map(Cow::Owned).collect())
    })
}

fn set_of_binaries() -> impl Strategy<Value = Value<'static>> {
    btree_set(binary(), 1..4).prop_map(|set| set.into_iter().collect()).prop_shuffle().prop_map(Value::Bs)
}

fn text_value() -> BoxedStrategy<Value<'static>> {
    text().prop_map(|text| Value::S(text.into())).boxed()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z]{0,6}", 1 => any::<String>(), 1 => "[\"\\\\/\u{0}-\u{1f}é😀]{0,5}"]
}

fn binary() -> impl Strategy<Value = Cow<'static, str>> {
    vec(any::<u8>(), 0..8).prop_map(|bytes| Cow::Owned(aws_smithy_types::base64::encode(bytes)))
}

/// A number that columns of integers and prices hold more often than not.
fn small_number() -> BoxedStrategy<Value<'static>> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (-99_999..99_999_i32, 0..99_u8).prop_map(|(whole, cents)| format!("{whole}.{cents:02}")),
        number(),
    ]
    .prop_map(|n| Value::N(n.into()))
    .boxed()
}

/// Up to 38 digits at any exponent that DynamoDB allows, in any spelling.
fn number() -> impl Strategy<Value = String> {
    let spelled = (any::<bool>(), "[1-9][0-9]{0,37}", -130_i32..=125, 0_u8..3).prop_map(|(negative, digits, magnitude, spelling)| {
        let sign = if negative { "-" } else { "" };
        let exponent = magnitude - i32::try_from(digits.len()).unwrap() + 1;
        match spelling {
            0 if exponent >= 0 => format!("{sign}{digits}{}", "0".repeat(exponent.unsigned_abs() as usize)),
            0 if magnitude < 0 => format!("{sign}0.{}{digits}", "0".repeat((magnitude + 1).unsigned_abs() as usize)),
            1 => format!("{sign}00{}.{}0e{magnitude:+}", &digits[..1], &digits[1..]),
            _ => format!("{sign}{digits}E{exponent}"),
        }
    });
    prop_oneof![8 => spelled, 1 => any::<i32>().prop_map(|n| n.to_string()), 1 => prop_oneof![Just("0"), Just("-0"), Just("0.00")].prop_map(str::to_owned)]
}

/// The generator keeps its promises, without which the properties would prove little.
#[test]
fn every_attribute_type_and_deep_nesting_are_generated() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    fn depth(value: &Value<'_>) -> usize {
        match value {
            Value::L(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
            Value::M(item) => 1 + item.iter().map(|(_, v)| depth(v)).max().unwrap_or(0),
            _ => 0,
        }
    }

    let mut runner = TestRunner::deterministic();
    let values: Vec<_> = (0..2_000).map(|_| value().new_tree(&mut runner).unwrap().current()).collect();
    let types: std::collections::HashSet<_> = values.iter().map(Value::attribute_type).collect();
    assert_eq!(types.len(), 10, "{types:?}");
    let deepest = values.iter().map(depth).max().unwrap();
    assert!((26..=32).contains(&deepest), "{deepest}");
    let mut json = String::new();
    for value in &values {
        write_typed_json(value, &mut json);
    }
    assert!(json.contains("\"\"") && json.contains("[]") && json.contains("{\"M\":{}}"), "empty strings, lists and maps");
}
