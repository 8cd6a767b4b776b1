//! A node together with its path in the document, as the checks walk it.

use super::error::{Position, Problems};
use super::node::{Key, Node, Value};

/// A node and its path.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> Cursor<'a> {
    /// The document itself.
    pub(super) const fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// Where the node stands in the text.
    pub(super) const fn at(&self) -> Position {
        self.node.at
    }

    /// The path of a field of this mapping, whether it is there or not.
    pub(super) fn path_of(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// The keys and values of a mapping; nothing for any other node.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a Key, Self)> {
        let entries: &'a [(Key, Node)] = if let Value::Map(map) = &self.node.value { map } else { &[] };
        entries.iter().map(|(key, node)| (key, Self { node, path: self.path_of(&key.name) }))
    }

    /// The field of a mapping, unless it is absent or null.
    pub(super) fn get(&self, field: &str) -> Option<Self> {
        self.entries().find(|(key, value)| key.name == field && value.node.value != Value::Null).map(|(_, value)| value)
    }

    /// The items of a list; nothing for any other node.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> {
        let list: &'a [Node] = if let Value::List(list) = &self.node.value { list } else { &[] };
        list.iter().enumerate().map(|(i, node)| Self { node, path: format!("{}[{i}]", self.path) })
    }

    /// The items of a list under `field`; nothing if there is none.
    pub(super) fn items_of(&self, field: &str) -> Vec<Self> {
        self.get(field).map(|list| list.items().collect()).unwrap_or_default()
    }

    /// The node's text, if it is text.
    pub(super) fn text(&self) -> Option<&'a str> {
        if let Value::Text(text) = &self.node.value { Some(text) } else { None }
    }

    /// The text under `field`.
    pub(super) fn text_of(&self, field: &str) -> Option<&'a str> {
        self.get(field).and_then(|value| value.text())
    }

    /// The boolean under `field`; false if there is none.
    pub(super) fn flag(&self, field: &str) -> bool {
        self.get(field).is_some_and(|value| value.node.value == Value::Bool(true))
    }

    /// The node's integer, if it is one.
    pub(super) const fn integer(&self) -> Option<i64> {
        if let Value::Integer(value) = self.node.value { Some(value) } else { None }
    }

    /// The node's number, if it is one.
    #[expect(clippy::cast_precision_loss, reason = "bounds of rules are compared, not stored")]
    pub(super) const fn number(&self) -> Option<f64> {
        match self.node.value {
            Value::Integer(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The value of the custom property `name` of this element. The standard leaves these names open, so a name that differs in its
    /// capitals only would be overlooked for ever: it is an error.
    pub(super) fn custom(&self, name: &str, problems: &mut Problems) -> Option<Self> {
        let mut found = None;
        for entry in self.items_of("customProperties") {
            let Some(property) = entry.get("property") else { continue };
            match property.text() {
                Some(text) if text == name => found = entry.get("value"),
                Some(text) if text.eq_ignore_ascii_case(name) => {
                    problems.add(property.at(), &property.path, format!("'{text}'"), format!("did you mean '{name}'?"));
                }
                _ => {}
            }
        }
        found
    }

    /// Notes an error about this node.
    pub(super) fn problem(&self, problems: &mut Problems, problem: impl Into<String>, help: impl Into<String>) {
        problems.add(self.at(), &self.path, problem, help);
    }
}
