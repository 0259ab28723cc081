//! What the bytes of tags and texts may be, sixteen of them at a look where nothing about them is special.

use wide::u8x16;

/// One look for each byte instead of several comparisons.
macro_rules! table {
    ($of:ident) => {{
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = $of(byte as u8);
            byte += 1;
        }
        table
    }};
}

const START: u8 = 1;
const INNER: u8 = 2;
const NAME: u8 = 4;
const PLAIN: u8 = 8;

/// What a byte may be in a tag.
const fn class(byte: u8) -> u8 {
    let start = if byte.is_ascii_alphabetic() || byte == b'_' { START } else { 0 };
    let inner = if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') { INNER } else { 0 };
    let name = if inner != 0 || byte == b':' || !byte.is_ascii() { NAME } else { 0 };
    let odd = byte < 0x20 || !byte.is_ascii() || matches!(byte, b'"' | b'\'' | b'&' | b'<');
    start | inner | name | if odd { 0 } else { PLAIN }
}

const CLASSES: [u8; 256] = table!(class);

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Whether a name may begin with this byte, which is of ASCII.
pub(super) fn begins_name(byte: u8) -> bool {
    is(byte, START)
}

/// Whether this byte may stand in a name behind its first, and is of ASCII.
pub(super) fn continues_name(byte: u8) -> bool {
    is(byte, INNER)
}

/// Whether a byte may be part of a qualified name, or of a character beyond ASCII in one.
pub(super) fn is_of_name(byte: u8) -> bool {
    is(byte, NAME)
}

/// Where what may stand in a name ends, but for colons and what is beyond ASCII, from `at` on.
#[inline]
pub(super) fn behind_name(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| continues_name(*byte)) {
        at += 1;
    }
    at
}

/// How many of the first bytes mean just themselves in an attribute's value.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(piece) = bytes[at..].first_chunk() {
        match not_plain(piece) {
            0 => at += piece.len(),
            found => return at + found.trailing_zeros() as usize,
        }
    }
    at + bytes[at..].iter().take_while(|byte| is(**byte, PLAIN)).count()
}

/// There are bytes beyond ASCII.
pub(super) const WIDE: u8 = 1;
/// There are bytes that stand for no character that is allowed, or may be part of one: C0 controls, and 0xEF, with which U+FFFE
/// and U+FFFF begin.
pub(super) const ODD: u8 = 2;
/// There is `&`.
pub(super) const REFERENCE: u8 = 4;
/// There is `]`.
pub(super) const BRACKET: u8 = 8;

/// What there is where this byte stands.
const fn traits_of(byte: u8) -> u8 {
    let wide = if byte.is_ascii() { 0 } else { WIDE };
    wide | match byte {
        b'\t' | b'\n' | b'\r' => 0,
        0..0x20 | 0xef => ODD,
        b'&' => REFERENCE,
        b']' => BRACKET,
        _ => 0,
    }
}

const TRAITS: [u8; 256] = table!(traits_of);

/// How many bytes there are before the first `<`, and what there is in them; nothing if there is no `<`.
pub(super) fn text_run(bytes: &[u8]) -> Option<(usize, u8)> {
    let (mut at, mut traits) = (0, 0);
    loop {
        let piece = bytes[at..].first_chunk();
        if let Some(piece) = piece
            && let (0, wide) = special(piece)
        {
            traits |= if wide { WIDE } else { 0 };
            at += piece.len();
            continue;
        }
        for byte in piece.map_or(&bytes[at..], |piece| &piece[..]) {
            if *byte == b'<' {
                return Some((at, traits));
            }
            traits |= TRAITS[usize::from(*byte)];
            at += 1;
        }
        piece?;
    }
}

/// What there is in `text`.
pub(super) fn traits(text: &[u8]) -> u8 {
    let (pieces, rest) = text.as_chunks();
    let of_each = |bytes: &[u8]| bytes.iter().fold(0, |traits, byte| traits | TRAITS[usize::from(*byte)]);
    let of_piece = |piece| match special(piece) {
        (0, true) => WIDE,
        (0, false) => 0,
        _ => of_each(piece),
    };
    pieces.iter().fold(of_each(rest), |traits, piece| traits | of_piece(piece))
}

/// Which of these bytes don't mean just themselves in an attribute's value, the first in the lowest bit.
fn not_plain(piece: &[u8; 16]) -> u32 {
    let bytes = u8x16::from(*piece);
    let is = |byte| bytes.simd_eq(u8x16::splat(byte));
    // `&` and `'` differ in the lowest bit.
    let quotes = is(b'"') | (bytes | u8x16::splat(1)).simd_eq(u8x16::splat(b'\''));
    let found = bytes.simd_lt(u8x16::splat(0x20)) | quotes | is(b'<');
    // The highest bit of each is what `to_bitmask` looks at.
    (found | bytes).to_bitmask()
}

/// Which of these bytes end a text or are more than letters in it, likewise, and whether any is beyond ASCII.
fn special(piece: &[u8; 16]) -> (u32, bool) {
    let bytes = u8x16::from(*piece);
    let is = |byte| bytes.simd_eq(u8x16::splat(byte));
    let found = bytes.simd_lt(u8x16::splat(0x20)) | is(b'<') | is(b'&') | is(b']') | is(0xef);
    (found.to_bitmask(), bytes.to_bitmask() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_at_a_look_are_what_each_of_them_is() {
        let bits = |piece: &[u8; 16], is: &dyn Fn(u8) -> bool| {
            (0..).zip(piece).fold(0u32, |bits, (place, byte)| bits | u32::from(is(*byte)) << place)
        };
        let is_special = |byte| byte < 0x20 || byte == b'<' || TRAITS[usize::from(byte)] & !WIDE != 0;
        for byte in 0..=255 {
            for place in 0..16 {
                for around in [b'a', 0xd0] {
                    let mut piece = [around; 16];
                    piece[place] = byte;
                    assert_eq!(not_plain(&piece), bits(&piece, &|byte| !is(byte, PLAIN)), "{byte} at {place}");
                    assert_eq!(special(&piece), (bits(&piece, &is_special), !piece.is_ascii()), "{byte} at {place}");
                }
            }
        }
    }

    #[test]
    fn a_run_ends_where_its_first_stranger_is() {
        for length in 0..70 {
            let mut bytes = vec![b'x'; 70];
            bytes[length] = b'<';
            assert_eq!(plain_run(&bytes), length);
            assert_eq!(text_run(&bytes), Some((length, 0)));
            assert_eq!(plain_run(&bytes[..length]), length);
            assert_eq!(text_run(&bytes[..length]), None);
            assert_eq!(behind_name(&bytes, length / 2), length);
        }
    }

    #[test]
    fn a_text_is_known_by_what_there_is_in_it_and_not_behind_it() {
        for (byte, traits) in
            [(b'&', REFERENCE), (b']', BRACKET), (0xd0, WIDE), (0xef, WIDE | ODD), (0, ODD), (b'\n', 0)]
        {
            for place in 0..40 {
                let mut text = vec![b'x'; 41];
                text.extend_from_slice(b"<&]\0 and so on, and so on");
                text[place] = byte;
                assert_eq!(text_run(&text), Some((41, traits)), "{byte} at {place}");
                assert_eq!(super::traits(&text[..41]), traits);
            }
        }
    }
}
