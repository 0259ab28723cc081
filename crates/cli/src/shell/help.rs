//! What Get-Help says.

use std::fmt::Write as _;

use super::bind::{Call, listed};
use super::cmdlets::{CMDLETS, Cmdlet, FORMATS, Parameter, Takes};
use super::wild::{is_like, is_wild};

/// A line of a description is not longer.
const WIDTH: usize = 100;

/// The help that is asked for.
///
/// # Errors
/// Where there is no such cmdlet.
pub(super) fn asked(call: &Call) -> Result<String, String> {
    let Some(name) = call.one("Name") else { return Ok(all()) };
    let everything = || CMDLETS.iter().chain(&FORMATS);
    if is_wild(name) {
        let found: Vec<&Cmdlet> = everything().filter(|cmdlet| is_like(cmdlet.name, name)).collect();
        return if found.is_empty() { Err(unknown(name)) } else { Ok(lines(&found)) };
    }
    let cmdlet = everything().find(|cmdlet| cmdlet.is_called(name)).ok_or_else(|| unknown(name))?;
    if call.is_on("Examples") {
        return Ok(examples(cmdlet));
    }
    let mut text = brief(cmdlet);
    if call.is_on("Full") || call.is_on("Detailed") {
        text += &parameters(cmdlet);
        text += &examples(cmdlet);
    } else {
        let _ = writeln!(text, "Get-Help {} -Full says what its parameters mean.", cmdlet.name);
    }
    Ok(text)
}

fn unknown(name: &str) -> String {
    format!(
        "there is no cmdlet `{name}`; there are {}",
        listed(CMDLETS.iter().chain(&FORMATS).map(|cmdlet| cmdlet.name))
    )
}

fn all() -> String {
    let everything: Vec<&Cmdlet> = CMDLETS.iter().chain(&FORMATS).collect();
    let rules = "Get-Help NAME says what a cmdlet does; -Examples shows how it is used. What a cmdlet gives can go through \
                 | Format-Table or | Format-List. Names and parameters are known in capitals or not, and parameters by as \
                 much of their start as no other has. Tab completes.";
    format!("{}\n{}", lines(&everything), wrapped(rules, ""))
}

fn lines(cmdlets: &[&Cmdlet]) -> String {
    let width = cmdlets.iter().map(|cmdlet| cmdlet.name.len()).max().unwrap_or(0);
    cmdlets.iter().map(|cmdlet| format!("{:width$}  {}\n", cmdlet.name, cmdlet.synopsis)).collect()
}

fn brief(cmdlet: &Cmdlet) -> String {
    let mut text = format!("NAME\n    {}", cmdlet.name);
    if !cmdlet.aliases.is_empty() {
        let _ = write!(text, " ({})", listed(cmdlet.aliases));
    }
    let _ = write!(text, "\n\nSYNOPSIS\n{}\nSYNTAX\n", wrapped(cmdlet.synopsis, "    "));
    text += &wrapped(&syntax(cmdlet), "    ");
    text.push('\n');
    if !cmdlet.description.is_empty() {
        text.push_str("DESCRIPTION\n");
        for paragraph in cmdlet.description {
            text += &wrapped(paragraph, "    ");
            text.push('\n');
        }
    }
    text
}

/// As PowerShell writes it: what may be left out stands in brackets.
fn syntax(cmdlet: &Cmdlet) -> String {
    let parameters = cmdlet.parameters().map(|parameter| {
        let name = match parameter.position {
            Some(_) => format!("[-{}]", parameter.name),
            None => format!("-{}", parameter.name),
        };
        let whole = match parameter.takes {
            Takes::Nothing => name,
            Takes::One(of) => format!("{name} <{}>", of.word()),
            Takes::Many(of) => format!("{name} <{}[]>", of.word()),
        };
        if parameter.mandatory { whole } else { format!("[{whole}]") }
    });
    [cmdlet.name.to_owned()].into_iter().chain(parameters).collect::<Vec<_>>().join(" ")
}

fn parameters(cmdlet: &Cmdlet) -> String {
    let mut text = String::new();
    for parameter in cmdlet.parameters() {
        if text.is_empty() {
            text.push_str("PARAMETERS\n");
        }
        let _ = writeln!(text, "    -{}{}", parameter.name, also(parameter));
        let _ = writeln!(text, "{}", wrapped(parameter.what, "        "));
    }
    if !cmdlet.gives.is_empty() {
        let _ = writeln!(text, "OUTPUTS\n{}", wrapped(&listed(cmdlet.gives), "    "));
    }
    text
}

fn also(parameter: &Parameter) -> String {
    match parameter.aliases {
        [] => String::new(),
        aliases => format!(" (-{})", aliases.join(", -")),
    }
}

fn examples(cmdlet: &Cmdlet) -> String {
    let mut text = String::from("EXAMPLES\n");
    for (example, what) in cmdlet.examples {
        let _ = writeln!(text, "    {example}\n{}", wrapped(what, "        "));
    }
    text
}

/// In lines of at most [`WIDTH`], unless a word is longer.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        if line.len() > indent.len() && line.len() + 1 + word.len() > WIDTH {
            lines = lines + &line + "\n";
            line = indent.to_owned();
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests;
