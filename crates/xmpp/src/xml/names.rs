//! Which characters XML allows, in names by both its 4th and its 5th edition.
//!
//! Parsers behind us follow one edition or the other (expat the 4th, newer ones the 5th); a name
//! passes only if both take it, so that none of them refuses what we let through.

use super::XmlError;

/// Whether `c` may stand in a document at all (XML 1.0 §2.2).
pub(super) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Whether every character of `text` may stand in a document.
///
/// # Errors
/// When it isn't UTF-8.
pub(super) fn all_chars(text: &[u8]) -> Result<bool, XmlError> {
    // The forbidden ones are C0 controls and U+FFFE, U+FFFF, which begin with 0xEF 0xBF.
    let suspicious = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0xef;
    // Piece by piece, so that the compiler can look at many bytes at once.
    let is_clear = |piece: &[u8]| !piece.iter().fold(false, |found, byte| found | suspicious(*byte));
    let is_clear = text.chunks(64).all(is_clear);
    if is_clear && text.is_ascii() {
        return Ok(true);
    }
    let text = utf8(text)?;
    Ok(is_clear || text.chars().all(is_char))
}

/// `bytes` as text.
///
/// # Errors
/// When they aren't UTF-8.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, XmlError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| XmlError::UnsupportedEncoding)
}

/// What a byte may be, so that most names and values are checked with one look at each byte.
const fn class(byte: u8) -> u8 {
    let start = if byte.is_ascii_alphabetic() || byte == b'_' { START_BYTE } else { 0 };
    let inner = if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') { INNER_BYTE } else { 0 };
    let name = if inner != 0 || byte == b':' || !byte.is_ascii() { NAME_BYTE } else { 0 };
    let odd = byte < 0x20 || !byte.is_ascii() || matches!(byte, b'"' | b'\'' | b'&' | b'<');
    start | inner | name | if odd { 0 } else { PLAIN_BYTE }
}

const START_BYTE: u8 = 1;
const INNER_BYTE: u8 = 2;
const NAME_BYTE: u8 = 4;
const PLAIN_BYTE: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class(byte as u8);
        byte += 1;
    }
    classes
};

/// Whether a byte may be part of a qualified name, or of a character beyond ASCII in one.
pub(super) fn is_of_name(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & NAME_BYTE != 0
}

/// Whether a byte in an attribute's value is a character that means just itself.
pub(super) fn is_plain(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & PLAIN_BYTE != 0
}

/// Whether `name` is a name without a colon (Namespaces in XML 1.0 §3, NCName).
///
/// # Errors
/// When it isn't UTF-8.
pub(super) fn is_ncname(name: &[u8]) -> Result<bool, XmlError> {
    let [first, rest @ ..] = name else { return Ok(false) };
    let is = |byte: u8, class: u8| CLASSES[usize::from(byte)] & class != 0;
    if is(*first, START_BYTE) && rest.iter().all(|byte| is(*byte, INNER_BYTE)) {
        return Ok(true);
    }
    if name.is_ascii() {
        return Ok(false);
    }
    let mut chars = utf8(name)?.chars();
    Ok(chars.next().is_some_and(is_start) && chars.all(is_inner))
}

fn is_start(c: char) -> bool {
    if c.is_ascii() { class(c as u8) & START_BYTE != 0 } else { within(START, c) }
}

fn is_inner(c: char) -> bool {
    if c.is_ascii() { class(c as u8) & INNER_BYTE != 0 } else { within(INNER, c) }
}

fn within(ranges: &[(char, char)], c: char) -> bool {
    let place = ranges.partition_point(|(first, _)| *first <= c);
    place > 0 && c <= ranges[place - 1].1
}

