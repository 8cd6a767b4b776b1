//! What each item of the table was, and since when.

use std::collections::BTreeMap;

use super::difference::sorted;
use crate::item::{AttributeValue, Item};
use crate::journal::Change;

/// The key attributes of an item, as text.
pub(super) type Key = BTreeMap<String, String>;

/// Every state of every item.
#[derive(Debug, Default)]
pub(super) struct Timeline(BTreeMap<Key, Vec<State>>);

/// What an item was from a time on, until the next state.
#[derive(Debug)]
struct State {
    /// Milliseconds since the epoch.
    since: i64,
    /// Everything but the key; none while there was no such item.
    image: Option<Item>,
}

impl Timeline {
    pub(super) fn note(&mut self, at: i64, change: &Change) {
        let image = change.new.as_ref().map(|new| rest(new, &change.key));
        self.0.entry(key(&change.key)).or_default().push(State { since: at, image });
    }

    /// Whether the item was that at some moment between two times (milliseconds since the epoch), both included.
    pub(super) fn was(&self, key: &Key, image: Option<&Item>, from: i64, through: i64) -> bool {
        let states = self.0.get(key).map_or(&[][..], Vec::as_slice);
        let until = |state: usize| states.get(state).is_none_or(|next| next.since >= from);
        let began_absent = image.is_none() && until(0);
        let is_meant = |(number, state): (usize, &State)| state.since <= through && until(number + 1) && state.image.as_ref() == image;
        began_absent || states.iter().enumerate().any(is_meant)
    }

    /// The items that were there all the time between two times.
    pub(super) fn there_throughout(&self, from: i64, through: i64) -> impl Iterator<Item = &Key> {
        self.0.iter().filter_map(move |(key, states)| {
            let during = states.partition_point(|state| state.since < from);
            let was_there = during.checked_sub(1).is_some_and(|before| states[before].image.is_some());
            let stayed = states[during..].iter().take_while(|state| state.since <= through).all(|state| state.image.is_some());
            (was_there && stayed).then_some(key)
        })
    }

    /// The items that there are, as they are, but for their keys.
    pub(super) fn now(&self) -> BTreeMap<&Key, &Item> {
        self.0.iter().filter_map(|(key, states)| Some((key, states.last()?.image.as_ref()?))).collect()
    }
}

/// The text of an item's key attributes, which are of one of three types.
fn key(key: &Item) -> Key {
    let text = |value: &AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) | AttributeValue::B(text) => Some(text.clone()),
        _ => None,
    };
    key.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// An image without its key.
fn rest(image: &Item, key: &Item) -> Item {
    image.iter().filter(|(name, _)| !key.contains_key(*name)).map(|(name, value)| (name.clone(), sorted(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::AttributeValue::{N, S};

    /// An item that came at 10 as 1, became 2 at 20, went at 30 and came again at 40 as 3.
    fn timeline() -> (Timeline, Key) {
        let key = Item::from([("id".to_owned(), S("x".to_owned()))]);
        let image = |number: i32| Item::from([("id".to_owned(), S("x".to_owned())), ("n".to_owned(), N(number.to_string()))]);
        let mut timeline = Timeline::default();
        for (at, new) in [(10, Some(1)), (20, Some(2)), (30, None), (40, Some(3))] {
            let change = Change {
                table: "orders".into(),
                place: None,
                operation: "MODIFY",
                key: key.clone(),
                old: None,
                new: new.map(image),
                by_ttl: false,
            };
            timeline.note(at, &change);
        }
        (timeline, Key::from([("id".to_owned(), "x".to_owned())]))
    }

    #[test]
    fn a_state_counts_from_its_change_to_the_next() {
        let (timeline, key) = timeline();
        let was = |number: Option<i32>, from: i64, through: i64| {
            let image = number.map(|number| Item::from([("n".to_owned(), N(number.to_string()))]));
            timeline.was(&key, image.as_ref(), from, through)
        };
        assert!(was(Some(1), 0, 10) && was(Some(1), 20, 50) && was(Some(1), 12, 13));
        assert!(!was(Some(1), 0, 9) && !was(Some(1), 21, 50));
        assert!(was(None, 0, 5) && was(None, 10, 12) && was(None, 35, 36) && was(None, 5, 100));
        assert!(!was(None, 11, 29) && !was(None, 41, 100));
        assert!(was(Some(3), 100, 200) && !was(Some(2), 31, 200) && !was(Some(9), 0, 200));
        assert!(timeline.was(&Key::new(), None, 0, 100) && !timeline.was(&Key::new(), Some(&Item::new()), 0, 100), "never there");
    }

    #[test]
    fn an_item_is_there_throughout_unless_it_comes_or_goes_meanwhile() {
        let (timeline, _) = timeline();
        let there = |from, through| timeline.there_throughout(from, through).count() == 1;
        assert!(there(11, 29) && there(21, 29) && there(41, 100));
        assert!(!there(10, 29) && !there(5, 8) && !there(11, 30) && !there(11, 100) && !there(31, 35) && !there(35, 100));
        assert_eq!(timeline.now().len(), 1);
    }
}
