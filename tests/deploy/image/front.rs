//! TLS in front of the stand-ins, with a certificate of an authority that nobody knows but who is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::support::tools;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/image/tls_front.py");
const NEEDS: &str = "Certificates are made by openssl 3 or later (apt-get install openssl).";

/// Running until it is dropped.
pub(super) struct Front {
    /// The authority's certificate.
    pub(super) authority: PathBuf,
    /// An `https` URL for each that is behind.
    pub(super) urls: Vec<String>,
    _server: Child,
}

impl Front {
    /// Starts it in front of `http` URLs of this machine; `folder` takes keys and certificates.
    pub(super) async fn start(folder: &Path, behind: &[&str]) -> Self {
        let authority = certificate(folder, "authority", None);
        let own = certificate(folder, "server", Some("authority"));
        let ports = behind.iter().map(|url| url.rsplit_once(':').unwrap().1);
        let mut server = tokio::process::Command::new("python3")
            .arg(SCRIPT)
            .args([&own, &own.with_extension("key")])
            .args(ports)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("start python3 {SCRIPT}: {error}"));
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut urls = Vec::new();
        for url in behind {
            let port = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("{SCRIPT} ended before it served {url}"));
            urls.push(format!("https://127.0.0.1:{port}"));
        }
        Self { authority, urls, _server: server }
    }
}

/// Makes a key and a certificate, of an authority or of this machine by one.
fn certificate(folder: &Path, name: &str, issuer: Option<&str>) -> PathBuf {
    let path = folder.join(name).with_extension("pem");
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    make.args(["-subj", &format!("/CN=headwater test {name}"), "-keyout"]).arg(path.with_extension("key")).arg("-out").arg(&path);
    match issuer {
        None => make.args(["-addext", "keyUsage=critical,keyCertSign"]),
        Some(issuer) => {
            let issuer = folder.join(issuer).with_extension("pem");
            make.arg("-CA").arg(&issuer).arg("-CAkey").arg(issuer.with_extension("key"));
            make.args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"])
        }
    };
    tools::output(&mut make, NEEDS);
    path
}
