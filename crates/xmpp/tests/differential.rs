//! Our scanner against rxml and expat: on a million damaged streams all three take the same, but for one table.
//!
//! A single stream is looked at again with `DIFFERENTIAL_SEED=…`.

use xmpp::xml::SERVER;
use xmpp::xml::tree::Element;

#[path = "differential/allowed.rs"]
mod allowed;
#[path = "differential/corpus.rs"]
mod corpus;
#[path = "differential/expat.rs"]
mod expat;
#[path = "differential/mutate.rs"]
mod mutate;
#[path = "differential/ours.rs"]
mod ours;
#[path = "differential/reading.rs"]
mod reading;
#[path = "differential/rxml.rs"]
mod rxml_oracle;

use allowed::{ALLOWED, Disagreement, Kind, Oracle};
use expat::Expat;
use ours::Scanned;
use reading::{Item, Node, Reading};

/// Streams that are made, damaged and compared.
const STREAMS: u64 = 1_000_000;
/// Streams that expat gets at once.
const BATCH: u64 = 500;
/// What is put behind a stream that breaks off, so that whatever token it broke off in gets its end.
const ENDINGS: &[&[u8]] = &[b"<", b">", b"'>", b"\">", b"?>", b"'?>", b"\"?>", b"]]>", b"-->"];
/// How the header looks under which elements travel on.
const BARE: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// What came of a number of streams; those that broke off are counted again with each ending.
#[derive(Debug, Default)]
struct Count {
    /// Taken by all three.
    taken: u64,
    /// Refused by all three.
    refused: u64,
    /// Elements that were compared once more, as they travel on.
    travelled: u64,
    /// By entry of the table.
    allowed: [u64; ALLOWED.len()],
}

