//! Cuts what a scripted peer hears into tags and elements, crudely, as text.

/// The next stream tag or complete element in `heard`, if it is there.
pub(super) fn next(heard: &str) -> Option<&str> {
    let mut rest = heard.trim_start();
    while rest.starts_with("<?") {
        rest = rest[rest.find("?>")? + 2..].trim_start();
    }
    let tag = &rest[..tag_end(rest)?];
    let name = tag[1..].split([' ', '\t', '\r', '\n', '>', '/']).next().unwrap_or_default();
    if name.ends_with("stream") || tag.starts_with("</") || tag.ends_with("/>") {
        return Some(tag);
    }
    let closing = format!("</{name}>");
    let end = rest.find(&closing)? + closing.len();
    Some(&rest[..end])
}

/// Where `part` of `whole` ends.
pub(super) fn offset(whole: &str, part: &str) -> usize {
    whole.find(part).map_or(whole.len(), |start| start + part.len())
}

/// The id of a stream, in its header or in a question about a key.
pub(super) fn id(tag: &str) -> Option<&str> {
    let stream = ["<stream:stream ", "<db:verify "].iter().any(|start| tag.starts_with(start));
    let quoted = tag.split_once(" id=").filter(|_| stream)?.1;
    quoted[1..].split(quoted.chars().next()?).next()
}

fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at + 1),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_elements_are_cut() {
        for (heard, expected) in [
            ("<?xml version='1.0'?>\n<stream:stream id='>' a=\"'\">", Some("<stream:stream id='>' a=\"'\">")),
            ("<stream:stream id='1'", None),
            (" <a/><b/>", Some("<a/>")),
            ("<a><b/>", None),
            ("<a b='/>'>c</a><d/>", Some("<a b='/>'>c</a>")),
            ("</stream:stream>", Some("</stream:stream>")),
            ("<?xml", None),
            ("", None),
        ] {
            assert_eq!(next(heard), expected, "{heard}");
        }
        assert_eq!(id("<stream:stream to='x' id=\"a-1\" b='c'>"), Some("a-1"));
        assert_eq!(id("<db:verify id='1'>k</db:verify>"), Some("1"));
        assert_eq!(id("<message id='1'/>"), None);
    }
}
