//! Trino, the engine that Athena is made of, with the Hive connector on an S3 stand-in: tables and views are kept in a file metastore there.
//!
//! Its distribution is an archive of 650 MB with every connector, and Maven Central has few of them. The jars of a server with this one connector are
//! 240 MB, gathered in a minute, and of any version. 435 is the last that runs on Java 17, and of the time of Athena's engine 3.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::process::Child;

use super::dynamodb_local::free_port;
use super::stand_ins::watchdog;
use super::{tools, wait_until};

const VERSION: &str = "435";
const POM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/trino/pom.xml");
const MAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/trino/Server.java");
const NEEDS: &str = "Trino comes from Maven Central: Java 17 to 21 with its compiler, Maven, and access to repo.maven.apache.org are needed \
                     (apt-get install openjdk-17-jdk-headless maven).";
/// Starting takes a quarter of a minute on an idle machine.
const START: Duration = Duration::from_mins(10);
/// For one answer: the server says within seconds that a statement goes on.
const ANSWER: Duration = Duration::from_mins(5);
/// A port may be taken between being chosen and being used.
const ATTEMPTS: usize = 3;

/// A running server with the catalog `hive`. Dropping it ends it.
pub(crate) struct Trino {
    url: String,
    client: reqwest::Client,
    server: Child,
    /// Kills the server's process group when this process is gone, however it ends.
    watchdog: process::Child,
    home: TempDir,
}

/// What a statement gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Names and types of the columns.
    pub(crate) columns: Vec<(String, String)>,
    /// Decimals, dates and timestamps are text.
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Trino {
    /// Starts a server on a free port whose tables lie on the S3 of `s3`, with its metastore in the bucket `catalog` there. Gathers the program if this is
    /// the first time.
    pub(crate) async fn start(s3: &SdkConfig, catalog: &str) -> Self {
        let program = tokio::task::spawn_blocking(program).await.unwrap();
        let catalog = hive(s3, catalog).await;
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(&program, &catalog).await {
                Ok(server) => return server,
                Err(words) => log = words,
            }
        }
        panic!("Trino ended while starting, {ATTEMPTS} times.\n{NEEDS}\n{log}");
    }

    /// `Err` holds the log of a server that ended by itself.
    async fn start_once(program: &Path, catalog: &str) -> Result<Self, String> {
        let port = free_port();
        let home = tempfile::tempdir().unwrap();
        let catalogs = home.path().join("catalogs");
        fs::create_dir(&catalogs).unwrap();
        fs::write(catalogs.join("hive.properties"), catalog).unwrap();
        let config = home.path().join("config.properties");
        fs::write(&config, server(port, &catalogs, &program.join("plugin"))).unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let server = tokio::process::Command::new("java")
            // It lives for minutes: what compiles fast and keeps little beats what runs fast in the end.
            .args(["-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djdk.attach.allowAttachSelf=true"])
            .arg(format!("-Dconfig={}", config.display()))
            .arg(format!("-Dnode.data-dir={}", home.path().display()))
            .arg("-cp")
            .arg(program.join("lib").join("*"))
            .args([MAIN, VERSION])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start java: {error}. {NEEDS}"));
        let watchdog = watchdog(server.id().unwrap());
        let client = reqwest::Client::builder().timeout(ANSWER).build().unwrap();
        let mut this = Self { url: format!("http://127.0.0.1:{port}"), client, server, watchdog, home };
        let mut ended = false;
        wait_until(START, "Trino answers or ends", async || {
            ended = this.server.try_wait().unwrap().is_some();
            ended || this.is_ready().await
        })
        .await;
        if ended { Err(this.log()) } else { Ok(this) }
    }

    async fn is_ready(&self) -> bool {
        let Ok(answer) = self.client.get(format!("{}/v1/info", self.url)).send().await else { return false };
        let info: Option<Value> = answer.text().await.ok().and_then(|text| serde_json::from_str(&text).ok());
        info.is_some_and(|info| info["starting"] == false)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Runs one statement to its end, in a schema of the catalog. Panics with the engine's words when it fails.
    pub(crate) async fn run(&self, schema: &str, sql: &str) -> Answer {
        self.attempt(schema, sql).await.unwrap_or_else(|words| panic!("Trino refuses: {words}\n{sql}"))
    }

    /// The same; `Err` holds the engine's words.
    pub(crate) async fn attempt(&self, schema: &str, sql: &str) -> Result<Answer, String> {
        let request = self
            .client
            .post(format!("{}/v1/statement", self.url))
            .header("X-Trino-User", "headwater")
            .header("X-Trino-Catalog", "hive")
            .header("X-Trino-Schema", schema)
            .header("X-Trino-Time-Zone", "UTC")
            // Without it timestamps come without their precision.
            .header("X-Trino-Client-Capabilities", "PARAMETRIC_DATETIME");
        let mut page = json(request.body(sql.to_owned())).await;
        let mut answer = Answer { columns: Vec::new(), rows: Vec::new() };
        loop {
            if let Some(error) = page.get("error") {
                return Err(format!(
                    "{} ({})",
                    error["message"].as_str().unwrap_or_default(),
                    error["errorName"].as_str().unwrap_or_default()
                ));
            }
            if let (true, Some(columns)) = (answer.columns.is_empty(), page["columns"].as_array()) {
                let text = |column: &Value, field: &str| column[field].as_str().unwrap().to_owned();
                answer.columns = columns.iter().map(|column| (text(column, "name"), text(column, "type"))).collect();
            }
            if let Some(rows) = page["data"].as_array() {
                answer.rows.extend(rows.iter().map(|row| row.as_array().unwrap().clone()));
            }
            // The server holds a request for the next page until there is something to say.
            let Some(next) = page["nextUri"].as_str() else { return Ok(answer) };
            page = json(self.client.get(next)).await;
        }
    }
}