#[test]
fn a_million_damaged_streams_are_read_alike() {
    if let Some(seed) = std::env::var("DIFFERENTIAL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let mut count = Count::default();
        return compare(seed, 1, &mut Expat::start(), &mut count);
    }
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get() as u64);
    let batches = STREAMS / BATCH;
    let counts: Vec<Count> = std::thread::scope(|scope| {
        let work = |worker| {
            move || {
                let (mut expat, mut count) = (Expat::start(), Count::default());
                for batch in (worker..batches).step_by(usize::try_from(workers).expect("a few")) {
                    compare(batch * BATCH, BATCH, &mut expat, &mut count);
                }
                count
            }
        };
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(work(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no disagreement")).collect()
    });
    let sum = |part: fn(&Count) -> u64| counts.iter().map(part).sum::<u64>();
    let (taken, refused) = (sum(|count| count.taken), sum(|count| count.refused));
    println!("{STREAMS} streams: {taken} taken, {refused} refused by all; {} elements travelled", sum(|c| c.travelled));
    for (place, entry) in ALLOWED.iter().enumerate() {
        let times: u64 = counts.iter().map(|count| count.allowed[place]).sum();
        println!("{times:7} {}", entry.why);
        assert!(times > 0, "this disagreement never came up: {}", entry.why);
    }
    assert!(taken > STREAMS / 4 && refused > STREAMS / 4, "damage that is too light or too heavy finds nothing");
}

#[test]
fn every_character_is_taken_where_both_oracles_take_it() {
    let planes = (1..=16).flat_map(|plane| [0, 1, 0xfffd, 0xfffe, 0xffff].map(|last| plane << 16 | last));
    let characters: Vec<char> = (0..0x1_0000).chain(planes).filter_map(char::from_u32).collect();
    let mut expat = Expat::start();
    for (what, shape) in [
        ("begins a name", "<a><@/></a>"),
        ("goes on a name", "<a><b@/></a>"),
        ("in a prefix", "<a><b@:c xmlns:b@='u'/></a>"),
        ("is text", "<a><b>@</b></a>"),
        ("in CDATA", "<a><b><![CDATA[@]]></b></a>"),
        ("is a value", "<a><b c='@'/></a>"),
        ("is a reference", "<a><b c='&#x@;'>&#x@;</b></a>"),
    ] {
        let written = |c: char| if shape.contains('#') { format!("{:x}", u32::from(c)) } else { c.to_string() };
        for some in characters.chunks(8192) {
            let streams: Vec<Vec<u8>> = some.iter().map(|c| shape.replace('@', &written(*c)).into_bytes()).collect();
            let expats = expat.ask(streams.iter().map(|stream| &**stream));
            for ((c, stream), expat) in some.iter().zip(&streams).zip(expats) {
                let (ours, rxml) = (ours::scan(stream, usize::MAX), rxml_oracle::read(stream));
                // rxml and carriage returns: see the table.
                let taken = expat.frames().len() == 3 && (rxml.frames().len() == 3 || *c == '\r');
                assert_eq!(ours.footer, taken, "U+{:04X} {what}", u32::from(*c));
            }
        }
    }
}

/// Compares the streams of `many` seeds.
fn compare(first: u64, many: u64, expat: &mut Expat, count: &mut Count) {
    let streams: Vec<(u64, Vec<u8>)> = (first..first + many).map(|seed| (seed, mutate::stream(seed))).collect();
    expat.send(streams.iter().map(|(_, stream)| &**stream));
    let readings: Vec<_> =
        streams.iter().map(|(seed, stream)| (scanned(*seed, stream), rxml_oracle::read(stream))).collect();
    let (mut broken_off, mut travelling) = (Vec::new(), Vec::new());
    for (((seed, stream), (ours, rxml)), expat) in streams.iter().zip(&readings).zip(expat.receive()) {
        if !agree(*seed, stream, ours, rxml, &expat, count) {
            broken_off.extend(ENDINGS.iter().map(|ending| (*seed, [stream, *ending].concat())));
        }
        if let Some(elements) = travellers(*seed, ours, &expat) {
            count.travelled += elements.len() as u64;
            travelling.push((*seed, stream, ours, elements));
        }
    }
    if !broken_off.is_empty() {
        whole_tokens(&broken_off, expat, count);
    }
    if !travelling.is_empty() {
        arrive(&travelling, expat);
    }
}

/// Scans whole and in pieces.
fn scanned(seed: u64, stream: &[u8]) -> Scanned {
    let whole = ours::scan(stream, usize::MAX);
    let longest = stream.len().max(1);
    let sizes =
        if seed.is_multiple_of(1000) { 1..longest + 1 } else { 1 + (seed as usize % 37)..2 + (seed as usize % 37) };
    for size in sizes {
        let pieces = ours::scan(stream, size);
        assert!(pieces.equals(&whole), "seed {seed}, pieces of {size}:\n{whole:?}\n{pieces:?}\n{}", shown(stream));
    }
    whole
}

/// Whether the three agree on `stream`, or their disagreement is in the table. Not settled, which is
/// `false`, is a stream that breaks off in a token that one of us refuses already and another didn't
/// judge yet: we look at whole tokens, but refuse a comment at `<!-` and text between stanzas at once.
fn agree(seed: u64, stream: &[u8], ours: &Scanned, rxml: &Reading, expat: &Reading, count: &mut Count) -> bool {
    let (mut settled, mut agreed) = (true, true);
    for (oracle, theirs, other) in [(Oracle::Rxml, rxml, expat), (Oracle::Expat, expat, rxml)] {
        let mut disagree = |kind, what: &str| {
            let disagreement = Disagreement { kind, stream, ours, oracle, theirs, other };
            agreed = false;
            if let Some(place) = ALLOWED.iter().position(|entry| (entry.explains)(&disagreement)) {
                count.allowed[place] += 1;
            } else if kind == Kind::Refuse && theirs.frames().len() == ours.frames() && disagreement.is_early() {
                settled = false;
            } else {
                panic!(
                    "seed {seed}, {oracle:?}: {what}\n{}\nours: {ours:?}\nrxml: {rxml:?}\nexpat: {expat:?}",
                    shown(stream)
                );
            }
        };
        let frames = theirs.frames();
        if ours.frames() > frames.len() {
            disagree(Kind::Take, "we take what it refuses");
            continue;
        }
        // What is the same to both oracles is compared with ours once.
        let alike = oracle == Oracle::Rxml && frames.iter().zip(other.frames()).all(|(one, other)| *one == other);
        if !alike && let Err(what) = same_frames(ours, &frames) {
            disagree(Kind::Read, &what);
            continue;
        }
        match (ours.error, &theirs.error) {
            (None, _) if frames.len() > ours.frames() => disagree(Kind::Refuse, "it sees more than we do"),
            (Some(_), None) => disagree(Kind::Refuse, "we refuse what it takes"),
            (Some(_), Some(_)) if frames.len() > ours.frames() => disagree(Kind::Refuse, "we refuse what it takes"),
            (None, Some(_)) => settled = false,
            _ => {}
        }
    }
    match ours.error {
        None if settled => count.taken += 1,
        Some(_) if agreed => count.refused += 1,
        _ => {}
    }
    settled
}

/// The frames that we took say the same as the oracle's.
fn same_frames(ours: &Scanned, theirs: &[&Item]) -> Result<(), String> {
    let mut theirs = theirs.iter();
    if let Some(header) = &ours.header {
        let Some(Item::Header(events)) = theirs.next() else { return Err("the header is none".to_owned()) };
        let node = Node::read(events);
        let said = [&header.from, &header.to, &header.id, &header.version].map(Option::as_deref);
        let meant = ["from", "to", "id", "version"].map(|name| node.attribute("", name));
        let lang = node.attribute(XML, "lang");
        if (&header.namespace, &header.local_name) != (&node.namespace, &node.name)
            || said != meant
            || header.lang.as_deref() != lang
        {
            return Err(format!("the header is another: {header:?}, {node:?}"));
        }
    }
    for element in &ours.elements {
        let Some(Item::Element(events)) = theirs.next() else { return Err("an element is none".to_owned()) };
        let node = Node::read(events);
        let said = [element.from(), element.to(), element.id(), element.type_()];
        let meant = ["from", "to", "id", "type"].map(|name| node.attribute("", name));
        if (element.namespace(), element.name()) != (&node.namespace, &node.name)
            || said.iter().map(Option::as_deref).ne(meant)
        {
            return Err(format!("an element has another head: {element:?}, {node:?}"));
        }
        let tree = Element::of(element).map_err(|error| format!("no tree of an element: {error}"))?;
        // Under a header with another default namespace a tree of our own is never made.
        if ours.header.as_ref().is_some_and(|header| header.content_namespace == SERVER) && !same_tree(&tree, &node) {
            return Err(format!("an element has another tree: {tree:?}, {node:?}"));
        }
    }
    match (ours.footer, theirs.next()) {
        (true, Some(Item::Footer)) | (false, _) => Ok(()),
        _ => Err("the end is none".to_owned()),
    }
}

fn same_tree(ours: &Element, theirs: &Node) -> bool {
    let attributes = theirs.attributes.iter().all(|(namespace, name, value)| match &**namespace {
        "" => ours.attr(name) == Some(value),
        XML => name == "lang" || ours.attr(&format!("xml:{name}")) == Some(value),
        _ => true,
    });
    let children: Vec<_> = theirs.children().collect();
    (&ours.namespace, &ours.name) == (&theirs.namespace, &theirs.name)
        && attributes
        && ours.text() == theirs.text()
        && ours.children().count() == children.len()
        && ours.children().zip(children).all(|(ours, theirs)| same_tree(ours, theirs))
}

/// Streams that broke off in a token, each with every ending: the token must be refused now.
fn whole_tokens(streams: &[(u64, Vec<u8>)], expat: &mut Expat, count: &mut Count) {
    let expats = expat.ask(streams.iter().map(|(_, stream)| &**stream));
    for (endings, expats) in streams.chunks(ENDINGS.len()).zip(expats.chunks(ENDINGS.len())) {
        let mut settled = false;
        for ((seed, stream), expat) in endings.iter().zip(expats) {
            let ours = ours::scan(stream, usize::MAX);
            settled |= agree(*seed, stream, &ours, &rxml_oracle::read(stream), expat, count);
        }
        let (seed, stream) = &endings[0];
        assert!(settled, "seed {seed}: no ending makes the last token whole\n{}", shown(stream));
    }
}

/// The elements that may travel on, as they are meant to arrive: with the header's language.
fn travellers(seed: u64, ours: &Scanned, expat: &Reading) -> Option<Vec<Node>> {
    let header =
        ours.header.as_ref().filter(|header| header.content_namespace == SERVER && !ours.elements.is_empty())?;
    let elements =
        expat.items.iter().filter_map(|item| if let Item::Element(events) = item { Some(events) } else { None });
    let nodes = elements.zip(&ours.elements).map(|(events, element)| {
        let alone = xmpp::xml::Verbatim::parse(element.bytes()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((alone.from(), alone.to(), alone.name()), (element.from(), element.to(), element.name()));
        let mut node = Node::read(events);
        if let (Some(lang), SERVER, None) = (&header.lang, &*node.namespace, node.attribute(XML, "lang")) {
            node.attributes.push((XML.to_owned(), "lang".to_owned(), lang.clone()));
            node.attributes.sort();
        }
        node
    });
    Some(nodes.collect())
}

/// What travels on is read by both as it was meant, under a header that declares nothing else.
fn arrive(travelling: &[(u64, &Vec<u8>, &Scanned, Vec<Node>)], expat: &mut Expat) {
    let onward: Vec<Vec<u8>> = travelling
        .iter()
        .map(|(_, _, ours, _)| {
            let elements = ours.elements.iter().flat_map(|element| element.bytes().iter().copied());
            BARE.bytes().chain(elements).chain(*b"</stream:stream>").collect()
        })
        .collect();
    expat.send(onward.iter().map(|stream| &**stream));
    let rxmls: Vec<Reading> = onward.iter().map(|stream| rxml_oracle::read(stream)).collect();
    for (((expat, rxml), (seed, stream, _, meant)), onward) in
        expat.receive().iter().zip(&rxmls).zip(travelling).zip(&onward)
    {
        // rxml and carriage returns: see the table.
        let rxml = Some(rxml).filter(|_| !onward.contains(&b'\r'));
        for reading in [Some(expat), rxml].into_iter().flatten() {
            let arrived: Vec<_> = reading
                .items
                .iter()
                .filter_map(|item| match item {
                    Item::Element(events) => Some(Node::read(events)),
                    _ => None,
                })
                .collect();
            assert!(
                reading.error.is_none() && arrived == *meant,
                "seed {seed}: what travels on is not what came\n{}\n{}\n{reading:?}\nmeant: {meant:?}",
                shown(stream),
                shown(onward)
            );
        }
    }
}

fn shown(stream: &[u8]) -> String {
    stream.escape_ascii().to_string()
}
