//! Who holds how much, and who may take more. Pure: no waiting, and the time is given.
//!
//! Half of the room is shared out: each of the `n` writers has a **part** of `room / 2 / n`. The rest is the **pool**, from which a
//! writer takes what it holds beyond its part. A change is admitted when all of it still fits, and
//!
//! - the writer then holds no more than its part; or
//! - it is its turn, what all writers take of the pool then fits the pool, and the writer is not blocked; or
//! - it is its turn, and nobody holds anything: that is how a change passes that is larger than the room.
//!
//! The first two never pass the room, since that is asked for besides. Of a steady set of writers the first is never refused: `n` parts
//! and a pool that is never passed fit the room together. So whatever the others hold, be they blocked for ever, a writer goes on with
//! what its part can carry. The pool is lent in the order of asking, so nobody waits for ever while others come and go. When writers
//! come, parts shrink, and who held more than its new part owes it to the pool; until it has given, a newcomer may have to wait.
//!
//! A change that is too large for part and pool together waits until nobody holds anything, and as long as nobody is blocked, nobody
//! takes anything before it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// An eighth of the pool is kept free by asking early, so that who needs some rarely waits for it.
const MARGIN: usize = 8;

/// A writer of the ledger.
pub(super) type Id = u64;
/// A place in the line of those that wait. Who came earlier has the smaller one.
pub(super) type Ticket = u64;

/// What all writers of a budget hold.
#[derive(Debug)]
pub(super) struct Ledger {
    room: usize,
    accounts: BTreeMap<Id, Account>,
    /// What all of them hold together.
    total: usize,
    /// Of that, what they hold beyond their parts.
    pooled: usize,
    /// Of that, what those hold that are blocked.
    stuck: usize,
    /// Who was asked to give and has not answered, and when.
    asked: BTreeMap<Id, Instant>,
    /// Who waits, for how much.
    waiting: BTreeMap<Ticket, usize>,
    next_id: Id,
    next_ticket: Ticket,
}

#[derive(Debug, Default)]
struct Account {
    bytes: usize,
    /// It cannot give now.
    blocked: bool,
}

/// What whoever was not admitted has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Give what it holds itself.
    Give,
    /// Ask this one to give.
    Ask(Id),
    /// Wait: who can give was asked, or nobody can.
    Wait,
}

