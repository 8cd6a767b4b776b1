//! The SQL of deploy/athena through `headwater query`, over a lake whose truth is known; and what Athena's parser makes of it.

mod expected;

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;
use headwater::contract::ddl::{self, Dialect, Layout, Place, Stored};
use headwater::contract::{Column, ColumnType, TableSchema};
use headwater::event::AttributeType;
use headwater::lake::Format;
use tempfile::TempDir;

use super::shop::{PERSONAL, Shop, TABLE, schema};
use crate::support::{duckdb, sqlglot};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/athena");

/// The views, each behind those that it needs.
const VIEWS: [&str; 7] = [
    "current.sql",
    "silver.sql",
    "gold/order_book.sql",
    "gold/daily_revenue.sql",
    "gold/cumulative_revenue.sql",
    "gold/order_status_funnel.sql",
    "gold/price_changes.sql",
];
const ANALYSES: [&str; 3] = ["analyses/copies.sql", "analyses/customer_cohorts.sql", "analyses/revenue_moving_average.sql"];

struct Lake {
    folder: TempDir,
    shop: Shop,
}

impl Lake {
    async fn of(shop: Shop) -> Self {
        Self::stored(shop, &[Format::Parquet, Format::Parquet, Format::Ndjson]).await
    }

    /// In these formats by turns.
    async fn stored(shop: Shop, formats: &[Format]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        shop.write(folder.path(), formats).await;
        Self { folder, shop }
    }

