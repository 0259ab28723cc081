//! The command line of fedge: nouns, then verbs.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use xmpp::domain::Domain;

/// XMPP federation edges: pools, route, certificates.
#[derive(Debug, Parser)]
#[command(name = "fedge", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) control: Control,
    /// About what.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// About what.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The internal CA, by which the gateway speaks as partners to internal servers.
    Ca {
        /// What to do.
        #[command(subcommand)]
        command: Ca,
    },
    /// The trunk's CA, by which gateways and edge servers know each other.
    Trunk {
        /// What to do.
        #[command(subcommand)]
        command: Trunk,
    },
    /// How everything is: sites, pools, members, and what is wrong since when. Exits with 1 where something is.
    Status {
        /// Show it again and again, until interrupted.
        #[arg(long)]
        watch: bool,
    },
    /// Take a machine that waits for it as a member, if it shows the key with this fingerprint.
    Enrol {
        /// The member's name in the topology.
        fqdn: topology::fqdn::Fqdn,
        /// What the machine prints.
        fingerprint: String,
    },
    /// The topology: sites, pools, members, partners, as one document declares them.
    Topology {
        /// What to do.
        #[command(subcommand)]
        command: Topology,
    },
    /// Federation services: what edge servers do for partners.
    Service {
        /// What to do.
        #[command(subcommand)]
        command: Service,
    },
    /// The federation route: which pool carries it; and its moves, each planned, checked, made, verified.
    ///
    /// Exits with 0 when it is done, 2 when it was refused and nothing changed, 3 when it was rolled back, 4 when the route
    /// has moved and the rest is degraded, 5 when it goes on, 1 when it can't be told.
    Route {
        /// What to do.
        #[command(subcommand)]
        command: Route,
    },
    /// The names by which partners find the pools in DNS: planned, published, checked and watched.
    Dns {
        /// What to do.
        #[command(subcommand)]
        command: crate::dns::Dns,
    },
    /// Say how far the servers of a domain can be reached, from each edge server of a pool, and why not further. Exits with
    /// 1 where something is bad, and with 2 where it can't be told.
    Probe(Probe),
    /// Tests by which users are stood in for.
    Test {
        /// Of what.
        #[command(subcommand)]
        command: crate::im::Test,
    },
    /// The cmdlets of Lync Server's runbook, such as Set-CsSite, typed one after the other; `Get-Help` lists them. Where
    /// standard input is no terminal, it is read as a script, which ends at the first error.
    Shell {
        /// Do this instead, and end.
        #[arg(short, long, value_name = "CMDLETS")]
        command: Option<String>,
    },
    /// The secrets that dialback keys are made of, of both faces: change them, step by step or at once.
    Secrets {
        /// Which step.
        #[command(subcommand)]
        command: Secrets,
    },
    /// Say what members know that the store doesn't, since it was restored from an old backup; and bring it forward.
    /// Exits with 1 where it is behind and was left so.
    Recover(Recover),
    /// The audit trail: who changed what, when and why.
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: Audit,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder.
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

/// Whom to ask, for what isn't done on this machine alone.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct Control {
    /// A controller; the first that answers is asked.
    #[arg(long, global = true, value_name = "HOST[:PORT]", env = "FEDGE_CONTROLLER", value_delimiter = ',')]
    pub(crate) controller: Vec<String>,
    /// The control plane's CA.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "FEDGE_CONTROL_CA",
        default_value = "/etc/fedge/control-ca.crt"
    )]
    pub(crate) control_ca: PathBuf,
    /// The file of your token.
    #[arg(long, global = true, value_name = "FILE", env = "FEDGE_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What can be done with the topology.
