//! Reading metrics as Prometheus does: one request, and the numbers on the page.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than a daemon lets anybody wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// The numbers on a page: by name, then by labels as they are written, such as `face="external"`.
#[derive(Debug, Clone, Default)]
pub struct Page(BTreeMap<String, BTreeMap<String, i64>>);

/// Sends these bytes to `at` and gives everything that comes until the end of the connection.
///
/// # Errors
/// When nobody is there, or there is no end in time.
pub async fn exchange(at: SocketAddr, request: &[u8]) -> anyhow::Result<String> {
    let exchange = async {
        let mut socket = TcpStream::connect(at).await?;
        socket.write_all(request).await?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await?;
        anyhow::Ok(String::from_utf8(answer)?)
    };
    timeout(PATIENCE, exchange).await.context("the connection doesn't end")?
}

/// Reads the metrics that are told at `at`, for the runtime in whose network that is.
///
/// # Errors
/// When there are none, or they can't be read.
pub async fn scrape(at: SocketAddr) -> anyhow::Result<Page> {
    let answer = exchange(at, b"GET /metrics HTTP/1.1\r\nHost: fedge\r\n\r\n").await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    ensure!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    Page::read(body)
}

impl Page {
    /// Reads the OpenMetrics text format, as far as fedge writes it.
    ///
    /// # Errors
    /// When something in it isn't as it has to be.
    pub fn read(text: &str) -> anyhow::Result<Page> {
        let lines = text.strip_suffix("# EOF\n").context("it breaks off")?.lines();
        let mut page = Page::default();
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (what, number) = line.rsplit_once(' ').context("no number")?;
            let (name, labels) = what.split_once('{').unwrap_or((what, "}"));
            let labels = labels.strip_suffix('}').context("its labels have no end")?;
            let numbers = page.0.entry(name.to_owned()).or_default();
            ensure!(numbers.insert(labels.to_owned(), number.parse()?).is_none(), "{what} is told twice");
        }
        Ok(page)
    }

    /// The names on the page.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The numbers of a name, by labels; none, if it isn't there.
    pub fn all(&self, name: &str) -> BTreeMap<String, i64> {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// The number of this name with exactly these labels.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn one(&self, name: &str, labels: &str) -> anyhow::Result<i64> {
        let numbers = self.0.get(name).with_context(|| format!("no {name}"))?;
        numbers.get(labels).copied().with_context(|| format!("no {name}{{{labels}}}"))
    }
}
