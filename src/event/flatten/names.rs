//! From an attribute's name to its place in the row.

use std::cmp::Ordering;

/// Where an attribute, or a field of a flattened map, goes.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Nowhere: it is part of the key, which has columns of its own.
    Key,
    /// Into the column of that index.
    Column(usize),
    /// It is a map, and its fields have places of their own.
    Fields(Names),
}

/// The named attributes of an item or of a flattened map. Sorted by length and then by bytes: most look-ups end after comparing a few
/// lengths and one name, whatever the number of columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<(Box<str>, Place)>);

impl Names {
    /// The place of the attribute of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Place> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// Gives the attribute at `path` a place, unless it or a map around it has one already.
    pub(super) fn insert(&mut self, path: &[String], place: Place) {
        let Some((name, fields)) = path.split_first() else {
            return;
        };
        let found = self.find(name);
        match (found, fields.is_empty()) {
            (Err(at), true) => self.0.insert(at, (name.as_str().into(), place)),
            (Err(at), false) => {
                let mut nested = Self::default();
                nested.insert(fields, place);
                self.0.insert(at, (name.as_str().into(), Place::Fields(nested)));
            }
            (Ok(at), false) => {
                if let Place::Fields(nested) = &mut self.0[at].1 {
                    nested.insert(fields, place);
                }
            }
            (Ok(_), true) => {}
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| by_length(known, name))
    }
}

fn by_length(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(dotted: &str) -> Vec<String> {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn names_are_found_and_the_first_place_stays() {
        let mut names = Names::default();
        let paths = ["id", "name", "zip", "address.street", "address.zip", "id", "name.first", "address", "a.b.c"];
        for (i, dotted) in paths.iter().enumerate() {
            names.insert(&path(dotted), Place::Column(i));
        }
        let column = |place: Option<&Place>| match place {
            Some(Place::Column(i)) => Some(*i),
            _ => None,
        };
        assert_eq!(column(names.get("id")), Some(0));
        assert_eq!(column(names.get("name")), Some(1));
        assert_eq!(column(names.get("zip")), Some(2));
        let Some(Place::Fields(address)) = names.get("address") else { panic!("{names:?}") };
        assert_eq!((column(address.get("street")), column(address.get("zip"))), (Some(3), Some(4)));
        assert!(matches!(names.get("a"), Some(Place::Fields(_))));
        for absent in ["", "i", "idx", "street", "address.zip"] {
            assert!(names.get(absent).is_none(), "{absent}");
        }
    }
}
