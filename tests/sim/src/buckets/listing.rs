//! Pages of a bucket's keys, with keys that share a beginning rolled up, as ListObjectsV2 gives them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Object;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct Query<'a> {
    /// Only keys that begin so.
    pub prefix: &'a str,
    /// Keys are rolled up to the first occurrence of this after the prefix.
    pub delimiter: Option<&'a str>,
    /// Where to go on.
    pub after: After<'a>,
    /// How many keys and rolled-up prefixes at most.
    pub limit: usize,
}

/// Where a listing goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum After<'a> {
    /// At the beginning.
    #[default]
    Nothing,
    /// Behind a key.
    Key(&'a str),
    /// Behind all keys that begin so.
    Prefix(&'a str),
}

/// A page of a listing.
#[derive(Debug, Default)]
pub struct Page<'a> {
    /// The objects by key.
    pub objects: Vec<(&'a str, &'a Object)>,
    /// What keys were rolled up to.
    pub prefixes: Vec<&'a str>,
    /// Where the next page goes on; `Nothing` when this is the last.
    pub next: After<'a>,
}

/// Lists a bucket's objects.
pub fn list<'a>(objects: &'a BTreeMap<String, Object>, query: &Query<'_>) -> Page<'a> {
    let mut page = Page::default();
    let skipped = match query.after {
        After::Nothing => Bound::Unbounded,
        After::Key(after) | After::Prefix(after) => Bound::Excluded(after),
    };
    // The prefix decides the beginning unless the page goes on behind it.
    let start = match skipped {
        Bound::Excluded(after) if after >= query.prefix => skipped,
        _ => Bound::Included(query.prefix),
    };
    let mut last = After::Nothing;
    for (key, object) in objects.range::<str, _>((start, Bound::Unbounded)) {
        if !key.starts_with(query.prefix) {
            break;
        }
        let rolled = query.delimiter.filter(|delimiter| !delimiter.is_empty()).and_then(|delimiter| {
            let at = key[query.prefix.len()..].find(delimiter)?;
            Some(&key[..query.prefix.len() + at + delimiter.len()])
        });
        let seen = |prefix: &str| query.after == After::Prefix(prefix) || last == After::Prefix(prefix);
        if rolled.is_some_and(seen) {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == query.limit {
            page.next = last;
            break;
        }
        last = if let Some(prefix) = rolled {
            page.prefixes.push(prefix);
            After::Prefix(prefix)
        } else {
            page.objects.push((key, object));
            After::Key(key)
        };
    }
    page
}

#[cfg(test)]
mod tests {
    use super::super::Buckets;
    use super::*;
    use crate::journal::Journal;

    fn bucket(keys: &[&str]) -> Buckets {
        let mut buckets = Buckets::default();
        buckets.create("b");
        for key in keys {
            assert!(buckets.put("b", key, bytes::Bytes::new(), 0, "w", &Journal::forgetting()));
        }
        buckets
    }

    /// Every page of a listing, as text: `key`, `prefix/*`, and `|` between pages.
    fn pages<'a>(buckets: &'a Buckets, mut query: Query<'a>) -> String {
        let mut text = Vec::new();
        let objects = buckets.objects("b").unwrap();
        loop {
            let page = list(objects, &query);
            text.extend(page.objects.iter().map(|(key, _)| (*key).to_owned()));
            text.extend(page.prefixes.iter().map(|prefix| format!("{prefix}*")));
            if page.next == After::Nothing {
                return text.join(" ");
            }
            text.push("|".to_owned());
            query.after = page.next;
        }
    }

    const KEYS: [&str; 6] = ["a", "d/1", "d/2", "d/e/3", "d0", "z"];

    #[test]
    fn keys_are_listed_in_order_from_the_prefix_or_the_start() {
        let bucket = bucket(&KEYS);
        let query = Query { limit: 1000, ..Query::default() };
        assert_eq!(pages(&bucket, query.clone()), "a d/1 d/2 d/e/3 d0 z");
        assert_eq!(pages(&bucket, Query { prefix: "d/", ..query.clone() }), "d/1 d/2 d/e/3");
        assert_eq!(pages(&bucket, Query { prefix: "d/", after: After::Key("a"), ..query.clone() }), "d/1 d/2 d/e/3");
        assert_eq!(pages(&bucket, Query { after: After::Key("d/2"), ..query }), "d/e/3 d0 z");
    }

    #[test]
    fn a_delimiter_rolls_keys_up_once_each() {
        let bucket = bucket(&KEYS);
        let query = Query { delimiter: Some("/"), limit: 1000, ..Query::default() };
        assert_eq!(pages(&bucket, query.clone()), "a d0 z d/*");
        assert_eq!(pages(&bucket, Query { prefix: "d/", ..query }), "d/1 d/2 d/e/*");
    }

    #[test]
    fn pages_together_hold_what_one_page_would() {
        let bucket = bucket(&KEYS);
        assert_eq!(pages(&bucket, Query { limit: 2, ..Query::default() }), "a d/1 | d/2 d/e/3 | d0 z");
        let query = Query { delimiter: Some("/"), limit: 2, ..Query::default() };
        assert_eq!(pages(&bucket, query), "a d/* | d0 z", "a page that ends in a prefix is not followed by the same prefix");
    }

    #[test]
    fn a_page_of_no_keys_is_empty_and_the_last() {
        let page = pages(&bucket(&KEYS), Query { limit: 0, ..Query::default() });
        assert_eq!(page, "");
    }
}
