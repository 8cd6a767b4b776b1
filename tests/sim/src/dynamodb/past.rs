//! What items were a moment ago: an eventually consistent read may still find them so, when the call's quirks say it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeBounds as _};

use super::key::ItemKey;
use super::table::{Stored, Table};
use crate::call::{Call, Quirks};

/// How far back reads may be, in milliseconds. DynamoDB says that copies usually agree within a second.
const LONGEST: i64 = 1_000;

/// The latest changes of a table, from the other side.
#[derive(Debug, Default)]
pub(super) struct Past(VecDeque<Was>);

#[derive(Debug)]
struct Was {
    /// When the item changed (milliseconds since the epoch).
    until: i64,
    key: ItemKey,
    /// What it was before; none when there was no such item.
    stored: Option<Stored>,
}

/// The table as a read finds it.
pub(super) struct Sight<'a> {
    table: &'a Table,
    /// The items that it finds as they were, where that is not as they are.
    earlier: BTreeMap<&'a ItemKey, Option<&'a Stored>>,
    quirks: &'a Quirks,
}

impl Past {
    /// Notes what an item was until now.
    pub(super) fn remember(&mut self, now: i64, key: ItemKey, stored: Option<Stored>) {
        while self.0.front().is_some_and(|was| was.until < now - LONGEST) {
            self.0.pop_front();
        }
        self.0.push_back(Was { until: now, key, stored });
    }

    fn at(&self, at: i64) -> BTreeMap<&ItemKey, Option<&Stored>> {
        // From the newest change back, so that of an item's several the first one after that time stays.
        let changed = self.0.iter().rev().take_while(|was| was.until > at);
        changed.map(|was| (&was.key, was.stored.as_ref())).collect()
    }
}

impl Table {
    /// The table as this call finds it.
    pub(super) fn seen_by<'a>(&'a self, call: &Call<'a>, is_consistent: bool) -> Sight<'a> {
        let late = call.quirks.stale_read.filter(|_| !is_consistent);
        let earlier = late.map(|late| self.past.at(call.now - late.min(LONGEST))).unwrap_or_default();
        Sight { table: self, earlier, quirks: call.quirks }
    }
}

impl<'a> Sight<'a> {
    /// An item.
    pub(super) fn get(&self, key: &ItemKey) -> Option<&'a Stored> {
        match self.earlier.get(key) {
            Some(stored) => {
                self.quirks.bite("stale_read");
                *stored
            }
            None => self.table.items.get(key),
        }
    }

    /// The items between two keys, in their order.
    pub(super) fn range(
        &self,
        bounds: (Bound<ItemKey>, Bound<ItemKey>),
    ) -> Box<dyn DoubleEndedIterator<Item = (&'a ItemKey, &'a Stored)> + 'a> {
        let earlier: Vec<_> = self.earlier.iter().filter(|(key, _)| bounds.contains(**key)).collect();
        if earlier.is_empty() {
            return Box::new(self.table.items.range(bounds));
        }
        self.quirks.bite("stale_read");
        let mut items: BTreeMap<&'a ItemKey, &'a Stored> = self.table.items.range(bounds).collect();
        for (key, stored) in earlier {
            match *stored {
                Some(stored) => items.insert(*key, stored),
                None => items.remove(*key),
            };
        }
        Box::new(items.into_iter())
    }
}
