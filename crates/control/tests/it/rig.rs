//! An installation in this process: CAs, a store, controllers that serve their API, and members with scripted daemons.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use agent::authority::Authorities;
use agent::enrol::Waiting;
use agent::keep::Controller as Keeper;
use agent::serve::{Agent, Member, Serving, serve};
use agent::state::Kept;
use api::agent::{Digest, Role};
use api::client::{Client, ClientError};
use api::control::{Done, Enrol, Overview, Problem, Publish, Published};
use api::local::{self, Certificate, Reply, Request, Service, ServiceAction, ServiceState, Status};
use api::probe::{self, Probed, Verdict};
use arc_swap::ArcSwap;
use control::access::{self, Token, User, Users};
use control::http::{self, Tls};
use control::ledger::Ledger;
use control::members::Members;
use control::page::Told;
use control::publish;
use control::records::Secrets;
use control::route;
use control::web::{self, Answers, Office};
use control::zones::Zones;
use control::zones::planned::Names;
use control::zones::servers::Keyed;
use daemon::metrics;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use topology::tlsa::Tlsa;

/// Longer than anything takes here that is to come at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const EDGES: [&str; 3] = ["edge1.contoso.test", "edge2.contoso.test", "edge3.contoso.test"];
pub(crate) const GATEWAY: &str = "gateway1.contoso.test";
pub(crate) const POOLS: [&str; 2] = ["pool1.contoso.test", "pool2.contoso.test"];
const PROGRAM: (&str, &str) = ("fedge-scripted", "0.1.0");

/// The CAs, the users, and where members are.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    users: Users,
    addresses: Vec<(&'static str, SocketAddr)>,
}

/// A controller at work; leaving scope ends it.
pub(crate) struct Controller {
    pub(crate) address: SocketAddr,
    /// Where it tells metrics.
    pub(crate) metrics: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) members: Arc<Members>,
    /// How it reaches name servers.
    pub(crate) keyed: Arc<Keyed>,
    _tasks: JoinSet<()>,
    _metrics: metrics::Serving,
}

/// What a scripted daemon does and has done.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) service: Service,
    /// It doesn't do what it is told, and says this.
    pub(crate) refuses: Option<String>,
    /// It says nothing when it is told to do something.
    pub(crate) silent: bool,
    pub(crate) orders: Vec<(ServiceAction, Option<u64>)>,
    pub(crate) certificates: Vec<Certificate>,
    /// What it was to probe.
    pub(crate) probes: Vec<probe::Request>,
    /// What it says of all of them.
    pub(crate) verdict: Verdict,
    /// The TLSA records that fit the certificate it sees; none where it is of a version that doesn't say.
    pub(crate) shows: Vec<Tlsa>,
    /// The edge servers to which it has a trunk.
    pub(crate) trunks: Vec<&'static str>,
    unanswered: Vec<mpsc::Sender<Reply>>,
}

/// A member's machine with its daemon; leaving scope kills the daemon.
pub(crate) struct Machine {
    pub(crate) script: Arc<Daemon>,
    fqdn: &'static str,
    agent: Arc<Agent>,
    _serving: Serving,
}

pub(crate) struct Daemon(Mutex<Script>);

impl Site {
    /// With a user of each role.
    pub(crate) async fn new() -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        Authorities::make(&folder.path().join("ca")).expect("CAs");
        let mut users = Vec::new();
        for role in [access::Role::Viewer, access::Role::Operator, access::Role::Administrator] {
            let token = Token::draw().expect("randomness");
            std::fs::write(folder.path().join(role.to_string()), token.reveal()).expect("written");
            users.push(User { name: format!("the {role}"), role, proof: token.proof() });
        }
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for fqdn in EDGES.into_iter().chain([GATEWAY]) {
            let (listener, address) = listener().await;
            addresses.push((fqdn, address));
            // All at once, so that no two get the same.
            listeners.push(listener);
        }
        Site { folder, users: Users::new(users), addresses }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn authorities(&self) -> Authorities {
        Authorities::read(&self.file("ca")).expect("they were made")
    }

    pub(crate) fn address(&self, fqdn: &str) -> SocketAddr {
        self.addresses.iter().find(|(name, _)| *name == fqdn).expect("a member").1
    }

