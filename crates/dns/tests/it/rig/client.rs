//! Clients: single queries by UDP and TCP.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};

use super::PATIENCE;

pub(crate) fn question(name: &str, wanted: RecordType) -> Query {
    Query::query(Name::from_ascii(name).expect("a name"), wanted)
}

/// A query as stub resolvers send it.
pub(crate) fn query(name: &str, wanted: RecordType) -> Message {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(question(name, wanted));
    query
}

pub(crate) fn with_edns(mut query: Message, size: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(size);
    query.set_edns(edns);
    query
}

/// What `server` says about a name, by UDP.
pub(crate) fn ask(server: SocketAddr, name: &str, wanted: RecordType) -> Message {
    udp(server, &query(name, wanted))
}

/// Sends by UDP from 127.0.0.1.
pub(crate) fn udp(server: SocketAddr, query: &Message) -> Message {
    udp_from(Ipv4Addr::LOCALHOST.into(), server, &query.to_vec().expect("a query"))
}

/// Sends any bytes by UDP from an address.
pub(crate) fn udp_from(client: IpAddr, server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = UdpSocket::bind((client, 0)).expect("a socket");
    socket.connect(server).expect("an address of the same family");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time");
    socket.send(bytes).expect("sent");
    let mut buffer = [0; 65535];
    let length = uninterrupted(|| socket.recv(&mut buffer)).expect("a reply in time");
    let reply = Message::from_vec(&buffer[..length]).expect("a readable reply");
    assert_eq!(reply.id.to_be_bytes(), bytes[..2], "the id of the query");
    reply
}

/// Receives with a time-out, and again where the process was stopped and continued meanwhile: that alone makes it fail
/// (signal(7)).
pub(crate) fn uninterrupted<T>(mut receive: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match receive() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return received,
        }
    }
}

/// Sends queries by one TCP connection, all before the first reply is read. The replies in the
/// order in which they came.
pub(crate) fn tcp(server: SocketAddr, queries: &[Message]) -> Vec<Message> {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    for query in queries {
        let bytes = query.to_vec().expect("a query");
        let length = u16::try_from(bytes.len()).expect("a short query").to_be_bytes();
        stream.write_all(&[&length, &bytes[..]].concat()).expect("sent");
    }
    let reply = |_| {
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a reply in time");
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes).expect("the whole reply");
        Message::from_vec(&bytes).expect("a readable reply")
    };
    queries.iter().map(reply).collect()
}
