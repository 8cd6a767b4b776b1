//! The files of deploy/athena are what is printed, and masking leaves nothing out.

use super::*;
use crate::contract::Contract;
use crate::contract::ddl::Stored;

fn sales_orders() -> TableSchema {
    let contract = Contract::parse(include_str!("../../../../schemas/sales_orders.odcs.yaml"), "sales_orders.odcs.yaml").unwrap();
    contract.table_schema("sales_orders", None).unwrap()
}

fn place(layout: Layout) -> Place {
    Place { location: "s3://LAKE_BUCKET".to_owned(), layout }
}

/// The views of these names as a file.
fn file(names: &[&str]) -> String {
    let views = statements(&sales_orders(), &place(Layout::Lake(Stored::Parquet)));
    let texts: Vec<_> = views.into_iter().filter(|view| names.contains(&view.name.as_str())).map(|view| view.text).collect();
    texts.join(";\n\n") + ";\n"
}

#[test]
fn the_files_are_what_is_printed() {
    for (path, names) in
        [("deploy/athena/current.sql", &["current"][..]), ("deploy/athena/silver.sql", &["silver_current", "silver_changes"])]
    {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        let printed = file(names);
        if std::env::var_os("UPDATE_SQL").is_some() {
            std::fs::write(&path, &printed).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap();
        assert!(stored == printed, "{path} differs from what the contract gives: write it anew with UPDATE_SQL=1");
    }
}
