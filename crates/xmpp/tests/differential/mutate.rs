//! Makes streams out of the corpus and damages them, the same way for the same seed.

use super::corpus::{ELEMENTS, HEADERS};

/// SplitMix64: small, good enough, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (bound.max(1) as u64)).expect("below a usize")
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Everything that means something to XML, and what nearly does.
#[rustfmt::skip]
const MARKS: &[&[u8]] = &[
    b"<", b">", b"/>", b"</", b"/", b"'", b"\"", b"=", b"&", b";", b"!", b"?", b":", b"-", b"]", b"[", b" ", b"\t",
    b"\r", b"\n", b"\r\n", b"\x00", b"\x01", b"\x0b", b"\x0c", b"\x1b", b"\x1f", b"\x7f", b"a", b"1", b".", b"_",
    b"<!--", b"-->", b"<![CDATA[", b"]]>", b"]]", b"<?", b"?>", b"<!", b"</x>", b"</message>", b"</stream:stream>",
    b"<stream:stream>", b"</s:stream>", b"<>", b"</>", b"</ x>", b"</x >", b"a:", b"b:", b"m:", b"xml:", b"xmlns:",
    b"stream:", b"db:",
    b"\xc2\x85", b"\xc2\xa0", b"\xc2\xb7", b"\xc3\x97", b"\xc3\xa9", b"\xcd\x85", b"\xcd\xbe", b"\xcc\x81",
    b"\xd9\xb0", b"\xe0\xb8\xb3", b"\xe2\x80\x8c", b"\xe2\x80\xa8", b"\xe2\x80\xbf", b"\xe3\x80\x81",
    b"\xe3\x90\x80", b"\xe4\xb8\x80", b"\xef\xbb\xbf", b"\xef\xbf\xbd", b"\xef\xbf\xbe", b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80", b"\xf3\xb0\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xfe", b"\x80", b"\xc3", b"\xe2\x80", b"\xf0\x9f\x98",
];

/// What may stand in an element, or nearly.
#[rustfmt::skip]
const CONTENTS: &[&[u8]] = &[
    b"&amp;", b"&lt;", b"&quot;", b"&apos;", b"&gt;", b"&nbsp;", b"&AMP;", b"&#65;", b"&#x41;", b"&#X41;", b"&#0;",
    b"&#x0000041;", b"&#xD800;", b"&#xFFFE;", b"&#xFFFF;", b"&#x10FFFF;", b"&#x110000;", b"&#4294967361;", b"&#+65;",
    b"&#-1;", b"&#;", b"&#x;", b"&#9;", b"&#10;", b"&#13;", b"&#32;", b"&#1;", b"&;", b"& ", b"&#60;", b"&#x26;", b"&y;",
    b"<!-- x -->", b"<!---->", b"<![CDATA[x]]>", b"<![CDATA[]]>", b"<![cdata[x]]>", b"<![CDATA[ ]]>",
    b"<![CDATA[]\r\n]]]>", b"<?x y?>", b"<?xml version='1.0'?>", b"<?xml?>", b"<!DOCTYPE x>",
    b"<!DOCTYPE x [<!ENTITY y 'z'>]>", b"<!ELEMENT x ANY>",
    b"<a:y/>", b"<b:y/>", b"<db:x/>", b"<x/>", b"<x>y</x>", b"<x xmlns='u'/>", b"<message/>", b"< x/>", b"<x / >",
    b"<xml:a/>", b"<a b = 'c'/>", b"<a b='c'd='e'/>", b"<x xml:lang='y'>z</x >", b"text", b"\r\n", b"]]&gt;",
    b"<q xmlns='u:q'><r xmlns=''/><q:s xmlns:q='u:q' q:t='&#38;'/></q>", b"'>\"", b"\xf0\x9f\x98\x80", b"\xc3\xa9",
];

/// What may stand in a start tag, or nearly.
#[rustfmt::skip]
const ATTRIBUTES: &[&[u8]] = &[
    b" xmlns='jabber:server'", b" xmlns='jabber:client'", b" xmlns=''", b" xmlns='u:d'", b" xmlns:a='u:a'",
    b" xmlns:b='u:a'", b" xmlns:b='u:b'", b" xmlns:m='jabber:server'", b" xmlns:a=''", b" xmlns:stream='u:s'",
    b" xmlns:xml='http://www.w3.org/XML/1998/namespace'", b" xmlns:xml='u:x'", b" xmlns:xmlns='u:x'",
    b" xmlns:z='http://www.w3.org/XML/1998/namespace'", b" xmlns='http://www.w3.org/XML/1998/namespace'",
    b" xmlns:z='http://www.w3.org/2000/xmlns/'", b" xmlns='http://www.w3.org/2000/xmlns/'", b" xmlns:w='u w'",
    b" xmlns:w='u&#10;w'", b" xmlns:w='u\nw'", b" xmlns:w='u&amp;w'", b" xmlns", b" xmlns:='u'", b" xmlns:1='u'",
    b" a:x=''", b" b:x=''", b" x=''", b" a:from='x'", b" m:from='x'", b" xml:lang='x'", b" xml:lang=\"y\"",
    b" xml:x=''", b" xmlns:xmlnsx='u'", b" XMLNS:a='u'", b" from='x'", b" to=\"y&#x2f;z\"", b" id='1'", b" type='q'",
    b" stream:a=''", b" xmlx='1'", b" :a='1'", b" a:='1'", b" a:b:c='1'", b" a=b", b" a", b" xmlns:n='u' n:o='p'",
    b"\tnew = \"'\"", b"\r\nnew='>'", b" new='&#x3c;&amp;&#9;\t\n'", b" new='\xc3\xa9\xf0\x9f\x98\x80'", b" new='a\r'",
    b" xmlns:stream2='u:2'", b" xmlns:db='u:db'", b"\n", b"  ", b" new='<'", b" new='&'", b" new=\"]]>\"",
];

