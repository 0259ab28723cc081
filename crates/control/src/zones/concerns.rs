//! What somebody should look at in a zone, as `fedge status` tells it: from what name servers said last, without asking them.

use std::time::Duration;

use super::lint::fault;
use super::look::{Look, Standing};

/// What is wrong with a zone, a sentence each with what to do; nothing where all its name servers answer what they should, or
/// haven't been asked. `lacking` says why updates of it can't be signed here.
pub fn concerns(look: &Look, lacking: Option<String>) -> Vec<String> {
    let mut kinds: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for server in look.contents.zone.publisher.servers() {
        let standing = look.standing(server, Duration::MAX);
        if standing == Standing::Unasked {
            continue;
        }
        let Some((_, code, fix)) = fault(&standing) else { continue };
        let told = standing.told(&look.named(server));
        match kinds.iter_mut().find(|(known, ..)| *known == code) {
            Some((.., all)) => all.push(told),
            None => kinds.push((code, fix, vec![told])),
        }
    }
    let kinds = kinds.into_iter().map(|(_, fix, told)| format!("{}; {fix}", told.join(", ")));
    lacking.into_iter().chain(kinds).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use topology::document::Topology;
    use topology::records::{Mark, Published};

    use super::*;
    use crate::zones::look::{Seen, Told};

    const DOCUMENT: &str = include_str!("../../../../docs/examples/topology.toml");

    fn server(number: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, number], 53))
    }

    /// A zone at three name servers, and what it would be to see all of it at the epoch before.
    fn zone() -> (Look, Seen) {
        let zone = "\n[[zone]]\nname = 'contoso.test'\npublisher = 'manual'\nservers = ['192.0.2.1', '192.0.2.2', '192.0.2.3']\n";
        let zone = zone.replace("'manual'", "'rfc2136'\nkey = 'k'");
        let topology = Topology::read("topology.toml", &format!("{DOCUMENT}{zone}")).expect("it is good");
        let mark = |epoch| Mark { owner: "a1".to_owned(), epoch, topology: 1 };
        let contents =
            |epoch| Published::of(&topology).contents("pool1.contoso.test", &mark(epoch)).expect("a pool").remove(0);
        (Look::unseen(contents(7)), Seen { mark: Some(Ok(mark(6))), sets: contents(6).sets })
    }

    #[test]
    fn a_zone_is_told_of_where_its_name_servers_answer_something_else() {
        let (mut look, behind) = zone();
        assert_eq!(concerns(&look, None), [""; 0], "nobody was asked");
        let good = Seen { mark: Some(Ok(look.contents.mark.clone())), ..behind.clone() };
        let mut say = |number: u8, said: Result<&Seen, &str>| {
            let said = said.cloned().map_err(str::to_owned);
            look.told.insert(server(number), Told { said, age: Duration::ZERO });
            concerns(&look, None)
        };
        assert_eq!(say(1, Ok(&good)), [""; 0]);
        let told = say(2, Ok(&behind));
        let [one] = &told[..] else { panic!("{told:?}") };
        assert!(one.starts_with("192.0.2.2:53 still answers epoch 6") && one.contains("zone transfers"), "{one}");
        // Those of one kind are one line.
        let told = say(1, Ok(&behind));
        let [both] = &told[..] else { panic!("{told:?}") };
        assert!(both.contains("192.0.2.1:53 still") && both.contains("192.0.2.2:53 still"), "{both}");
        let told = say(3, Err("nothing came for 2 s"));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].starts_with("192.0.2.3:53 can't be asked: nothing came") && told[1].contains("bring it up"));
    }

    #[test]
    fn a_key_that_is_missing_is_told_also_where_all_is_well() {
        let (look, _) = zone();
        assert_eq!(concerns(&look, Some("no key".to_owned())), ["no key"]);
    }
}