#[derive(Debug, Subcommand)]
pub(crate) enum Topology {
    /// Write a first document, with comments.
    Init(Box<First>),
    /// Say everything that is wrong in a document.
    Check {
        /// The document.
        file: PathBuf,
    },
    /// Say what changes from one document to another. Exits with 1 where something does.
    Diff {
        /// The old one, or a version's number at the control plane.
        old: String,
        /// The new one, or a version's number.
        new: String,
    },
    /// Make a document the topology that should be, and say what it changes.
    Publish {
        /// The document.
        #[arg(required_unless_present = "again")]
        file: Option<PathBuf>,
        /// An old version instead, which becomes the current one again under a new number.
        #[arg(long, value_name = "VERSION", conflicts_with = "file")]
        again: Option<u64>,
        /// The version that the document was made from: nothing is done if another is current by now.
        #[arg(long, value_name = "VERSION", conflicts_with = "again")]
        from: Option<u64>,
        /// Why, for the audit trail.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Print the current document.
    Show {
        /// Another version.
        #[arg(long)]
        version: Option<u64>,
    },
    /// List all versions, the latest first.
    History,
}

/// What a first document is made from; what isn't given is an example's.
#[derive(Debug, clap::Args)]
pub(crate) struct First {
    /// Where to write it; nothing there is overwritten.
    pub(crate) file: PathBuf,
    /// The installation's name.
    #[arg(long, default_value = "Contoso")]
    pub(crate) installation: String,
    /// The first site.
    #[arg(long, default_value = "Site1")]
    pub(crate) site: String,
    /// The first pool.
    #[arg(long, value_name = "FQDN", default_value = "pool1.contoso.test")]
    pub(crate) pool: topology::fqdn::Fqdn,
    /// Its edge server.
    #[arg(long, value_name = "FQDN", default_value = "edge1.contoso.test")]
    pub(crate) edge: topology::fqdn::Fqdn,
    /// The edge server's external address.
    #[arg(long, value_name = "ADDRESS", default_value = "203.0.113.10")]
    pub(crate) external: IpAddr,
    /// Its internal address.
    #[arg(long, value_name = "ADDRESS", default_value = "10.1.0.10")]
    pub(crate) internal: IpAddr,
    /// The gateway.
    #[arg(long, value_name = "FQDN", default_value = "gateway1.contoso.test")]
    pub(crate) gateway: topology::fqdn::Fqdn,
    /// The gateway's internal address.
    #[arg(long, value_name = "ADDRESS", default_value = "10.0.0.5")]
    pub(crate) gateway_internal: IpAddr,
    /// A local domain.
    #[arg(long, value_name = "DOMAIN", default_value = "contoso.test")]
    pub(crate) local: topology::partner::Pattern,
    /// The XMPP server that serves it.
    #[arg(long, value_name = "HOST[:PORT]", default_value = "10.0.0.2")]
    pub(crate) next_hop: topology::partner::NextHop,
    /// A partner.
    #[arg(long, value_name = "DOMAIN", default_value = "fabrikam.test")]
    pub(crate) partner: topology::partner::Pattern,
}

/// What can be done with the route.
#[derive(Debug, Subcommand)]
pub(crate) enum Route {
    /// Show which pool carries it, who stands by, and the operation that is under way.
    Show,
    /// Say what a move would do, and whether it may be made; nothing is changed.
    Plan(Planned),
    /// Move it to another pool while the one that has it works: everything is checked first, and nobody loses anything.
    Switchover(Moved),
    /// Move it to another pool because the one that has it does not work.
    Failover(Moved),
    /// Move it home: to the pool that stands first in the topology's route.
    Failback(Moved),
    /// Look whether the pool that has it serves, from outside too.
    Verify,
    /// List the last operations, the latest first.
    History,
    /// Follow an operation until it rests.
    Watch {
        /// Its number.
        operation: u64,
        /// Show how it is now, and don't wait.
        #[arg(long)]
        no_wait: bool,
    },
    /// Have an operation that rests look again at once, driven by the controller that is asked; then follow it.
    Resume {
        /// Its number.
        operation: u64,
    },
    /// End an operation whose target isn't the route yet.
    Abort {
        /// Its number.
        operation: u64,
    },
}

/// A move to be planned.
#[derive(Debug, clap::Args)]
pub(crate) struct Planned {
    /// The pool that is to carry it, or one of its edge servers; for a failback, the home pool.
    #[arg(long, value_name = "FQDN", required_unless_present = "failback")]
    pub(crate) to: Option<topology::fqdn::Fqdn>,
    /// As a failover: the pool that has it is dead.
    #[arg(long, conflicts_with = "failback")]
    pub(crate) failover: bool,
    /// As a failback: home.
    #[arg(long)]
    pub(crate) failback: bool,
    /// A condition that need not hold, by its code.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub(crate) accept: Vec<String>,
}

impl Planned {
    /// What kind of move it is.
    pub(crate) fn kind(&self) -> api::route::Kind {
        match (self.failover, self.failback) {
            (_, true) => api::route::Kind::Failback,
            (true, false) => api::route::Kind::Failover,
            (false, false) => api::route::Kind::Switchover,
        }
    }
}

/// A move to be made.
#[derive(Debug, clap::Args)]
pub(crate) struct Moved {
    /// The pool that is to carry it, or one of its edge servers; a failback knows where home is.
    #[arg(long, value_name = "FQDN")]
    pub(crate) to: Option<topology::fqdn::Fqdn>,
    /// The hash of the plan that was looked at: nothing is done where another would come of it by now.
    #[arg(long, value_name = "HASH")]
    pub(crate) plan: Option<String>,
    /// A condition that need not hold, by its code.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub(crate) accept: Vec<String>,
    /// Accept all conditions that may be accepted not to hold, and don't ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    /// Don't follow it.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// What can be done with the secrets of dialback keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Draw a new one, which is accepted from then on.
    Add(Taken),
    /// Make keys of the newest, once all members accept it.
    Use(Taken),
    /// Accept none but the one that makes keys, a minute after that.
    Drop(Taken),
    /// Draw a new one and accept no other, for secrets that have leaked. Streams that are being set up fail once.
    Replace(Taken),
}

/// A step that is taken.
#[derive(Debug, clap::Args)]
pub(crate) struct Taken {
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    /// Also where a member hasn't taken over the step before.
    #[arg(long)]
    pub(crate) force: bool,
}

/// How a store is brought forward.
#[derive(Debug, clap::Args)]
pub(crate) struct Recover {
    /// Do it: make version and epoch higher than all that anybody knows.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The document that shall be current; without it, the store's own.
    #[arg(long, value_name = "FILE", requires = "yes")]
    pub(crate) topology: Option<PathBuf>,
    /// The pool that shall carry the route; without it, as the members with the latest epoch say.
    #[arg(long, value_name = "FQDN", requires = "yes")]
    pub(crate) pool: Option<topology::fqdn::Fqdn>,
    /// A member whose word doesn't count.
    #[arg(long, value_name = "FQDN", requires = "yes")]
    pub(crate) without: Vec<topology::fqdn::Fqdn>,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
}

/// What can be done with federation services.
#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// Say how they are; of all edge servers, where neither a pool nor a server is named. Exits with 1 where one
    /// isn't running.
    Status {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
    },
    /// Finish what is under way, then close, and stay closed, also over a restart, until started.
    Stop(Drain),
    /// Take partners in again.
    Start {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
        /// Why, for the audit trail.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Finish what is under way, end all streams, and take partners in again.
    Drain(Drain),
}

/// Whose federation services.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Whose {
    /// Those of all edge servers of a pool.
    #[arg(long, value_name = "FQDN")]
    pub(crate) pool: Option<topology::fqdn::Fqdn>,
    /// That of an edge server.
    #[arg(long, value_name = "FQDN")]
    pub(crate) server: Option<topology::fqdn::Fqdn>,
}

