//! By which names partners find the installation, as the resolver that they ask says now.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};

use super::Installation;

const PATIENCE: Duration = Duration::from_secs(5);

impl Installation {
    /// The SRV records of a domain, as a zone file has them, the first to be tried first.
    ///
    /// # Errors
    /// When nobody answers, or it isn't an answer.
    pub fn found(&self, domain: &str) -> anyhow::Result<Vec<String>> {
        let resolver = self.ground.layout.public_dns();
        let mut question = Message::query();
        question.metadata.op_code = OpCode::Query;
        question.metadata.recursion_desired = true;
        let name = Name::from_ascii(format!("_xmpp-server._tcp.{domain}."))?;
        question.add_query(Query::query(name, RecordType::SRV));
        let (bytes, id) = (question.to_vec()?, question.id);
        let answer = self.ground.layout.public_dns.place.enter(move || {
            let own = if resolver.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(own)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send_to(&bytes, resolver)?;
            let mut buffer = vec![0; usize::from(u16::MAX)];
            let length = socket.recv(&mut buffer)?;
            buffer.truncate(length);
            std::io::Result::Ok(buffer)
        });
        let answer = Message::from_vec(&answer.with_context(|| format!("{resolver} doesn't answer"))?)?;
        ensure!(answer.id == id, "{resolver} answers another question");
        let records = answer.answers.iter().filter(|record| record.record_type() == RecordType::SRV);
        let mut found: Vec<_> = records.map(|record| (record.ttl, record.data.to_string())).collect();
        found.sort_by_key(|(_, data)| data.split(' ').next().and_then(|priority| priority.parse::<u16>().ok()));
        Ok(found.into_iter().map(|(ttl, data)| format!("{ttl} IN SRV {data}")).collect())
    }
}
