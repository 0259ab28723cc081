//! The federation service of a simulated edge server: what `edge::service` does with its orders, without partners.

use std::time::Duration;

use api::local::{Rest, ServiceAction, ServiceState};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::ground::{Ground, Service};

/// Between two looks whether the route has come back.
const LOOK: Duration = Duration::from_millis(20);

/// What is wanted of it.
#[derive(Debug)]
pub(super) enum Order {
    /// By an administrator or a controller.
    Given { action: ServiceAction, rest: Option<Rest>, reply: oneshot::Sender<Result<String, String>> },
    /// The route has come to its pool, or a gateway gave it something.
    Wake,
}

/// Carries out orders, one after the other.
pub(super) async fn serve(ground: Ground, fqdn: String, mut orders: mpsc::Receiver<Order>) {
    let mut rests: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Given { action, rest, reply }) => {
                    let done = carry_out(&ground, &fqdn, action, rest, &mut rests).await;
                    let _ = reply.send(done);
                }
                Some(Order::Wake) => wake(&ground, &fqdn, &mut rests),
                None => std::future::pending().await,
            },
            () = over(rests) => wake(&ground, &fqdn, &mut rests),
        }
    }
}

/// Has an edge server do something, and waits until it says that it is done.
///
/// # Errors
/// Why it doesn't, or that the connection broke.
pub(super) async fn order(
    ground: &Ground,
    from: &str,
    edge: &str,
    (action, rest): (ServiceAction, Option<Rest>),
) -> Result<String, String> {
    ground.talk(from, edge).await?;
    let orders = ground.field().members.get(edge).and_then(|member| member.orders.clone());
    let orders = orders.ok_or("connection reset")?;
    let (reply, replied) = oneshot::channel();
    orders.try_send(Order::Given { action, rest, reply }).map_err(|_| "too many orders wait".to_owned())?;
    drop(orders);
    let done = replied.await.map_err(|_| "connection reset".to_owned())?;
    while ground.field().is_cut(from, edge) {
        sleep(Duration::from_millis(500)).await;
    }
    done
}

fn wake(ground: &Ground, fqdn: &str, rests: &mut Option<Instant>) {
    change(ground, fqdn, |service| {
        if service.state == ServiceState::Resting {
            service.state = ServiceState::Running;
            *rests = None;
        }
    });
}

async fn carry_out(
    ground: &Ground,
    fqdn: &str,
    action: ServiceAction,
    rest: Option<Rest>,
    rests: &mut Option<Instant>,
) -> Result<String, String> {
    let service = ground.field().members.get(fqdn).map(|member| member.service.clone()).ok_or("no such member")?;
    if rest.is_some_and(|rest| Some(rest.epoch) == service.rested) {
        return Ok("it has finished already".to_owned());
    }
    if rest.is_some_and(|rest| rest.epoch <= service.came) {
        return Err("the route has been here again since".to_owned());
    }
    match (action, service.state) {
        (ServiceAction::Start, _) => {
            change(ground, fqdn, |service| (service.stopped, service.state) = (false, ServiceState::Running));
            *rests = None;
        }
        (ServiceAction::Stop, ServiceState::Running) => {
            change(ground, fqdn, |service| (service.stopped, service.state) = (true, ServiceState::Draining));
            sleep(ground.random.milliseconds(10, 1500)).await;
            change(ground, fqdn, |service| service.state = ServiceState::Stopped);
        }
        (ServiceAction::Stop, ServiceState::Resting) => {
            change(ground, fqdn, |service| (service.stopped, service.state) = (true, ServiceState::Stopped));
            *rests = None;
        }
        (ServiceAction::Drain, ServiceState::Running) => {
            change(ground, fqdn, |service| service.state = ServiceState::Draining);
            let longest = ground.field().longest_drain;
            let until = Instant::now() + ground.random.milliseconds(longest / 2, longest);
            let back = |ground: &Ground| {
                let field = ground.field();
                let came = field.members.get(fqdn).map(|member| member.service.came).unwrap_or_default();
                rest.is_some_and(|rest| rest.epoch <= came)
            };
            while Instant::now() < until && !back(ground) {
                sleep(LOOK.min(until - Instant::now())).await;
            }
            if back(ground) {
                change(ground, fqdn, |service| service.state = ServiceState::Running);
                return Ok("it is running".to_owned());
            }
            match rest {
                Some(Rest { epoch, seconds }) => {
                    *ground.field().drained.entry((fqdn.to_owned(), epoch)).or_default() += 1;
                    change(ground, fqdn, |service| {
                        (service.rested, service.state) = (Some(epoch), ServiceState::Resting);
                    });
                    *rests = Some(Instant::now() + Duration::from_secs(seconds));
                }
                None => change(ground, fqdn, |service| service.state = ServiceState::Running),
            }
        }
        (ServiceAction::Drain, ServiceState::Resting) => {
            change(ground, fqdn, |service| service.rested = rest.map(|rest| rest.epoch).or(service.rested));
        }
        (ServiceAction::Drain, _) => return Err("the federation service is stopped".to_owned()),
        _ => {}
    }
    Ok("it has finished what it had".to_owned())
}

fn change(ground: &Ground, fqdn: &str, how: impl FnOnce(&mut Service)) {
    let mut field = ground.field();
    let Some(member) = field.members.get_mut(fqdn) else { return };
    let before = member.service.state;
    how(&mut member.service);
    let after = member.service.state;
    drop(field);
    if before != after {
        ground.trace.say(format_args!("{fqdn} is {after}"));
    }
}

/// Waits until then; for ever where nothing ends.
async fn over(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
