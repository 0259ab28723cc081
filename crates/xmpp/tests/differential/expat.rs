//! Expat, the parser of Prosody and ejabberd, as an oracle: Python carries it, one process for many streams.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::reading::{Item, Reading};

/// A running oracle. It ends when it is dropped.
pub(crate) struct Expat {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Expat {
    pub(crate) fn start() -> Expat {
        let mut child = Command::new("python3")
            .args(["-c", include_str!("expat.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts: its module pyexpat is how expat is asked; install the package python3");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("a pipe was asked for"));
        Expat { child, input, output }
    }

    /// Sends streams; [`receive`](Self::receive) must follow. It reads them all before it writes.
    pub(crate) fn send<'a>(&mut self, streams: impl IntoIterator<Item = &'a [u8]>) {
        let mut batch = Vec::new();
        for stream in streams {
            batch.extend_from_slice(&u32::try_from(stream.len()).expect("a short stream").to_le_bytes());
            batch.extend_from_slice(stream);
        }
        let length = u32::try_from(batch.len()).expect("a batch of short streams").to_le_bytes();
        let input = self.input.as_mut().expect("open until dropped");
        input
            .write_all(&length)
            .and_then(|()| input.write_all(&batch))
            .and_then(|()| input.flush())
            .expect("expat reads");
    }

    /// The readings of what was sent, in its order.
    pub(crate) fn receive(&mut self) -> Vec<Reading> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).expect("expat answers");
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        self.output.read_exact(&mut answer).expect("expat answers in full");
        let answer = String::from_utf8(answer).expect("expat answers in UTF-8");
        answer.split('\u{4}').map(reading).collect()
    }

    /// The readings of `streams`.
    pub(crate) fn ask<'a>(&mut self, streams: impl IntoIterator<Item = &'a [u8]>) -> Vec<Reading> {
        self.send(streams);
        self.receive()
    }
}

impl Drop for Expat {
    fn drop(&mut self) {
        // The end of its input is its end.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn reading(text: &str) -> Reading {
    let mut reading = Reading::default();
    for item in text.split('\u{3}') {
        let rest = item[1..].to_owned();
        match &item[..1] {
            "H" => reading.items.push(Item::Header(rest)),
            "M" => reading.items.push(Item::Element(rest)),
            "F" => reading.items.push(Item::Footer),
            "R" => reading.items.push(Item::Foreign(rest)),
            "E" => reading.error = Some(rest),
            _ => {}
        }
    }
    reading
}
