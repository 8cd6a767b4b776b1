//! `headwater verify --repair`: a snapshot of the keys that differ.

use anyhow::Context as _;

use crate::cli::snapshot::{self as command, secured};
use crate::config::Settings;
use crate::lake::LakeStore;
use crate::lease::snapshot::{Cause, Request, Source};
use crate::table::Key;
use crate::{aws, clock, snapshot};

/// Asks for a snapshot of these keys, and gives its id.
pub(super) async fn request(settings: &Settings, keys: &[Key]) -> anyhow::Result<String> {
    let sdk = aws::sdk_config().await;
    let (table, lake) = (&settings.table.name, &settings.lake);
    let leases = command::leases(&sdk, &settings.lease.application);
    secured::secured(&sdk, table, &leases).await?;
    let store = LakeStore::connect(&lake.location, lake.kms_key.as_deref(), Some(&sdk))?;
    let request = Request {
        source: Source::Keys { count: keys.len() as u64 },
        cause: Cause::Repair,
        consistent: true,
        segments: None,
        budget: None,
        limit: None,
    };
    let id = snapshot::start_for_keys(&leases, &store, table, keys, request, clock::unix_seconds()).await;
    id.with_context(|| format!("write the request into the lease table '{}'", leases.name()))
}
