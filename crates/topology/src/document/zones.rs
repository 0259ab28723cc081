//! From `[names]` and `[[zone]]` as they are written to what they mean.

use std::net::{IpAddr, SocketAddr};

use toml::Spanned;

use super::check::Reading;
use super::file::{self, File, Text};
use super::{Dns, Role};
use crate::fqdn::Fqdn;
use crate::tlsa::Tlsa;
use crate::zone::{self, LONGEST_TTL, NameServer, Names, PORT, Publisher, Targets, Zone};

#[cfg(test)]
mod tests;

/// What an example shows for an address of a name server.
const SERVERS: &str = "[\"192.0.2.53\"]";

impl Reading<'_> {
    /// How partners find us, and which recursive resolvers are asked whether they do.
    pub(super) fn names(&mut self, file: &File) -> (Names, Vec<SocketAddr>) {
        let mut names = Names::default();
        let Some(section) = &file.names else { return (names, Vec::new()) };
        let section = section.get_ref();
        if let Some(ttl) = &section.ttl {
            names.ttl = *ttl.get_ref();
            if !(1..=LONGEST_TTL).contains(ttl.get_ref()) {
                let what = format!("{} s is no time for which an answer should be kept", ttl.get_ref());
                self.add(ttl.span(), what, format!("name 1 to {LONGEST_TTL}: for so long partners don't see a move"));
            }
        }
        if let Some(targets) = &section.targets {
            match targets.get_ref().as_str() {
                "pool" => names.targets = Targets::Pool,
                "edge" => names.targets = Targets::Edge,
                other => {
                    self.add(targets.span(), format!("`{other}` is no kind of target"), "write \"pool\" or \"edge\"");
                }
            }
        }
        names.alias = section.alias.as_ref().and_then(|alias| self.fqdn(Some(alias), alias.span()));
        names.direct_tls_port = section.direct_tls_port.as_ref().map(|port| self.port(Some(port), 0));
        let resolvers = section.resolvers.iter().flatten();
        (names, resolvers.filter_map(|written| self.server(written)).collect())
    }

    /// The CAs whose certificates are shown outside, as CAA records name them (RFC 8659 §4.2).
    pub(super) fn authorities(&mut self, file: &File) -> Vec<String> {
        let mut all = Vec::new();
        for written in file.names.iter().flat_map(|names| names.get_ref().ca.iter().flatten()) {
            match zone::name(written.get_ref()).map(|name| name.trim_end_matches('.').to_owned()) {
                Some(ca) => all.push(ca),
                None => {
                    let what = format!("`{}` is no CA's name", written.get_ref());
                    self.add(
                        written.span(),
                        what,
                        "write the domain that its CAA records have, such as `letsencrypt.org`",
                    );
                }
            }
        }
        all
    }

    /// The TLSA records of a pool.
    pub(super) fn tlsa(&mut self, written: &[Text]) -> Vec<Tlsa> {
        let mut all: Vec<Tlsa> = Vec::new();
        for text in written {
            match text.get_ref().parse::<Tlsa>() {
                Ok(record) if all.contains(&record) => {
                    self.add(text.span(), format!("`{record}` stands here twice"), "keep one of them");
                }
                Ok(record) => all.push(record),
                Err(error) => self.add(text.span(), error.to_string(), error.remedy()),
            }
        }
        all
    }

    /// The dns servers: who answers our own servers, who partners' resolvers, and who both.
    pub(super) fn dns(&mut self, entries: &[Spanned<file::Dns>], sites: &[String]) -> Vec<Dns> {
        let mut servers = Vec::new();
        for entry in entries {
            let file::Dns { view, external, .. } = entry.get_ref();
            if let Some(written) = view.as_ref().filter(|view| !view.get_ref() && external.is_none()) {
                let what = "this dns server would answer nobody: it has neither the view nor `external`";
                self.add(written.span(), what, "give it `external`, for zones; or leave `view` out");
            }
            let view = view.as_ref().is_none_or(|view| *view.get_ref());
            let members = self.members("dns", Role::Dns, std::slice::from_ref(entry), sites);
            servers.extend(members.into_iter().map(|member| Dns { member, view }));
        }
        servers
    }

    /// The dns servers that partners' resolvers reach.
    pub(super) fn nameservers(&mut self, file: &File) -> Vec<NameServer> {
        let mut servers = Vec::new();
        for entry in &file.dns {
            let entry = entry.get_ref();
            let Some(external) = &entry.external else { continue };
            let addresses = self.addresses(external).into_iter().map(|(_, address)| address).collect();
            let fqdn = entry.fqdn.as_ref().and_then(|fqdn| fqdn.get_ref().parse::<Fqdn>().ok());
            servers.extend(fqdn.map(|fqdn| NameServer { fqdn, addresses }));
        }
        servers
    }

    pub(super) fn zones(&mut self, file: &File, nameservers: &[NameServer]) -> Vec<Zone> {
        let mut zones: Vec<Zone> = Vec::new();
        for entry in &file.zone {
            let (span, entry) = (entry.span(), entry.get_ref());
            let Some(written) = self.required(entry.name.as_ref(), "name", span.clone(), "\"contoso.test\"") else {
                continue;
            };
            let Some(name) = zone::name(written.get_ref()) else {
                let what = format!("`{}` is no zone's name", written.get_ref());
                self.add(written.span(), what, "write it as DNS has it, such as `contoso.test` or `_tcp.contoso.test`");
                continue;
            };
            if zones.iter().any(|zone| zone.name == name) {
                self.add(written.span(), format!("there are two zones {name}"), "name each once");
                continue;
            }
            let written = self.required(entry.publisher.as_ref(), "publisher", span.clone(), "\"embedded\"");
            let publisher = written.and_then(|written| match written.get_ref().as_str() {
                "embedded" => self.embedded(entry, written, nameservers),
                "rfc2136" => self.rfc2136(entry, span),
                "manual" => self.manual(entry, span),
                other => {
                    let what = format!("`{other}` is no publisher");
                    self.add(written.span(), what, "write \"embedded\", \"rfc2136\" or \"manual\"");
                    None
                }
            });
            zones.extend(publisher.map(|publisher| Zone { name, publisher }));
        }
        self.alias_is_in_a_zone(file, &zones);
        self.signed_zones_have_none_below(file, &zones);
        zones
    }

    /// What lies below belongs to another zone, and the one above would have to say so with its signature: fedge-dns has no
    /// records for that. And of one below a zone of ours, nobody could tell the parent which key it has.
    fn signed_zones_have_none_below(&mut self, file: &File, zones: &[Zone]) {
        for signed in zones.iter().filter(|zone| zone.is_signed()) {
            let below = zones.iter().find(|zone| *zone != signed && signed.holds(&zone.name));
            let is_ours = |zone: &&Zone| matches!(zone.publisher, Publisher::Embedded { .. });
            let above = zones.iter().filter(is_ours).find(|zone| *zone != signed && zone.holds(&signed.name));
            let Some(other) = below.or(above) else { continue };
            let entry = file.zone.iter().find(|entry| {
                let name = entry.get_ref().name.as_ref();
                name.and_then(|name| zone::name(name.get_ref())).as_ref() == Some(&signed.name)
            });
            let span = entry.and_then(|entry| entry.get_ref().signed.as_ref()).map(Spanned::span).unwrap_or_default();
            let what = format!(
                "{} is signed, and {} is another zone {} it: fedge-dns can't say with a signature where one ends and the other begins",
                signed.name,
                other.name,
                if below.is_some() { "below" } else { "above" }
            );
            self.add(span, what, "make one zone of both, or don't sign");
        }
    }

    /// The one set of SRV records that all domains lead to has to be published by somebody.
    fn alias_is_in_a_zone(&mut self, file: &File, zones: &[Zone]) {
        let Some(alias) = file.names.as_ref().and_then(|names| names.get_ref().alias.as_ref()) else { return };
        let name = zone::name(alias.get_ref()).unwrap_or_default();
        if !zones.iter().any(|zone| zone.holds(&name)) {
            let what =
                format!("{} lies in no [[zone]], so nobody would publish what all domains lead to", alias.get_ref());
            self.add(alias.span(), what, "add the zone in which it lies, or choose a name in one that is there");
        }
    }

    fn embedded(&mut self, entry: &file::Zone, written: &Text, nameservers: &[NameServer]) -> Option<Publisher> {
        self.needless(
            entry.servers.as_ref(),
            "servers",
            "embedded",
            "its name servers are the [[dns]] with `external`",
        );
        self.needless(entry.primary.as_ref(), "primary", "embedded", "each of its name servers is one");
        self.needless(entry.key.as_ref(), "key", "embedded", "nobody sends it updates");
        if nameservers.is_empty() {
            let remedy = "give at least one [[dns]] the addresses at which resolvers of others reach it: `external`";
            self.add(written.span(), "nobody could publish it: no [[dns]] has `external`", remedy);
            return None;
        }
        let signed = entry.signed.as_ref().is_some_and(|signed| *signed.get_ref());
        Some(Publisher::Embedded { servers: nameservers.to_vec(), signed })
    }

    fn rfc2136(&mut self, entry: &file::Zone, span: std::ops::Range<usize>) -> Option<Publisher> {
        self.needless(entry.signed.as_ref(), "signed", "rfc2136", "your own name server signs it");
        let servers = self.servers(entry, span.clone());
        let primary = match &entry.primary {
            Some(primary) => self.server(primary),
            None => servers.first().copied(),
        };
        let written = self.required(entry.key.as_ref(), "key", span, "\"fedge-key.\"")?;
        let key = zone::name(written.get_ref());
        if key.is_none() {
            let what = format!("`{}` is no key's name", written.get_ref());
            self.add(written.span(), what, "write it as the name server's configuration has it");
        }
        Some(Publisher::Rfc2136 { primary: primary?, servers, key: key? })
    }

    fn manual(&mut self, entry: &file::Zone, span: std::ops::Range<usize>) -> Option<Publisher> {
        self.needless(entry.signed.as_ref(), "signed", "manual", "your own name server signs it");
        self.needless(entry.primary.as_ref(), "primary", "manual", "nobody sends it updates");
        self.needless(entry.key.as_ref(), "key", "manual", "nobody sends it updates");
        Some(Publisher::Manual { servers: self.servers(entry, span) })
    }

    fn needless<T>(&mut self, written: Option<&Spanned<T>>, key: &str, publisher: &str, why: &str) {
        if let Some(written) = written {
            let what = format!("`{key}` means nothing for the publisher \"{publisher}\": {why}");
            self.add(written.span(), what, "leave it out");
        }
    }

    fn servers(&mut self, entry: &file::Zone, span: std::ops::Range<usize>) -> Vec<SocketAddr> {
        let Some(written) = self.required(entry.servers.as_ref(), "servers", span, SERVERS) else { return Vec::new() };
        if written.get_ref().is_empty() {
            self.add(written.span(), "there is no name server", "name all that have authority; each is asked");
        }
        written.get_ref().iter().filter_map(|server| self.server(server)).collect()
    }

    /// A name server's address, with its port where it isn't the usual one.
    fn server(&mut self, written: &Text) -> Option<SocketAddr> {
        let text = written.get_ref();
        let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT)).or_else(|_| text.parse());
        if address.is_err() {
            let remedy = "write an address, if need be with a port: \"192.0.2.53\" or \"[2001:db8::53]:5353\"";
            self.add(written.span(), format!("`{text}` is no address of a name server"), remedy);
        }
        address.ok()
    }
}