    /// Two pools, of two edge servers and one, and a gateway. `next_hop` tells one document from another.
    pub(crate) fn topology(&self, next_hop: &str) -> String {
        let edge = |index: usize, pool: &str| {
            format!(
                "[[edge]]\nfqdn = \"{}\"\npool = \"{pool}\"\nexternal = [\"192.0.2.{}\"]\ninternal = [\"127.0.0.1\"]\n\
                 agent_port = {}\ntrunk_port = {}\n",
                EDGES[index],
                index + 1,
                self.address(EDGES[index]).port(),
                index + 1,
            )
        };
        let [pool1, pool2] = POOLS;
        format!(
            "[installation]\nname = \"Contoso\"\n[[site]]\nname = \"Site1\"\n[[site]]\nname = \"Site2\"\n\
             [[pool]]\nfqdn = \"{pool1}\"\nsite = \"Site1\"\n[[pool]]\nfqdn = \"{pool2}\"\nsite = \"Site2\"\n{}{}{}\
             [[gateway]]\nfqdn = \"{GATEWAY}\"\nsite = \"Site1\"\ninternal = [\"127.0.0.1\"]\nagent_port = {}\n\
             [route]\npools = [\"{pool1}\", \"{pool2}\"]\n\
             [[local]]\ndomains = [\"contoso.test\"]\nnext_hop = \"{next_hop}\"\n\
             [[partner]]\ndomains = [\"fabrikam.test\"]\n",
            edge(0, pool1),
            edge(1, pool1),
            edge(2, pool2),
            self.address(GATEWAY).port(),
        )
    }

    /// A controller on this store.
    pub(crate) async fn controller(&self, name: &str, store: Arc<dyn Store>) -> Controller {
        self.controller_of("contoso-1", name, store).await
    }

    /// A controller on a store, in which it founds that installation if there is none.
    pub(crate) async fn controller_of(&self, id: &str, name: &str, store: Arc<dyn Store>) -> Controller {
        let (life, clock) = (u64::from(std::process::id()), || 1_000);
        let ledger = Arc::new(Ledger::new(store, name, life, clock).expect("a name"));
        let secrets = Secrets { external: vec!["a".repeat(64)], internal: vec!["b".repeat(64)], ..Secrets::default() };
        let (installation, secrets) = ledger.installation(id, &secrets, name).await.expect("it answers");
        let keeper = Keeper::new(self.authorities(), name).expect("a name");
        let (keyed, nudge) = (Arc::new(Keyed::new(Vec::new())), Arc::<Notify>::default());
        let zones = Arc::new(Zones::new(ledger.clone(), &installation.id, keyed.clone(), nudge.clone()));
        let members = Arc::new(Members::new(ledger.clone(), keeper, installation.id, secrets, zones.clone()));
        let users = Arc::new(ArcSwap::from_pointee(self.users.clone()));
        let answers = Arc::<Answers>::default();
        let ((listener, address), (told_at, metrics)) = (listener().await, listener().await);
        let told =
            Told { members: members.clone(), ledger: ledger.clone(), answers: answers.clone(), began: Instant::now() };
        let serving = metrics::serve(vec![told_at], Arc::new(told));
        let mut tasks = JoinSet::new();
        let moves = Arc::new(route::open(&ledger, &members, &zones, (name, life), nudge, &mut tasks));
        let names = Names::new(members.clone(), zones);
        let (ledger_there, members_there) = (ledger.clone(), members.clone());
        let router = web::router(Office { ledger: ledger_there, members: members_there, moves, names, users, answers });
        tasks.spawn(http::serve(listener, self.tls(name), router));
        tasks.spawn(members.clone().keep());
        Controller { address, metrics, ledger, members, keyed, _tasks: tasks, _metrics: serving }
    }

    fn tls(&self, name: &str) -> Tls {
        let made = self.authorities().api(name, &["127.0.0.1".parse().expect("one")]).expect("a certificate");
        let chain = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("PEM");
        Tls::new(vec![chain], key).expect("they belong together")
    }

    /// A user of this role, who asks that controller.
    pub(crate) fn client(&self, controller: &Controller, role: access::Role) -> Client {
        let address = controller.address.to_string().parse().expect("a controller");
        let token = self.file(&role.to_string());
        Client::new(vec![address], &self.file("ca/agent-ca.crt"), &token).expect("the files are good")
    }

    pub(crate) fn administrator(&self, controller: &Controller) -> Client {
        self.client(controller, access::Role::Administrator)
    }

    pub(crate) async fn publish(&self, controller: &Controller, document: &str) -> Result<Published, ClientError> {
        let publish = Publish { document: document.to_owned(), from: None, why: "it is time".to_owned() };
        self.administrator(controller).post("/v1/topology", &publish).await
    }

