//! Escaping: the only place where text becomes XML.

use std::borrow::Cow;

/// Escapes `text` for element content.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '&' | '<' | '>' | '\r'))
}

/// Escapes `text` for an attribute value in quotes of either kind.
pub fn escape_attribute(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '&' | '<' | '>' | '\'' | '"' | '\t' | '\n' | '\r'))
}

fn escape(text: &str, special: fn(char) -> bool) -> Cow<'_, str> {
    let forbidden = |c: char| !super::names::is_char(c);
    if !text.contains(|c| special(c) || forbidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' if special(c) => escaped.push_str("&apos;"),
            '"' if special(c) => escaped.push_str("&quot;"),
            '\t' if special(c) => escaped.push_str("&#9;"),
            '\n' if special(c) => escaped.push_str("&#10;"),
            '\r' if special(c) => escaped.push_str("&#13;"),
            c if forbidden(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}
