//! What may be shown of XML that is somebody's conversation: tags and attributes, no text.

/// `bytes` with each run of text between tags replaced by an ellipsis. Works on whatever we sent or
/// received, complete or not; keys and bodies are text, so neither is shown.
pub fn redacted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut rest = &*text;
    while !rest.is_empty() {
        let tag = match rest.strip_prefix("<![CDATA[") {
            Some(inside) => {
                let length = inside.find("]]>").map_or(rest.len(), |end| end + "<![CDATA[]]>".len());
                shown.push('…');
                rest = &rest[length..];
                continue;
            }
            None => rest.starts_with('<'),
        };
        if tag {
            let length = tag_length(rest);
            shown.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            let length = rest.find('<').unwrap_or(rest.len());
            if !rest[..length].trim().is_empty() {
                shown.push('…');
            }
            rest = &rest[length..];
        }
    }
    shown.replace(char::is_control, " ")
}

/// The length of the tag that `text` begins with; a `>` in quotes doesn't end it.
fn tag_length(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return at + 1,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_hidden_and_markup_shown() {
        for (bytes, shown) in [
            ("<message a='>'><body>secret</body></message>", "<message a='>'><body>…</body></message>"),
            ("<a><![CDATA[<secret>]]></a> ", "<a>…</a>"),
            ("<db:result to='x'>key</db:result>", "<db:result to='x'>…</db:result>"),
            ("<a><![CDATA[secret", "<a>…"),
            ("secret", "…"),
            ("<a b='\u{9b}2J\r\n'/>", "<a b=' 2J  '/>"),
        ] {
            assert_eq!(redacted(bytes.as_bytes()), shown);
        }
    }
}
