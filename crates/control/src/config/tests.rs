//! Configurations as administrators get them right and wrong.

use super::*;

const HEAD: &str = "name = \"ctl1.contoso.test\"\nstore = \"sqlite:/var/lib/fedge-control/store.db\"\nauthorities = \"ca\"\n[api]\n\
                    listen = [\"10.0.0.9:5272\"]\ncertificate = \"api.crt\"\nkey = \"api.key\"\n";

fn read(more: &str) -> Result<Config, Faults> {
    let text = format!("{HEAD}{more}");
    settings::parse("control.toml", &text, Path::new("/etc/fedge"), |file: File, folder, faults| {
        check(&file, folder, faults)
    })
}

fn faults(more: &str) -> Vec<String> {
    read(more).expect_err("faults").list().iter().map(|fault| fault.what.clone()).collect()
}

fn user(name: &str, proof: &str) -> String {
    format!("[[user]]\nname = \"{name}\"\nrole = \"operator\"\n{proof}\n")
}

#[test]
fn a_good_one_is_read() {
    let hash = Hash::of(b"fedge_secret");
    let config = read(&user("anna", &format!("token = \"{hash}\""))).expect("good");
    assert_eq!(config.certificate.map(|(file, _)| file), Some("/etc/fedge/api.crt".into()));
    assert_eq!(config.users.admit(Some("fedge_secret"), None, Role::Operator).expect("known").name, "anna");
}

#[test]
fn every_fault_of_users_is_told_and_no_token_with_it() {
    let hash = format!("token = \"{}\"", Hash::of(b"x"));
    let text =
        user("anna", "token = \"fedge_mysecret\"") + &user("bert", "") + &user("carl", &hash) + &user("carl", &hash);
    let told = read(&text).expect_err("faults").to_string();
    assert!(!told.contains("mysecret"), "{told}");
    for expected in ["`anna` is known by is no hash", "`bert` needs one of", "two users `carl`"] {
        assert!(told.contains(expected), "{told}");
    }
    assert_eq!(faults(""), ["there is no [[user]], so nobody could use the API"]);
}