impl Ledger {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            accounts: BTreeMap::new(),
            total: 0,
            pooled: 0,
            stuck: 0,
            asked: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_id: 0,
            next_ticket: 0,
        }
    }

    /// Adds a writer that holds nothing.
    pub(super) fn open(&mut self) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        self.accounts.insert(id, Account::default());
        self.share_out();
        id
    }

    /// Removes a writer and what it holds.
    pub(super) fn close(&mut self, id: Id) {
        self.set(id, 0);
        self.accounts.remove(&id);
        self.share_out();
    }

    /// Takes this much of the room away for good.
    pub(super) fn set_aside(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
        self.share_out();
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn held_by(&self, id: Id) -> usize {
        self.accounts.get(&id).map_or(0, |account| account.bytes)
    }

    /// What each writer may hold whatever the others do.
    pub(super) fn part(&self) -> usize {
        self.room / 2 / self.accounts.len().max(1)
    }

    fn pool(&self) -> usize {
        self.room - self.part() * self.accounts.len()
    }

    fn beyond_part(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.part())
    }

    /// After parts have changed.
    fn share_out(&mut self) {
        let beyond = |account: &Account| self.beyond_part(account.bytes);
        let pooled = self.accounts.values().map(beyond).sum();
        self.stuck = self.accounts.values().filter(|account| account.blocked).map(beyond).sum();
        self.pooled = pooled;
    }

    /// States what a writer holds, and returns what that was before. Who holds nothing has nothing more to give.
    pub(super) fn set(&mut self, id: Id, bytes: usize) -> usize {
        if bytes == 0 {
            self.asked.remove(&id);
        }
        let Some(account) = self.accounts.get_mut(&id) else { return 0 };
        let before = std::mem::replace(&mut account.bytes, bytes);
        let blocked = account.blocked;
        let (less, more) = (self.beyond_part(before), self.beyond_part(bytes));
        self.total = self.total - before + bytes;
        self.pooled = self.pooled - less + more;
        if blocked {
            self.stuck = self.stuck - less + more;
        }
        before
    }

    /// States whether a writer can give nothing now. True when that is news.
    pub(super) fn set_blocked(&mut self, id: Id, blocked: bool) -> bool {
        if blocked {
            self.asked.remove(&id);
        }
        let Some(account) = self.accounts.get_mut(&id) else { return false };
        let bytes = account.bytes;
        let changed = std::mem::replace(&mut account.blocked, blocked) != blocked;
        let beyond = self.beyond_part(bytes);
        match (changed, blocked) {
            (true, true) => self.stuck += beyond,
            (true, false) => self.stuck -= beyond,
            (false, _) => {}
        }
        changed
    }

    pub(super) fn is_asked(&self, id: Id) -> bool {
        self.asked.contains_key(&id)
    }

    pub(super) fn ask(&mut self, id: Id, now: Instant) {
        self.asked.insert(id, now);
    }

    pub(super) fn answer(&mut self, id: Id) {
        self.asked.remove(&id);
    }

    /// Joins the line of those that wait.
    pub(super) fn line_up(&mut self, need: usize) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, need);
        ticket
    }

    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    /// Whether nobody came earlier. Who has no ticket comes now.
    fn is_first(&self, ticket: Option<Ticket>) -> bool {
        self.waiting.first_key_value().is_none_or(|(first, _)| ticket.is_some_and(|ticket| ticket <= *first))
    }

    /// Whether the writer holds what it cannot give.
    fn is_stuck(&self, id: Id) -> bool {
        self.accounts.get(&id).is_some_and(|account| account.blocked && account.bytes > 0)
    }

    /// Whether the writer is blocked and holds half of its part or more: what comes next may not fit.
    pub(super) fn is_full(&self, id: Id) -> bool {
        self.accounts.get(&id).is_some_and(|account| account.blocked && account.bytes * 2 >= self.part())
    }

    /// Whether it can be held beside nothing else only.
    fn is_oversize(&self, need: usize) -> bool {
        need > self.part() + self.pool()
    }

    /// Whether everybody lets the first of the line pass: it needs all of the room, and can get it.
    fn gives_way(&self) -> bool {
        self.waiting.first_key_value().is_some_and(|(_, need)| self.is_oversize(*need))
            && self.accounts.values().all(|account| !account.blocked || account.bytes == 0)
    }

    /// Counts `need` more bytes as held by the writer, if it may take them.
    pub(super) fn admit(&mut self, id: Id, need: usize, ticket: Option<Ticket>) -> bool {
        let own = self.held_by(id);
        let first = self.is_first(ticket);
        let fits = self.total.saturating_add(need) <= self.room;
        let admitted = if own + need <= self.part() {
            fits && (first || !self.gives_way())
        } else {
            let lent = self.pooled - self.beyond_part(own) + self.beyond_part(own + need);
            first && !self.is_stuck(id) && (self.total == 0 || fits && lent <= self.pool())
        };
        if admitted {
            self.set(id, own + need);
        }
        admitted
    }

    /// What a writer that was not admitted has to do. Those that were asked no longer than `patience` ago are taken to be about to give.
    pub(super) fn remedy(&self, id: Id, need: usize, ticket: Option<Ticket>, now: Instant, patience: Duration) -> Remedy {
        let own = self.held_by(id);
        let blocked = self.is_stuck(id);
        // Beyond its part, who is blocked waits for its own target and leaves the pool to others.
        if own > 0 && (blocked && own.saturating_add(need) > self.part() || self.is_oversize(own.saturating_add(need)) || self.is_asked(id))
        {
            return Remedy::Give;
        }
        let of_room = (self.total + need).saturating_sub(self.room);
        let of_pool = (self.pooled - self.beyond_part(own) + self.beyond_part(own + need)).saturating_sub(self.pool());
        if !self.is_first(ticket) {
            // The first of the line asks for all. Behind it there is nothing to wait for when nobody else has any of the pool to give.
            let others = self.pooled - self.stuck - if blocked { 0 } else { self.beyond_part(own) };
            return if own > 0 && of_pool > 0 && others == 0 { Remedy::Give } else { Remedy::Wait };
        }
        let (missing, floor) = match of_pool {
            _ if self.is_oversize(need) => (self.total, 0),
            0 => (of_room, 0),
            // Who holds no more than its part has nothing of the pool to give.
            of_pool => (of_room.max(of_pool), self.part()),
        };
        let gives = |holder: &Id| self.accounts.get(holder).map_or(0, |account| account.bytes.saturating_sub(floor));
        let coming: usize = self.asked.iter().filter(|(_, at)| now < **at + patience).map(|(holder, _)| gives(holder)).sum();
        if coming >= missing {
            return Remedy::Wait;
        }
        match self.largest(floor, |holder| !self.asked.contains_key(&holder)) {
            Some(largest) if largest == id => Remedy::Give,
            None if own > 0 && coming == 0 => Remedy::Give,
            Some(largest) => Remedy::Ask(largest),
            None => Remedy::Wait,
        }
    }

    /// Whom to ask before anybody has to wait: the largest, when the pool is nearly lent out and nobody was asked yet.
    pub(super) fn early(&self) -> Option<Id> {
        let pool = self.pool();
        let is_short = self.asked.is_empty() && self.pooled > pool - pool / MARGIN;
        is_short.then(|| self.largest(self.part(), |_| true)).flatten()
    }

    /// The writer that holds most, and more than `floor`, of those that can give; of equals the newest, so that there is exactly one.
    fn largest(&self, floor: usize, may_be: impl Fn(Id) -> bool) -> Option<Id> {
        let givers = self.accounts.iter().filter(|(id, account)| !account.blocked && account.bytes > floor && may_be(**id));
        givers.max_by_key(|(id, account)| (account.bytes, **id)).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests;
