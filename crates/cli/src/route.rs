//! `fedge route`: the federation route, shown, planned, moved, verified; a move is followed until it comes to rest.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use api::client::ClientError;
use api::route::{Begun, Kind, Line, Move, Operation, Plan, State, Verified, Wish};

use crate::args::{self, Control};
use crate::remote::{RemoteError, ask, print};

pub(crate) mod text;

/// Refused: nothing was changed.
const REFUSED: u8 = 2;
/// It was begun, and the route is what it was.
const ROLLED_BACK: u8 = 3;
/// The route has moved, and something of the rest can't be done or seen.
const DEGRADED: u8 = 4;
/// It goes on; its number is printed.
const RUNNING: u8 = 5;
/// It can't be told.
const TROUBLE: u8 = 1;
/// An operation that waits for something says so after that long.
const WONDER: Duration = Duration::from_secs(2);
/// Between two looks at an operation.
const LOOK: Duration = Duration::from_millis(200);
/// Who has just started the services for which an operation waits has it wait for so long until it is seen.
const STARTED: Duration = Duration::from_secs(2);
/// How many answers that break off one after the other are nothing to worry about.
const BREAKS: usize = 10;
/// For a plan: everybody is looked at first.
const PLANNING: Duration = Duration::from_secs(30);

pub(crate) fn run(control: &Control, command: args::Route) -> ExitCode {
    let done = match command {
        args::Route::Show => show(control),
        args::Route::Plan(asked) => plan_only(control, &asked),
        args::Route::Switchover(asked) => moved(control, Kind::Switchover, asked),
        args::Route::Failover(asked) => moved(control, Kind::Failover, asked),
        args::Route::Failback(asked) => moved(control, Kind::Failback, asked),
        args::Route::Verify => verify(control),
        args::Route::History => history(control),
        args::Route::Watch { operation, no_wait } => watch(control, operation, !no_wait),
        args::Route::Resume { operation } => changed(control, operation, "resume"),
        args::Route::Abort { operation } => changed(control, operation, "abort"),
    };
    match done {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("{error}");
            if error.is_refusal() { REFUSED } else { TROUBLE }.into()
        }
    }
}

/// What such a move would do.
pub(crate) fn plan(control: &Control, wish: &Wish) -> Result<Plan, RemoteError> {
    ask(control, |client| async move { Ok(client.post_within("/v1/route/plan", wish, PLANNING).await?) })
}

/// Begins a move, if nothing refuses it.
pub(crate) fn begin(control: &Control, asked: &Move) -> Result<Begun, RemoteError> {
    ask(control, |client| async move { Ok(client.post_within("/v1/route/move", asked, PLANNING).await?) })
}