/// Beyond ASCII, what both editions let a name begin with.
#[rustfmt::skip]
const START: &[(char, char)] = &[
    ('\u{c0}', '\u{d6}'), ('\u{d8}', '\u{f6}'), ('\u{f8}', '\u{131}'), ('\u{134}', '\u{13e}'),
    ('\u{141}', '\u{148}'), ('\u{14a}', '\u{17e}'), ('\u{180}', '\u{1c3}'), ('\u{1cd}', '\u{1f0}'),
    ('\u{1f4}', '\u{1f5}'), ('\u{1fa}', '\u{217}'), ('\u{250}', '\u{2a8}'), ('\u{2bb}', '\u{2c1}'),
    ('\u{386}', '\u{386}'), ('\u{388}', '\u{38a}'), ('\u{38c}', '\u{38c}'), ('\u{38e}', '\u{3a1}'),
    ('\u{3a3}', '\u{3ce}'), ('\u{3d0}', '\u{3d6}'), ('\u{3da}', '\u{3da}'), ('\u{3dc}', '\u{3dc}'),
    ('\u{3de}', '\u{3de}'), ('\u{3e0}', '\u{3e0}'), ('\u{3e2}', '\u{3f3}'), ('\u{401}', '\u{40c}'),
    ('\u{40e}', '\u{44f}'), ('\u{451}', '\u{45c}'), ('\u{45e}', '\u{481}'), ('\u{490}', '\u{4c4}'),
    ('\u{4c7}', '\u{4c8}'), ('\u{4cb}', '\u{4cc}'), ('\u{4d0}', '\u{4eb}'), ('\u{4ee}', '\u{4f5}'),
    ('\u{4f8}', '\u{4f9}'), ('\u{531}', '\u{556}'), ('\u{559}', '\u{559}'), ('\u{561}', '\u{586}'),
    ('\u{5d0}', '\u{5ea}'), ('\u{5f0}', '\u{5f2}'), ('\u{621}', '\u{63a}'), ('\u{641}', '\u{64a}'),
    ('\u{671}', '\u{6b7}'), ('\u{6ba}', '\u{6be}'), ('\u{6c0}', '\u{6ce}'), ('\u{6d0}', '\u{6d3}'),
    ('\u{6d5}', '\u{6d5}'), ('\u{6e5}', '\u{6e6}'), ('\u{905}', '\u{939}'), ('\u{93d}', '\u{93d}'),
    ('\u{958}', '\u{961}'), ('\u{985}', '\u{98c}'), ('\u{98f}', '\u{990}'), ('\u{993}', '\u{9a8}'),
    ('\u{9aa}', '\u{9b0}'), ('\u{9b2}', '\u{9b2}'), ('\u{9b6}', '\u{9b9}'), ('\u{9dc}', '\u{9dd}'),
    ('\u{9df}', '\u{9e1}'), ('\u{9f0}', '\u{9f1}'), ('\u{a05}', '\u{a0a}'), ('\u{a0f}', '\u{a10}'),
    ('\u{a13}', '\u{a28}'), ('\u{a2a}', '\u{a30}'), ('\u{a32}', '\u{a33}'), ('\u{a35}', '\u{a36}'),
    ('\u{a38}', '\u{a39}'), ('\u{a59}', '\u{a5c}'), ('\u{a5e}', '\u{a5e}'), ('\u{a72}', '\u{a74}'),
    ('\u{a85}', '\u{a8b}'), ('\u{a8d}', '\u{a8d}'), ('\u{a8f}', '\u{a91}'), ('\u{a93}', '\u{aa8}'),
    ('\u{aaa}', '\u{ab0}'), ('\u{ab2}', '\u{ab3}'), ('\u{ab5}', '\u{ab9}'), ('\u{abd}', '\u{abd}'),
    ('\u{ae0}', '\u{ae0}'), ('\u{b05}', '\u{b0c}'), ('\u{b0f}', '\u{b10}'), ('\u{b13}', '\u{b28}'),
    ('\u{b2a}', '\u{b30}'), ('\u{b32}', '\u{b33}'), ('\u{b36}', '\u{b39}'), ('\u{b3d}', '\u{b3d}'),
    ('\u{b5c}', '\u{b5d}'), ('\u{b5f}', '\u{b61}'), ('\u{b85}', '\u{b8a}'), ('\u{b8e}', '\u{b90}'),
    ('\u{b92}', '\u{b95}'), ('\u{b99}', '\u{b9a}'), ('\u{b9c}', '\u{b9c}'), ('\u{b9e}', '\u{b9f}'),
    ('\u{ba3}', '\u{ba4}'), ('\u{ba8}', '\u{baa}'), ('\u{bae}', '\u{bb5}'), ('\u{bb7}', '\u{bb9}'),
    ('\u{c05}', '\u{c0c}'), ('\u{c0e}', '\u{c10}'), ('\u{c12}', '\u{c28}'), ('\u{c2a}', '\u{c33}'),
    ('\u{c35}', '\u{c39}'), ('\u{c60}', '\u{c61}'), ('\u{c85}', '\u{c8c}'), ('\u{c8e}', '\u{c90}'),
    ('\u{c92}', '\u{ca8}'), ('\u{caa}', '\u{cb3}'), ('\u{cb5}', '\u{cb9}'), ('\u{cde}', '\u{cde}'),
    ('\u{ce0}', '\u{ce1}'), ('\u{d05}', '\u{d0c}'), ('\u{d0e}', '\u{d10}'), ('\u{d12}', '\u{d28}'),
    ('\u{d2a}', '\u{d39}'), ('\u{d60}', '\u{d61}'), ('\u{e01}', '\u{e2e}'), ('\u{e30}', '\u{e30}'),
    ('\u{e32}', '\u{e33}'), ('\u{e40}', '\u{e45}'), ('\u{e81}', '\u{e82}'), ('\u{e84}', '\u{e84}'),
    ('\u{e87}', '\u{e88}'), ('\u{e8a}', '\u{e8a}'), ('\u{e8d}', '\u{e8d}'), ('\u{e94}', '\u{e97}'),
    ('\u{e99}', '\u{e9f}'), ('\u{ea1}', '\u{ea3}'), ('\u{ea5}', '\u{ea5}'), ('\u{ea7}', '\u{ea7}'),
    ('\u{eaa}', '\u{eab}'), ('\u{ead}', '\u{eae}'), ('\u{eb0}', '\u{eb0}'), ('\u{eb2}', '\u{eb3}'),
    ('\u{ebd}', '\u{ebd}'), ('\u{ec0}', '\u{ec4}'), ('\u{f40}', '\u{f47}'), ('\u{f49}', '\u{f69}'),
    ('\u{10a0}', '\u{10c5}'), ('\u{10d0}', '\u{10f6}'), ('\u{1100}', '\u{1100}'), ('\u{1102}', '\u{1103}'),
    ('\u{1105}', '\u{1107}'), ('\u{1109}', '\u{1109}'), ('\u{110b}', '\u{110c}'), ('\u{110e}', '\u{1112}'),
    ('\u{113c}', '\u{113c}'), ('\u{113e}', '\u{113e}'), ('\u{1140}', '\u{1140}'), ('\u{114c}', '\u{114c}'),
    ('\u{114e}', '\u{114e}'), ('\u{1150}', '\u{1150}'), ('\u{1154}', '\u{1155}'), ('\u{1159}', '\u{1159}'),
    ('\u{115f}', '\u{1161}'), ('\u{1163}', '\u{1163}'), ('\u{1165}', '\u{1165}'), ('\u{1167}', '\u{1167}'),
    ('\u{1169}', '\u{1169}'), ('\u{116d}', '\u{116e}'), ('\u{1172}', '\u{1173}'), ('\u{1175}', '\u{1175}'),
    ('\u{119e}', '\u{119e}'), ('\u{11a8}', '\u{11a8}'), ('\u{11ab}', '\u{11ab}'), ('\u{11ae}', '\u{11af}'),
    ('\u{11b7}', '\u{11b8}'), ('\u{11ba}', '\u{11ba}'), ('\u{11bc}', '\u{11c2}'), ('\u{11eb}', '\u{11eb}'),
    ('\u{11f0}', '\u{11f0}'), ('\u{11f9}', '\u{11f9}'), ('\u{1e00}', '\u{1e9b}'), ('\u{1ea0}', '\u{1ef9}'),
    ('\u{1f00}', '\u{1f15}'), ('\u{1f18}', '\u{1f1d}'), ('\u{1f20}', '\u{1f45}'), ('\u{1f48}', '\u{1f4d}'),
    ('\u{1f50}', '\u{1f57}'), ('\u{1f59}', '\u{1f59}'), ('\u{1f5b}', '\u{1f5b}'), ('\u{1f5d}', '\u{1f5d}'),
    ('\u{1f5f}', '\u{1f7d}'), ('\u{1f80}', '\u{1fb4}'), ('\u{1fb6}', '\u{1fbc}'), ('\u{1fbe}', '\u{1fbe}'),
    ('\u{1fc2}', '\u{1fc4}'), ('\u{1fc6}', '\u{1fcc}'), ('\u{1fd0}', '\u{1fd3}'), ('\u{1fd6}', '\u{1fdb}'),
    ('\u{1fe0}', '\u{1fec}'), ('\u{1ff2}', '\u{1ff4}'), ('\u{1ff6}', '\u{1ffc}'), ('\u{2126}', '\u{2126}'),
    ('\u{212a}', '\u{212b}'), ('\u{212e}', '\u{212e}'), ('\u{2180}', '\u{2182}'), ('\u{3007}', '\u{3007}'),
    ('\u{3021}', '\u{3029}'), ('\u{3041}', '\u{3094}'), ('\u{30a1}', '\u{30fa}'), ('\u{3105}', '\u{312c}'),
    ('\u{4e00}', '\u{9fa5}'), ('\u{ac00}', '\u{d7a3}'),
];

