//! Properties of the schema, read into a tree that follows the item.

use super::cursor::Cursor;
use super::error::{Position, Problems};
use super::schema::snake_case;
use super::types::{Layout, Within, layout};

/// How deep properties may nest. DynamoDB's items nest to 32 levels; a map that is described without its properties may hold the rest.
pub(super) const MAX_NESTING: u8 = 16;

/// A property of an object.
#[derive(Debug)]
pub(super) struct Property {
    /// The attribute's name in DynamoDB: physicalName, or else name.
    pub(super) attribute: String,
    /// Its part of a column's name, from the property's name.
    pub(super) column: String,
    pub(super) required: bool,
    pub(super) classification: Option<String>,
    /// Classifications of what is inside its JSON text, in the order of the document.
    pub(super) inside: Vec<String>,
    pub(super) key: Option<Key>,
    pub(super) content: Content,
    /// Where its name stands.
    pub(super) at: Position,
    /// Its path in the document.
    pub(super) path: String,
}

/// That a property is part of the primary key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its place within the key, and where that or else the property stands.
    pub(super) position: Option<i64>,
    pub(super) at: Position,
}

/// What a property holds.
#[derive(Debug)]
pub(super) enum Content {
    /// One column.
    Cell(Layout),
    /// A flattened map.
    Fields(Vec<Property>),
    /// An error about it has been noted.
    Unknown,
}

impl Property {
    /// Its own classification, and those of what is inside its JSON text.
    fn classifications(self) -> impl Iterator<Item = String> {
        self.classification.into_iter().chain(self.inside)
    }
}

/// Reads the properties of `element`, an object or a property of logicalType object.
pub(super) fn read_all(element: &Cursor<'_>, within: Within, nesting: u8, problems: &mut Problems) -> Vec<Property> {
    let properties: Vec<Property> =
        element.items_of("properties").iter().filter_map(|property| read(property, within, nesting, problems)).collect();
    for (i, property) in properties.iter().enumerate() {
        if let Some(first) = properties[..i].iter().find(|other| other.attribute == property.attribute) {
            let problem = format!("'{}' is described twice, first on line {}", property.attribute, first.at.line);
            problems.add(property.at, format!("{}.name", property.path), problem, "remove one of the two properties");
        }
    }
    properties
}

/// What a property says besides its name, which a list's items have none of.
struct Described {
    content: Content,
    inside: Vec<String>,
    key: Option<Key>,
}

fn describe(property: &Cursor<'_>, within: Within, nesting: u8, problems: &mut Problems) -> Option<Described> {
    if nesting > MAX_NESTING {
        let help = format!("{MAX_NESTING} levels can be described: remove it, and it stays in the JSON text of the map around it");
        property.problem(problems, format!("lies {nesting} levels deep"), help);
        return None;
    }
    let layout = layout(property, within, problems);
    let content = match layout {
        None => Content::Unknown,
        Some(Layout::Fields) => {
            let levels_left = if let Within::Columns { levels_left } = within { levels_left.saturating_sub(1) } else { 0 };
            Content::Fields(read_all(property, Within::Columns { levels_left }, nesting + 1, problems))
        }
        Some(cell) => Content::Cell(cell),
    };
    let mut inside = Vec::new();
    if !matches!(content, Content::Fields(_)) {
        let fields = read_all(property, Within::Json, nesting + 1, problems);
        inside.extend(fields.into_iter().flat_map(Property::classifications));
    }
    if let Some(items) = property.get("items") {
        inside.extend(items.text_of("classification").map(str::to_owned));
        inside.extend(describe(&items, Within::Json, nesting + 1, problems).into_iter().flat_map(|items| items.inside));
    }
    Some(Described { content, inside, key: key(property, nesting, problems) })
}

fn read(property: &Cursor<'_>, within: Within, nesting: u8, problems: &mut Problems) -> Option<Property> {
    let Described { content, inside, key } = describe(property, within, nesting, problems)?;
    let name = property.get("name")?;
    let column = snake_case(name.text()?);
    if matches!(within, Within::Columns { .. }) && !column.bytes().any(|b| b.is_ascii_alphanumeric()) {
        name.problem(
            problems,
            format!("'{}' has no letter or digit of ASCII, which column names are made of", name.text()?),
            "give another name and put the attribute's into physicalName",
        );
        return None;
    }
    Some(Property {
        attribute: property.text_of("physicalName").or(name.text())?.to_owned(),
        column,
        required: property.flag("required") || key.is_some(),
        classification: property.text_of("classification").map(str::to_owned),
        inside,
        key,
        content,
        at: name.at(),
        path: property.path.clone(),
    })
}

fn key(property: &Cursor<'_>, nesting: u8, problems: &mut Problems) -> Option<Key> {
    let place = property.get("primaryKeyPosition");
    if !property.flag("primaryKey") {
        // The standard's default, spelled out in many documents, is -1.
        if let Some(place) = place.filter(|place| place.integer().is_some_and(|number| number != -1)) {
            place.problem(problems, "the property is not part of the primary key", "set primaryKey: true, or remove the position");
        }
        return None;
    }
    if nesting > 1
        && let Some(flag) = property.get("primaryKey")
    {
        flag.problem(problems, "a nested field cannot be part of the primary key", "keys of DynamoDB are top-level attributes");
        return None;
    }
    if let Some(required) = property.get("required").filter(|_| !property.flag("required")) {
        required.problem(problems, "a key attribute is always there", "set required: true, or remove it");
    }
    let number = place.as_ref().and_then(Cursor::integer).filter(|number| *number != -1);
    Some(Key { position: number, at: place.map_or(property.at(), |place| place.at()) })
}
