//! A typed command brought together with its cmdlet: which value is which parameter's.

use super::cmdlets::{self, CMDLETS, Cmdlet, FORMATS, Of, Parameter, Takes};
use super::line::{Argument, Command, Pipeline, What};
use super::object::chosen;
use super::words::{Fault, Word};

/// A pipeline that is understood.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) call: Call,
    /// How its objects are shown, where it says so.
    pub(super) format: Option<Call>,
    /// As it was typed.
    pub(super) typed: String,
}

/// A cmdlet with what its parameters were given.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) cmdlet: &'static Cmdlet,
    given: Vec<(&'static str, Given)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    Flag(bool),
    Values(Vec<String>),
}

impl Call {
    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        matches!(self.find(name), Some(Given::Flag(true)))
    }

    /// The one value of a parameter.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// The values of a parameter; none where it wasn't given.
    pub(super) fn all(&self, name: &str) -> &[String] {
        match self.find(name) {
            Some(Given::Values(values)) => values,
            _ => &[],
        }
    }

    fn find(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, given)| given)
    }
}

/// Understands a pipeline.
///
/// # Errors
/// The first thing that no cmdlet takes.
pub(super) fn pipeline(pipeline: &Pipeline) -> Result<Ready, Fault> {
    let (first, rest) = pipeline.commands.split_first().expect("a pipeline has a command");
    let call = call(first, find(first, &CMDLETS)?)?;
    let format = match rest {
        [] => None,
        [format] => {
            let shown = self::call(format, find(format, &FORMATS)?)?;
            // Before anything is done.
            chosen(call.cmdlet.gives, shown.all("Property")).map_err(|what| Fault::new(format.at, what))?;
            Some(shown)
        }
        [_, more, ..] => {
            return Err(Fault::new(more.at, "only one `|` is known here, before Format-Table or Format-List"));
        }
    };
    Ok(Ready { call, format, typed: pipeline.typed.clone() })
}

