//! The items of the load: sales orders, in three sizes (pure).
//!
//! Attributes are named as in the contract of sales orders, with some that it does not name. The attribute `trail` marks each image with its
//! item and its version, so that whoever receives what a client made of the image can tell which one it was.

use fastrand::Rng;

use super::plan::History;
use crate::item::{AttributeValue, Item};

/// What stands in the images of the pattern where the number of a lot goes; as many characters as the number has digits.
pub(super) const LOT: &str = "#LOTNUM";

/// How large the items are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Six attributes, about 200 bytes of JSON an image.
    Lean,
    /// Every attribute of the contract of sales orders, about 700 bytes of JSON an image.
    Order,
    /// Some thirty attributes with nested maps, lists and sets, about 2 KB of JSON an image.
    Rich,
}

impl Profile {
    /// Its name on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Order => "order",
            Self::Rich => "rich",
        }
    }
}

const PRODUCTS: &[(&str, &str, usize)] = &[
    ("Rain Barrel 200 l", "Garden", 8_990),
    ("Fountain Pen", "Office", 3_450),
    ("Hiking Boots", "Outdoor", 13_900),
    ("Filter Coffee 500 g", "Grocery", 899),
    ("USB-C Hub, 7 Ports", "Electronics", 5_499),
    ("Wool Blanket", "Home", 7_995),
    ("Jigsaw \"Old Harbour\"", "Toys", 2_400),
    ("Bicycle Pump", "Sports", 2_749),
    ("Atlas of Rivers", "Books", 4_200),
    ("Cast-Iron Teapot", "Home", 6_150),
];

const PLACES: &[(&str, &str, &str)] = &[
    ("Bremen", "DE", "eu-central"),
    ("Graz", "AT", "eu-central"),
    ("Málaga", "ES", "eu-west"),
    ("Malmö", "SE", "eu-north"),
    ("Portland", "US", "us-west"),
    ("Kyōto", "JP", "ap-northeast"),
];

const STATUSES: &[&str] = &["placed", "paid", "shipped", "delivered", "returned"];

const NOTE: &str = "Please ring twice & leave the parcel with the neighbours on the 2nd floor if nobody opens: \"Schröder/Ōta\".\n\
                    The invoice goes to accounting, the delivery note stays with the goods. Partial deliveries are welcome, \
                    as long as every position keeps its own tracking number.";

/// The attribute that marks an image, as text: `hw~`, ten digits of the item, `~`, six digits of the version, `~`.
fn trail(item: usize, version: usize) -> AttributeValue {
    text(format!("hw~{LOT}{item:03}~{version:06}~"))
}

/// The key of an item, counted within its lot.
pub(super) fn key(item: usize) -> Item {
    Item::from([("order_id".to_owned(), text(format!("ord-{LOT}{item:03}")))])
}

