//! Each cmdlet with its parameters and examples.

use super::{Cmdlet, Of, Parameter, Takes, Verb, switch};

const fn one(name: &'static str, of: Of, what: &'static str) -> Parameter {
    Parameter { name, aliases: &[], takes: Takes::One(of), position: None, mandatory: false, what }
}

const fn many(name: &'static str, of: Of, what: &'static str) -> Parameter {
    Parameter { takes: Takes::Many(of), ..one(name, of, what) }
}

const fn first(parameter: Parameter) -> Parameter {
    Parameter { position: Some(0), ..parameter }
}

const COMPUTER: Parameter = many(
    "ComputerName",
    Of::Machines,
    "An edge server, or a pool, which means all its edge servers. Without it, this host's own, if it is an edge server of \
     the topology.",
);
const SERVICE: Parameter = first(many(
    "Name",
    Of::Services,
    "The service. An edge server has one: fedge-edge. RtcSrv, XmppProxy and RTCXMPPFED mean it, too.",
));
const REPORT: Parameter = one(
    "Report",
    Of::Files,
    "Writes what was done into this file: as HTML where it ends with .html or .htm, else as text.",
);
const NO_WAIT: Parameter = switch("NoWait", &[], "Don't wait until it is done, only until it is known that it may be.");

/// All that a line can begin with.
pub(in crate::shell) static CMDLETS: [Cmdlet; 10] = [
    Cmdlet {
        verb: Verb::SetSite,
        name: "Set-CsSite",
        aliases: &[],
        synopsis: "Moves the federation route to another pool, and with it all traffic to and from partners.",
        description: &[
            "Where the pool that carries the route works, it is a switchover; where it doesn't, a failover. Which of the two \
             comes of a plan that is made first, as `fedge route plan` makes it.",
            "A condition that doesn't hold refuses the move. Some need not hold if you say so: each is asked for, or -Force \
             accepts all of those.",
            "Where an administrator stopped the services of the pool that takes over, the route is moved, and the move is \
             finished once Start-CsWindowsService has started them.",
            "There is one route for all sites; the site that is named must be one of the topology.",
        ],
        own: &[
            Parameter { mandatory: true, ..first(one("Identity", Of::Sites, "The site, by its name.")) },
            Parameter {
                aliases: &["XmppExternalFederationRoute"],
                mandatory: true,
                ..one(
                    "XmppFederationRoute",
                    Of::Machines,
                    "The pool that is to carry the route, or one of its edge servers. EdgeServer: or pool: may stand before it.",
                )
            },
            switch("Force", &[], "Accept every condition that need not hold, and don't ask."),
            NO_WAIT,
        ],
        gives: &["Site", "XmppFederationRoute", "Epoch", "Operation", "State"],
        changes: true,
        examples: &[
            (
                "Set-CsSite Site2 -XmppExternalFederationRoute EdgeServer2.contoso.com",
                "Moves the route to the pool of that edge server.",
            ),
            (
                "Set-CsSite -Identity Site2 -XmppFederationRoute EdgeServer:pool2.contoso.com -WhatIf",
                "Shows the plan of it, and changes nothing.",
            ),
        ],
    },
    Cmdlet {
        verb: Verb::GetSite,
        name: "Get-CsSite",
        aliases: &[],
        synopsis: "Shows sites, with their pools and edge servers, and which pool carries the federation route.",
        description: &[],
        own: &[
            first(one("Identity", Of::Sites, "One site, by its name; all without it.")),
            one("Filter", Of::Text, "Sites whose names are like this: * stands for anything, ? for one letter."),
        ],
        gives: &["Identity", "DisplayName", "Pools", "EdgeServers", "Members", "XmppFederationRoute", "Epoch"],
        changes: false,
        examples: &[
            ("Get-CsSite", "Shows all sites."),
            ("Get-CsSite Site1 | Format-List Identity,XmppFederationRoute", "Shows which pool carries the route."),
        ],
    },
    Cmdlet {
        verb: Verb::StopService,
        name: "Stop-CsWindowsService",
        aliases: &[],
        synopsis: "Stops the federation services of edge servers: what is under way is finished, then they are closed.",
        description: &[
            "They stay stopped, also over a restart, until Start-CsWindowsService. Nothing else on the machine is stopped: \
             it can still be asked, checked, and started from here.",
            "Where no edge server of the pool that carries the route would be left, federation stops. That is asked for, or \
             -Force accepts it.",
        ],
        own: &[
            SERVICE,
            COMPUTER,
            switch(
                "Graceful",
                &[],
                "Give what is under way as long as it takes, up to an hour. Without it, 30 seconds.",
            ),
            NO_WAIT,
            switch("Force", &[], "Also where federation stops by it, and don't ask."),
            REPORT,
        ],
        gives: &["ComputerName", "Status", "Name", "Result"],
        changes: true,
        examples: &[
            ("Stop-CsWindowsService -ComputerName pool2.contoso.com", "Stops those of all edge servers of a pool."),
            (
                "Stop-CsWindowsService -ComputerName edge1.contoso.com -Graceful -Report stop.html",
                "Stops one, however long it takes, and writes a report.",
            ),
        ],
    },
    Cmdlet {
        verb: Verb::StartService,
        name: "Start-CsWindowsService",
        aliases: &[],
        synopsis: "Starts the federation services of edge servers: they take partners in again.",
        description: &[
            "Where a move of the route waits for it, that move is followed until it is done, unless -NoWait is given.",
        ],
        own: &[SERVICE, COMPUTER, NO_WAIT, REPORT],
        gives: &["ComputerName", "Status", "Name", "Result"],
        changes: true,
        examples: &[(
            "Start-CsWindowsService -ComputerName pool2.contoso.com",
            "Starts those of all edge servers of a pool.",
        )],
    },
    Cmdlet {
        verb: Verb::GetService,
        name: "Get-CsWindowsService",
        aliases: &[],
        synopsis: "Shows how the federation services of edge servers are.",
        description: &["Controllers ask each edge server every 5 seconds: what it shows may be as old."],
        own: &[
            SERVICE,
            Parameter {
                what: "An edge server, or a pool, which means all its edge servers. Without it, this host's own, if it is an \
                       edge server of the topology; * means all.",
                ..COMPUTER
            },
            switch("ExcludeActivityLevel", &[], "Leave out how much they have to do."),
            REPORT,
        ],
        gives: &["ComputerName", "Status", "Name", "DisplayName", "Pool", "CarriesRoute", "Since", "ActivityLevel"],
        changes: false,
        examples: &[
            ("Get-CsWindowsService -ComputerName *", "Shows those of all edge servers."),
            ("Get-CsWindowsService -Comp pool1.contoso.com | fl", "Shows all that is known of those of a pool."),
        ],
    },
    Cmdlet {
        verb: Verb::GetTopology,
        name: "Get-CsTopology",
        aliases: &[],
        synopsis: "Shows what the topology has: its version, sites, pools and members.",
        description: &["The document itself is TOML; `fedge topology show` prints it."],
        own: &[switch("AsXml", &[], "Lync's topology was XML; this one is TOML, and this says how to print it.")],
        gives: &[
            "Identity",
            "Version",
            "Sites",
            "Pools",
            "EdgeServers",
            "Gateways",
            "DnsServers",
            "Witnesses",
            "Controllers",
            "XmppFederationRoute",
            "Epoch",
        ],
        changes: false,
        examples: &[("Get-CsTopology", "Shows the current topology.")],
    },
    Cmdlet {
        verb: Verb::GetReplication,
        name: "Get-CsManagementStoreReplicationStatus",
        aliases: &[],
        synopsis: "Shows which members go by the current topology and route.",
        description: &[
            "LastStatusReport is when the member was last heard, in UTC; LastUpdateCreation when the topology that it goes by \
             was published.",
        ],
        own: &[one("ReplicaFqdn", Of::Members, "One member; all without it.")],
        gives: &[
            "UpToDate",
            "ReplicaFqdn",
            "LastStatusReport",
            "LastUpdateCreation",
            "ProductVersion",
            "TopologyVersion",
            "Epoch",
        ],
        changes: false,
        examples: &[
            ("Get-CsManagementStoreReplicationStatus | ft ReplicaFqdn,UpToDate", "Shows in a table who is up to date."),
            ("Get-CsManagementStoreReplicationStatus -ReplicaFqdn edge1.contoso.com", "Shows whether one member is."),
        ],
    },
    Cmdlet {
        verb: Verb::TestIm,
        name: "Test-CsXmppIM",
        aliases: &[],
        synopsis: "Sends a message both ways between two test accounts, and says what became of each.",
        description: &[
            "Both are accounts of yours, one inside and one at a partner, with their passwords in a file that only you may \
             read; nobody else is spoken to. It logs in as a client does, over TLS.",
            "What `fedge test im` does is the same.",
        ],
        own: &[
            Parameter {
                aliases: &["SenderSipAddress"],
                mandatory: true,
                ..first(one("From", Of::Text, "A test account; sip: may stand before it."))
            },
            Parameter {
                aliases: &["Receiver", "ReceiverSipAddress"],
                mandatory: true,
                position: Some(1),
                ..one("To", Of::Text, "Another one, in another domain.")
            },
            one(
                "Accounts",
                Of::Files,
                "The file of test accounts; without it, FEDGE_TEST_ACCOUNTS or /etc/fedge/test-accounts.toml.",
            ),
            one("Within", Of::Text, "For how many seconds messages are waited for; 30 without it."),
        ],
        gives: &["From", "To", "Result", "Latency", "Error", "Diagnosis"],
        changes: false,
        examples: &[
            ("Test-CsXmppIM test1@contoso.com test2@fabrikam.com", "Says whether messages arrive both ways."),
            (
                "Test-CsXmppIM -SenderSipAddress sip:test1@contoso.com -Receiver test2@fabrikam.com | fl",
                "The same, with the names that Lync had.",
            ),
        ],
    },
    Cmdlet {
        verb: Verb::GetHelp,
        name: "Get-Help",
        aliases: &["help", "?", "man"],
        synopsis: "Says which cmdlets there are, and what one of them does.",
        description: &["`Set-CsSite -?` says the same as `Get-Help Set-CsSite`."],
        own: &[
            first(one("Name", Of::Cmdlets, "The cmdlet; * stands for anything, ? for one letter.")),
            switch("Examples", &[], "Only the examples."),
            switch("Full", &[], "All of it: parameters and examples, too."),
            switch("Detailed", &[], "The same as -Full."),
        ],
        gives: &[],
        changes: false,
        examples: &[
            ("Get-Help", "Lists all cmdlets."),
            ("Get-Help Set-CsSite -Examples", "Shows how a cmdlet is used."),
        ],
    },
    Cmdlet {
        verb: Verb::Exit,
        name: "exit",
        aliases: &["quit"],
        synopsis: "Ends the shell.",
        description: &[],
        own: &[],
        gives: &[],
        changes: false,
        examples: &[("exit", "Ends the shell.")],
    },
];

const PROPERTY: Parameter = first(many(
    "Property",
    Of::Properties,
    "Which properties, in this order; * stands for anything, ? for one letter.",
));

/// All that can stand after a `|`.
pub(in crate::shell) static FORMATS: [Cmdlet; 2] = [
    Cmdlet {
        verb: Verb::FormatTable,
        name: "Format-Table",
        aliases: &["ft"],
        synopsis: "Shows a table.",
        description: &[],
        // Nothing is ever cut here, so that both are as one has it anyway.
        own: &[
            PROPERTY,
            switch("AutoSize", &[], "Columns as wide as what stands in them, as without it."),
            switch("Wrap", &[], "Cut nothing off, as without it."),
        ],
        gives: &[],
        changes: false,
        examples: &[("Get-CsSite | Format-Table Identity,Pools", "Shows two properties.")],
    },
    Cmdlet {
        verb: Verb::FormatList,
        name: "Format-List",
        aliases: &["fl"],
        synopsis: "Shows each property on a line of its own.",
        description: &[],
        own: &[PROPERTY],
        gives: &[],
        changes: false,
        examples: &[("Get-CsTopology | Format-List", "Shows all properties.")],
    },
];
