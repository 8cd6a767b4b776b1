//! What is sold, to whom, and how often: products and customers whose popularity is skewed.

use fastrand::Rng;
use serde::Serialize;

/// A product and its price in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) number: usize,
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    pub(super) cents: u64,
}

/// Who orders. The same number is always the same customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Customer {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) region: &'static str,
    pub(super) address: Address,
}

/// Where an order goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Address {
    pub(super) street: String,
    pub(super) city: &'static str,
    pub(super) postal_code: String,
    pub(super) country: &'static str,
}

/// Of a hundred times that a product is drawn, how often its price moves.
const PRICE_MOVES: u8 = 1;

/// Most popular first; prices at the beginning, with an underscore before the cents.
#[expect(clippy::inconsistent_digit_grouping, reason = "the underscore parts the cents")]
const PRODUCTS: &[(&str, &str, u64)] = &[
    ("Wireless Earbuds", "Electronics", 59_99),
    ("Ground Coffee 1 kg", "Grocery", 13_49),
    ("Cotton T-Shirt", "Clothing", 14_90),
    ("USB-C Charger 65 W", "Electronics", 29_95),
    ("Running Shoes", "Sports", 109_00),
    ("Notebook A5 Dotted", "Office", 6_75),
    ("Stainless Water Bottle", "Sports", 24_50),
    ("LED Desk Lamp", "Home", 38_20),
    ("Olive Oil 750 ml", "Grocery", 11_99),
    ("Mechanical Keyboard", "Electronics", 119_99),
    ("Detective Novel", "Books", 12_00),
    ("Yoga Mat", "Sports", 31_90),
    ("Face Cream SPF 30", "Beauty", 18_95),
    ("Wooden Train Set", "Toys", 44_99),
    ("Slim Jeans", "Clothing", 64_95),
    ("Chef's Knife", "Home", 72_40),
    ("Green Tea 100 Bags", "Grocery", 7_25),
    ("Noise-Cancelling Headphones", "Electronics", 249_00),
    ("Cookbook for Beginners", "Books", 24_00),
    ("Ballpoint Pens, 10", "Office", 4_99),
    ("Shampoo 400 ml", "Beauty", 8_49),
    ("Building Blocks, 500", "Toys", 34_95),
    ("Winter Jacket", "Clothing", 159_00),
    ("Cast-Iron Pan", "Home", 49_90),
    ("Dumbbells 2 x 5 kg", "Sports", 39_95),
    ("27-inch Monitor", "Electronics", 289_99),
    ("Dark Chocolate, 5 Bars", "Grocery", 15_80),
    ("Travel Guide Japan", "Books", 21_50),
    ("Electric Toothbrush", "Beauty", 79_99),
    ("Office Chair", "Office", 219_00),
    ("Board Game Classics", "Toys", 29_99),
    ("Linen Bedding Set", "Home", 129_00),
    ("Wool Socks, 3 Pairs", "Clothing", 17_95),
    ("Tent for Two", "Sports", 189_50),
    ("Robot Vacuum", "Electronics", 399_00),
    ("Poetry Collection", "Books", 16_90),
    ("Perfume 50 ml", "Beauty", 88_00),
    ("Remote-Control Car", "Toys", 54_95),
    ("Document Shredder", "Office", 97_30),
    ("Espresso Machine", "Home", 649_00),
];

/// City, country, region that serves it, and the form of its postal codes (`0` stands for a digit, `A` for a letter).
const CITIES: &[(&str, &str, &str, &str)] = &[
    ("Berlin", "DE", "eu-central", "10000"),
    ("Hamburg", "DE", "eu-central", "20000"),
    ("Vienna", "AT", "eu-central", "1000"),
    ("Zürich", "CH", "eu-central", "8000"),
    ("Paris", "FR", "eu-west", "75000"),
    ("Dublin", "IE", "eu-west", "A00 AA00"),
    ("Madrid", "ES", "eu-west", "28000"),
    ("Stockholm", "SE", "eu-north", "100 00"),
    ("New York", "US", "us-east", "10000"),
    ("Boston", "US", "us-east", "02000"),
    ("Toronto", "CA", "us-east", "A0A 0A0"),
    ("Seattle", "US", "us-west", "98000"),
    ("San José", "US", "us-west", "95000"),
    ("São Paulo", "BR", "sa-east", "00000-000"),
    ("Tokyo", "JP", "ap-northeast", "100-0000"),
    ("Singapore", "SG", "ap-southeast", "000000"),
];

