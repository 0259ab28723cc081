//! What cmdlets give: objects with properties, and how they are shown.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::bind::{Call, listed};
use super::cmdlets::Verb;
use super::wild::{is_like, is_wild};

/// Properties, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object(pub(super) Vec<(&'static str, Value)>);

/// What a property is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    Many(Vec<String>),
    Nothing,
}

/// What a cmdlet gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    Objects {
        objects: Vec<Object>,
        /// The properties of a table, where a table is what is shown unless something else is asked for.
        columns: Option<&'static [&'static str]>,
    },
    Text(String),
}

/// The runbook's name of a property, for its own.
const OTHER_NAME: (&str, &str) = ("XmppExternalFederationRoute", "XmppFederationRoute");

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        text.map_or(Value::Nothing, Value::Text)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => write!(f, "{number}"),
            Value::Flag(flag) => f.write_str(if *flag { "True" } else { "False" }),
            Value::Many(many) => write!(f, "{{{}}}", many.join(", ")),
            Value::Nothing => Ok(()),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Number(number) => serializer.serialize_u64(*number),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Many(many) => many.serialize(serializer),
            Value::Nothing => serializer.serialize_none(),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Object {
    /// A property.
    pub(super) fn get(&self, name: &str) -> &Value {
        self.0.iter().find(|(known, _)| *known == name).map_or(&Value::Nothing, |(_, value)| value)
    }

    /// Only these properties.
    fn only(&self, names: &[&'static str]) -> Object {
        Object(names.iter().map(|name| (*name, self.get(name).clone())).collect())
    }
}

impl Output {
    /// Objects, each property on a line of its own.
    pub(super) fn list(objects: Vec<Object>) -> Output {
        Output::Objects { objects, columns: None }
    }

    /// Objects, in a table of these properties.
    pub(super) fn table(objects: Vec<Object>, columns: &'static [&'static str]) -> Output {
        Output::Objects { objects, columns: Some(columns) }
    }

    /// Its text.
    ///
    /// # Errors
    /// Where a property is asked for that there isn't.
    pub(super) fn shown(&self, format: Option<&Call>) -> Result<String, String> {
        let (objects, columns) = match self {
            Output::Text(text) => return Ok(text.clone()),
            Output::Objects { objects, columns } => (objects, columns),
        };
        let asked = format.map(|format| format.all("Property")).unwrap_or_default();
        let is_table = format.map_or(columns.is_some(), |format| format.cmdlet.verb == Verb::FormatTable);
        let Some(first) = objects.first() else { return Ok(String::new()) };
        let known: Vec<&'static str> = first.0.iter().map(|(name, _)| *name).collect();
        let names = match columns {
            _ if !asked.is_empty() => chosen(&known, asked)?,
            Some(columns) if is_table => columns.to_vec(),
            _ => known,
        };
        let objects: Vec<Object> = objects.iter().map(|object| object.only(&names)).collect();
        Ok(if is_table { table(&objects, &names) } else { list(&objects, &names) })
    }

    /// The same for programs: one JSON value.
    pub(super) fn json(&self) -> String {
        match self {
            Output::Objects { objects, .. } => serde_json::to_string(objects),
            Output::Text(text) => serde_json::to_string(text),
        }
        .expect("properties are text, numbers and lists")
    }
}

/// Those of these properties that are asked for.
///
/// # Errors
/// Where one is asked for that isn't among them.
pub(super) fn chosen(known: &[&'static str], asked: &[String]) -> Result<Vec<&'static str>, String> {
    let mut names: Vec<&'static str> = Vec::new();
    for pattern in asked {
        let pattern = if pattern.eq_ignore_ascii_case(OTHER_NAME.0) { OTHER_NAME.1 } else { pattern };
        let found: Vec<&'static str> = known.iter().copied().filter(|name| is_like(name, pattern)).collect();
        if found.is_empty() && !is_wild(pattern) {
            return Err(format!("there is no property `{pattern}`; there are {}", listed(known)));
        }
        for name in found {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// As wide as it must be: what is wider than the terminal is better cut there than here.
fn table(objects: &[Object], names: &[&'static str]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(names);
    table.add_row(names.iter().map(|name| "-".repeat(name.len())));
    for object in objects {
        table.add_row(object.0.iter().map(|(_, value)| value.to_string()));
    }
    for (index, _) in names.iter().enumerate() {
        let is_number = |object: &Object| matches!(object.0[index].1, Value::Number(_) | Value::Nothing);
        let has_numbers = objects.iter().any(|object| matches!(object.0[index].1, Value::Number(_)));
        let column = table.column_mut(index).expect("it has a header");
        column.set_padding((0, 1));
        if has_numbers && objects.iter().all(is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn list(objects: &[Object], names: &[&'static str]) -> String {
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        for (name, value) in &object.0 {
            let value = value.to_string().replace('\n', &format!("\n{}", " ".repeat(width + 3)));
            let _ = writeln!(text, "{}", format!("{name:width$} : {value}").trim_end());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{bind, line};

    fn output() -> Output {
        let object = |name: &str, streams: Option<u64>| {
            Object(vec![
                ("Identity", name.into()),
                ("XmppFederationRoute", "pool1.test".into()),
                ("Epoch", streams.map_or(Value::Nothing, Value::Number)),
                ("DisplayName", Value::Flag(streams.is_some())),
                ("Pools", Value::Many(vec!["a.test".to_owned(), "b.test".to_owned()])),
            ])
        };
        Output::table(vec![object("Site1", Some(12)), object("S2", None)], &["Identity", "Epoch"])
    }

    fn shown(format: &str) -> Result<String, String> {
        let read = line::read(&format!("Get-CsSite{format}")).expect("it is good");
        output().shown(bind::pipeline(&read[0]).expect("it is good").format.as_ref())
    }

    #[test]
    fn tables_and_lists_show_what_is_asked_for() {
        assert_eq!(shown("").expect("good"), "Identity Epoch\n-------- -----\nSite1       12\nS2\n");
        assert_eq!(
            shown(" | fl Identity,displayname,pools").expect("good"),
            "Identity    : Site1\nDisplayName : True\nPools       : {a.test, b.test}\n\n\
             Identity    : S2\nDisplayName : False\nPools       : {a.test, b.test}\n"
        );
        let named = shown(" | ft XmppExternalFederationRoute,Id*").expect("good");
        assert_eq!(named.lines().next(), Some("XmppFederationRoute Identity"));
        let all = shown(" | ft *").expect("good");
        assert_eq!(all.lines().next(), Some("Identity XmppFederationRoute Epoch DisplayName Pools"));
    }

    #[test]
    fn programs_read_the_properties_in_their_order() {
        let json = output().json();
        assert!(json.starts_with(
            r#"[{"Identity":"Site1","XmppFederationRoute":"pool1.test","Epoch":12,"DisplayName":true,"Po"#
        ));
        assert!(json.contains(r#""Epoch":null"#) && json.contains(r#""Pools":["a.test","b.test"]"#), "{json}");
    }
}
