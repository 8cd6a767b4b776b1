//! `headwater health`: the health check of a container that has neither a shell nor curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, StatusCode};

use super::Exit;
use super::source::ConfigArgs;
use crate::config::Listen;

/// ECS gives a health check 5 s by default, and this process needs some of that to start.
const LONGEST: Duration = Duration::from_secs(3);

/// Arguments of `headwater health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask whether the process turns, and not whether data moves.
    #[arg(long)]
    live: bool,
}

/// Asks the service of the configuration on this machine, and says what it says.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let settings = match args.config.load() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let address = match settings.health.listen {
        Listen::Off => bail!("health.listen is \"off\" in {}: there is nobody to ask", args.config.source()),
        Listen::IfFree(address) | Listen::At(address) => reachable(address),
    };
    let path = if args.live { "/livez" } else { "/readyz" };
    let (status, body) = ask(&format!("http://{address}{path}")).await?;
    print!("{body}");
    match status {
        StatusCode::OK => Ok(Exit::Success),
        StatusCode::SERVICE_UNAVAILABLE => Ok(Exit::Differs),
        other => bail!("http://{address}{path} answered {other}: is it headwater that listens there?"),
    }
}

async fn ask(url: &str) -> anyhow::Result<(StatusCode, String)> {
    // The answer comes from this machine and without TLS, so that neither a proxy nor the system's certificates are needed for it.
    let client = Client::builder().no_proxy().tls_certs_only([]).timeout(LONGEST).build().context("prepare to ask")?;
    let answered = async {
        let answer = client.get(url).send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    answered.await.with_context(|| format!("ask {url}: does `headwater run` run here, with this configuration?"))
}

/// Who listens everywhere is reached here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_the_loopback() {
        for (listened, asked) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:80", "192.0.2.1:80")] {
            assert_eq!(reachable(listened.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
