//! Document paths: where in an item a value stands.

use std::fmt;

use super::invalid;
use crate::call::ApiError;
use crate::item::{AttributeValue, Item};

/// A step of a path. Elements of a list stand before fields of a map, so that ordered paths bring those of one list together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::dynamodb) enum Step {
    /// An element of a list.
    Element(usize),
    /// A field of a map, or an attribute of the item.
    Field(String),
}

/// A path from the item down: an attribute's name, then fields and elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::dynamodb) struct Path(pub(super) Vec<Step>);

impl Path {
    /// The path of an attribute.
    pub(in crate::dynamodb) fn of_attribute(name: &str) -> Self {
        Self(vec![Step::Field(name.to_owned())])
    }

    /// The attribute that the path begins with.
    pub(in crate::dynamodb) fn attribute(&self) -> &str {
        match self.0.first() {
            Some(Step::Field(name)) => name,
            _ => "",
        }
    }

    /// Whether the path is an attribute itself and not something inside it.
    pub(in crate::dynamodb) fn is_attribute(&self) -> bool {
        self.0.len() == 1
    }

    /// What stands there.
    pub(in crate::dynamodb) fn get<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        let (_, steps) = self.0.split_first()?;
        steps.iter().try_fold(item.get(self.attribute())?, |value, step| match (value, step) {
            (AttributeValue::M(map), Step::Field(name)) => map.get(name),
            (AttributeValue::L(list), Step::Element(index)) => list.get(*index),
            _ => None,
        })
    }

    /// Whether a value could be put there: what it would be put into is there and of the right kind.
    pub(super) fn has_parent(&self, item: &Item) -> bool {
        let Some((last, parent)) = self.0.split_last().filter(|(_, parent)| !parent.is_empty()) else { return true };
        match Self(parent.to_vec()).get(item) {
            Some(AttributeValue::M(_)) => matches!(last, Step::Field(_)),
            Some(AttributeValue::L(_)) => matches!(last, Step::Element(_)),
            _ => false,
        }
    }

    /// Puts a value there. Behind the end of a list it becomes the list's last element.
    pub(super) fn put(&self, item: &mut Item, value: AttributeValue) {
        match self.lead(item) {
            Some((Parent::Map(map), Step::Field(name))) => {
                map.insert(name.clone(), value);
            }
            Some((Parent::List(list), Step::Element(index))) => match list.get_mut(*index) {
                Some(element) => *element = value,
                None => list.push(value),
            },
            _ => {}
        }
    }

    /// Removes what stands there; the list's later elements move up.
    pub(super) fn remove(&self, item: &mut Item) {
        match self.lead(item) {
            Some((Parent::Map(map), Step::Field(name))) => {
                map.remove(name);
            }
            Some((Parent::List(list), Step::Element(index))) if *index < list.len() => {
                list.remove(*index);
            }
            _ => {}
        }
    }

    /// What the path's last step leads into.
    fn lead<'a, 'b>(&'b self, item: &'a mut Item) -> Option<(Parent<'a>, &'b Step)> {
        let (target, steps) = self.0.split_last()?;
        let mut parent = Parent::Map(item);
        for step in steps {
            let value = match (parent, step) {
                (Parent::Map(map), Step::Field(name)) => map.get_mut(name)?,
                (Parent::List(list), Step::Element(index)) => list.get_mut(*index)?,
                _ => return None,
            };
            parent = match value {
                AttributeValue::M(map) => Parent::Map(map),
                AttributeValue::L(list) => Parent::List(list),
                _ => return None,
            };
        }
        Some((parent, target))
    }
}

enum Parent<'a> {
    Map(&'a mut Item),
    List(&'a mut Vec<AttributeValue>),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, step) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match step {
                Step::Field(name) => f.write_str(name)?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        f.write_str("]")
    }
}

/// Refuses paths of which one leads through the other, or that take one value for a list and a map.
pub(super) fn check_distinct<'a>(which: &str, paths: impl IntoIterator<Item = &'a Path>) -> Result<(), ApiError> {
    let mut paths: Vec<&Path> = paths.into_iter().collect();
    paths.sort();
    // A path stands before those that it leads to, and nothing else stands between; so neighbours tell.
    for pair in paths.windows(2) {
        let common = pair[0].0.iter().zip(&pair[1].0).take_while(|(left, right)| left == right).count();
        let how = match (pair[0].0.get(common), pair[1].0.get(common)) {
            (None, _) => "overlap",
            (Some(Step::Element(_)), Some(Step::Field(_))) => "conflict",
            _ => continue,
        };
        let message = format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {}, path two: {}",
            pair[0], pair[1]
        );
        return Err(invalid(which, message));
    }
    Ok(())
}

