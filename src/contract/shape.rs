//! Checks the form of a document: known fields, required fields, types of values. What the values mean is checked elsewhere.

use super::cursor::Cursor;
use super::error::{Problems, either};
use super::node::Value;

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything, not looked into.
    Any,
    /// Text, number, boolean or nothing.
    Scalar,
    Text,
    /// Letters, digits, `-` and `_`: the standard's stable ids.
    Id,
    Boolean,
    Integer,
    /// An integer of at least this.
    AtLeast(i64),
    Number,
    /// A pair of numbers, the smaller one first.
    Range,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A text or a list of texts.
    Texts,
    /// A mapping that is not looked into.
    Mapping,
    /// A text or a mapping that is not looked into.
    TextOrMapping,
    List(&'static Shape),
    Object(&'static Object),
    /// A list of the first, or the second: the standard knows two forms of `team`.
    ListOr(&'static Object, &'static Object),
}

/// A mapping with a closed set of fields.
#[derive(Debug)]
pub(super) struct Object {
    /// What it is, with its article, for messages.
    pub(super) what: &'static str,
    /// Its fields, in groups that objects share.
    pub(super) fields: &'static [&'static [Field]],
    /// Fields that depend on another field's value.
    pub(super) variant: Option<Variant>,
}

/// Fields that an object has because of what another of its fields says.
#[derive(Debug)]
pub(super) struct Variant {
    /// The other field.
    pub(super) field: &'static str,
    /// Its value (or its absence) to the fields; `None` when the value is unknown, and any field goes.
    pub(super) fields: fn(Option<&str>) -> Option<&'static [&'static [Field]]>,
}

/// A field of an [`Object`].
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// A field that may be absent.
pub(super) const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: false }
}

/// A field that must be there.
pub(super) const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: true }
}

impl Shape {
    /// Notes everything about the form of `cursor` that is not as it should be.
    pub(super) fn check(&self, cursor: &Cursor<'_>, problems: &mut Problems) {
        let value = &cursor.node.value;
        let fits = match self {
            Self::Any => true,
            Self::Scalar => !matches!(value, Value::List(_) | Value::Map(_)),
            Self::Text => matches!(value, Value::Text(_)),
            Self::Id => {
                cursor.text().is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
            }
            Self::Boolean => matches!(value, Value::Bool(_)),
            Self::Integer => matches!(value, Value::Integer(_)),
            Self::AtLeast(minimum) => cursor.integer().is_some_and(|number| number >= *minimum),
            Self::Number => cursor.number().is_some(),
            Self::Range => {
                let bounds: Vec<_> = cursor.items().map(|item| item.number()).collect();
                matches!(bounds[..], [Some(low), Some(high)] if low < high)
            }
            Self::OneOf(texts) => cursor.text().is_some_and(|text| texts.contains(&text)),
            Self::Texts => cursor.text().is_some() || texts(value),
            Self::Mapping => matches!(value, Value::Map(_)),
            Self::TextOrMapping => matches!(value, Value::Text(_) | Value::Map(_)),
            Self::List(of) => {
                cursor.items().for_each(|item| of.check(&item, problems));
                matches!(value, Value::List(_))
            }
            Self::Object(object) => {
                object.check(cursor, problems);
                matches!(value, Value::Map(_))
            }
            Self::ListOr(item, object) => match value {
                Value::List(_) => {
                    cursor.items().for_each(|entry| Self::Object(item).check(&entry, problems));
                    true
                }
                _ => return Self::Object(object).check(cursor, problems),
            },
        };
        if !fits {
            let mut help = format!("{} is expected", self.expected());
            if let Self::OneOf(texts) = self
                && let Some(near) = cursor.text().and_then(|text| nearest(text, texts.iter().copied()))
            {
                help = format!("did you mean '{near}'? {help}");
            }
            if matches!(self, Self::Text) && cursor.number().is_some() {
                help.push_str(" (put it in quotes)");
            }
            cursor.problem(problems, value.describe(), help);
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Any => "a value".to_owned(),
            Self::Scalar => "text, a number or a boolean".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Id => "an id of letters, digits, '-' and '_'".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::AtLeast(minimum) => format!("a whole number of at least {minimum}"),
            Self::Number => "a number".to_owned(),
            Self::Range => "a list of two numbers, the smaller one first,".to_owned(),
            Self::OneOf(texts) => either(texts),
            Self::Texts => "text or a list of texts".to_owned(),
            Self::Mapping => "a mapping".to_owned(),
            Self::TextOrMapping => "text or a mapping".to_owned(),
            Self::List(Self::Object(object)) => format!("a list, each entry of it {},", object.what),
            Self::List(Self::Text) => "a list of texts".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Object(object) | Self::ListOr(_, object) => format!("{} (a mapping)", object.what),
        }
    }
}

