//! `fedge shell` at a terminal: a prompt that completes what is typed, asks, and remembers.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use api::local::ServiceAction;
use nix::pty::{OpenptyResult, openpty};

use super::Administrator;
use crate::rig::PATIENCE;

/// A shell with somebody at its terminal.
struct Seat {
    child: Child,
    keys: File,
    screen: Arc<Mutex<String>>,
    /// Up to where its screen was read.
    read: usize,
}

impl Seat {
    fn take(anna: &Administrator) -> Seat {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
        let mut command = anna.command(&["shell"]);
        command.env("TERM", "xterm").env("HOME", anna.site.folder.path()).env_remove("XDG_STATE_HOME");
        command.stdin(Stdio::from(slave.try_clone().expect("a descriptor")));
        command.stdout(Stdio::from(slave.try_clone().expect("a descriptor"))).stderr(Stdio::from(slave));
        let child = command.spawn().expect("it runs");
        let (keys, mut output) = (File::from(master.try_clone().expect("a descriptor")), File::from(master));
        let screen = Arc::<Mutex<String>>::default();
        let shown = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends when nobody has the other side open any more.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().expect("no panic").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Seat { child, keys, screen, read: 0 }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it is there");
    }

    /// Waits until this is shown after what was waited for before.
    async fn sees(&mut self, text: &str) {
        let began = Instant::now();
        loop {
            let screen = self.screen.lock().expect("no panic").clone();
            if let Some(found) = screen.get(self.read..).and_then(|new| new.find(text)) {
                self.read += found + text.len();
                return;
            }
            assert!(began.elapsed() < PATIENCE, "never: {text}: {:?}", screen.get(self.read..));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn leaves(mut self) -> i32 {
        let waited = tokio::task::spawn_blocking(move || self.child.wait());
        waited.await.expect("no panic").expect("it ends").code().expect("it wasn't killed")
    }
}

#[tokio::test]
async fn a_prompt_completes_asks_and_remembers() {
    let anna = Administrator::new().await;
    let mut seat = Seat::take(&anna);
    seat.sees("fedge> ").await;
    seat.types("set-css\tsite2 -XmppF\tpool2\t");
    seat.sees("pool2.contoso.test").await;
    seat.types("-WhatIf\r");
    seat.sees("What if: Performing the operation \"Set-CsSite\" on target \"Site2\"").await;
    seat.sees("fedge> ").await;

    // A line that isn't finished goes on.
    seat.types("Get-CsSite |\r");
    seat.types("fl Identity\r");
    seat.sees("Identity : Site:Site2").await;
    seat.sees("fedge> ").await;
    seat.types("Get-CsSite Site9; exit\r");
    seat.sees("there are Site1, Site2").await;
    seat.sees("fedge> ").await;

    let stop = "Stop-CsWindowsService -ComputerName pool1.contoso.test";
    for (answer, shown) in [("n\r", "nothing was stopped"), ("?\ry\r", "it is stopped")] {
        seat.types(&format!("{stop}\r"));
        seat.sees("federation stops. Stop them all the same?").await;
        seat.sees("(default is \"N\"): ").await;
        assert_eq!(anna.orders(0), [], "nobody has said yes");
        seat.types(answer);
        seat.sees(shown).await;
        seat.sees("fedge> ").await;
    }
    assert_eq!(anna.orders(0), [(ServiceAction::Stop, Some(30))]);
    seat.types("exit\r");
    assert_eq!(seat.leaves().await, 0);

    let history = anna.site.file(".local/state/fedge/shell-history");
    let mode = std::fs::metadata(&history).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let history = std::fs::read_to_string(history).expect("it is there");
    assert!(history.contains(stop) && history.contains("Set-CsSite "), "{history}");
}
