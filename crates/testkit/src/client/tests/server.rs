//! A server just good enough for our clients to talk to one another: one connection, one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use xmpp::xml::tree::Element;
use xmpp::xml::{Frame, Limits, Scanner, Verbatim};

use crate::place::Place;

pub(super) const ADDRESS: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 1, 1)), 5222);

/// What goes out to each user, by bare JID.
type Users = Arc<Mutex<HashMap<String, UnboundedSender<String>>>>;

/// Serves in `place` as long as the test's runtime runs. It offers `mechanism`; the password is "secret".
pub(super) fn start(place: &Place, mechanism: &'static str) {
    let listener = place.listen(ADDRESS).expect("free");
    tokio::spawn(async move {
        let users = Users::default();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, mechanism, users.clone()));
        }
    });
}

fn header(features: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         version='1.0' id='1'><stream:features>{features}</stream:features>"
    )
}

const CRASH: &str = "<stream:error><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
                     </stream:stream>";

async fn serve(stream: TcpStream, mechanism: &str, users: Users) -> Option<()> {
    let (mut input, mut output) = stream.into_split();
    let (to_user, mut outgoing): (_, UnboundedReceiver<String>) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(xml) = outgoing.recv().await {
            output.write_all(xml.as_bytes()).await.ok()?;
        }
        Some(())
    });
    let send = |xml: &str| to_user.send(xml.to_owned()).ok();
    let known = |user: &str| users.lock().unwrap_or_else(PoisonError::into_inner).contains_key(user);
    let mut scanner = Scanner::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut jid = String::new();
    loop {
        let Some(frame) = scanner.next(&mut buffer).ok()? else {
            if input.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
            continue;
        };
        let element = match frame {
            Frame::Header(_) if jid.is_empty() => {
                let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
                send(&header(&format!("<mechanisms xmlns='{sasl}'><mechanism>{mechanism}</mechanism></mechanisms>")))?;
                continue;
            }
            Frame::Header(_) => {
                send(&header("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"))?;
                continue;
            }
            Frame::Footer => return send("</stream:stream>"),
            Frame::Whitespace => continue,
            Frame::Element(element) => element,
        };
        match element.name() {
            "auth" => {
                let given = STANDARD.decode(Element::of(&element).ok()?.text()).ok()?;
                match String::from_utf8(given).ok()?.split('\0').collect::<Vec<_>>()[..] {
                    [_, user @ "late", "secret"] if !known(user) => {
                        users.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), to_user.clone());
                        return send(CRASH);
                    }
                    [_, user, "secret"] => {
                        jid = format!("{user}@contoso.test");
                        scanner = Scanner::new(Limits::default());
                        send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")?;
                    }
                    _ => send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")?,
                }
            }
            "iq" if element.id().as_deref() == Some("bind") => {
                users.lock().unwrap_or_else(PoisonError::into_inner).insert(jid.clone(), to_user.clone());
                jid.push_str("/lab");
                let bound = format!("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid}</jid></bind>");
                send(&format!("<iq id='bind' type='result'>{bound}</iq>"))?;
            }
            "iq" if element.to().as_deref() == Some("contoso.test") => {
                send(&format!("<iq id='{}' from='contoso.test' type='result'/>", element.id()?))?;
            }
            "message" if element.to().as_deref() == Some("crash.test") => {
                return send(CRASH);
            }
            _ => route(&element, &jid, &users)?,
        }
    }
}

/// To the user, or back to the sender.
fn route(stanza: &Verbatim, from: &str, users: &Users) -> Option<()> {
    let Some(to) = stanza.to() else { return Some(()) };
    let users = users.lock().unwrap_or_else(PoisonError::into_inner);
    let bare = |jid: &str| jid.split('/').next().map(ToOwned::to_owned);
    let xml = std::str::from_utf8(stanza.bytes()).ok()?;
    match users.get(&bare(&to)?) {
        Some(user) => user.send(xml.replacen(' ', &format!(" from='{from}' "), 1)).ok(),
        None => {
            let (name, id) = (stanza.name(), stanza.id()?);
            let error =
                "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
            users.get(&bare(from)?)?.send(format!("<{name} from='{to}' id='{id}' type='error'>{error}</{name}>")).ok()
        }
    }
}
