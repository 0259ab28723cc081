//! The man pages and completions that each program writes of itself, as docs/install.md has them installed.

use std::fs;
use std::process::Command;

use super::reading::read;
use super::site::Site;

/// Each program, with a command that its pages must have.
const PROGRAMS: [(&str, &str); 5] = [
    ("fedge", "route"),
    ("fedge-edge", "streams"),
    ("fedge-gateway", "stanza"),
    ("fedge-dns", "check"),
    ("fedge-control", "token"),
];

#[test]
fn every_program_writes_its_man_pages() {
    let site = Site::empty();
    for (program, command) in PROGRAMS {
        let written = site.run(&format!("{program} man /etc/fedge/man1"));
        assert!(written.status.success(), "{}", site.told(&written));
        let page = |name: &str| fs::read_to_string(site.path("man1").join(name)).expect(name);
        assert!(page(&format!("{program}.1")).contains(&format!(".TH {program} 1")), "{program}");
        assert!(page(&format!("{program}-{command}.1")).contains(".SH SYNOPSIS"), "{program} {command}");
    }
}

#[test]
fn every_program_writes_completions_that_bash_takes() {
    let site = Site::empty();
    for (program, command) in PROGRAMS {
        let script = site.run(&format!("{program} completions bash")).stdout;
        let path = site.path(program);
        fs::write(&path, script).expect("written");
        let tried = format!(
            "set -e; . {}; COMP_WORDS=({program} {command}); COMP_CWORD=1; complete -p {program}",
            path.display()
        );
        let told = Command::new("bash").args(["-c", &tried]).output().expect("bash");
        let told_out = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success() && told_out.contains(program), "{told:?}");
        assert!(fs::read_to_string(&path).expect("there").contains(command), "{program} {command}");
    }
}

#[test]
fn the_documents_install_them_of_every_program() {
    let text = read("docs/install.md");
    for (program, _) in PROGRAMS {
        assert!(text.contains(&format!("\n{program} man ")), "{program}");
        assert!(text.contains(&format!("\n{program} completions bash > ")), "{program}");
    }
}
