//! TTL: items whose time has passed are deleted, and the stream says that DynamoDB did it.
//!
//! dynoxide's own sweep reads whole tables. Here an index on the expiry time finds the expired items.

use dynoxide::actions::delete_item::{self, DeleteItemRequest};
use dynoxide::storage::{Storage, TableMetadata};
use dynoxide::types::KeySchemaElement;

use super::engine::{Piece, now};

/// Items deleted in one piece, so that no request waits long.
const BATCH: i64 = 25;

/// DynamoDB ignores times that are further back than five years: they are mistakes more often than not.
const OLDEST: i64 = 5 * 365 * 24 * 60 * 60;

/// Makes the index that [`sweep`] reads, for every table with TTL.
pub(super) fn index(storage: &Storage) -> dynoxide::Result<()> {
    for table in storage.list_ttl_enabled_tables()? {
        if let Some(attribute) = attribute(&table) {
            let name = identifier(&format!("headwater:ttl:{}:{attribute}", table.table_name));
            let on = identifier(&table.table_name);
            let create = format!("CREATE INDEX IF NOT EXISTS {name} ON {on} ({})", expires_at(attribute));
            storage.conn().execute_batch(&create)?;
        }
    }
    Ok(())
}

/// Deletes items that expired before `clock` (seconds since the epoch).
pub(super) fn sweep(storage: &Storage, clock: i64) -> dynoxide::Result<Piece> {
    let mut removed = 0;
    let mut more = false;
    for table in storage.list_ttl_enabled_tables()? {
        let Some(attribute) = attribute(&table) else { continue };
        let expired = expired(storage, &table.table_name, attribute, clock)?;
        more |= i64::try_from(expired.len()).unwrap_or(i64::MAX) >= BATCH;
        for item in expired {
            delete(storage, &table, &item)?;
            removed += 1;
        }
    }
    Ok(Piece { removed, more })
}

/// The attribute that holds the table's expiry times. A path in SQLite cannot name an attribute with a quote in it.
fn attribute(table: &TableMetadata) -> Option<&str> {
    table.ttl_attribute.as_deref().filter(|name| !name.contains(['"', '\\']))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The item's expiry time as a number; null unless the attribute is a number.
fn expires_at(attribute: &str) -> String {
    format!("CAST(json_extract(item_json, '$.\"{}\".N') AS NUMERIC)", attribute.replace('\'', "''"))
}

fn expired(storage: &Storage, table: &str, attribute: &str, clock: i64) -> dynoxide::Result<Vec<String>> {
    let time = expires_at(attribute);
    let select = format!("SELECT item_json FROM {} WHERE {time} >= ?1 AND {time} < ?2 ORDER BY {time} LIMIT ?3", identifier(table));
    let mut statement = storage.conn().prepare(&select)?;
    let rows = statement.query_map((clock - OLDEST, clock, BATCH), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes as DeleteItem does, indexes included, and signs the stream record with DynamoDB's identity. No request runs in between.
fn delete(storage: &Storage, table: &TableMetadata, item: &str) -> dynoxide::Result<()> {
    let unreadable = |error: serde_json::Error| dynoxide::DynoxideError::InternalServerError(error.to_string());
    let mut item: dynoxide::Item = serde_json::from_str(item).map_err(unreadable)?;
    let schema: Vec<KeySchemaElement> = serde_json::from_str(&table.key_schema).map_err(unreadable)?;
    let key = schema.into_iter().filter_map(|part| item.remove_entry(&part.attribute_name)).collect();
    let last: i64 = storage.conn().query_row("SELECT COALESCE(MAX(id), 0) FROM _stream_records", [], |row| row.get(0))?;
    let request = DeleteItemRequest { table_name: table.table_name.clone(), key, ..Default::default() };
    now(delete_item::execute(storage, request))?;
    let sign = "UPDATE _stream_records SET user_identity = 'ttl' WHERE id > ?1 AND table_name = ?2";
    storage.conn().execute(sign, (last, &table.table_name))?;
    Ok(())
}