const FIRST_NAMES: &[&str] = &[
    "Ada", "Ben", "Chloe", "Deniz", "Elif", "Finn", "Grace", "Hugo", "Ines", "Jonas", "Kenji", "Lena", "Mateo", "Nora", "Omar", "Priya",
    "Quentin", "Rosa", "Sofia", "Tariq", "Uma", "Victor", "Wanda", "Yuki",
];

const LAST_NAMES: &[&str] = &[
    "Andersson",
    "Brown",
    "Costa",
    "Dubois",
    "Evans",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ito",
    "Jensen",
    "Kowalski",
    "Lopez",
    "Murphy",
    "Novak",
    "Okafor",
    "Patel",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Weber",
];

const STREETS: &[&str] = &[
    "Oak Street",
    "Station Road",
    "Mill Lane",
    "Harbour Way",
    "Park Avenue",
    "Church Street",
    "Garden Row",
    "Lindenallee",
    "Bridge Street",
];

/// How many customers there are.
const CUSTOMERS: usize = 5_000;

/// Products and customers to draw from.
#[derive(Debug)]
pub(super) struct Catalog {
    products: Zipf,
    customers: Zipf,
    /// What each product costs now, in cents.
    prices: Vec<u64>,
}

impl Catalog {
    pub(super) fn new() -> Self {
        let prices = PRODUCTS.iter().map(|(.., cents)| *cents).collect();
        Self { products: Zipf::new(PRODUCTS.len()), customers: Zipf::new(CUSTOMERS), prices }
    }

    /// Draws a product; the first ones sell best. Now and then its price has moved since the last time, by a tenth at most.
    pub(super) fn product(&mut self, rng: &mut Rng) -> Product {
        let number = self.products.draw(rng);
        let (name, category, _) = PRODUCTS[number];
        let cents = &mut self.prices[number];
        if rng.u8(..100) < PRICE_MOVES {
            *cents = (*cents * rng.u64(90..=110) / 100).max(1);
        }
        Product { number, name, category, cents: *cents }
    }

    /// Draws a customer; the first ones order most.
    pub(super) fn customer(&self, rng: &mut Rng) -> Customer {
        let number = self.customers.draw(rng);
        let mut traits = Rng::with_seed(number as u64);
        let first = traits.choice(FIRST_NAMES).copied().unwrap_or_default();
        let last = traits.choice(LAST_NAMES).copied().unwrap_or_default();
        let address = Address::draw(&mut traits);
        let region = CITIES.iter().find(|city| city.0 == address.city).map_or("eu-central", |city| city.2);
        Customer {
            id: format!("C-{number:06}"),
            email: format!("{}.{}{number}@example.com", first.to_lowercase(), last.to_lowercase()),
            region,
            address,
        }
    }
}

impl Address {
    /// An address somewhere.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let (city, country, _, form) = CITIES[rng.usize(..CITIES.len())];
        let street = format!("{} {}", rng.u32(1..200), rng.choice(STREETS).copied().unwrap_or_default());
        let fill = |sign: char, rng: &mut Rng| match sign {
            '0' => rng.digit(10),
            'A' => rng.uppercase(),
            kept => kept,
        };
        let postal_code = form.chars().map(|sign| fill(sign, rng)).collect();
        Self { street, city, postal_code, country }
    }
}

/// Ranks drawn by Zipf's law: the n-th is drawn 1/n as often as the first. In whole numbers, so that every machine draws the same.
#[derive(Debug)]
struct Zipf {
    cumulative: Vec<u64>,
}

impl Zipf {
    fn new(ranks: usize) -> Self {
        let weight = |rank: usize| 1_000_000 / (rank as u64 + 1);
        let cumulative = (0..ranks)
            .scan(0, |sum, rank| {
                *sum += weight(rank);
                Some(*sum)
            })
            .collect();
        Self { cumulative }
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1);
        let point = rng.u64(..total);
        self.cumulative.partition_point(|sum| *sum <= point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_follows_zipf() {
        let zipf = Zipf::new(40);
        let mut rng = Rng::with_seed(1);
        let mut counts = [0_u32; 40];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut rng)] += 1;
        }
        let ratio = |a: usize, b: usize| f64::from(counts[a]) / f64::from(counts[b]);
        assert!((1.8..2.2).contains(&ratio(0, 1)), "{counts:?}");
        assert!((8.5..11.5).contains(&ratio(0, 9)), "{counts:?}");
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    #[test]
    fn a_customer_is_always_the_same_one() {
        let catalog = Catalog::new();
        let mut seen = std::collections::HashMap::new();
        let mut rng = Rng::with_seed(5);
        for _ in 0..2_000 {
            let customer = catalog.customer(&mut rng);
            let first = seen.entry(customer.id.clone()).or_insert_with(|| customer.clone());
            assert_eq!(*first, customer);
        }
    }
}
