//! `headwater demo`.
/// Arguments of `headwater demo`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the demo.
pub async fn run(_args: Args, _globals: &super::Globals) -> anyhow::Result<super::Exit> {
    anyhow::bail!("later")
}