/// What is put in front of or behind the declaration's parts.
#[rustfmt::skip]
const DECLARATIONS: &[&[u8]] = &[
    b" encoding='UTF-8'", b" encoding=\"utf-8\"", b" encoding='latin1'", b" encoding='UTF-16'", b" encoding=''",
    b" encoding='US-ASCII'", b" standalone='yes'", b" standalone='no'", b" standalone='maybe'", b" version='1.1'",
    b" x='y'", b" version='1.0'", b" ", b"\n",
];

/// The stream that belongs to a seed: a header, some elements, perhaps the end, and what happened to them.
pub(crate) fn stream(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut text = dice.pick(HEADERS).as_bytes().to_vec();
    for _ in 0..1 + dice.below(3) {
        if dice.below(6) == 0 {
            text.extend_from_slice(dice.pick(&[b" ".as_slice(), b"\n", b"\r\n\t "]));
        }
        text.extend_from_slice(dice.pick(ELEMENTS).as_bytes());
    }
    if dice.below(3) == 0 {
        let root =
            if text.windows(9).any(|window| window == b"<s:stream") { "</s:stream>" } else { "</stream:stream>" };
        text.extend_from_slice(root.as_bytes());
    }
    if dice.below(500) == 0 {
        insert(&mut text, 0, "\u{feff}".as_bytes());
    }
    for _ in 0..[0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4][dice.below(11)] {
        mutate(&mut dice, &mut text);
    }
    text
}

fn mutate(dice: &mut Dice, text: &mut Vec<u8>) {
    let at = place(dice, text);
    match dice.below(20) {
        // In its place, so that much of it is taken.
        0..=4 => {
            let at = behind(text, at, b'<', |byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
            insert(text, at, dice.pick(ATTRIBUTES));
        }
        5..=8 => {
            let at = behind(text, at, b'>', |byte| byte != b'>');
            insert(text, at, dice.pick(CONTENTS));
        }
        9 => {
            let at = behind(text, at, b'>', |byte| byte != b'>');
            insert(text, at, dice.pick(ELEMENTS).as_bytes());
        }
        // Anywhere.
        10..=12 => {
            let list = [MARKS, MARKS, CONTENTS, ATTRIBUTES][dice.below(4)];
            insert(text, at, dice.pick(list));
        }
        13 => {
            let (flip, end) = (1 << dice.below(8), text.len());
            if at < end {
                text[at] ^= flip;
            }
        }
        14 => {
            let end = (at + 1 + dice.below(4)).min(text.len());
            text.drain(at..end);
        }
        15 => {
            let end = (at + 1 + dice.below(40)).min(text.len());
            let copied = text[at..end].to_vec();
            let to = place(dice, text);
            insert(text, to, &copied);
        }
        16 => {
            let end = (at + dice.below(12)).min(text.len());
            text.drain(at..end);
            insert(text, at, dice.pick(MARKS));
        }
        17 => text.truncate(at),
        18 => {
            let declared = text.iter().take(60).position(|byte| *byte == b'?').map_or(0, |start| start + 1);
            let place = (declared + dice.below(24)).min(text.len());
            insert(text, place, dice.pick(DECLARATIONS));
        }
        _ => {
            let from = [b'\'', b'"', b'>', b'/', b'a', b':'][dice.below(6)];
            let to = [b'"', b'\'', b'<', b' ', b'b', b';'][dice.below(6)];
            if let Some(found) = text[at..].iter().position(|byte| *byte == from) {
                text[at + found] = to;
            }
        }
    }
}

/// The next place where `stop` likes a byte that comes after `mark`.
fn behind(text: &[u8], at: usize, mark: u8, stop: fn(u8) -> bool) -> usize {
    let mark = text[at..].iter().position(|byte| *byte == mark).map_or(text.len(), |offset| at + offset);
    text[mark..].iter().position(|byte| stop(*byte)).map_or(text.len(), |offset| mark + offset)
}

/// A place in `text`: anywhere, or where something begins or ends.
fn place(dice: &mut Dice, text: &[u8]) -> usize {
    let at = dice.below(text.len() + 1);
    let structural: &[u8] = match dice.below(6) {
        0 => b" ",
        1 => b">",
        2 => b"<",
        3 => b"'\"=",
        _ => return at,
    };
    let found = text[at..].iter().position(|byte| structural.contains(byte)).map_or(text.len(), |offset| at + offset);
    (found + dice.below(2)).min(text.len())
}

fn insert(text: &mut Vec<u8>, at: usize, new: &[u8]) {
    text.splice(at..at, new.iter().copied());
}
