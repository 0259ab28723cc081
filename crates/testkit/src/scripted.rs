//! A peer that follows a script: what it says, and what it demands to hear, letter by letter.
//!
//! It imitates servers that can't be installed for a test. A [`Script`] is data; a [`Player`] plays
//! it without any I/O, so that it can be joined to one of `xmpp`'s machines; [`play`] plays it over
//! whatever can be read and written. It reads as strictly, or as crudely, as its script says: prefixes
//! and attributes are compared as text, as several servers do.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

mod cut;
pub mod ejabberd;
pub mod mongooseim;
pub mod openfire;
pub mod prosody;
pub mod tigase;

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Says this. `{id}` stands for the id in the last stream header or `<db:verify/>` that was heard.
    Say(String),
    /// Waits for the next tag or element, and demands something of it.
    Hear(Heard),
    /// TLS goes up here, by whoever plays the script.
    StartTls,
    /// Ends the connection.
    HangUp,
}

/// What the next tag or element must be like: the XML declaration and white space are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    start: String,
    holds: Vec<String>,
    lacks: Vec<String>,
}

/// Something that begins with `start`, such as `<stream:stream `.
pub fn hear(start: impl Into<String>) -> Heard {
    Heard { start: start.into(), holds: Vec::new(), lacks: Vec::new() }
}

impl Heard {
    /// And that holds this text. `{id}` stands for the id that was heard last.
    pub fn with(mut self, text: impl Into<String>) -> Heard {
        self.holds.push(text.into());
        self
    }

    /// And that does not hold this text.
    pub fn without(mut self, text: impl Into<String>) -> Heard {
        self.lacks.push(text.into());
        self
    }

    fn judge(&self, heard: &str, id: &str) -> bool {
        let filled = |text: &String| text.replace("{id}", id);
        heard.starts_with(&self.start)
            && self.holds.iter().all(|text| heard.contains(&filled(text)))
            && !self.lacks.iter().any(|text| heard.contains(&filled(text)))
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.start)?;
        self.holds.iter().try_for_each(|text| write!(f, " with `{text}`"))?;
        self.lacks.iter().try_for_each(|text| write!(f, " without `{text}`"))
    }
}

/// What a peer does, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    acts: Vec<Act>,
}

impl Script {
    /// A script in which nothing happens yet.
    pub fn new() -> Script {
        Script::default()
    }

    /// Then it says `text`.
    pub fn say(mut self, text: impl Into<String>) -> Script {
        self.acts.push(Act::Say(text.into()));
        self
    }

    /// Then it waits for `heard`.
    pub fn hear(mut self, heard: Heard) -> Script {
        self.acts.push(Act::Hear(heard));
        self
    }

    /// Then TLS goes up.
    pub fn start_tls(mut self) -> Script {
        self.acts.push(Act::StartTls);
        self
    }

    /// Then it leaves without a word.
    pub fn hang_up(mut self) -> Script {
        self.acts.push(Act::HangUp);
        self
    }

    /// Then it does what `script` says.
    pub fn then(mut self, script: Script) -> Script {
        self.acts.extend(script.acts);
        self
    }
}

/// Something else came than the script demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("heard `{heard}`, expected {expected}")]
pub struct Surprise {
    /// What came; nothing, if the stream ended before it.
    pub heard: String,
    /// What was expected.
    pub expected: String,
}

/// What the player of a script does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It says this.
    Say(String),
    /// It does a TLS handshake and goes on.
    StartTls,
    /// It waits for more.
    Wait,
    /// It ends the connection.
    HangUp,
    /// It has done all that the script says.
    Done,
}

/// A script that is being played.
#[derive(Debug, Clone)]
pub struct Player {
    acts: VecDeque<Act>,
    heard: String,
    id: String,
}

impl Player {
    /// At the script's beginning.
    pub fn new(script: Script) -> Player {
        Player { acts: script.acts.into(), heard: String::new(), id: String::new() }
    }

    /// Takes what the other side said.
    pub fn hears(&mut self, bytes: &[u8]) {
        self.heard.push_str(&String::from_utf8_lossy(bytes));
    }

    /// What was heard and not asked for yet.
    pub fn unasked(&self) -> &str {
        &self.heard
    }

    /// What it does next.
    ///
    /// # Errors
    /// When something else was heard than the script demands.
    pub fn turn(&mut self) -> Result<Turn, Surprise> {
        while let Some(Act::Hear(expected)) = self.acts.front() {
            let Some(thing) = cut::next(&self.heard) else { return Ok(Turn::Wait) };
            if !expected.judge(thing, &self.id) {
                return Err(Surprise { heard: thing.to_owned(), expected: expected.to_string() });
            }
            let end = cut::offset(&self.heard, thing);
            if let Some(id) = cut::id(thing) {
                self.id = id.to_owned();
            }
            self.heard.drain(..end);
            self.acts.pop_front();
        }
        Ok(match self.acts.pop_front() {
            Some(Act::Say(text)) => Turn::Say(text.replace("{id}", &self.id)),
            Some(Act::StartTls) => Turn::StartTls,
            Some(Act::HangUp) => Turn::HangUp,
            _ => Turn::Done,
        })
    }

    /// What was waited for when the other side fell silent, as a [`Surprise`].
    ///
    /// # Errors
    /// When the script isn't done.
    pub fn end(&self) -> Result<(), Surprise> {
        let expected = match self.acts.front() {
            None => return Ok(()),
            Some(Act::Hear(expected)) => expected.to_string(),
            Some(act) => format!("its own turn for {act:?}"),
        };
        Err(Surprise { heard: self.heard.clone(), expected })
    }
}

/// Plays until the script is done, hangs up, or wants TLS ([`Turn::StartTls`]: do the handshake, then
/// play on over it). A bound in time is the caller's.
///
/// # Errors
/// A [`Surprise`], or a connection that fails or ends too early.
pub async fn play(player: &mut Player, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<Turn> {
    let mut buffer = [0; 4096];
    loop {
        match player.turn()? {
            Turn::Say(text) => stream.write_all(text.as_bytes()).await?,
            Turn::Wait => match stream.read(&mut buffer).await? {
                0 => player.end()?,
                count => player.hears(&buffer[..count]),
            },
            turn => {
                stream.flush().await?;
                return Ok(turn);
            }
        }
    }
}