    /// What `headwater query` prints for files and perhaps a query, as CSV with its header.
    fn print(&self, files: &[&str], query: Option<&str>) -> String {
        let mut command = Command::cargo_bin("headwater").unwrap();
        command.args(["query", "--table", TABLE, "--output", "csv", "--lake"]).arg(self.folder.path());
        for file in files {
            command.arg("--file").arg(format!("{FOLDER}/{file}"));
        }
        let run = command.args(query).output().unwrap();
        assert!(run.status.success(), "{files:?}, {query:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }

    /// The rows of a query over all views.
    fn rows(&self, query: &str) -> Vec<String> {
        lines(&self.print(&VIEWS, Some(query)))
    }

    /// The rows of an analysis.
    fn analysis(&self, file: &str) -> Vec<String> {
        lines(&self.print(&[&VIEWS[..], &[file]].concat(), None))
    }
}

fn lines(csv: &str) -> Vec<String> {
    csv.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test]
async fn gold_and_analyses_give_what_the_orders_say() {
    let mut counted = 0;
    for seed in 0..3 {
        let lake = Lake::of(Shop::open(seed)).await;
        let shop = &lake.shop;
        let book = expected::order_book(shop);
        assert!(book.values().any(|(_, expired)| *expired), "some orders have expired");
        counted += book.len();

        let order_book = "SELECT order_id, order_status, amount, expired FROM order_book ORDER BY order_id";
        assert_eq!(lake.rows(order_book), expected::book_rows(&book), "order_book of seed {seed}");
        let days = expected::daily_revenue(&book);
        let daily = "SELECT * FROM daily_revenue ORDER BY day, product_category";
        assert_eq!(lake.rows(daily), expected::day_rows(&days), "daily_revenue of seed {seed}");
        let cumulative = "SELECT * FROM cumulative_revenue ORDER BY day, product_category";
        assert_eq!(lake.rows(cumulative), expected::cumulative_revenue(&days), "cumulative_revenue of seed {seed}");
        let funnel = "SELECT * FROM order_status_funnel ORDER BY step";
        assert_eq!(lake.rows(funnel), expected::funnel(shop), "order_status_funnel of seed {seed}");
        let prices = "SELECT product_id, product_name, previous_price, price, difference, percent, order_id, cdc_event_id FROM price_changes \
                      ORDER BY changed_at";
        assert_eq!(lake.rows(prices), expected::price_changes(shop), "price_changes of seed {seed}");
        assert_eq!(lake.analysis("analyses/customer_cohorts.sql"), expected::cohorts(&book), "cohorts of seed {seed}");
        assert_eq!(lake.analysis("analyses/revenue_moving_average.sql"), expected::moving_average(&days), "averages of seed {seed}");
        let copies = lake.analysis("analyses/copies.sql");
        assert!(copies.len() == 4 && copies.iter().all(|row| row.ends_with(",0")), "headwater lands a change once: {copies:?}");
    }
    assert!(counted > 200, "the shops have orders");
}

#[tokio::test]
async fn the_state_is_the_table_and_the_history_is_what_landed() {
    let lake = Lake::of(Shop::open(7)).await;
    let state = "SELECT order_id, customer_id, quantity, order_status FROM silver_current ORDER BY order_id";
    let table = lake.shop.table.iter().map(|(id, order)| {
        let quantity = order.quantity.map(|quantity| quantity.to_string()).unwrap_or_default();
        format!("{id},{},{quantity},{}", order.customer, order.status)
    });
    assert_eq!(lake.rows(state), table.collect::<Vec<_>>());
    assert_eq!(
        lake.print(&[], Some("SELECT * FROM current ORDER BY order_id")),
        lake.print(&["current.sql"], Some("SELECT * FROM current ORDER BY order_id")),
        "the file gives what headwater's own view gives, column by column"
    );

    let history = "SELECT order_id, cdc_op, old_order_status, order_status, cdc_ttl_delete FROM silver_changes ORDER BY cdc_sequence";
    let landed = lake.shop.landed().map(|change| {
        let status = |order: &Option<super::shop::Order>| order.as_ref().map_or("", |order| order.status);
        format!("{},{},{},{},{}", change.id, change.operation().as_str(), status(&change.old), status(&change.new), change.ttl)
    });
    assert_eq!(lake.rows(history), landed.collect::<Vec<_>>());
}

#[tokio::test]
async fn masking_leaves_the_presence_of_personal_values_and_none_of_them() {
    let lake = Lake::of(Shop::open(3)).await;
    assert!(lake.print(&[], Some("SELECT * FROM changes")).contains(PERSONAL), "the lake holds what is to be masked");
    for view in ["silver_current", "silver_changes", "order_book"] {
        let all = lake.print(&VIEWS, Some(&format!("SELECT * FROM {view}")));
        assert!(all.lines().count() > 40, "{view} has rows");
        assert!(!all.contains(PERSONAL), "{view} shows a personal value");
        assert!(!all.contains("cdc_extra"), "{view} shows what the contract does not know");
    }
    let emails = lake.rows("SELECT order_id, customer_email, shipping_address_city FROM silver_current ORDER BY order_id");
    let presence = lake.shop.table.iter().map(|(id, order)| format!("{id},{},***", if order.has_email { "***" } else { "" }));
    assert_eq!(emails, presence.collect::<Vec<_>>());
}

/// The views for a table whose names are words of SQL, for both layouts.
fn odd_views() -> String {
    let column = |name: &str, kind| Column {
        name: name.into(),
        path: vec![name.into()],
        source: AttributeType::S,
        kind,
        classification: Some("PII".into()),
    };
    let columns = vec![column("select", ColumnType::Text), column("1st", ColumnType::BigInt), column("layer", ColumnType::Boolean)];
    let keys = vec![("table".to_owned(), AttributeType::S), ("order".to_owned(), AttributeType::N)];
    let schema = TableSchema { columns, ..TableSchema::keys_only("Odd.Table", keys) };
    views(&schema, Layout::Lake(Stored::Parquet)) + &views(&schema, Layout::Firehose(Stored::Ndjson))
}

/// The views of a layout, as a file.
fn views(schema: &TableSchema, layout: Layout) -> String {
    let place = Place { location: "s3://lake".into(), layout };
    let views =
        ddl::statements(Dialect::Athena, schema, &place).into_iter().filter(|statement| statement.text.contains("CREATE OR REPLACE VIEW"));
    views.map(|view| view.text + ";\n\n").collect()
}

#[test]
fn every_file_is_understood_as_athena_s_and_as_trino_s_sql() {
    let texts =
        VIEWS.iter().chain(&ANALYSES).map(|file| ((*file).to_owned(), std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap()));
    let mut texts: BTreeMap<String, String> = texts.collect();
    texts.insert("odd names".into(), odd_views());
    texts.insert("firehose".into(), views(&schema(), Layout::Firehose(Stored::Parquet)));
    for (name, sql) in texts {
        let kind = if ANALYSES.contains(&name.as_str()) { "select" } else { "create" };
        for dialect in ["athena", "trino"] {
            let parsed = sqlglot::parse(&sql, dialect);
            assert_eq!(parsed.len(), sql.matches("CREATE OR REPLACE VIEW").count().max(1), "{name} in {dialect}");
            for statement in parsed {
                assert_eq!((statement.kind.as_str(), statement.unknown_functions.as_slice()), (kind, &[][..]), "{name} in {dialect}");
            }
        }
    }
}

#[test]
fn every_file_is_tested_and_says_what_it_answers() {
    let mut files: Vec<String> = ["gold", "analyses"].iter().flat_map(|folder| names(folder)).collect();
    files.extend(["current.sql".to_owned(), "silver.sql".to_owned()]);
    files.sort();
    let mut tested: Vec<&str> = VIEWS.iter().chain(&ANALYSES).copied().collect();
    tested.sort_unstable();
    assert_eq!(files, tested);
    for file in files {
        let text = std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap();
        let comment: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).collect();
        for part in ["Columns", "Source"] {
            assert!(comment.iter().any(|line| line.starts_with(&format!("-- {part}"))), "{file} does not say its {part}");
        }
        assert!(text.is_ascii(), "{file} has a character that not every client sends as it is");
    }
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("{FOLDER}/{folder}")).unwrap();
    entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap())).collect()
}

#[tokio::test]
async fn what_firehose_delivers_gives_the_same_history_and_state_as_the_lake() {
    let lake = Lake::stored(Shop::open(11), &[Format::Parquet]).await;
    let delivered = lake.shop.write_firehose(lake.folder.path());
    assert!(delivered.copies > 10 && delivered.claims > 10, "{delivered:?}");
    let scripts = tempfile::tempdir().unwrap();
    let layouts = [("lake", Layout::Lake(Stored::Parquet)), ("firehose", Layout::Firehose(Stored::Ndjson))];
    for (name, layout) in layouts {
        std::fs::write(scripts.path().join(format!("{name}.sql")), views(&schema(), layout)).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/sql/firehose.py");
    let folder: &Path = &lake.folder.path().join(TABLE);

    let found: serde_json::Value = serde_json::from_str(&duckdb::run(script, &[folder, scripts.path()])).unwrap();

    let landed = lake.shop.landed().count();
    let expected = serde_json::json!({
        "delivered": delivered.rows, "changes": delivered.rows - delivered.pointers - delivered.markers + delivered.claims,
        "silver_changes": landed, "current": lake.shop.table.len(), "differences": [],
    });
    assert_eq!(found, expected);
}