/// An item's image at a version.
pub(super) fn image(seed: u64, profile: Profile, history: History, item: usize, version: usize) -> Item {
    // What the order is about stays the same over a life; what happens to it depends on the version.
    let images = history.life - 1;
    let (life, step) = ((version - 1) / images, (version - 1) % images);
    let mut rng = Rng::with_seed(seed ^ ((item * 64 + life) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (product, category, cents) = PRODUCTS[rng.usize(..PRODUCTS.len())];
    let quantity = 1 + rng.usize(..4) + usize::from(step >= 2);
    let mut image = key(item);
    let mut set = |name: &str, value| image.insert(name.to_owned(), value);
    set("trail", trail(item, version));
    set("product_name", text(product));
    set("quantity", number(quantity));
    set("price", money(cents * quantity));
    set("order_status", text(STATUSES[step.min(STATUSES.len() - 1)]));
    if profile == Profile::Lean {
        return image;
    }
    let (address, region) = address(&mut rng);
    let customer = rng.usize(..100_000);
    let ordered = rng.usize(..86_400);
    // Most orders of a shop have one position; the rich ones are there for their size.
    let lines = if profile == Profile::Order { 1 + rng.usize(..4) * rng.usize(..2) } else { 2 + rng.usize(..3) };
    set("region", text(region));
    set("shipping_address", address);
    set("items", AttributeValue::L((0..lines).map(|_| line(&mut rng)).collect()));
    set("customer_id", text(format!("cust-{customer:05}")));
    set("customer_email", text(format!("customer{customer:05}@shop.example")));
    set("product_id", text(format!("P-{:04}", rng.usize(..10_000))));
    set("product_category", text(category));
    set("created_at", text(instant(ordered)));
    set("expires_at", number(1_800_000_000 + ordered));
    if profile == Profile::Order {
        return image;
    }
    set("billing_address", self::address(&mut rng).0);
    set("updated_at", text(instant(ordered + 97 * step)));
    set("currency", text("EUR"));
    set("channel", text(["web", "app", "store", "phone"][rng.usize(..4)]));
    set("tags", AttributeValue::SS(["b2c", "fragile", "gift", "priority"][..rng.usize(1..=4)].iter().map(|tag| (*tag).into()).collect()));
    set("coupon_ids", AttributeValue::NS((1..3 + rng.usize(..3)).map(|n| (n * 7_001 + customer).to_string()).collect()));
    set("weight_kg", AttributeValue::N(format!("{}.{:018}", rng.usize(..40), rng.u64(..1_000_000_000_000_000_000))));
    set("is_gift", AttributeValue::BOOL(rng.bool()));
    set("cancelled_at", AttributeValue::NULL(true));
    set("signature", AttributeValue::B(["3q2+7w==", "yv66vg==", "AAECAwQFBgc="][rng.usize(..3)].to_owned()));
    set("loyalty_points", number(rng.usize(..50_000)));
    set("warehouse", text(format!("wh-{:02}", rng.usize(..40))));
    set("carrier", text(["river post", "bike courier", "parcel shop"][rng.usize(..3)]));
    set("payment", payment(&mut rng, cents * quantity));
    set("note", text(NOTE));
    set("revision", number(step + 1));
    image
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: usize) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn money(cents: usize) -> AttributeValue {
    AttributeValue::N(format!("{}.{:02}", cents / 100, cents % 100))
}

fn map<const N: usize>(fields: [(&str, AttributeValue); N]) -> AttributeValue {
    AttributeValue::M(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An address, and the sales region that it lies in.
fn address(rng: &mut Rng) -> (AttributeValue, &'static str) {
    let (city, country, region) = PLACES[rng.usize(..PLACES.len())];
    let address = map([
        ("street", text(format!("Mühlenweg {}", 1 + rng.usize(..200)))),
        ("city", text(city)),
        ("postal_code", text(format!("{:05}", rng.usize(..100_000)))),
        ("country", text(country)),
    ]);
    (address, region)
}

fn line(rng: &mut Rng) -> AttributeValue {
    let (name, _, cents) = PRODUCTS[rng.usize(..PRODUCTS.len())];
    map([
        ("sku", text(format!("P-{:04}", rng.usize(..10_000)))),
        ("name", text(name)),
        ("quantity", number(1 + rng.usize(..3))),
        ("price", money(cents)),
    ])
}

fn payment(rng: &mut Rng, cents: usize) -> AttributeValue {
    map([
        ("method", text(["card", "invoice", "transfer"][rng.usize(..3)])),
        ("amount", money(cents)),
        ("captured", AttributeValue::BOOL(rng.bool())),
        ("reference", map([("bank", text(format!("{:08}", rng.usize(..100_000_000)))), ("attempts", number(rng.usize(..3)))])),
    ])
}

/// A second of one day, as RFC 3339.
fn instant(second: usize) -> String {
    let second = second % 86_400;
    format!("2026-11-20T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: History = History { length: 9, life: 5 };

    fn json(profile: Profile, item: usize, version: usize) -> String {
        serde_json::to_string(&image(1, profile, HISTORY, item, version)).unwrap()
    }

    #[test]
    fn images_have_200_bytes_or_700_or_2_kilobytes() {
        for item in 0..200 {
            let [lean, order, rich] = [Profile::Lean, Profile::Order, Profile::Rich].map(|profile| json(profile, item, 2).len());
            assert!((180..250).contains(&lean), "{lean} bytes");
            assert!((600..1_200).contains(&order), "{order} bytes");
            assert!((1_700..2_800).contains(&rich), "{rich} bytes");
        }
        assert!(image(1, Profile::Rich, HISTORY, 0, 1).len() > 25);
    }

    #[test]
    fn an_order_has_what_the_contract_names_and_its_mark() {
        let contract = include_str!("../../../../schemas/sales_orders.odcs.yaml");
        let (_, properties) = contract.split_once("\n    properties:\n").unwrap();
        let (properties, _) = properties.split_once("\n    quality:\n").unwrap();
        let named = properties.lines().filter_map(|line| line.strip_prefix("      - name: "));
        let expected: std::collections::BTreeSet<&str> = named.chain(["trail"]).collect();
        let order = image(1, Profile::Order, HISTORY, 0, 1);
        assert_eq!(order.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), expected);
    }

    #[test]
    fn neighbouring_versions_differ_in_more_than_their_mark_and_keep_their_key() {
        let [first, second] = [1, 2].map(|version| image(1, Profile::Rich, HISTORY, 17, version));
        assert_eq!(first["order_id"], second["order_id"]);
        assert_ne!(first["order_status"], second["order_status"]);
        assert_eq!(first["customer_id"], second["customer_id"]);
    }

    #[test]
    fn the_mark_spells_item_and_version() {
        assert!(json(Profile::Lean, 42, 7).contains("\"hw~#LOTNUM042~000007~\""));
        assert_eq!(LOT.len(), super::super::plan::LOT_DIGITS);
    }
}