    /// Enrols a member, and starts its daemon.
    pub(crate) async fn enrol(&self, controller: &Controller, fqdn: &'static str) -> Machine {
        let state = self.file(fqdn);
        let ca = self.authorities().agent.fingerprint();
        let waiting = Waiting::open(&state, fqdn, role(fqdn), ca, PROGRAM).expect("it can wait");
        let enrol = Enrol { fingerprint: waiting.fingerprint().to_string() };
        let listener = self.port(fqdn).await;
        let waiting = tokio::spawn(waiting.enrolled(vec![listener]));
        let done: Done = self
            .administrator(controller)
            .post(&format!("/v1/members/{fqdn}/enrol"), &enrol)
            .await
            .expect("it is enrolled");
        assert!(done.what.contains(fqdn));
        waiting.await.expect("no panic").expect("it is enrolled");
        self.start(fqdn).await
    }

    /// What comes of it when a controller enrols a member with whom another did.
    pub(crate) async fn enrol_again(&self, controller: &Controller, machine: &Machine) -> Result<Done, ClientError> {
        let fqdn = machine.fqdn;
        let fingerprint = machine.agent.fingerprint().to_string();
        self.administrator(controller).post(&format!("/v1/members/{fqdn}/enrol"), &Enrol { fingerprint }).await
    }

    /// A member's port, once whoever had it has let it go.
    async fn port(&self, fqdn: &str) -> TcpListener {
        eventually("its port is free", async || TcpListener::bind(self.address(fqdn)).await.ok()).await
    }

    /// Starts the daemon of a member that was enrolled.
    pub(crate) async fn start(&self, fqdn: &'static str) -> Machine {
        let state = self.file(fqdn);
        // What had the folder, or the port, may be about to end.
        let agent =
            eventually("its state folder is free", async || Agent::open(&state, role(fqdn), PROGRAM).ok()).await;
        let listener = self.port(fqdn).await;
        let (agent, script) = (Arc::new(agent), Arc::new(Daemon::new(fqdn)));
        let serving = serve(vec![listener], agent.clone(), script.clone());
        Machine { script, fqdn, agent, _serving: serving }
    }
}

impl Machine {
    /// The version of the topology by which it goes.
    pub(crate) fn have(&self) -> Option<u64> {
        self.agent.snapshot().map(|snapshot| snapshot.head.version)
    }

    /// What it goes by.
    pub(crate) fn content(&self) -> Option<String> {
        self.agent.snapshot().map(|snapshot| snapshot.content.clone())
    }

    /// The hash of its key.
    pub(crate) fn fingerprint(&self) -> Digest {
        self.agent.fingerprint()
    }

    /// Whether a controller has told it since its start that its route is the route.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.agent.is_confirmed()
    }
}

impl Controller {
    /// Waits until it sees this in the overview.
    pub(crate) async fn sees(&self, what: &str, is_so: impl Fn(&Overview) -> bool) -> Overview {
        let seen = Mutex::new(None);
        let look = async || {
            let overview = self.members.overview();
            seen.lock().expect("no panic").clone_from(&overview);
            overview.filter(&is_so)
        };
        match tokio::time::timeout(PATIENCE, eventually(what, look)).await {
            Ok(overview) => overview,
            Err(_) => panic!("never: {what}: {:#?}", seen.lock().expect("no panic")),
        }
    }

    /// Waits until it sees these members at what the store says now.
    pub(crate) async fn sees_all(&self, fqdns: &[&str]) {
        let current = publish::current(&self.ledger).await.expect("it answers").expect("a topology");
        let current = (Some(current.version), Some(current.route.epoch));
        let well = |overview: &Overview| {
            fqdns.iter().all(|fqdn| {
                let member = member(overview, fqdn);
                member.state == "reached"
                    && member.program.is_some()
                    && (member.version, member.epoch) == current
                    && member.confirmed == Some(true)
                    && member.service.is_some()
            })
        };
        self.sees("all are reached and confirmed", well).await;
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// A member in an overview.
pub(crate) fn member<'a>(overview: &'a Overview, fqdn: &str) -> &'a api::control::Member {
    let edges = overview.sites.iter().flat_map(|site| site.pools.iter().flat_map(|pool| &pool.members));
    let others = overview.sites.iter().flat_map(|site| &site.members);
    edges.chain(others).find(|member| member.fqdn == fqdn).expect("it is in the topology")
}