/// Follows an operation until it comes to rest, and says each line of its journal from that index on when it is there. One
/// that waits for services which somebody stopped is given so long to see that they were started.
pub(crate) fn follow(
    control: &Control,
    number: u64,
    from: usize,
    patience: Duration,
    say: &mut dyn FnMut(&Operation, &Line),
) -> Result<Operation, RemoteError> {
    ask(control, |client| async move {
        let path = format!("/v1/operations/{number}");
        let mut said = from;
        let (mut waiting, mut broken, mut pause) = (None, 0, Pause::new());
        loop {
            let operation: Operation = match client.get(&path).await {
                Ok(operation) => operation,
                // Another controller is asked next time, and one of them drives it meanwhile.
                Err(ClientError::Unreachable(_)) => {
                    tokio::time::sleep(5 * LOOK).await;
                    continue;
                }
                // It was killed while it answered.
                Err(ClientError::Broken { .. }) if broken < BREAKS => {
                    broken += 1;
                    tokio::time::sleep(5 * LOOK).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            broken = 0;
            for line in operation.journal.iter().skip(said) {
                say(&operation, line);
            }
            said = said.max(operation.journal.len());
            if let Some(line) = pause.line(&operation, Instant::now()) {
                say(&operation, &line);
            }
            let rests = operation.state.is_over() || operation.state == State::Degraded;
            waiting = operation.needs_somebody().then(|| waiting.unwrap_or_else(Instant::now));
            if rests || waiting.is_some_and(|since| since.elapsed() >= patience) {
                return Ok(operation);
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

/// A time in which an operation goes nowhere, for whoever watches and wonders.
struct Pause {
    /// What it waits for, since when, and whether that was said.
    what: Option<(String, Instant, bool)>,
}

impl Pause {
    fn new() -> Pause {
        Pause { what: None }
    }

    /// What it waits for, and where the partners are, once it has waited for that for a while.
    fn line(&mut self, operation: &Operation, now: Instant) -> Option<Line> {
        let waits = operation.waits.as_ref()?;
        if self.what.as_ref().is_none_or(|(what, ..)| what != waits) {
            self.what = Some((waits.clone(), now, false));
        }
        let (_, since, said) = self.what.as_mut()?;
        let passed = now.duration_since(*since);
        if passed < WONDER || std::mem::replace(said, true) {
            return None;
        }
        let last = operation.journal.last().map_or(operation.began, |line| line.at);
        let partners = |partners: Option<u64>| partners.map_or("unknown".to_owned(), |partners| partners.to_string());
        let (before, after) = (partners(operation.partners_before), partners(operation.partners_after));
        Some(Line {
            at: last + u64::try_from(passed.as_millis()).unwrap_or_default(),
            state: operation.state,
            controller: operation.driver.clone(),
            what: format!("waits: {waits} (partners: {after} on {}, {before} on {})", operation.to, operation.from),
        })
    }
}

/// The exit status that an operation comes to.
pub(crate) fn exit(operation: &Operation) -> u8 {
    match operation.state {
        State::Done => 0,
        State::RolledBack => ROLLED_BACK,
        State::Degraded | State::Superseded => DEGRADED,
        _ => RUNNING,
    }
}

fn show(control: &Control) -> Result<u8, RemoteError> {
    let (route, operation) = ask(control, |client| async move {
        let route: api::route::Route = client.get("/v1/route").await?;
        let operation: Option<Operation> = match route.operation {
            Some(number) => Some(client.get(&format!("/v1/operations/{number}")).await?),
            None => None,
        };
        Ok((route, operation))
    })?;
    print(control, &route, |route| text::route(route, operation.as_ref()))?;
    Ok(0)
}

fn plan_only(control: &Control, asked: &args::Planned) -> Result<u8, RemoteError> {
    let to = asked.to.as_ref().map(ToString::to_string);
    let wish = Wish { kind: asked.kind(), to, accept: asked.accept.clone() };
    let plan = plan(control, &wish)?;
    print(control, &plan, text::plan)?;
    Ok(if plan.refusals().next().is_some() { REFUSED } else { 0 })
}

fn moved(control: &Control, kind: Kind, asked: args::Moved) -> Result<u8, RemoteError> {
    let args::Moved { to, plan: hash, mut accept, yes, why, no_wait } = asked;
    let to = to.map(|to| to.to_string());
    if yes || (!control.json && std::io::stdin().is_terminal()) {
        let wish = Wish { kind, to: to.clone(), accept: accept.clone() };
        let found = plan(control, &wish)?;
        let waivable: Vec<String> = found.refusals().filter(|one| one.waivable).map(|one| one.code.clone()).collect();
        let suffices = found.refusals().all(|one| one.waivable);
        if suffices && !waivable.is_empty() && (yes || confirmed(&found)?) {
            accept.extend(waivable);
        }
    }
    let wish = Wish { kind, to, accept };
    let begun = begin(control, &Move { wish, plan: hash, why })?;
    let Some(number) = begun.operation else {
        print(control, &begun, |begun| text::refusals(&begun.plan))?;
        return Ok(REFUSED);
    };
    if !control.json {
        std::io::stdout().write_all(text::begun(&begun.plan, number).as_bytes())?;
    }
    watch(control, number, !no_wait)
}

/// Whether whoever sits there accepts what need not hold.
fn confirmed(plan: &Plan) -> Result<bool, RemoteError> {
    eprint!("{}Accept all of these and go on? [y/N] ", text::refusals(plan));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn watch(control: &Control, number: u64, wait: bool) -> Result<u8, RemoteError> {
    if !wait {
        let path = format!("/v1/operations/{number}");
        let operation: Operation = ask(control, |client| async move { Ok(client.get(&path).await?) })?;
        print(control, &operation, text::operation)?;
        return Ok(exit(&operation));
    }
    let mut out = std::io::stdout();
    let json = control.json;
    let mut unheard = Ok(());
    let operation = follow(control, number, 0, STARTED, &mut |operation, line| {
        if !json && unheard.is_ok() {
            unheard = out.write_all(text::line(operation, line).as_bytes());
        }
    })?;
    unheard?;
    print(control, &operation, text::end)?;
    Ok(exit(&operation))
}

fn verify(control: &Control) -> Result<u8, RemoteError> {
    let verified: Verified =
        ask(control, |client| async move { Ok(client.post_within("/v1/route/verify", &(), PLANNING).await?) })?;
    print(control, &verified, text::verified)?;
    Ok(if verified.conditions.iter().all(|condition| condition.holds) { 0 } else { DEGRADED })
}

fn history(control: &Control) -> Result<u8, RemoteError> {
    let operations: Vec<Operation> = ask(control, |client| async move { Ok(client.get("/v1/operations").await?) })?;
    print(control, &operations, |operations| text::history(operations))?;
    Ok(0)
}

fn changed(control: &Control, number: u64, verb: &str) -> Result<u8, RemoteError> {
    let path = format!("/v1/operations/{number}/{verb}");
    let operation: Operation = ask(control, |client| async move { Ok(client.post(&path, &()).await?) })?;
    if verb == "abort" {
        print(control, &operation, text::end)?;
        return Ok(0);
    }
    watch(control, number, true)
}
