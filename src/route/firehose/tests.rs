mod claims;
mod failures;
mod pacing;
mod script;
mod snapshots;
