//! The files of jabberd2's four parts, as Debian ships them but for addresses, folders and limits.

use std::path::Path;

use super::ROUTER;
use crate::packages::Debian;
use crate::server::{ServerPlan, text, write};

/// What its parts call themselves towards its router; whoever reaches the port may know it.
const LOGIN: (&str, &str) = ("jabberd", "secret");

/// Writes `router.xml`, `sm.xml`, `s2s.xml` and `c2s.xml` into `folder`.
pub(super) fn write_all(debian: &Debian, plan: &ServerPlan, folder: &Path) -> anyhow::Result<()> {
    let libraries = escaped(&text(&debian.libraries("jabberd2"))?);
    let in_folder = |name: &str| anyhow::Ok(format!("{}/{name}", escaped(&text(folder)?)));
    let file = |part: &str, more: String| {
        let log = "<log type='stdout'/>";
        write(&folder.join(part).with_added_extension("xml"), &format!("<{part}><id>{part}</id>{log}{more}</{part}>\n"))
    };
    let (name, password) = LOGIN;
    let login = format!("<users><user><name>{name}</name><secret>{password}</secret></user></users>\n");
    write(&folder.join("router-users.xml"), &login)?;
    write(&folder.join("router-filter.xml"), "<filter/>\n")?;
    file("router", router(plan, &in_folder("router-users.xml")?, &in_folder("router-filter.xml")?))?;
    file("sm", sessions(plan, &libraries, &in_folder("data")?))?;
    file("s2s", servers(plan, &escaped(&text(&plan.certificate)?), &escaped(&text(&plan.trusted)?)))?;
    file("c2s", clients(plan, &libraries, &in_folder("users")?))
}

fn router(plan: &ServerPlan, users: &str, filter: &str) -> String {
    let (address, name) = (plan.address, LOGIN.0);
    format!(
        "
  <local><ip>{address}</ip><port>{ROUTER}</port><users>{users}</users></local>
  <io><max_fds>1024</max_fds></io>
  <aci><acl type='all'><user>{name}</user></acl><filter>{filter}</filter></aci>
"
    )
}

/// The session manager. Users exist as soon as they have logged in.
fn sessions(plan: &ServerPlan, libraries: &str, data: &str) -> String {
    let modules: String = MODULES
        .iter()
        .map(|(chain, modules)| {
            let modules = modules.split_whitespace().map(|module| format!("<module>{module}</module>"));
            format!("    <chain id='{chain}'>{}</chain>\n", modules.collect::<String>())
        })
        .collect();
    format!(
        "
  {joined}
  <local><id>{domain}</id></local>
  <storage><path>{libraries}</path><driver>db</driver><db><path>{data}</path></db></storage>
  <modules>
    <path>{libraries}</path>
{modules}  </modules>
  <discovery><identity><category>server</category><type>im</type><name>jabberd2</name></identity></discovery>
  <user><auto-create/></user>
",
        joined = joined(plan),
        domain = escaped(&plan.domain),
    )
}

fn servers(plan: &ServerPlan, certificate: &str, trusted: &str) -> String {
    format!(
        "
  {joined}
  <local>
    <ip>{address}</ip><port>5269</port>
    <pemfile>{certificate}</pemfile><cachain>{trusted}</cachain>
  </local>
  <io><max_fds>1024</max_fds><limits><stanzasize>{stanza_bytes}</stanzasize></limits></io>
  <lookup><srv>xmpp-server</srv><srv>jabber</srv><min-ttl>1</min-ttl></lookup>
  <out-conn-reuse/>
  <security><require_tls/></security>
",
        joined = joined(plan),
        address = plan.address,
        stanza_bytes = plan.stanza_bytes,
    )
}

fn clients(plan: &ServerPlan, libraries: &str, users: &str) -> String {
    let plain = "<traditional><plain/></traditional><sasl><plain/></sasl>";
    format!(
        "
  {joined}
  <local><id>{domain}</id><ip>{address}</ip><port>5222</port></local>
  <io>
    <max_fds>1024</max_fds>
    <limits><stanzas>{stanzas}</stanzas><stanzasize>{stanza_bytes}</stanzasize></limits>
  </io>
  <authreg>
    <path>{libraries}</path><module>pipe</module>
    <mechanisms>{plain}</mechanisms>
    <pipe><exec>{users}</exec></pipe>
  </authreg>
",
        joined = joined(plan),
        domain = escaped(&plan.domain),
        address = plan.address,
        stanzas = if plan.rate_limits { 1000 } else { 0 },
        stanza_bytes = plan.stanza_bytes,
    )
}

/// How a part finds the router.
fn joined(plan: &ServerPlan) -> String {
    let (address, (name, password)) = (plan.address, LOGIN);
    format!("<router><ip>{address}</ip><port>{ROUTER}</port><user>{name}</user><pass>{password}</pass></router>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The modules that Debian enables, by what they are asked for.
const MODULES: &[(&str, &str)] = &[
    ("sess-start", "status"),
    ("sess-end", "status iq-last"),
    (
        "in-sess",
        "validate status privacy roster vacation iq-vcard iq-ping iq-private disco amp offline announce presence deliver",
    ),
    ("in-router", "session validate presence privacy"),
    ("out-router", "privacy"),
    ("pkt-sm", "iq-last iq-ping iq-time iq-version amp disco announce help echo status presence"),
    ("pkt-user", "roster presence disco iq-vcard amp deliver vacation offline iq-last"),
    ("pkt-router", "session disco"),
    ("user-load", "active roster roster-publish privacy vacation"),
    ("user-create", "active template-roster"),
    ("user-delete", "active announce offline privacy roster vacation status iq-last iq-private iq-vcard"),
    ("disco-extend", "iq-version help"),
];