/// A drain.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// Whose.
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// For how many seconds at most; without it, as each server's configuration says.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) deadline: Option<u64>,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    /// Also where no edge server of the pool that carries the route would be left.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What is probed, and from where.
#[derive(Debug, clap::Args)]
pub(crate) struct Probe {
    /// The domain: a partner's, or a local one.
    pub(crate) partner: String,
    /// From there: a pool, an edge server or a gateway; without it, from the pool that carries the route.
    #[arg(long, value_name = "FQDN")]
    pub(crate) via: Option<topology::fqdn::Fqdn>,
    /// Speak as this local domain; from a gateway, as this partner.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<Domain>,
    /// Look at this address, instead of where DNS or the policy leads; nothing is proven there.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) at: Option<std::net::SocketAddr>,
    /// Begin TLS with the first byte at that address.
    #[arg(long, requires = "at")]
    pub(crate) direct_tls: bool,
    /// For how many seconds at most.
    #[arg(long, value_name = "SECONDS", default_value_t = api::probe::USUAL, value_parser = clap::value_parser!(u64).range(1..=api::probe::LONGEST))]
    pub(crate) within: u64,
}

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show entries, the oldest first.
    Show {
        /// The first one's number.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        count: u64,
    },
    /// Check that nothing was changed, taken out or put in. Note the hash of the last entry
    /// elsewhere: it proves later that the trail was not written anew.
    Verify,
}

/// What can be done with the internal CA.
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make a root and an intermediate that may never speak for a local domain.
    Init(CaFiles),
    /// Replace the intermediate: for new local domains or partners, or before it expires. The
    /// root's key must be in the folder for that moment.
    Renew(CaFiles),
}

/// The CA's folder and what it is barred from.
#[derive(Debug, clap::Args)]
pub(crate) struct CaFiles {
    /// Where the CA lies.
    pub(crate) folder: PathBuf,
    /// A local domain, which the CA must never speak for; name them all.
    #[arg(long, required = true, value_name = "DOMAIN")]
    pub(crate) local: Vec<Domain>,
    /// A partner, with all below it. With any of these, the CA speaks for nobody else.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) partner: Vec<Domain>,
}

/// What can be done with the trunk's CA.
#[derive(Debug, Subcommand)]
pub(crate) enum Trunk {
    /// Make the CA.
    Init {
        /// Where it will lie.
        folder: PathBuf,
    },
    /// Make certificate and key of a gateway or an edge server.
    Member {
        /// Where the CA lies; the files are laid beside it.
        folder: PathBuf,
        /// The member's name, as the configurations name it.
        name: String,
        /// What it is.
        #[arg(long = "as", value_name = "ROLE")]
        role: Role,
    },
}

/// What a member of the trunk is.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Role {
    /// An edge server, which accepts trunks.
    Edge,
    /// A gateway, which dials them.
    Gateway,
}