/// Beyond ASCII, what both editions let a name go on with.
#[rustfmt::skip]
const INNER: &[(char, char)] = &[
    ('\u{b7}', '\u{b7}'), ('\u{c0}', '\u{d6}'), ('\u{d8}', '\u{f6}'), ('\u{f8}', '\u{131}'),
    ('\u{134}', '\u{13e}'), ('\u{141}', '\u{148}'), ('\u{14a}', '\u{17e}'), ('\u{180}', '\u{1c3}'),
    ('\u{1cd}', '\u{1f0}'), ('\u{1f4}', '\u{1f5}'), ('\u{1fa}', '\u{217}'), ('\u{250}', '\u{2a8}'),
    ('\u{2bb}', '\u{2c1}'), ('\u{2d0}', '\u{2d1}'), ('\u{300}', '\u{345}'), ('\u{360}', '\u{361}'),
    ('\u{386}', '\u{38a}'), ('\u{38c}', '\u{38c}'), ('\u{38e}', '\u{3a1}'), ('\u{3a3}', '\u{3ce}'),
    ('\u{3d0}', '\u{3d6}'), ('\u{3da}', '\u{3da}'), ('\u{3dc}', '\u{3dc}'), ('\u{3de}', '\u{3de}'),
    ('\u{3e0}', '\u{3e0}'), ('\u{3e2}', '\u{3f3}'), ('\u{401}', '\u{40c}'), ('\u{40e}', '\u{44f}'),
    ('\u{451}', '\u{45c}'), ('\u{45e}', '\u{481}'), ('\u{483}', '\u{486}'), ('\u{490}', '\u{4c4}'),
    ('\u{4c7}', '\u{4c8}'), ('\u{4cb}', '\u{4cc}'), ('\u{4d0}', '\u{4eb}'), ('\u{4ee}', '\u{4f5}'),
    ('\u{4f8}', '\u{4f9}'), ('\u{531}', '\u{556}'), ('\u{559}', '\u{559}'), ('\u{561}', '\u{586}'),
    ('\u{591}', '\u{5a1}'), ('\u{5a3}', '\u{5b9}'), ('\u{5bb}', '\u{5bd}'), ('\u{5bf}', '\u{5bf}'),
    ('\u{5c1}', '\u{5c2}'), ('\u{5c4}', '\u{5c4}'), ('\u{5d0}', '\u{5ea}'), ('\u{5f0}', '\u{5f2}'),
    ('\u{621}', '\u{63a}'), ('\u{640}', '\u{652}'), ('\u{660}', '\u{669}'), ('\u{670}', '\u{6b7}'),
    ('\u{6ba}', '\u{6be}'), ('\u{6c0}', '\u{6ce}'), ('\u{6d0}', '\u{6d3}'), ('\u{6d5}', '\u{6e8}'),
    ('\u{6ea}', '\u{6ed}'), ('\u{6f0}', '\u{6f9}'), ('\u{901}', '\u{903}'), ('\u{905}', '\u{939}'),
    ('\u{93c}', '\u{94d}'), ('\u{951}', '\u{954}'), ('\u{958}', '\u{963}'), ('\u{966}', '\u{96f}'),
    ('\u{981}', '\u{983}'), ('\u{985}', '\u{98c}'), ('\u{98f}', '\u{990}'), ('\u{993}', '\u{9a8}'),
    ('\u{9aa}', '\u{9b0}'), ('\u{9b2}', '\u{9b2}'), ('\u{9b6}', '\u{9b9}'), ('\u{9bc}', '\u{9bc}'),
    ('\u{9be}', '\u{9c4}'), ('\u{9c7}', '\u{9c8}'), ('\u{9cb}', '\u{9cd}'), ('\u{9d7}', '\u{9d7}'),
    ('\u{9dc}', '\u{9dd}'), ('\u{9df}', '\u{9e3}'), ('\u{9e6}', '\u{9f1}'), ('\u{a02}', '\u{a02}'),
    ('\u{a05}', '\u{a0a}'), ('\u{a0f}', '\u{a10}'), ('\u{a13}', '\u{a28}'), ('\u{a2a}', '\u{a30}'),
    ('\u{a32}', '\u{a33}'), ('\u{a35}', '\u{a36}'), ('\u{a38}', '\u{a39}'), ('\u{a3c}', '\u{a3c}'),
    ('\u{a3e}', '\u{a42}'), ('\u{a47}', '\u{a48}'), ('\u{a4b}', '\u{a4d}'), ('\u{a59}', '\u{a5c}'),
    ('\u{a5e}', '\u{a5e}'), ('\u{a66}', '\u{a74}'), ('\u{a81}', '\u{a83}'), ('\u{a85}', '\u{a8b}'),
    ('\u{a8d}', '\u{a8d}'), ('\u{a8f}', '\u{a91}'), ('\u{a93}', '\u{aa8}'), ('\u{aaa}', '\u{ab0}'),
    ('\u{ab2}', '\u{ab3}'), ('\u{ab5}', '\u{ab9}'), ('\u{abc}', '\u{ac5}'), ('\u{ac7}', '\u{ac9}'),
    ('\u{acb}', '\u{acd}'), ('\u{ae0}', '\u{ae0}'), ('\u{ae6}', '\u{aef}'), ('\u{b01}', '\u{b03}'),
    ('\u{b05}', '\u{b0c}'), ('\u{b0f}', '\u{b10}'), ('\u{b13}', '\u{b28}'), ('\u{b2a}', '\u{b30}'),
    ('\u{b32}', '\u{b33}'), ('\u{b36}', '\u{b39}'), ('\u{b3c}', '\u{b43}'), ('\u{b47}', '\u{b48}'),
    ('\u{b4b}', '\u{b4d}'), ('\u{b56}', '\u{b57}'), ('\u{b5c}', '\u{b5d}'), ('\u{b5f}', '\u{b61}'),
    ('\u{b66}', '\u{b6f}'), ('\u{b82}', '\u{b83}'), ('\u{b85}', '\u{b8a}'), ('\u{b8e}', '\u{b90}'),
    ('\u{b92}', '\u{b95}'), ('\u{b99}', '\u{b9a}'), ('\u{b9c}', '\u{b9c}'), ('\u{b9e}', '\u{b9f}'),
    ('\u{ba3}', '\u{ba4}'), ('\u{ba8}', '\u{baa}'), ('\u{bae}', '\u{bb5}'), ('\u{bb7}', '\u{bb9}'),
    ('\u{bbe}', '\u{bc2}'), ('\u{bc6}', '\u{bc8}'), ('\u{bca}', '\u{bcd}'), ('\u{bd7}', '\u{bd7}'),
    ('\u{be7}', '\u{bef}'), ('\u{c01}', '\u{c03}'), ('\u{c05}', '\u{c0c}'), ('\u{c0e}', '\u{c10}'),
    ('\u{c12}', '\u{c28}'), ('\u{c2a}', '\u{c33}'), ('\u{c35}', '\u{c39}'), ('\u{c3e}', '\u{c44}'),
    ('\u{c46}', '\u{c48}'), ('\u{c4a}', '\u{c4d}'), ('\u{c55}', '\u{c56}'), ('\u{c60}', '\u{c61}'),
    ('\u{c66}', '\u{c6f}'), ('\u{c82}', '\u{c83}'), ('\u{c85}', '\u{c8c}'), ('\u{c8e}', '\u{c90}'),
    ('\u{c92}', '\u{ca8}'), ('\u{caa}', '\u{cb3}'), ('\u{cb5}', '\u{cb9}'), ('\u{cbe}', '\u{cc4}'),
    ('\u{cc6}', '\u{cc8}'), ('\u{cca}', '\u{ccd}'), ('\u{cd5}', '\u{cd6}'), ('\u{cde}', '\u{cde}'),
    ('\u{ce0}', '\u{ce1}'), ('\u{ce6}', '\u{cef}'), ('\u{d02}', '\u{d03}'), ('\u{d05}', '\u{d0c}'),
    ('\u{d0e}', '\u{d10}'), ('\u{d12}', '\u{d28}'), ('\u{d2a}', '\u{d39}'), ('\u{d3e}', '\u{d43}'),
    ('\u{d46}', '\u{d48}'), ('\u{d4a}', '\u{d4d}'), ('\u{d57}', '\u{d57}'), ('\u{d60}', '\u{d61}'),
    ('\u{d66}', '\u{d6f}'), ('\u{e01}', '\u{e2e}'), ('\u{e30}', '\u{e3a}'), ('\u{e40}', '\u{e4e}'),
    ('\u{e50}', '\u{e59}'), ('\u{e81}', '\u{e82}'), ('\u{e84}', '\u{e84}'), ('\u{e87}', '\u{e88}'),
    ('\u{e8a}', '\u{e8a}'), ('\u{e8d}', '\u{e8d}'), ('\u{e94}', '\u{e97}'), ('\u{e99}', '\u{e9f}'),
    ('\u{ea1}', '\u{ea3}'), ('\u{ea5}', '\u{ea5}'), ('\u{ea7}', '\u{ea7}'), ('\u{eaa}', '\u{eab}'),
    ('\u{ead}', '\u{eae}'), ('\u{eb0}', '\u{eb9}'), ('\u{ebb}', '\u{ebd}'), ('\u{ec0}', '\u{ec4}'),
    ('\u{ec6}', '\u{ec6}'), ('\u{ec8}', '\u{ecd}'), ('\u{ed0}', '\u{ed9}'), ('\u{f18}', '\u{f19}'),
    ('\u{f20}', '\u{f29}'), ('\u{f35}', '\u{f35}'), ('\u{f37}', '\u{f37}'), ('\u{f39}', '\u{f39}'),
    ('\u{f3e}', '\u{f47}'), ('\u{f49}', '\u{f69}'), ('\u{f71}', '\u{f84}'), ('\u{f86}', '\u{f8b}'),
    ('\u{f90}', '\u{f95}'), ('\u{f97}', '\u{f97}'), ('\u{f99}', '\u{fad}'), ('\u{fb1}', '\u{fb7}'),
    ('\u{fb9}', '\u{fb9}'), ('\u{10a0}', '\u{10c5}'), ('\u{10d0}', '\u{10f6}'), ('\u{1100}', '\u{1100}'),
    ('\u{1102}', '\u{1103}'), ('\u{1105}', '\u{1107}'), ('\u{1109}', '\u{1109}'), ('\u{110b}', '\u{110c}'),
    ('\u{110e}', '\u{1112}'), ('\u{113c}', '\u{113c}'), ('\u{113e}', '\u{113e}'), ('\u{1140}', '\u{1140}'),
    ('\u{114c}', '\u{114c}'), ('\u{114e}', '\u{114e}'), ('\u{1150}', '\u{1150}'), ('\u{1154}', '\u{1155}'),
    ('\u{1159}', '\u{1159}'), ('\u{115f}', '\u{1161}'), ('\u{1163}', '\u{1163}'), ('\u{1165}', '\u{1165}'),
    ('\u{1167}', '\u{1167}'), ('\u{1169}', '\u{1169}'), ('\u{116d}', '\u{116e}'), ('\u{1172}', '\u{1173}'),
    ('\u{1175}', '\u{1175}'), ('\u{119e}', '\u{119e}'), ('\u{11a8}', '\u{11a8}'), ('\u{11ab}', '\u{11ab}'),
    ('\u{11ae}', '\u{11af}'), ('\u{11b7}', '\u{11b8}'), ('\u{11ba}', '\u{11ba}'), ('\u{11bc}', '\u{11c2}'),
    ('\u{11eb}', '\u{11eb}'), ('\u{11f0}', '\u{11f0}'), ('\u{11f9}', '\u{11f9}'), ('\u{1e00}', '\u{1e9b}'),
    ('\u{1ea0}', '\u{1ef9}'), ('\u{1f00}', '\u{1f15}'), ('\u{1f18}', '\u{1f1d}'), ('\u{1f20}', '\u{1f45}'),
    ('\u{1f48}', '\u{1f4d}'), ('\u{1f50}', '\u{1f57}'), ('\u{1f59}', '\u{1f59}'), ('\u{1f5b}', '\u{1f5b}'),
    ('\u{1f5d}', '\u{1f5d}'), ('\u{1f5f}', '\u{1f7d}'), ('\u{1f80}', '\u{1fb4}'), ('\u{1fb6}', '\u{1fbc}'),
    ('\u{1fbe}', '\u{1fbe}'), ('\u{1fc2}', '\u{1fc4}'), ('\u{1fc6}', '\u{1fcc}'), ('\u{1fd0}', '\u{1fd3}'),
    ('\u{1fd6}', '\u{1fdb}'), ('\u{1fe0}', '\u{1fec}'), ('\u{1ff2}', '\u{1ff4}'), ('\u{1ff6}', '\u{1ffc}'),
    ('\u{20d0}', '\u{20dc}'), ('\u{20e1}', '\u{20e1}'), ('\u{2126}', '\u{2126}'), ('\u{212a}', '\u{212b}'),
    ('\u{212e}', '\u{212e}'), ('\u{2180}', '\u{2182}'), ('\u{3005}', '\u{3005}'), ('\u{3007}', '\u{3007}'),
    ('\u{3021}', '\u{302f}'), ('\u{3031}', '\u{3035}'), ('\u{3041}', '\u{3094}'), ('\u{3099}', '\u{309a}'),
    ('\u{309d}', '\u{309e}'), ('\u{30a1}', '\u{30fa}'), ('\u{30fc}', '\u{30fe}'), ('\u{3105}', '\u{312c}'),
    ('\u{4e00}', '\u{9fa5}'), ('\u{ac00}', '\u{d7a3}'),
];
