//! Sales-order traffic: a pure, seeded model of what a shop writes.
//!
//! An order is placed, paid, shipped and delivered, may be cancelled before it is shipped and returned after it was delivered, and
//! is deleted in the end, or expires. The same seed and the same times give the same operations. Now and then an order carries
//! attributes that the contract does not know, and rarely a quantity that is no number: what a replicator meets in real tables.

mod catalog;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use jiff::Timestamp;
use serde::Serialize;

use catalog::{Address, Catalog, Customer, Product};

/// Orders that the model remembers as unfinished, and as finished. Beyond that the oldest is left as it is for good.
const REMEMBERED: usize = 20_000;

/// How long an order is kept before TTL deletes it: 400 days, in seconds.
const KEPT: i64 = 400 * 24 * 60 * 60;

/// An item as the SDK takes it.
pub type Item = HashMap<String, AttributeValue>;

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Ordered, not paid.
    Placed,
    /// Paid, waiting to be shipped.
    Paid,
    /// On its way.
    Shipped,
    /// With the customer.
    Delivered,
    /// Called off before it was shipped.
    Cancelled,
    /// Sent back after it was delivered.
    Returned,
}

impl Status {
    /// The text in `order_status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Returned => "returned",
        }
    }

    fn is_open(self) -> bool {
        matches!(self, Self::Placed | Self::Paid | Self::Shipped)
    }

    /// What becomes of the order next.
    fn step(self, rng: &mut Rng) -> Self {
        match self {
            Self::Placed if rng.u8(..100) < 12 => Self::Cancelled,
            Self::Placed => Self::Paid,
            Self::Paid if rng.u8(..100) < 5 => Self::Cancelled,
            Self::Paid => Self::Shipped,
            Self::Shipped => Self::Delivered,
            Self::Delivered => Self::Returned,
            Self::Cancelled | Self::Returned => self,
        }
    }
}

/// How often which kind of operation comes, as weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// New orders.
    pub insert: u32,
    /// Steps in an order's life.
    pub update: u32,
    /// Deleted or expired orders.
    pub delete: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { insert: 60, update: 30, delete: 10 }
    }
}

/// The text is not a mix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a mix: weights such as insert=60,update=30,delete=10 are expected, with at least one insert")]
pub struct InvalidMix(String);

impl FromStr for Mix {
    type Err = InvalidMix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMix(text.to_owned());
        let mut mix = Self { insert: 0, update: 0, delete: 0 };
        for part in text.split(',') {
            let (kind, weight) = part.split_once('=').ok_or_else(invalid)?;
            let slot = match kind.trim() {
                "insert" => &mut mix.insert,
                "update" => &mut mix.update,
                "delete" => &mut mix.delete,
                _ => return Err(invalid()),
            };
            // A bound far above any use keeps the sum from overflowing.
            *slot = weight.trim().parse().ok().filter(|weight| *weight <= 1_000_000).ok_or_else(invalid)?;
        }
        if mix.insert == 0 { Err(invalid()) } else { Ok(mix) }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "insert={},update={},delete={}", self.insert, self.update, self.delete)
    }
}

/// What an operation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A new order.
    Insert,
    /// A step in an order's life.
    Update,
    /// An order deleted by the shop.
    Delete,
    /// An order given over to TTL: its `expires_at` has passed, and DynamoDB deletes it.
    Expire,
}

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// The whole item.
    Put(Item),
    /// Attributes to set on an existing item.
    Set(Vec<(&'static str, AttributeValue)>),
    /// Delete the item.
    Delete,
}

/// One write of the traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The key. Operations on one order must be applied in their order.
    pub order_id: String,
    /// What it means.
    pub kind: Kind,
    /// What to write.
    pub write: Write,
}

/// The traffic model.
#[derive(Debug)]
pub struct Traffic {
    rng: Rng,
    catalog: Catalog,
    mix: Mix,
    expiry: bool,
    run: u16,
    placed: u64,
    open: VecDeque<Order>,
    finished: VecDeque<Order>,
}

