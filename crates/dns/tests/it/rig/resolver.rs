//! A resolver of the site that says what a test wants it to say, by UDP and TCP on one port.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record};

/// What is said to a query.
pub(crate) enum Say {
    /// Nothing.
    Nothing,
    /// This.
    This(Message),
    /// These bytes, one packet each.
    Bytes(Vec<Vec<u8>>),
    /// This, after a while.
    Late(Duration, Message),
}

/// Says something to a query that came by TCP or not.
type Script = dyn Fn(&Message, bool) -> Say + Send + Sync;

/// The resolver. Dropped, it ends.
pub(crate) struct Resolver {
    /// Where it is.
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Message>>>,
    ended: Arc<AtomicBool>,
}

impl Resolver {
    /// Says what `script` says.
    pub(crate) fn that(script: impl Fn(&Message, bool) -> Say + Send + Sync + 'static) -> Resolver {
        let (listener, socket) = (0..20)
            .find_map(|_| {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                let socket = UdpSocket::bind(listener.local_addr().expect("an address")).ok()?;
                Some((listener, socket))
            })
            .expect("a port that is free for both transports");
        let address = socket.local_addr().expect("an address");
        let (heard, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let resolver = Resolver { address, heard, ended };
        let script: Arc<Script> = Arc::new(script);
        let (heard, ended, by_udp) = (resolver.heard.clone(), resolver.ended.clone(), script.clone());
        thread::spawn(move || udp(&socket, &heard, &ended, &by_udp));
        let (heard, ended) = (resolver.heard.clone(), resolver.ended.clone());
        thread::spawn(move || tcp(&listener, &heard, &ended, &script));
        resolver
    }

    /// A resolver that hears and never says anything.
    pub(crate) fn silent() -> Resolver {
        Resolver::that(|_, _| Say::Nothing)
    }

    /// What it was asked so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.heard.lock().expect("no test thread panicked").clone()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Something to wake up for.
        let waker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
        let _ = waker;
        let _ = std::net::TcpStream::connect(self.address);
    }
}

fn udp(socket: &UdpSocket, heard: &Mutex<Vec<Message>>, ended: &AtomicBool, script: &Arc<Script>) {
    let mut buffer = [0; 65535];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
        heard.lock().expect("no test thread panicked").push(query.clone());
        let packets = match script(&query, false) {
            Say::Nothing => Vec::new(),
            Say::This(message) => vec![message.to_vec().expect("a message")],
            Say::Bytes(packets) => packets,
            Say::Late(wait, message) => {
                let socket = socket.try_clone().expect("a socket");
                thread::spawn(move || {
                    thread::sleep(wait);
                    socket.send_to(&message.to_vec().expect("a message"), client)
                });
                Vec::new()
            }
        };
        for packet in packets {
            // The daemon may have ended.
            let _ = socket.send_to(&packet, client);
        }
    }
}

fn tcp(listener: &TcpListener, heard: &Mutex<Vec<Message>>, ended: &AtomicBool, script: &Arc<Script>) {
    while let Ok((mut stream, _)) = listener.accept() {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let mut length = [0; 2];
        let Ok(()) = stream.read_exact(&mut length) else { continue };
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        let Ok(()) = stream.read_exact(&mut bytes) else { continue };
        let Ok(query) = Message::from_vec(&bytes) else { continue };
        heard.lock().expect("no test thread panicked").push(query.clone());
        let packets = match script(&query, true) {
            Say::Nothing => Vec::new(),
            Say::This(message) | Say::Late(_, message) => vec![message.to_vec().expect("a message")],
            Say::Bytes(packets) => packets,
        };
        for packet in packets {
            let length = u16::try_from(packet.len()).expect("a message that fits").to_be_bytes();
            let _ = stream.write_all(&[&length, &packet[..]].concat());
        }
    }
}

/// A reply without records.
pub(crate) fn reply(query: &Message) -> Message {
    let mut reply = Message::response(query.id, OpCode::Query);
    reply.queries = query.queries.clone();
    reply.edns = query.edns.clone();
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    reply
}

/// A reply with a response code.
pub(crate) fn error(query: &Message, code: ResponseCode) -> Message {
    let mut reply = reply(query);
    reply.metadata.response_code = code;
    reply
}

/// A reply with an address.
pub(crate) fn address(query: &Message, ttl: u32, last: u8) -> Message {
    let mut reply = reply(query);
    let name = query.queries[0].name().clone();
    reply.add_answer(Record::from_rdata(name, ttl, RData::A(A::new(192, 0, 2, last))));
    reply
}

/// A reply that a name does not exist, for so many seconds.
pub(crate) fn denied(query: &Message, ttl: u32) -> Message {
    let mut reply = error(query, ResponseCode::NXDomain);
    let zone = Name::from_ascii("test.").expect("a name");
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 2, 3, 4, ttl);
    reply.add_authority(Record::from_rdata(zone, 3600, RData::SOA(soa)));
    reply
}

/// A reply with two aliases, each of the other.
pub(crate) fn aliases(query: &Message) -> Message {
    let mut reply = reply(query);
    let (one, other) = (query.queries[0].name().clone(), Name::from_ascii("other.test.").expect("a name"));
    for (from, to) in [(&one, &other), (&other, &one)] {
        reply.add_answer(Record::from_rdata(from.clone(), 60, RData::CNAME(CNAME(to.clone()))));
    }
    reply
}