fn find(command: &Command, among: &'static [Cmdlet]) -> Result<&'static Cmdlet, Fault> {
    if let Some(cmdlet) = among.iter().find(|cmdlet| cmdlet.is_called(&command.name)) {
        return Ok(cmdlet);
    }
    let names = listed(among.iter().map(|cmdlet| cmdlet.name));
    let is_format = |cmdlet: &Cmdlet| cmdlet.is_called(&command.name);
    let what = if std::ptr::eq(among, FORMATS.as_slice()) {
        format!("`{}` can't stand after a `|`; {names} can", command.name)
    } else if FORMATS.iter().any(is_format) {
        format!("`{}` stands after a `|`, as in: Get-CsSite | {}", command.name, command.name)
    } else {
        format!("there is no cmdlet `{}`; there are {names}", command.name)
    };
    Err(Fault::new(command.at, what))
}

fn call(command: &Command, cmdlet: &'static Cmdlet) -> Result<Call, Fault> {
    let asks_help = |argument: &Argument| matches!(&argument.what, What::Parameter { name, .. } if name == "?");
    if command.arguments.iter().any(asks_help) {
        let help = cmdlets::named("Get-Help").expect("it is in the table");
        return Ok(Call { cmdlet: help, given: vec![("Name", Given::Values(vec![cmdlet.name.to_owned()]))] });
    }
    let mut made = Call { cmdlet, given: Vec::new() };
    let mut alone: Vec<(usize, &Vec<Word>)> = Vec::new();
    let mut arguments = command.arguments.iter().peekable();
    while let Some(argument) = arguments.next() {
        match &argument.what {
            What::Value(words) => alone.push((argument.at, words)),
            What::Parameter { name, value } => {
                let parameter = meant(cmdlet, name, argument.at)?;
                let following = match (value, parameter.takes) {
                    (Some(value), _) => Some(value),
                    (None, Takes::Nothing) => None,
                    (None, _) => match arguments.next_if(|next| matches!(next.what, What::Value(_))) {
                        Some(Argument { what: What::Value(words), .. }) => Some(words),
                        _ => {
                            let what =
                                format!("-{} takes a value: -{} {}", parameter.name, parameter.name, word(parameter));
                            return Err(Fault::new(argument.at, what));
                        }
                    },
                };
                made.give(parameter, following, argument.at)?;
            }
        }
    }
    made.place(&alone)?;
    let missing = cmdlet.parameters().find(|parameter| parameter.mandatory && made.find(parameter.name).is_none());
    if let Some(parameter) = missing {
        let what = format!("{} needs -{} {}: {}", cmdlet.name, parameter.name, word(parameter), parameter.what);
        return Err(Fault::new(command.at, what));
    }
    Ok(made)
}

impl Call {
    /// Gives values without a name to the parameters at whose places they stand.
    fn place(&mut self, alone: &[(usize, &Vec<Word>)]) -> Result<(), Fault> {
        let cmdlet = self.cmdlet;
        let mut places: Vec<&'static Parameter> =
            cmdlet.parameters().filter(|parameter| parameter.position.is_some()).collect();
        places.retain(|parameter| self.find(parameter.name).is_none());
        places.sort_by_key(|parameter| parameter.position);
        let mut places = places.into_iter();
        for (at, words) in alone {
            let Some(parameter) = places.next() else {
                let text = words.first().and_then(Word::text).unwrap_or("this");
                let what = format!("{} has no place for `{text}`; name its parameter: {}", cmdlet.name, dashed(cmdlet));
                return Err(Fault::new(*at, what));
            };
            self.give(parameter, Some(words), *at)?;
        }
        Ok(())
    }

    fn give(&mut self, parameter: &'static Parameter, words: Option<&Vec<Word>>, at: usize) -> Result<(), Fault> {
        let name = parameter.name;
        if self.find(name).is_some() {
            return Err(Fault::new(at, format!("-{name} is given twice")));
        }
        let given = match (parameter.takes, words.map(Vec::as_slice)) {
            (Takes::Nothing, None) => Given::Flag(true),
            (Takes::Nothing, Some([Word::Flag(flag)])) => Given::Flag(*flag),
            (Takes::Nothing, Some(_)) => {
                return Err(Fault::new(at, format!("-{name} is a switch: -{name}, or -{name}:$false")));
            }
            (Takes::One(_), Some([_, _, ..])) => {
                return Err(Fault::new(at, format!("-{name} takes one value, not a list")));
            }
            (Takes::One(of) | Takes::Many(of), words) => {
                let values = words.unwrap_or_default().iter().map(|word| value(name, of, word, at));
                Given::Values(values.collect::<Result<_, _>>()?)
            }
        };
        self.given.push((name, given));
        Ok(())
    }
}

fn value(name: &str, of: Of, word: &Word, at: usize) -> Result<String, Fault> {
    let text = match word {
        Word::Text { text, .. } if !text.trim().is_empty() => text,
        Word::Text { .. } => return Err(Fault::new(at, format!("an empty text is no value of -{name}"))),
        Word::Null => return Err(Fault::new(at, format!("$null is no value of -{name}"))),
        Word::Flag(flag) => {
            return Err(Fault::new(at, format!("${flag} is no value of -{name}, which isn't a switch")));
        }
    };
    let Of::Words(words) = of else { return Ok(text.clone()) };
    let known = words.iter().find(|known| known.eq_ignore_ascii_case(text));
    let known = known.ok_or_else(|| {
        Fault::new(at, format!("`{text}` is no value of -{name}; there are {}", listed(words.iter().copied())))
    })?;
    Ok((*known).to_owned())
}

/// The parameter that this names: wholly, or by as much of its start as no other has.
fn meant(cmdlet: &'static Cmdlet, name: &str, at: usize) -> Result<&'static Parameter, Fault> {
    let names = |parameter: &Parameter| [parameter.name].into_iter().chain(parameter.aliases.iter().copied());
    let begins = |whole: &str| whole.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let whole = cmdlet.parameters().find(|parameter| names(parameter).any(|whole| whole.eq_ignore_ascii_case(name)));
    if let Some(parameter) = whole {
        return Ok(parameter);
    }
    let begun: Vec<&'static Parameter> =
        cmdlet.parameters().filter(|parameter| !name.is_empty() && names(parameter).any(begins)).collect();
    match begun.as_slice() {
        [parameter] => Ok(parameter),
        [] => Err(Fault::new(at, format!("{} has no parameter -{name}; it has {}", cmdlet.name, dashed(cmdlet)))),
        many => {
            let many = listed(many.iter().map(|parameter| format!("-{}", parameter.name)));
            Err(Fault::new(at, format!("-{name} can mean {many}; write more of it")))
        }
    }
}

fn dashed(cmdlet: &Cmdlet) -> String {
    listed(cmdlet.parameters().map(|parameter| format!("-{}", parameter.name)))
}

fn word(parameter: &Parameter) -> &'static str {
    match parameter.takes {
        Takes::Nothing => "",
        Takes::One(of) | Takes::Many(of) => of.word(),
    }
}

/// One after the other, with commas.
pub(super) fn listed(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
