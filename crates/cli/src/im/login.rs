//! From an account to a session: TLS, SASL, the resource (RFC 6120 §5 to §7), and no presence.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xmpp::xml::tree::Element;
use xmpp::xml::write::escape_text;

use super::accounts::{Account, Tls};
use super::connect::{Connected, connect, secure};
use super::scram::{Begun, Hash};
use super::trouble::{Lacks, Trouble};
use super::wire::{Io, Wire, condition, in_brackets, plain, stanza_error, tree};

const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

/// A login may take so long.
const LOGIN: Duration = Duration::from_secs(20);

/// A session.
pub(super) struct Session {
    pub(super) wire: Wire<Box<dyn Io>>,
    /// The full JID that the server gave.
    pub(super) jid: String,
    /// By which way it came to be, in words.
    pub(super) how: How,
}

/// How an account was logged in.
#[derive(Debug, Clone)]
pub(super) struct How {
    pub(super) server: String,
    pub(super) tls: String,
    pub(super) mechanism: &'static str,
    pub(super) ms: u64,
}

/// A way to prove who we are, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Scram(Hash),
    Plain,
}

const MECHANISMS: [(&str, Mechanism); 3] = [
    ("SCRAM-SHA-256", Mechanism::Scram(Hash::Sha256)),
    ("SCRAM-SHA-1", Mechanism::Scram(Hash::Sha1)),
    ("PLAIN", Mechanism::Plain),
];

/// Logs in.
pub(super) async fn login(account: &Account) -> Result<Session, Trouble> {
    let silent = |_| Err(Trouble::Silent(LOGIN.as_secs()));
    tokio::time::timeout(LOGIN, in_time(account)).await.unwrap_or_else(silent)
}

async fn in_time(account: &Account) -> Result<Session, Trouble> {
    let began = Instant::now();
    let Connected { tcp, at, tls } = connect(account).await?;
    let domain = account.domain.as_str();
    let tcp = match tls {
        Tls::Direct => tcp,
        Tls::Starttls => {
            let mut wire = Wire::new(tcp, at);
            let features = wire.open(domain).await?;
            if features.child(TLS, "starttls").is_none() {
                return Err(Trouble::NoTls(at));
            }
            wire.write(&format!("<starttls xmlns='{TLS}'/>")).await?;
            let answer = wire.element().await?;
            if (answer.namespace(), answer.name()) != (TLS, "proceed") {
                return Err(Trouble::Tls {
                    at,
                    what: "the server offers STARTTLS, and refuses it".to_owned(),
                    lacks: Lacks::Other,
                });
            }
            wire.into_inner()?
        }
    };
    let secured = secure(tcp, at, account, tls).await?;
    let version = secured.get_ref().1.protocol_version().and_then(|version| version.as_str());
    let version = version.unwrap_or("TLS").replace("TLSv1_", "TLSv1.");
    let mut wire: Wire<Box<dyn Io>> = Wire::new(Box::new(secured), at);
    let features = wire.open(domain).await?;
    let mechanism = proven(&mut wire, &features, account).await?;
    let features = wire.open(domain).await?;
    let jid = bound(&mut wire, &features).await?;
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let how = How { server: at.to_string(), tls: version, mechanism, ms };
    Ok(Session { wire, jid, how })
}