/// What the model remembers of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    id: String,
    status: Status,
}

/// The attributes that serde writes exactly: texts and whole numbers.
#[derive(Serialize)]
struct Row<'a> {
    order_id: &'a str,
    customer_id: &'a str,
    customer_email: &'a str,
    product_id: String,
    product_name: &'a str,
    product_category: &'a str,
    quantity: u64,
    order_status: &'a str,
    region: &'a str,
    created_at: String,
    shipping_address: &'a Address,
    expires_at: i64,
}

impl Traffic {
    /// Traffic of one seed. With `expiry` a third of the deletes are left to the table's TTL.
    pub fn new(seed: u64, mix: Mix, expiry: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let run = rng.u16(..);
        Self { rng, catalog: Catalog::new(), mix, expiry, run, placed: 0, open: VecDeque::new(), finished: VecDeque::new() }
    }

    /// The next operation, at a time in seconds since the epoch. An update or a delete that finds no order that it may touch gives
    /// way to a new order, so the mix is reached once there are orders.
    pub fn next(&mut self, now: i64) -> Operation {
        let Mix { insert, update, delete } = self.mix;
        let drawn = self.rng.u32(..insert + update + delete);
        let operation = if drawn < insert {
            None
        } else if drawn < insert + update {
            self.advance()
        } else {
            self.remove(now)
        };
        operation.unwrap_or_else(|| self.place(now))
    }

    fn place(&mut self, now: i64) -> Operation {
        self.placed += 1;
        let order = Order { id: format!("ORD-{:04X}-{:08}", self.run, self.placed), status: Status::Placed };
        let customer = self.catalog.customer(&mut self.rng);
        let lines = self.lines();
        let item = self.item(&order, &customer, &lines, now);
        let operation = Operation { order_id: order.id.clone(), kind: Kind::Insert, write: Write::Put(item) };
        remember(&mut self.open, order);
        operation
    }

    fn lines(&mut self) -> Vec<(Product, u64)> {
        let count = 1 + self.rng.usize(..4) * self.rng.usize(..2);
        (0..count).map(|_| (self.catalog.product(&mut self.rng), 1 + self.rng.u64(..3) * self.rng.u64(..2))).collect()
    }

    fn item(&mut self, order: &Order, customer: &Customer, lines: &[(Product, u64)], now: i64) -> Item {
        let (product, quantity) = lines[0];
        let row = Row {
            order_id: &order.id,
            customer_id: &customer.id,
            customer_email: &customer.email,
            product_id: product_id(product),
            product_name: product.name,
            product_category: product.category,
            quantity,
            order_status: order.status.as_str(),
            region: customer.region,
            created_at: time(now),
            shipping_address: &customer.address,
            expires_at: now + KEPT,
        };
        #[expect(clippy::expect_used, reason = "texts, whole numbers and a struct of texts always have a DynamoDB form")]
        let mut item: Item = serde_dynamo::to_item(row).expect("a row of texts and whole numbers");
        item.insert("price".to_owned(), money(product.cents));
        item.insert("items".to_owned(), AttributeValue::L(lines.iter().map(line).collect()));
        self.oddities(&mut item);
        item
    }

