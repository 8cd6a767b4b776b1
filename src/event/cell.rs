//! One value into the cell of its column, and back.
//!
//! A value fits only if it can be rebuilt from the cell and the column exactly (numbers: by value).

use std::borrow::Cow;

use super::number::{Number, canonical};
use super::{AttributeType, Cell, Value, instant, plain_json};
use crate::contract::ColumnType;

/// The cell of a value; `None` if the value does not fit the column.
pub(super) fn fit<'a>(value: &Value<'a>, source: AttributeType, kind: ColumnType) -> Option<Cell<'a>> {
    if value.attribute_type() != source {
        return None;
    }
    match (kind, value) {
        (ColumnType::Text, Value::S(text) | Value::B(text)) => Some(Cell::Text(text.clone())),
        (ColumnType::Text, Value::N(digits)) => canonical_digits(digits).map(Cell::Text),
        (ColumnType::BigInt, Value::N(digits)) => Number::parse(digits).ok()?.to_i64().map(Cell::Int),
        (ColumnType::Decimal { precision, scale }, Value::N(digits)) => {
            Number::parse(digits).ok()?.to_unscaled(precision, scale).map(Cell::Decimal)
        }
        (ColumnType::Boolean, Value::Bool(value)) => Some(Cell::Bool(*value)),
        (ColumnType::Timestamp { format }, Value::S(text)) => instant::parse_rfc3339(text, format).map(Cell::Timestamp),
        (ColumnType::Json, value) => plain_json::plain_json(value).map(|text| Cell::Text(text.into())),
        _ => None,
    }
}

/// The value whose cell this is; `None` if the column cannot hold such a cell, or the cell is null.
pub(super) fn value_of<'a>(cell: &'a Cell<'_>, source: AttributeType, kind: ColumnType) -> Option<Value<'a>> {
    let value = match (kind, cell) {
        (ColumnType::Text, Cell::Text(text)) => text_value(text, source)?,
        (ColumnType::BigInt, Cell::Int(value)) => Value::N(value.to_string().into()),
        (ColumnType::Decimal { scale, .. }, Cell::Decimal(unscaled)) => {
            Value::N(Number::from_unscaled(*unscaled, scale).to_string().into())
        }
        (ColumnType::Boolean, Cell::Bool(value)) => Value::Bool(*value),
        (ColumnType::Timestamp { format }, Cell::Timestamp(micros)) => Value::S(instant::rfc3339(*micros, format)?.into()),
        (ColumnType::Json, Cell::Text(text)) => plain_json::value_of(text, source).ok()?,
        _ => return None,
    };
    (value.attribute_type() == source).then_some(value)
}

/// The value of a text column, of a key in particular.
pub(super) fn text_value(text: &str, source: AttributeType) -> Option<Value<'_>> {
    match source {
        AttributeType::S => Some(Value::S(text.into())),
        AttributeType::N => Some(Value::N(text.into())),
        AttributeType::B => Some(Value::B(text.into())),
        AttributeType::Bool
        | AttributeType::Null
        | AttributeType::Ss
        | AttributeType::Ns
        | AttributeType::Bs
        | AttributeType::L
        | AttributeType::M => None,
    }
}

/// The canonical text of a number, borrowed from the page if it is there.
pub(super) fn canonical_digits<'a>(digits: &Cow<'a, str>) -> Option<Cow<'a, str>> {
    match digits {
        Cow::Borrowed(digits) => canonical(digits).ok(),
        Cow::Owned(digits) => canonical(digits).ok().map(|text| Cow::Owned(text.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::TimestampFormat;

    const PRICE: ColumnType = ColumnType::Decimal { precision: 12, scale: 2 };
    const AT: ColumnType = ColumnType::Timestamp { format: TimestampFormat::Seconds };

    #[test]
    fn a_value_that_fits_comes_back() {
        for (value, kind, cell) in [
            (Value::S("".into()), ColumnType::Text, Cell::Text("".into())),
            (Value::N("1234.5".into()), ColumnType::Text, Cell::Text("1234.5".into())),
            (Value::B("AP8=".into()), ColumnType::Text, Cell::Text("AP8=".into())),
            (Value::N("-7".into()), ColumnType::BigInt, Cell::Int(-7)),
            (Value::N("1234.5".into()), PRICE, Cell::Decimal(123_450)),
            (Value::Bool(false), ColumnType::Boolean, Cell::Bool(false)),
            (Value::S("1970-01-01T00:00:01Z".into()), AT, Cell::Timestamp(1_000_000)),
            (Value::L(vec![Value::Null]), ColumnType::Json, Cell::Text("[null]".into())),
        ] {
            let source = value.attribute_type();
            assert_eq!(fit(&value, source, kind), Some(cell.clone()), "{value:?}");
            assert_eq!(value_of(&cell, source, kind), Some(value));
        }
    }

    #[test]
    fn a_value_that_would_change_does_not_fit() {
        for (value, source, kind) in [
            (Value::S("12".into()), AttributeType::N, ColumnType::BigInt),
            (Value::N("1.5".into()), AttributeType::N, ColumnType::BigInt),
            (Value::N("9223372036854775808".into()), AttributeType::N, ColumnType::BigInt),
            (Value::N("0.001".into()), AttributeType::N, PRICE),
            (Value::S("1970-01-01".into()), AttributeType::S, AT),
            (Value::S("1970-01-01T00:00:00.000Z".into()), AttributeType::S, AT),
            (Value::Null, AttributeType::S, ColumnType::Text),
            (Value::N("no number".into()), AttributeType::N, ColumnType::Text),
            (Value::Ss(vec!["a".into()]), AttributeType::L, ColumnType::Json),
        ] {
            assert_eq!(fit(&value, source, kind), None, "{value:?}");
        }
    }

    #[test]
    fn a_cell_of_another_column_is_no_value() {
        assert_eq!(value_of(&Cell::Null, AttributeType::S, ColumnType::Text), None);
        assert_eq!(value_of(&Cell::Int(1), AttributeType::N, PRICE), None);
        assert_eq!(value_of(&Cell::Text("[]".into()), AttributeType::M, ColumnType::Json), None);
        assert_eq!(value_of(&Cell::Timestamp(1), AttributeType::S, AT), None, "the format has no fraction");
    }
}
