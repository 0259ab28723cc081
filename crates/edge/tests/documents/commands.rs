//! Every command of fedge's in the documents parses; where its output is quoted, that is what it prints.

use std::process::{Command, Output};

use super::reading::{Document, documents, first_code, workspace};
use super::site::Site;

/// A command in a document, without what stands before fedge's own program; nothing for others' commands.
fn ours(line: &str) -> Option<Vec<String>> {
    let line = quoted_as_one(line);
    let line = line.split(" > ").next().and_then(|line| line.split(" < ").next()).unwrap_or_default();
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if words.first().is_some_and(|word| word == "runuser") {
        let dashes = words.iter().position(|word| word == "--")?;
        words.drain(..=dashes);
    }
    let (program, rest) = words.split_first()?;
    let program = program.rsplit('/').next().unwrap_or_default();
    match (program, rest.first().map(String::as_str)) {
        // Lines of the log begin with a program's name, too.
        (_, Some("is")) => None,
        ("fedge" | "fedge-control" | "fedge-edge" | "fedge-gateway" | "fedge-dns", Some(_)) => {
            Some([program.to_owned()].into_iter().chain(rest.iter().cloned()).collect())
        }
        ("cargo", Some("xtask")) => Some(words),
        _ => None,
    }
}

/// The line with each text between quotes as one word, as a shell takes it.
fn quoted_as_one(line: &str) -> String {
    let parts = line.split('"').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { part.replace(' ', "_") } else { part.to_owned() }).collect()
}

/// Whether the program that it names understands it, as far as one can know without doing it.
pub(crate) fn parses(site: &Site, line: &str) -> Result<(), String> {
    let Some(words) = ours(line) else { return Err("this is no command of fedge's".to_owned()) };
    // `close N`, `check FILE`: any word will do for a placeholder that stands for itself in capitals.
    let is_placeholder =
        |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase()) || word == "N";
    let words: Vec<&str> = words.iter().map(|word| if is_placeholder(word) { "1" } else { word }).collect();
    let output = match words.split_first() {
        Some((&"cargo", words)) => {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command.current_dir(workspace()).args(words).arg("--help").output().expect("cargo can be run")
        }
        _ => site.run(&format!("{} --help", words.join(" "))),
    };
    if output.status.success() && String::from_utf8_lossy(&output.stdout).contains("Usage:") {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn commands(document: &Document) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for block in document.blocks() {
        let lines = block.text.lines();
        match block.kind.as_str() {
            "sh" => found.extend(lines.map(|line| (block.place.clone(), line.to_owned()))),
            "console" => {
                let typed = lines.filter_map(|line| line.strip_prefix("$ "));
                found.extend(typed.map(|line| (block.place.clone(), line.to_owned())));
            }
            _ => {}
        }
    }
    let path = document.path.display();
    found.extend(document.code_in_prose().into_iter().map(|(line, code)| (format!("{path}:{line}"), code)));
    found.retain(|(_, line)| ours(line).is_some());
    found
}

#[test]
fn every_command_parses() {
    let site = Site::empty();
    let commands: Vec<_> = documents().iter().flat_map(commands).collect();
    assert!(commands.len() > 40, "only {} were found", commands.len());
    let faults: Vec<String> = commands
        .iter()
        .filter_map(|(place, line)| parses(&site, line).err().map(|fault| format!("{place}: {line}\n{fault}")))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What `fedge shell` says of a script that it reads and can't carry out, since it knows no controller.
fn shell(site: &Site, script: &str) -> Output {
    let mut command = site.program("fedge");
    for variable in ["FEDGE_CONTROLLER", "FEDGE_CONTROL_CA", "FEDGE_TOKEN_FILE"] {
        command.env_remove(variable);
    }
    command.args(["shell", "-c", script]).output().expect("it can be run")
}

/// It isn't understood.
const USAGE: i32 = 64;

#[test]
fn every_cmdlet_is_understood_and_documented() {
    let site = Site::empty();
    let scripts: Vec<_> =
        documents().iter().flat_map(Document::blocks).filter(|block| block.kind == "powershell").collect();
    assert!(scripts.len() >= 5, "only {} were found", scripts.len());
    for block in &scripts {
        let told = shell(&site, &block.text);
        assert_eq!(told.status.code(), Some(1), "{}: {}", block.place, String::from_utf8_lossy(&told.stderr));
    }
    let commands: Vec<_> = documents().iter().flat_map(commands).collect();
    let given = |line: &str| Some(line.split_once(" shell -c \"")?.1.split_once('"')?.0.to_owned());
    let given: Vec<String> = commands.iter().filter_map(|(_, line)| given(line)).collect();
    assert!(given.len() >= 2, "{given:?}");
    for script in given {
        let told = shell(&site, &script);
        assert_ne!(told.status.code(), Some(USAGE), "{script}: {}", String::from_utf8_lossy(&told.stderr));
    }
    let wrong = shell(&site, &format!("{}\nSet-CsSite Site2 -FederationRoute x", scripts[0].text));
    assert_eq!(wrong.status.code(), Some(USAGE));
    let listed = shell(&site, "Get-Help *-Cs*").stdout;
    let listed = String::from_utf8(listed).expect("text");
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let rows = Document::named("docs/shell.md").rows_under("Which cmdlets there are");
    let documented: Vec<&str> = rows.iter().filter_map(|row| first_code(&row[0])).collect();
    assert!(names.len() >= 7 && names.iter().all(|name| documented.contains(name)), "{names:?} {documented:?}");
    assert!(documented.iter().all(|name| shell(&site, &format!("Get-Help {name}")).status.success()), "{documented:?}");
}

#[test]
fn what_is_no_command_does_not_parse() {
    let site = Site::empty();
    for line in
        ["fedge-edge stream", "fedge-edge close seven", "fedge ca init --remote x", "fedge-dns run", "cargo xtask x"]
    {
        assert_eq!(parses(&site, line).is_ok(), line == "fedge-dns run", "{line}");
    }
}

#[test]
fn quoted_output_is_what_is_printed() {
    let mut compared = 0;
    for block in documents().iter().flat_map(Document::blocks).filter(|block| block.kind == "console") {
        for (line, quoted) in exchanges(&block.text) {
            let site = match line.split_whitespace().nth(1) {
                Some("ca") => Site::empty(),
                Some("check") => Site::new(),
                // What a running daemon says depends on what happened.
                _ => continue,
            };
            let output = site.run(&line);
            assert_eq!(site.told(&output), quoted, "{}: {line}", block.place);
            compared += 1;
        }
    }
    assert!(compared >= 3, "only {compared} were compared");
}

/// Each command of a console, with what is printed below it.
fn exchanges(console: &str) -> Vec<(String, String)> {
    let mut exchanges: Vec<(String, String)> = Vec::new();
    for line in console.lines() {
        match (line.strip_prefix("$ "), exchanges.last_mut()) {
            (Some(command), _) => exchanges.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => {
                printed.push_str(line);
                printed.push('\n');
            }
            (None, None) => panic!("a console begins with a command: {console}"),
        }
    }
    exchanges
}
