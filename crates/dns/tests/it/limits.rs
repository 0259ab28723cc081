//! What one client, or many, can't use up.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType as T;

use crate::rig::{Daemon, PATIENCE, Resolver, ask, eventually, query, uninterrupted};

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

/// The same from another address of this machine.
fn connect_from(daemon: &Daemon, client: [u8; 4]) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((client, 0).into()).expect("an address of this machine");
        socket.connect(daemon.address).await.expect("a connection").into_std().expect("a socket")
    });
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream
}

/// A question as TCP has it.
fn framed(name: &str, wanted: T) -> Vec<u8> {
    let query = query(name, wanted).to_vec().expect("a query");
    let length = u16::try_from(query.len()).expect("short").to_be_bytes();
    [&length, &query[..]].concat()
}

/// Whether a question is answered on it.
fn answered(stream: &mut TcpStream) -> bool {
    let asked = stream.write_all(&framed("_xmpp-server._tcp.fabrikam.test.", T::SRV));
    let mut length = [0; 2];
    let begun = asked.and_then(|()| stream.read_exact(&mut length));
    begun.and_then(|()| stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes(length))])).is_ok()
}

#[test]
fn the_connection_that_was_idle_for_longest_makes_room_and_idle_ones_are_closed() {
    let silent = Resolver::silent();
    let daemon = Daemon::forwarding(&[&silent]);
    let start = Instant::now();
    // Of one client.
    let mut own: Vec<TcpStream> = (0..16).map(|_| connect_from(&daemon, [127, 0, 3, 1])).collect();
    assert!(answered(&mut own[0]), "it is idle from now on");
    let mut other = connect_from(&daemon, [127, 0, 3, 2]);
    let mut next = connect_from(&daemon, [127, 0, 3, 1]);
    assert!(closed(&mut own[1]), "the first that never asked");
    assert!([&mut next, &mut other, &mut own[0]].into_iter().all(answered));
    // Of all.
    own.truncate(1);
    let mut all: Vec<TcpStream> = (0..146).map(|number| connect_from(&daemon, [127, 0, 4, number / 15])).collect();
    let mut last = connect_from(&daemon, [127, 0, 5, 1]);
    assert!(answered(&mut last));
    let mut more = connect_from(&daemon, [127, 0, 5, 2]);
    assert!(closed(&mut next), "of all 150 it was idle for longest");
    assert!(answered(&mut more) && answered(&mut other));
    assert!(start.elapsed() < Duration::from_secs(8), "at once: {:?}", start.elapsed());
    // Half a query is none.
    all[145].write_all(&[0, 30, 1, 2, 3]).expect("sent");
    for stream in all.iter_mut().chain([&mut last, &mut more, &mut other, &mut own[0]]) {
        assert!(closed(stream));
    }
    assert!(start.elapsed() > Duration::from_secs(9), "not before they were idle for a while");
    assert!(answered(&mut connect(&daemon)), "there is room again");
}

#[test]
fn a_client_all_of_whose_connections_are_at_work_gets_no_other() {
    let silent = Resolver::silent();
    let daemon = Daemon::forwarding(&[&silent]);
    let mut busy: Vec<TcpStream> = (0..16).map(|_| connect(&daemon)).collect();
    for (number, stream) in busy.iter_mut().enumerate() {
        stream.write_all(&framed(&format!("busy{number}.test."), T::A)).expect("sent");
    }
    eventually("all questions", || {
        let names: BTreeSet<String> = silent.heard().iter().map(|query| query.queries[0].name().to_ascii()).collect();
        (names.len() == 16).then_some(())
    });
    assert!(closed(&mut connect(&daemon)), "the 17th");
    daemon.line("TCP connections: the limit");
    assert!(answered(&mut connect_from(&daemon, [127, 0, 3, 9])), "that is nothing to others");
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
