//! Which types go together: the standard's logicalType, the lake's physicalType and DynamoDB's own.

use super::cursor::Cursor;
use super::error::{Problems, either};
use super::schema::{ColumnType, TimestampFormat};
use crate::event::AttributeType::{self, B, Bool, Bs, L, M, N, Ns, S, Ss};

/// The custom property that names an attribute's DynamoDB type where it is not the default of its logicalType.
const DYNAMODB_TYPE: &str = "dynamodbType";

/// Largest precision of a decimal in Parquet's 128 bits, in Glue and in Athena; DynamoDB's numbers have as many digits.
const MAX_PRECISION: u8 = 38;

/// How a property lies in the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In one column.
    Cell { source: AttributeType, kind: ColumnType },
    /// One column for each field of the map.
    Fields,
}

/// What a property is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// The item, or a map that is flattened: the property has columns. So many levels of maps may still be flattened.
    Columns { levels_left: u8 },
    /// A list, or a map that is kept whole: the property is part of a JSON text.
    Json,
}

/// A physicalType: the lake's spelling, which is Athena's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Physical {
    String,
    BigInt,
    Decimal { precision: u8, scale: u8 },
    Boolean,
    Timestamp,
    Struct,
}

/// What goes with a logicalType.
struct Combination {
    /// The physicalTypes, as messages spell them.
    physical: &'static [&'static str],
    /// What an absent physicalType means.
    default: Physical,
    /// The DynamoDB types. The first is what an absent one means.
    sources: &'static [AttributeType],
}

const fn combination(logical: LogicalType) -> Combination {
    match logical {
        LogicalType::String => Combination { physical: &["string"], default: Physical::String, sources: &[S, N, B] },
        LogicalType::Date | LogicalType::Time => Combination { physical: &["string"], default: Physical::String, sources: &[S] },
        LogicalType::Timestamp => Combination { physical: &["timestamp", "string"], default: Physical::Timestamp, sources: &[S] },
        LogicalType::Integer => Combination { physical: &["bigint", "decimal(p,0)", "string"], default: Physical::BigInt, sources: &[N] },
        LogicalType::Number => Combination { physical: &["decimal(p,s)", "string"], default: Physical::String, sources: &[N] },
        LogicalType::Boolean => Combination { physical: &["boolean"], default: Physical::Boolean, sources: &[Bool] },
        LogicalType::Object => Combination { physical: &["struct", "string"], default: Physical::Struct, sources: &[M] },
        LogicalType::Array => Combination { physical: &["string"], default: Physical::String, sources: &[L, Ss, Ns, Bs] },
    }
}

/// The standard's logical types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogicalType {
    String,
    Date,
    Timestamp,
    Time,
    Number,
    Integer,
    Object,
    Array,
    Boolean,
}

impl LogicalType {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "string" => Self::String,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "time" => Self::Time,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "object" => Self::Object,
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }
}

impl Physical {
    /// Reads a physicalType; the error says what is expected instead.
    fn parse(text: &str) -> Result<Self, String> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        let (name, arguments) = match compact.split_once('(') {
            Some((name, arguments)) => (name, Some(arguments.strip_suffix(')').unwrap_or(arguments))),
            None => (compact.as_str(), None),
        };
        match (name, arguments) {
            ("string", None) => Ok(Self::String),
            ("bigint", None) => Ok(Self::BigInt),
            ("boolean", None) => Ok(Self::Boolean),
            ("timestamp", None) => Ok(Self::Timestamp),
            ("struct", None) => Ok(Self::Struct),
            ("decimal", arguments) => decimal(arguments),
            _ => Err(match name {
                "varchar" | "char" | "text" | "binary" | "date" | "time" | "json" | "map" | "list" | "array" => {
                    "the lake keeps it as 'string'".to_owned()
                }
                "int" | "integer" | "smallint" | "tinyint" | "long" | "number" => "the lake keeps whole numbers as 'bigint'".to_owned(),
                "double" | "float" | "real" => {
                    "floating point loses digits: 'decimal(p,s)' or 'string' keeps the value as it is".to_owned()
                }
                "numeric" => "it is spelled 'decimal(p,s)'".to_owned(),
                "bool" => "it is spelled 'boolean'".to_owned(),
                _ => "string, bigint, decimal(p,s), boolean, timestamp or struct is expected".to_owned(),
            }),
        }
    }

    /// Whether `spelled`, an entry of [`Combination::physical`], means this type.
    fn is(self, spelled: &str) -> bool {
        match self {
            Self::String => spelled == "string",
            Self::BigInt => spelled == "bigint",
            Self::Decimal { scale, .. } => spelled == "decimal(p,s)" || (scale == 0 && spelled == "decimal(p,0)"),
            Self::Boolean => spelled == "boolean",
            Self::Timestamp => spelled == "timestamp",
            Self::Struct => spelled == "struct",
        }
    }
}

