//! What one client, or many, can't use up.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType as T;

use crate::rig::{Daemon, PATIENCE, Resolver, ask, query, uninterrupted};

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream
}

/// Whether the daemon closes the connection without a byte.
fn closed(stream: &mut TcpStream) -> bool {
    match uninterrupted(|| stream.read(&mut [0])) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn more_questions_than_can_wait_fail_at_once() {
    let silent = Resolver::silent();
    let daemon = Daemon::forwarding(&[&silent]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time");
    for number in 0..300 {
        let query = query(&format!("a{number}.test."), T::A).to_vec().expect("a query");
        socket.send_to(&query, daemon.address).expect("sent");
        if number % 20 == 0 {
            // Answered after what came before: nothing gets lost for want of buffers.
            ask(daemon.address, "gateway1.contoso.test.", T::A);
        }
    }
    let start = Instant::now();
    assert_eq!(ask(daemon.address, "_xmpp-server._tcp.fabrikam.test.", T::SRV).answers.len(), 2);
    assert!(start.elapsed() < Duration::from_secs(2), "our own answers don't wait: {:?}", start.elapsed());
    let mut buffer = [0; 1500];
    for _ in 0..300 {
        let length = uninterrupted(|| socket.recv(&mut buffer)).expect("a reply to each");
        let reply = Message::from_vec(&buffer[..length]).expect("a readable reply");
        assert_eq!(reply.response_code, ResponseCode::ServFail);
    }
    let asked: BTreeSet<String> = silent.heard().iter().map(|query| query.queries[0].name().to_ascii()).collect();
    assert_eq!(asked.len(), 250, "the others failed without being asked");
    daemon.line("questions that wait for the resolvers: the limit");
}

#[test]
fn connections_are_limited_and_idle_ones_closed() {
    let silent = Resolver::silent();
    let daemon = Daemon::forwarding(&[&silent]);
    let mut idle: Vec<TcpStream> = (0..150).map(|_| connect(&daemon)).collect();
    let start = Instant::now();
    assert!(closed(&mut connect(&daemon)), "the 151st");
    assert!(start.elapsed() < Duration::from_secs(5), "at once");
    daemon.line("TCP connections: the limit");
    // Half a query is none.
    idle[0].write_all(&[0, 30, 1, 2, 3]).expect("sent");
    for stream in &mut idle {
        assert!(closed(stream));
    }
    assert!(start.elapsed() > Duration::from_secs(5), "not before they were idle for a while");
    let mut next = connect(&daemon);
    let query = query("_xmpp-server._tcp.fabrikam.test.", T::SRV).to_vec().expect("a query");
    let length = u16::try_from(query.len()).expect("short").to_be_bytes();
    next.write_all(&[&length, &query[..]].concat()).expect("sent");
    next.read_exact(&mut [0; 50]).expect("there is room again");
}

#[test]
fn what_is_no_query_ends_its_connection_and_no_other() {
    let silent = Resolver::silent();
    let daemon = Daemon::forwarding(&[&silent]);
    for rubbish in [&[0, 0][..], &[0, 3, 1, 2, 3], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"] {
        let mut bad = connect(&daemon);
        bad.write_all(rubbish).expect("sent");
        bad.shutdown(std::net::Shutdown::Write).expect("open");
        assert!(closed(&mut bad), "{rubbish:?}");
    }
    assert_eq!(ask(daemon.address, "_xmpp-server._tcp.fabrikam.test.", T::SRV).answers.len(), 2);
}