    /// What a contract written last year does not know, and what an old client gets wrong.
    fn oddities(&mut self, item: &mut Item) {
        match self.rng.u16(..1000) {
            0..30 => {
                let note = self.rng.choice(["Happy birthday! 🎂", "With love from all of us", "Enjoy – see you soon"]).unwrap_or_default();
                item.insert("gift_note".to_owned(), text(note));
            }
            30..50 => {
                let history = (0..self.rng.usize(1..4)).map(|_| AttributeValue::N(self.rng.u32(..5_000).to_string())).collect();
                let loyalty = [
                    ("tier".to_owned(), text(self.rng.choice(["bronze", "silver", "gold"]).unwrap_or_default())),
                    ("points".to_owned(), AttributeValue::N(self.rng.u32(..100_000).to_string())),
                    ("history".to_owned(), AttributeValue::L(history)),
                    ("opted_out".to_owned(), AttributeValue::Bool(self.rng.bool())),
                ];
                item.insert("loyalty".to_owned(), AttributeValue::M(loyalty.into()));
            }
            50..70 => {
                let tags = [["express", "fragile"], ["gift", "newsletter"], ["b2b", "invoice"]];
                let tags = self.rng.choice(tags).unwrap_or_default();
                item.insert("tags".to_owned(), AttributeValue::Ss(tags.map(str::to_owned).to_vec()));
            }
            70..73 => {
                item.insert("quantity".to_owned(), text("a dozen"));
            }
            _ => {}
        }
    }

    /// The next step of an order that is not finished, or now and then the return of one that was delivered.
    fn advance(&mut self) -> Option<Operation> {
        let returned = self.rng.u8(..100) < 4 || self.open.is_empty();
        let delivered = self.finished.iter().take(64).position(|order| order.status == Status::Delivered);
        let mut order = if let Some(index) = delivered.filter(|_| returned) {
            self.finished.remove(index)?
        } else {
            // Old orders first, so that lives come to their end.
            let index = self.rng.usize(..self.open.len().clamp(1, 32));
            self.open.remove(index)?
        };
        order.status = order.status.step(&mut self.rng);
        let mut set = vec![("order_status", text(order.status.as_str()))];
        if order.status == Status::Paid && self.rng.u8(..100) < 5 {
            set.push(("shipping_address", address(&Address::draw(&mut self.rng))));
        }
        let operation = Operation { order_id: order.id.clone(), kind: Kind::Update, write: Write::Set(set) };
        remember(if order.status.is_open() { &mut self.open } else { &mut self.finished }, order);
        Some(operation)
    }

    /// The end of the oldest finished order, or of one that was never paid.
    fn remove(&mut self, now: i64) -> Option<Operation> {
        let order = self.finished.pop_front().or_else(|| {
            let abandoned = self.open.iter().take(64).position(|order| order.status == Status::Placed)?;
            self.open.remove(abandoned)
        })?;
        let expires = self.expiry && self.rng.u8(..3) == 0;
        let (kind, write) = if expires {
            (Kind::Expire, Write::Set(vec![("expires_at", AttributeValue::N((now - 1).to_string()))]))
        } else {
            (Kind::Delete, Write::Delete)
        };
        Some(Operation { order_id: order.id, kind, write })
    }
}

fn remember(orders: &mut VecDeque<Order>, order: Order) {
    orders.push_back(order);
    if orders.len() > REMEMBERED {
        orders.pop_front();
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// An amount of cents as decimal text, without any float on the way.
fn money(cents: u64) -> AttributeValue {
    AttributeValue::N(format!("{}.{:02}", cents / 100, cents % 100))
}

fn product_id(product: Product) -> String {
    format!("P-{:04}", product.number + 1)
}

fn line((product, quantity): &(Product, u64)) -> AttributeValue {
    let line = [
        ("product_id".to_owned(), text(&product_id(*product))),
        ("name".to_owned(), text(product.name)),
        ("quantity".to_owned(), AttributeValue::N(quantity.to_string())),
        ("unit_price".to_owned(), money(product.cents)),
    ];
    AttributeValue::M(line.into())
}

fn address(address: &Address) -> AttributeValue {
    let fields = [
        ("street".to_owned(), text(&address.street)),
        ("city".to_owned(), text(address.city)),
        ("postal_code".to_owned(), text(&address.postal_code)),
        ("country".to_owned(), text(address.country)),
    ];
    AttributeValue::M(fields.into())
}

/// `YYYY-MM-DDTHH:MM:SSZ`; a time that no calendar holds is the epoch.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
