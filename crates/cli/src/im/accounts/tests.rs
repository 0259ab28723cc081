//! Files of accounts, good and bad.

use std::fs::Permissions;

use super::*;

/// A folder with files in it, of mode 0600.
fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
    }
    folder
}

const GOOD: &str = r#"
trusted = "roots.pem"
[[account]]
jid = "ann@contoso.test"
password_file = "ann"
server = "10.0.0.2"
[[account]]
jid = "bob@fabrikam.test"
password_file = "bob"
[[account]]
jid = "cid@contoso.test"
password_file = "nowhere"
server = "[2001:db8::1]:7000"
tls = "direct"
"#;

fn asked(accounts: &str, from: &str, to: &str) -> Result<[Account; 2], AccountsError> {
    let folder = written(&[("accounts.toml", accounts), ("ann", "s e cret\r\n"), ("bob", " other"), ("empty", "\n")]);
    pair(&folder.path().join("accounts.toml"), from, to)
}

#[test]
fn accounts_are_read_and_passwords_never_shown() {
    let both = asked(GOOD, "ann@contoso.test", "Bob@fabrikam.test").expect("they are good");
    assert_eq!(both[0].password.reveal(), "s e cret");
    assert_eq!(both[1].password.reveal(), " other");
    let shown = format!("{both:?}");
    assert!(!shown.contains("cret") && !shown.contains("other"), "{shown}");
    let [ann, bob] = both;
    let (server, tls) = ann.server.expect("it is named");
    assert_eq!((server.to_string().as_str(), tls), ("10.0.0.2:5222", Tls::Starttls));
    assert!(bob.server.is_none());
    assert_eq!(
        (bob.jid.as_str(), bob.user.as_str(), bob.domain.as_str()),
        ("bob@fabrikam.test", "bob", "fabrikam.test")
    );
    assert!(ann.trusted.expect("it is named").ends_with("roots.pem"));
}

#[test]
fn ports_are_those_of_clients_unless_they_are_written() {
    for (text, tls, expected) in [
        ("xmpp.test", Tls::Starttls, "xmpp.test:5222"),
        ("xmpp.test", Tls::Direct, "xmpp.test:5223"),
        ("xmpp.test:5269", Tls::Direct, "xmpp.test:5269"),
        ("2001:db8::1", Tls::Starttls, "[2001:db8::1]:5222"),
        ("[2001:db8::1]", Tls::Starttls, "[2001:db8::1]:5222"),
        ("[2001:db8::1]:5269", Tls::Starttls, "[2001:db8::1]:5269"),
    ] {
        assert_eq!(place(text, tls).expect("good").0.to_string(), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let of = |entry: &str| format!("{GOOD}[[account]]\n{entry}");
    for (accounts, from, to, expected) in [
        (GOOD.to_owned(), "dan@contoso.test", "bob@fabrikam.test", "dan@contoso.test is no test account: "),
        (GOOD.to_owned(), "ann@contoso.test", "eve@fabrikam.test", "eve@fabrikam.test is no test account: "),
        (GOOD.to_owned(), "ann@contoso.test", "ann@contoso.test", "are in one domain"),
        (GOOD.to_owned(), "cid@contoso.test", "bob@fabrikam.test", "nowhere can't be read ("),
        (String::new(), "ann@contoso.test", "bob@fabrikam.test", "has none"),
        (of("jid = 'dan'\npassword_file = 'ann'"), "dan", "bob@fabrikam.test", "`dan` is no account (it has no `@`)"),
        (of("jid = 'dan@b.test/x'\npassword_file = 'ann'"), "a", "b", "it has a resource"),
        (of("jid = 'ann@contoso.test'\npassword_file = 'ann'"), "a", "b", "ann@contoso.test stands there twice"),
        (of("jid = 'd@x.test'\npassword_file = 'ann'\npassword = 's'"), "a", "b", "unknown field `password`"),
        (of("jid = 'd@x.test'\npassword_file = 'ann'\nserver = 'a b'"), "d@x.test", "b@x.test", "`a b` is no server"),
        (of("jid = 'd@x.test'\npassword_file = 'ann'\ntls = 'direct'"), "d@x.test", "b@x.test", "goes with `server`"),
        (of("jid = 'd@x.test'\npassword_file = 'ann'\nserver = 'a'\ntls = 'none'"), "a", "b", "unknown variant `none`"),
        (of("jid = 'd@x.test'\npassword_file = 'empty'"), "d@x.test", "b@x.test", "there is no password in it"),
    ] {
        let said = asked(&accounts, from, to).expect_err("it isn't good").to_string();
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("cret"), "{said}");
    }
}

#[test]
fn nobody_else_may_read_accounts_or_passwords() {
    let folder = written(&[("accounts.toml", GOOD), ("ann", "secret"), ("bob", "secret")]);
    for name in ["accounts.toml", "bob"] {
        let file = folder.path().join(name);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("ours");
        let asked = pair(&folder.path().join("accounts.toml"), "ann@contoso.test", "bob@fabrikam.test");
        let said = asked.expect_err("others may read it").to_string();
        assert!(said.contains("(mode 0640)") && said.contains(&format!("{name}`")), "{said}");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
    }
}
