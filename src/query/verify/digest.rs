//! Digests that stand for keys and items while they are compared.
//!
//! The first 128 bits of SHA-256: two different items with one digest would have to be made on purpose, at a cost of 2^64 trials.

use sha2::{Digest as _, Sha256};

use crate::event::{Item, restore};
use crate::table::Key;

/// A digest of a key or of an item.
pub(super) type Digest = u128;

/// The digest of bytes.
fn of_bytes(bytes: &[u8]) -> Digest {
    let hash = Sha256::digest(bytes);
    hash.iter().take(size_of::<Digest>()).fold(0, |digest, byte| digest << 8 | Digest::from(*byte))
}

/// The digest by which keys are distributed and matched.
pub(super) fn of_key(key: &Key) -> Digest {
    of_bytes(&key.to_bytes())
}

/// The digest of an item's canonical form: neither the order of attributes and set members nor the spelling of numbers counts.
pub(super) fn of_item(item: &Item<'_>) -> Digest {
    of_bytes(restore::canonical_item(item).as_bytes())
}