impl Drop for Trino {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // A test that fails already has more to tell than that.
        let _ = self.watchdog.wait();
    }
}

async fn json(request: reqwest::RequestBuilder) -> Value {
    let text = request.send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("Trino answers with something else than JSON ({error}): {text}"))
}

/// The server's settings: one node for small queries.
fn server(port: u16, catalogs: &Path, plugins: &Path) -> String {
    format!(
        "node.environment=tests\n\
         node.id=one\n\
         node.bind-ip=127.0.0.1\n\
         node.internal-address=127.0.0.1\n\
         coordinator=true\n\
         node-scheduler.include-coordinator=true\n\
         http-server.http.port={port}\n\
         discovery.uri=http://127.0.0.1:{port}\n\
         catalog.config-dir={}\n\
         plugin.dir={}\n\
         query.max-memory=512MB\n\
         query.max-memory-per-node=512MB\n\
         memory.heap-headroom-per-node=256MB\n",
        catalogs.display(),
        plugins.display()
    )
}

/// The catalog's settings. Views have the rights of who asks, timestamps in files are UTC, and partitions may be projected: as in Athena.
async fn hive(s3: &SdkConfig, bucket: &str) -> String {
    let credentials = s3.credentials_provider().unwrap().provide_credentials().await.unwrap();
    format!(
        "connector.name=hive\n\
         hive.metastore=file\n\
         hive.metastore.catalog.dir=s3://{bucket}/metastore\n\
         hive.security=allow-all\n\
         hive.non-managed-table-writes-enabled=true\n\
         hive.partition-projection-enabled=true\n\
         hive.parquet.time-zone=UTC\n\
         fs.hadoop.enabled=false\n\
         fs.native-s3.enabled=true\n\
         s3.endpoint={}\n\
         s3.path-style-access=true\n\
         s3.region={}\n\
         s3.aws-access-key={}\n\
         s3.aws-secret-key={}\n",
        s3.endpoint_url().unwrap(),
        s3.region().unwrap(),
        credentials.access_key_id(),
        credentials.secret_access_key()
    )
}

/// The folder with the server's jars and those of its connector.
fn program() -> PathBuf {
    // What the POM gathers is in the name: another POM fills another folder.
    let pom = Sha256::digest(fs::read(POM).unwrap());
    tools::provide(&format!("trino-{VERSION}-{:02x}{:02x}{:02x}{:02x}", pom[0], pom[1], pom[2], pom[3]), |home| {
        // Maven's own copies are of no use afterwards.
        let copies = tempfile::tempdir().unwrap();
        let mut maven = Command::new("mvn");
        maven
            .args(["--quiet", "--batch-mode", "--no-transfer-progress", "--strict-checksums", "--file", POM])
            .arg(format!("-Dtrino.version={VERSION}"))
            .arg(format!("-Dtrino.home={}", home.display()))
            .arg(format!("-Dmaven.repo.local={}", copies.path().display()))
            .arg("generate-resources");
        tools::output(&mut maven, NEEDS);
    })
}
