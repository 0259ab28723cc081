//! rxml, a parser of XMPP's restricted XML, as an oracle.

use rxml::error::EndOrError;
use rxml::{Event, Options, Parse as _, Parser, WithOptions as _};

use super::reading::{EVENT, Item, Reading, start};

/// Its reading of `stream`.
pub(crate) fn read(stream: &[u8]) -> Reading {
    let options = Options { max_token_length: 1 << 20, ..Options::default() };
    let (mut parser, mut rest) = (Parser::with_options(options), stream);
    let (mut reading, mut events, mut depth) = (Reading::default(), String::new(), 0);
    loop {
        match parser.parse(&mut rest, false) {
            Ok(None) | Err(EndOrError::NeedMoreData) => return reading,
            Err(EndOrError::Error(error)) => {
                reading.error = Some(error.to_string());
                return reading;
            }
            Ok(Some(Event::XmlDeclaration(..))) => {}
            Ok(Some(Event::StartElement(_, (namespace, name), attributes))) => {
                let attributes = attributes
                    .into_iter()
                    .map(|((namespace, name), value)| (namespace.to_string(), name.to_string(), value));
                start(&mut events, &namespace, &name, attributes.collect());
                depth += 1;
                if depth == 1 {
                    reading.items.push(Item::Header(std::mem::take(&mut events)));
                }
            }
            Ok(Some(Event::EndElement(_))) => {
                depth -= 1;
                match depth {
                    0 => reading.items.push(Item::Footer),
                    _ => {
                        events.extend(['E', EVENT]);
                        if depth == 1 {
                            reading.items.push(Item::Element(std::mem::take(&mut events)));
                        }
                    }
                }
            }
            Ok(Some(Event::Text(_, text))) if depth == 1 => {
                if !text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
                    reading.items.push(Item::Foreign("text".to_owned()));
                }
            }
            Ok(Some(Event::Text(_, text))) => {
                // One text may come in several events.
                let last = events.trim_end_matches(EVENT).rfind(EVENT).map_or(0, |at| at + 1);
                if events[last..].starts_with('T') {
                    events.truncate(events.len() - 1);
                } else {
                    events.push('T');
                }
                events.push_str(&text);
                events.push(EVENT);
            }
        }
    }
}