fn decimal(arguments: Option<&str>) -> Result<Physical, String> {
    let (precision, scale) = match arguments {
        None => return Err("a precision and a scale are expected, such as 'decimal(12,2)'".to_owned()),
        Some(arguments) => arguments.split_once(',').unwrap_or((arguments, "0")),
    };
    let precision = precision.parse().ok().filter(|digits| (1..=MAX_PRECISION).contains(digits));
    let precision = precision.ok_or_else(|| format!("a precision of 1 to {MAX_PRECISION} is expected"))?;
    let scale = scale.parse().ok().filter(|digits| *digits <= precision);
    let scale = scale.ok_or_else(|| format!("a scale of 0 to the precision, {precision}, is expected"))?;
    Ok(Physical::Decimal { precision, scale })
}

/// How `property` lies in the lake; `None` when that cannot be said, because of an error that has been noted.
pub(super) fn layout(property: &Cursor<'_>, within: Within, problems: &mut Problems) -> Option<Layout> {
    let logical_text = property.text_of("logicalType")?;
    let logical = LogicalType::parse(logical_text)?;
    let rules = combination(logical);
    let source = source(property, logical_text, &rules, within, problems);
    let kind = match property.get("physicalType") {
        None if logical == LogicalType::Number && within != Within::Json => {
            let help = "'decimal(p,s)' or 'string' is expected, since no number of digits can be assumed";
            problems.add(property.at(), property.path_of("physicalType"), "is missing", help);
            None
        }
        None => Some(rules.default),
        Some(value) => physical(&value, logical_text, &rules, problems),
    };
    let (source, kind) = (source?, kind?);
    Some(Layout::Cell {
        source,
        kind: match (logical, kind) {
            (LogicalType::Object, Physical::Struct) => {
                let has_fields = !property.items_of("properties").is_empty();
                if has_fields && matches!(within, Within::Columns { levels_left: 1.. }) {
                    return Some(Layout::Fields);
                }
                if !has_fields && let Some(value) = property.get("physicalType") {
                    value.problem(
                        problems,
                        "'struct' without properties",
                        "give the object's properties, or 'string' to keep it as JSON text",
                    );
                    return None;
                }
                ColumnType::Json
            }
            (LogicalType::Object | LogicalType::Array, _) => ColumnType::Json,
            (LogicalType::Timestamp, Physical::Timestamp) => ColumnType::Timestamp { format: timestamp_format(property, problems)? },
            (_, Physical::BigInt) => ColumnType::BigInt,
            (_, Physical::Decimal { precision, scale }) => ColumnType::Decimal { precision, scale },
            (_, Physical::Boolean) => ColumnType::Boolean,
            (_, Physical::String | Physical::Timestamp | Physical::Struct) => ColumnType::Text,
        },
    })
}

fn physical(value: &Cursor<'_>, logical: &str, rules: &Combination, problems: &mut Problems) -> Option<Physical> {
    let text = value.text()?;
    match Physical::parse(text) {
        Err(help) => value.problem(problems, format!("'{text}'"), help),
        Ok(physical) if rules.physical.iter().any(|spelled| physical.is(spelled)) => return Some(physical),
        Ok(_) => value.problem(
            problems,
            format!("'{text}' does not go with logicalType '{logical}'"),
            format!("{} is expected", either(rules.physical)),
        ),
    }
    None
}

/// The attribute's DynamoDB type.
fn source(property: &Cursor<'_>, logical: &str, rules: &Combination, within: Within, problems: &mut Problems) -> Option<AttributeType> {
    let Some(value) = property.custom(DYNAMODB_TYPE, problems) else { return rules.sources.first().copied() };
    let spelled = value.node.value.describe();
    let known = [S, N, B, Bool, L, M, Ss, Ns, Bs];
    let Some(source) = known.into_iter().find(|known| value.text() == Some(known.to_string().as_str())) else {
        value.problem(problems, format!("{spelled} is not a DynamoDB type"), format!("{} is expected", either(&known)));
        return None;
    };
    if !rules.sources.contains(&source) {
        let problem = format!("{spelled} does not go with logicalType '{logical}'");
        value.problem(problems, problem, format!("{} is expected", either(rules.sources)));
        return None;
    }
    if within == Within::Json && matches!(source, B | Ss | Ns | Bs) {
        let problem = format!("a value of type {source} cannot be told apart from others inside JSON text");
        let help = "flatten the maps around it (flattenDepth), or leave it out: undeclared, the whole attribute is kept in cdc_extra";
        value.problem(problems, problem, help);
        return None;
    }
    Some(source)
}

fn timestamp_format(property: &Cursor<'_>, problems: &mut Problems) -> Option<TimestampFormat> {
    let Some(format) = property.get("logicalTypeOptions").and_then(|options| options.get("format")) else {
        return Some(TimestampFormat::Seconds);
    };
    match format.text()? {
        "yyyy-MM-dd'T'HH:mm:ssX" => Some(TimestampFormat::Seconds),
        "yyyy-MM-dd'T'HH:mm:ss.SSSX" => Some(TimestampFormat::Millis),
        "yyyy-MM-dd'T'HH:mm:ss.SSSSSSX" => Some(TimestampFormat::Micros),
        other => {
            let help = "yyyy-MM-dd'T'HH:mm:ssX, or the same with .SSS or .SSSSSS after the seconds, is expected; \
                        physicalType 'string' takes any other";
            format.problem(problems, format!("\"{other}\" cannot be kept as a timestamp and rebuilt exactly"), help);
            None
        }
    }
}