/// Proves who we are; gives the mechanism.
async fn proven<IO: Io>(wire: &mut Wire<IO>, features: &Element, account: &Account) -> Result<&'static str, Trouble> {
    let listed = features.child(SASL, "mechanisms");
    let offered: Vec<String> = listed.into_iter().flat_map(Element::children).map(Element::text).collect();
    let best = MECHANISMS.into_iter().find(|(name, _)| offered.iter().any(|offered| offered == name));
    let (name, mechanism) = best.ok_or_else(|| Trouble::NoMechanism(plain(&offered.join(" "))))?;
    let password = account.password.reveal();
    match mechanism {
        Mechanism::Plain => {
            let initial = STANDARD.encode(format!("\0{}\0{password}", account.user));
            wire.write(&format!("<auth xmlns='{SASL}' mechanism='{name}'>{initial}</auth>")).await?;
            answered(wire, "success").await?;
        }
        Mechanism::Scram(hash) => {
            let begun = Begun::new(hash, &account.user, random());
            let initial = STANDARD.encode(begun.first());
            wire.write(&format!("<auth xmlns='{SASL}' mechanism='{name}'>{initial}</auth>")).await?;
            let (challenge, _) = answered(wire, "challenge").await?;
            let unproven = |error: super::scram::ScramError| Trouble::Unproven(error.to_string());
            let (answer, proven) = begun.answer(&challenge, password).map_err(unproven)?;
            wire.write(&format!("<response xmlns='{SASL}'>{}</response>", STANDARD.encode(answer))).await?;
            // A server that sends its proof as a challenge waits for an empty response (RFC 6120 §6.4.3).
            let (last, ended) = answered(wire, "").await?;
            if !proven.is_answered_by(&last) {
                return Err(Trouble::Unproven("its last SCRAM message is no proof".to_owned()));
            }
            if !ended {
                wire.write(&format!("<response xmlns='{SASL}'/>")).await?;
                answered(wire, "success").await?;
            }
        }
    }
    Ok(name)
}

/// What comes as `expected`, or as either of `challenge` and `success`; and whether it was the latter.
async fn answered<IO: Io>(wire: &mut Wire<IO>, expected: &str) -> Result<(Vec<u8>, bool), Trouble> {
    let answer = wire.element().await?;
    let content = tree(&answer)?;
    match (answer.namespace(), answer.name()) {
        (SASL, "failure") => {
            let text = content.child(SASL, "text").map(Element::text);
            let condition = condition(&content, SASL).unwrap_or_else(|| "no reason".to_owned());
            Err(Trouble::Refused { condition, text: in_brackets(text) })
        }
        (SASL, name @ ("challenge" | "success")) if expected.is_empty() || name == expected => {
            let text = content.text();
            let text = if text.trim() == "=" { "" } else { text.trim() };
            let decoded = STANDARD.decode(text);
            let decoded = decoded.map_err(|_| Trouble::Unproven("its SASL message isn't Base64".to_owned()))?;
            Ok((decoded, name == "success"))
        }
        (_, name) => Err(Trouble::Unproven(format!("it sends <{}/> within SASL", plain(name)))),
    }
}

/// Has a resource bound; gives the full JID.
async fn bound<IO: Io>(wire: &mut Wire<IO>, features: &Element) -> Result<String, Trouble> {
    let resource = format!("fedge-test-{}", &random()[..8]);
    let resource = escape_text(&resource);
    let bind = format!("<iq id='bind' type='set'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>");
    let answer = asked(wire, "bind", &bind, "the session's resource").await?;
    let jid = answer.child(BIND, "bind").and_then(|bind| bind.child(BIND, "jid")).map(Element::text);
    let none = || Trouble::Step { step: "the session's resource", condition: "an empty answer".to_owned() };
    let jid = jid.filter(|jid| jid.contains('/')).ok_or_else(none)?;
    // RFC 3921's sessions, which old servers can't do without.
    if features.child(SESSION, "session").is_some_and(|session| session.child(SESSION, "optional").is_none()) {
        let session = format!("<iq id='session' type='set'><session xmlns='{SESSION}'/></iq>");
        asked(wire, "session", &session, "the session").await?;
    }
    Ok(jid)
}

/// The answer to a request.
async fn asked<IO: Io>(wire: &mut Wire<IO>, id: &str, iq: &str, step: &'static str) -> Result<Element, Trouble> {
    wire.write(iq).await?;
    loop {
        let answer = wire.element().await?;
        if answer.name() != "iq" || answer.id().as_deref() != Some(id) {
            continue;
        }
        let content = tree(&answer)?;
        if answer.type_().as_deref() != Some("error") {
            return Ok(content);
        }
        let condition = stanza_error(&content).0.unwrap_or_else(|| "no reason".to_owned());
        return Err(Trouble::Step { step, condition });
    }
}

/// 144 random bits, as text that may stand everywhere.
pub(super) fn random() -> String {
    let mut bytes = [0; 18];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests;
