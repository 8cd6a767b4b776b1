//! What a contract gives, and what is said about a wrong one.

mod columns;
mod errors;
mod freshness;

use super::{Contract, ContractErrors};

/// The contract that is shipped.
const SALES_ORDERS: &str = include_str!("../../schemas/sales_orders.odcs.yaml");

/// A document with one table `t` whose properties, below the key `pk`, are given: each line is one property as a flow mapping, and the
/// first stands on line 9, column 9.
fn document(properties: &[&str]) -> String {
    let head = "apiVersion: v3.1.0\nkind: DataContract\nid: c\nversion: 1.0.0\nstatus: draft\nschema:\n  - {name: t, properties: [\n";
    let key = "{name: pk, logicalType: string, primaryKey: true}";
    let lines = std::iter::once(&key).chain(properties).map(|property| format!("        {property},\n"));
    format!("{head}{}    ]}}\n", lines.collect::<String>())
}

fn parse(text: &str) -> Result<Contract, ContractErrors> {
    Contract::parse(text, "c.yaml")
}

/// The errors of a document, a line each; empty if there are none.
fn errors(text: &str) -> String {
    parse(text).map_or_else(|errors| errors.to_string(), |_| String::new())
}