fn texts(value: &Value) -> bool {
    matches!(value, Value::List(list) if list.iter().all(|node| matches!(node.value, Value::Text(_))))
}

impl Object {
    fn check(&self, cursor: &Cursor<'_>, problems: &mut Problems) {
        if !matches!(cursor.node.value, Value::Map(_)) {
            return;
        }
        let variant = match &self.variant {
            None => Some(&[][..]),
            Some(variant) => (variant.fields)(cursor.text_of(variant.field)),
        };
        let known = || self.fields.iter().chain(variant.unwrap_or_default()).copied().flatten();
        for (key, value) in cursor.entries() {
            match known().find(|field| field.name == key.name) {
                // An empty value is an absent one, except that a required field may not be empty.
                Some(field) if value.node.value == Value::Null && !field.required => {}
                Some(field) => field.shape.check(&value, problems),
                None if variant.is_none() => {}
                None => {
                    let help = match nearest(&key.name, known().map(|field| field.name)) {
                        Some(near) => format!("did you mean '{near}'?"),
                        None => "what the standard does not define belongs under customProperties".to_owned(),
                    };
                    problems.add(key.at, value.path, format!("the standard has no such field in {}", self.named(cursor)), help);
                }
            }
        }
        for field in known().filter(|field| field.required) {
            if !cursor.entries().any(|(key, _)| key.name == field.name) {
                let help = format!("{} needs it: {} is expected", self.named(cursor), field.shape.expected());
                problems.add(cursor.at(), cursor.path_of(field.name), "is missing", help);
            }
        }
    }

    /// What the object is, with the value that its variant depends on.
    fn named(&self, cursor: &Cursor<'_>) -> String {
        let variant = self.variant.as_ref().and_then(|variant| Some((variant.field, cursor.text_of(variant.field)?)));
        variant.map_or_else(|| self.what.to_owned(), |(field, value)| format!("{} with {field} '{value}'", self.what))
    }
}

/// The name that was probably meant: within a third of its length of single-character edits, and at least a slip of the keyboard.
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    known
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::node::parse;

    static POINT: Object = Object { what: "a point", fields: &[&[must("x", Shape::Number), may("label", Shape::Text)]], variant: None };
    static POINTS: Shape = Shape::List(&Shape::Object(&POINT));

    fn problems(shape: &Shape, text: &str) -> String {
        let node = parse(text).unwrap();
        let mut problems = Problems::default();
        shape.check(&Cursor::root(&node), &mut problems);
        problems.or("f", ()).map_or_else(|errors| errors.to_string(), |()| String::new())
    }

    #[test]
    fn every_deviation_is_reported_with_its_place() {
        let text = "- {x: 1, label: a}\n- {lable: a}\n- 7\n- {x: one, colour: red}\n- {x: 1, label: 1.10}\n";
        assert_eq!(
            problems(&POINTS, text),
            "f:2:3: [1].x: is missing: a point needs it: a number is expected\n\
             f:2:4: [1].lable: the standard has no such field in a point: did you mean 'label'?\n\
             f:3:3: [2]: the number 7: a point (a mapping) is expected\n\
             f:4:7: [3].x: 'one': a number is expected\n\
             f:4:12: [3].colour: the standard has no such field in a point: what the standard does not define belongs under \
             customProperties\n\
             f:5:17: [4].label: the number 1.1: text is expected (put it in quotes)"
        );
    }

    #[test]
    fn an_empty_optional_field_is_an_absent_one_and_an_empty_required_one_is_an_error() {
        assert_eq!(problems(&Shape::Object(&POINT), "x: 1\nlabel:\n"), "");
        assert_eq!(problems(&Shape::Object(&POINT), "label: a\nx:\n"), "f:2:3: x: nothing: a number is expected");
    }

    #[test]
    fn scalars_are_held_to_their_shape() {
        for (shape, good, bad) in [
            (Shape::Id, "a-B_9", "a b"),
            (Shape::Boolean, "true", "yes"),
            (Shape::Integer, "3", "3.5"),
            (Shape::AtLeast(0), "0", "-1"),
            (Shape::Range, "[1, 2.5]", "[2, 1]"),
            (Shape::Texts, "[a, b]", "[a, 1]"),
            (Shape::Scalar, "1.5", "[1]"),
            (Shape::TextOrMapping, "{a: 1}", "[1]"),
            (Shape::OneOf(&["rows", "percent"]), "rows", "row"),
        ] {
            assert_eq!(problems(&shape, good), "", "{shape:?}");
            assert!(problems(&shape, bad).contains("is expected"), "{shape:?}");
        }
        assert!(problems(&Shape::OneOf(&["rows", "percent"]), "row").contains("did you mean 'rows'?"));
    }
}