/// The parts of an item that the paths lead to, each where it stood; the elements of a list move together.
pub(in crate::dynamodb) fn project(item: &Item, paths: &[Path]) -> Item {
    let mut paths: Vec<&[Step]> = paths.iter().map(|path| &*path.0).collect();
    paths.sort_unstable();
    project_map(item, &paths)
}

fn project_map(map: &Item, paths: &[&[Step]]) -> Item {
    let mut projected = Item::new();
    for group in paths.chunk_by(|left, right| left[0] == right[0]) {
        if let Step::Field(name) = &group[0][0]
            && let Some(value) = map.get(name).and_then(|value| project_value(value, group))
        {
            projected.insert(name.clone(), value);
        }
    }
    projected
}

/// What the paths of one first step, which has led to this value, leave of it.
fn project_value(value: &AttributeValue, group: &[&[Step]]) -> Option<AttributeValue> {
    let rest: Vec<&[Step]> = group.iter().map(|path| &path[1..]).filter(|path| !path.is_empty()).collect();
    if rest.len() < group.len() {
        return Some(value.clone());
    }
    match value {
        AttributeValue::M(map) => Some(project_map(map, &rest)).filter(|map| !map.is_empty()).map(AttributeValue::M),
        AttributeValue::L(list) => {
            let element = |group: &[&[Step]]| match group[0][0] {
                Step::Element(index) => project_value(list.get(index)?, group),
                Step::Field(_) => None,
            };
            let projected: Vec<_> = rest.chunk_by(|left, right| left[0] == right[0]).filter_map(element).collect();
            Some(projected).filter(|list| !list.is_empty()).map(AttributeValue::L)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        serde_json::from_str(r#"{"n":{"N":"5"},"m":{"M":{"x":{"N":"1"},"l":{"L":[{"S":"a"},{"S":"b"},{"M":{"y":{"S":"c"}}}]}}}}"#).unwrap()
    }

    fn path(text: &str) -> Path {
        let step = |step: &str| step.parse().map_or_else(|_| Step::Field(step.to_owned()), Step::Element);
        Path(text.split('.').map(step).collect())
    }

    fn projected(paths: &[&str]) -> String {
        serde_json::to_string(&project(&item(), &paths.iter().map(|text| path(text)).collect::<Vec<_>>())).unwrap()
    }

    #[test]
    fn a_projection_keeps_the_shape_and_closes_up_lists() {
        assert_eq!(projected(&["n", "m.x"]), r#"{"m":{"M":{"x":{"N":"1"}}},"n":{"N":"5"}}"#);
        assert_eq!(projected(&["m.l.2.y", "m.l.0"]), r#"{"m":{"M":{"l":{"L":[{"S":"a"},{"M":{"y":{"S":"c"}}}]}}}}"#);
        assert_eq!(projected(&["q", "n.x", "m.q", "m.l.9", "m.l.0.z"]), "{}");
    }

    #[test]
    fn a_value_is_put_and_removed_where_its_path_leads() {
        let mut item = item();
        path("m.l.1").remove(&mut item);
        path("m.l.9").put(&mut item, AttributeValue::S("end".into()));
        path("m.l.1.y").put(&mut item, AttributeValue::BOOL(true));
        path("m.x").remove(&mut item);
        path("m.x.nowhere").remove(&mut item);
        let left = r#"{"m":{"M":{"l":{"L":[{"S":"a"},{"M":{"y":{"BOOL":true}}},{"S":"end"}]}}},"n":{"N":"5"}}"#;
        assert_eq!(serde_json::to_string(&item).unwrap(), left);
    }

    #[test]
    fn only_containers_of_the_right_kind_take_values() {
        for (text, fits) in [("q", true), ("m.q", true), ("m.l.9", true), ("m.l.x", false), ("m.0", false), ("n.x", false), ("q.x", false)]
        {
            assert_eq!(path(text).has_parent(&item()), fits, "{text}");
        }
    }

    #[test]
    fn paths_that_meet_are_refused() {
        let check = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
            check_distinct("ProjectionExpression", &paths).map_err(|error| error.message)
        };
        let rule = "must remove or rewrite one of these paths";
        let overlap =
            format!("Invalid ProjectionExpression: Two document paths overlap with each other; {rule}; path one: [m], path two: [m, x]");
        assert_eq!(check(&["m.x", "a", "m"]), Err(overlap));
        let conflict = format!(
            "Invalid ProjectionExpression: Two document paths conflict with each other; {rule}; path one: [m, [0]], path two: [m, x]"
        );
        assert_eq!(check(&["m.x", "m.0", "m.a.b", "m.y"]).map_err(|error| error.replace("[m, a, b]", "[m, x]")), Err(conflict));
        assert_eq!(check(&["m.x", "m.y", "mx", "l.0", "l.1"]), Ok(()));
    }
}