/// What the API said instead of doing it.
pub(crate) fn problem<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Problem {
    match answer {
        Err(ClientError::Problem(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn role(fqdn: &str) -> Role {
    if fqdn == GATEWAY { Role::Gateway } else { Role::Edge }
}

impl Daemon {
    fn new(fqdn: &str) -> Daemon {
        let service = Service { state: ServiceState::Running, since: 1_700_000_000, last: None, rested: None };
        Daemon(Mutex::new(Script {
            service,
            refuses: None,
            silent: false,
            orders: Vec::new(),
            certificates: Vec::new(),
            probes: Vec::new(),
            shows: Vec::new(),
            verdict: Verdict::Good,
            trunks: if fqdn == GATEWAY { EDGES.to_vec() } else { Vec::new() },
            unanswered: Vec::new(),
        }))
    }

    /// What it does from now on, or has done.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Script) -> T) -> T {
        look(&mut self.0.lock().expect("no panic"))
    }
}

impl Script {
    fn order(&mut self, action: ServiceAction, seconds: Option<u64>) -> Reply {
        if action == ServiceAction::Status {
            return Reply::Service(self.service.clone());
        }
        self.orders.push((action, seconds));
        if let Some(why) = &self.refuses {
            return Reply::Refused { why: why.clone() };
        }
        self.service.state = match action {
            ServiceAction::Stop => ServiceState::Stopped,
            ServiceAction::Status | ServiceAction::Start | ServiceAction::Drain => ServiceState::Running,
        };
        Reply::Service(self.service.clone())
    }

    fn probe(&mut self, request: probe::Request) -> Reply {
        self.probes.push(request.clone());
        if let Some(why) = &self.refuses {
            return Reply::Refused { why: why.clone() };
        }
        Reply::Probed(Probed {
            to: request.to,
            from: request.from,
            face: "external".to_owned(),
            verdict: self.verdict,
            reached: self.verdict < Verdict::Bad,
            stages: Vec::new(),
            targets: self.target().into_iter().collect(),
            ms: 1,
        })
    }

    /// A server with a certificate, where it says what is shown.
    fn target(&self) -> Option<probe::Target> {
        let certificate = probe::Certificate {
            names: Vec::new(),
            issuer: String::new(),
            not_before: 0,
            not_after: 0,
            days: 0,
            usages: Vec::new(),
            chain: 1,
            fault: None,
            tlsa: self.shows.clone(),
        };
        let target = probe::Target {
            domain: None,
            host: String::new(),
            address: String::new(),
            direct_tls: false,
            verdict: self.verdict,
            reached: true,
            stages: Vec::new(),
            tls: None,
            certificate: Some(certificate),
            offers: None,
            round_trip_ms: None,
        };
        (!self.shows.is_empty()).then_some(target)
    }

    fn status(&self) -> Status {
        Status {
            program: PROGRAM.0.to_owned(),
            version: PROGRAM.1.to_owned(),
            up_seconds: 1,
            now: Some(UNIX_EPOCH.elapsed().expect("a clock").as_secs()),
            log_level: "info".to_owned(),
            faces: Vec::new(),
            route: None,
            led: None,
            members: self.trunks.iter().map(|name| trunk(name)).collect(),
            concerns: Vec::new(),
            service: Some(self.service.clone()),
            partners: 2,
            certificates: self.certificates.clone(),
            uncovered: Vec::new(),
        }
    }
}

fn trunk(name: &str) -> local::Member {
    local::Member { name: name.to_owned(), connected: true, routed: false }
}

impl Member for Daemon {
    fn check(&self, _snapshot: &Kept) -> Result<(), String> {
        Ok(())
    }

    async fn apply(&self, _snapshot: Arc<Kept>) -> Result<(), String> {
        Ok(())
    }

    fn ask(&self, request: Request) -> mpsc::Receiver<Reply> {
        let (sender, replies) = mpsc::channel(1);
        self.with(|script| {
            let reply = match request {
                Request::Service { action, .. } if script.silent && action != ServiceAction::Status => {
                    return script.unanswered.push(sender);
                }
                Request::Service { action, seconds, .. } => script.order(action, seconds),
                Request::Probe(_) if script.silent => return script.unanswered.push(sender),
                Request::Probe(request) => script.probe(request),
                _ => Reply::Status(script.status()),
            };
            sender.try_send(reply).expect("there is room");
        });
        replies
    }
}
