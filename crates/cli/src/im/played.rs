//! A server that is played in tests: it offers what it is told to, and says what it is told to.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use xmpp::xml::tree::Element;

use super::wire::{Io, Wire};

/// Where it pretends to be.
pub(super) const AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5222);

/// The server's end.
pub(super) struct Played {
    io: DuplexStream,
}

/// A stream on which `features` were offered, both ends, and the offer as the client saw it.
pub(super) async fn open(domain: &str, features: &str) -> (Wire<Box<dyn Io>>, Element, Played) {
    let (client, server) = duplex(65_536);
    let mut played = Played { io: server };
    let mut wire: Wire<Box<dyn Io>> = Wire::new(Box::new(client), AT);
    let header = format!(
        "<stream:stream from='{domain}' id='1' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'><stream:features>{features}</stream:features>"
    );
    played.say(&header).await;
    let features = wire.open(domain).await.expect("it is a stream");
    assert!(played.hear(">").await.contains("<stream:stream"), "a header comes first");
    (wire, features, played)
}

impl Played {
    pub(super) async fn say(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.expect("the client is there");
    }

    /// What the client says, until it ends so.
    pub(super) async fn hear(&mut self, end: &str) -> String {
        let mut heard = String::new();
        while !heard.ends_with(end) {
            let mut bytes = [0; 4096];
            let length = self.io.read(&mut bytes).await.expect("the client is there");
            assert_ne!(length, 0, "the client is gone; it said {heard}");
            heard += std::str::from_utf8(&bytes[..length]).expect("UTF-8");
        }
        heard
    }
}
