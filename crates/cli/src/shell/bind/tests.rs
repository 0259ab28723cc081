//! Which value is which parameter's, and what is said where it is nobody's.

use super::super::line::read;
use super::*;

fn ready(typed: &str) -> Result<Ready, Fault> {
    let read = read(typed).unwrap_or_else(|fault| panic!("{typed}: {fault}"));
    assert_eq!(read.len(), 1, "{typed}");
    pipeline(&read[0])
}

fn call(typed: &str) -> Call {
    ready(typed).unwrap_or_else(|fault| panic!("{typed}: {fault}")).call
}

#[test]
fn the_runbook_s_lines_mean_what_they_meant() {
    for typed in [
        "Set-CsSite Site2 -XmppExternalFederationRoute EdgeServer2.contoso.com",
        "set-cssite -xmppfederationroute EdgeServer2.contoso.com -identity Site2",
        "SET-CSSITE -XmppF:EdgeServer2.contoso.com 'Site2'",
        "Set-CsSite \u{2013}XmppExternalFederationRoute EdgeServer2.contoso.com Site2",
    ] {
        let call = call(typed);
        assert_eq!(call.one("Identity"), Some("Site2"), "{typed}");
        assert_eq!(call.one("XmppFederationRoute"), Some("EdgeServer2.contoso.com"), "{typed}");
        assert!(!call.is_on("Force"));
    }
    assert_eq!(call("Stop-CsWindowsService").all("ComputerName"), [] as [&str; 0]);
}

#[test]
fn parameters_are_known_by_their_start_and_switches_may_be_off() {
    let stop = call("Stop-CsWindowsService RtcSrv -Comp a.test,b.test -Gr -NoW:$false -WhatIf:$true -ea continue");
    assert_eq!(stop.all("ComputerName"), ["a.test", "b.test"]);
    assert_eq!(stop.one("Name"), Some("RtcSrv"));
    assert!(stop.is_on("Graceful") && !stop.is_on("NoWait") && stop.is_on("WhatIf"));
    assert_eq!(stop.one("ErrorAction"), Some("Continue"));
}

#[test]
fn what_follows_a_bar_is_a_format() {
    let ready = ready("get-cssite | FT Identity,'Pools' -auto").expect("it is good");
    let format = ready.format.expect("one");
    assert_eq!(
        (format.cmdlet.name, format.all("Property")),
        ("Format-Table", &["Identity".into(), "Pools".into()][..])
    );
}

#[test]
fn help_can_be_asked_for_in_the_midst_of_a_command() {
    let help = call("Set-CsSite -?");
    assert_eq!((help.cmdlet.name, help.one("Name")), ("Get-Help", Some("Set-CsSite")));
}

#[test]
fn what_nothing_takes_is_said_with_what_is() {
    for (typed, expected) in [
        ("fedge status", "there is no cmdlet `fedge`; there are Set-CsSite, Get-CsSite, "),
        ("Get-CsSite | where Identity", "`where` can't stand after a `|`; Format-Table, Format-List can"),
        ("Get-CsSite | ft | fl", "only one `|`"),
        ("Get-CsSite | ft Identity,Nmae", "no property `Nmae`; there are Identity, DisplayName, "),
        ("Format-Table", "stands after a `|`"),
        ("Set-CsSite Site2", "Set-CsSite needs -XmppFederationRoute fqdn: "),
        ("Set-CsSite Site2 -XmppFederationRoute", "-XmppFederationRoute takes a value"),
        ("Set-CsSite Site2 -XmppFederationRoute $null", "$null is no value of -XmppFederationRoute"),
        ("Set-CsSite Site2 -XmppFederationRoute ''", "an empty text"),
        ("Set-CsSite Site2 -XmppFederationRoute a,b", "takes one value"),
        ("Set-CsSite Site2 Site1 -XmppFederationRoute a", "has no place for `Site1`"),
        ("Set-CsSite -FederationRoute x", "has no parameter -FederationRoute; it has -Identity, "),
        ("Set-CsSite a -Identity b -XmppF c -Identity d", "-Identity is given twice"),
        ("Get-CsSite -Verbose:maybe", "-Verbose is a switch"),
        ("Get-CsSite -ErrorAction Inquire", "`Inquire` is no value of -ErrorAction; there are Stop, "),
        ("Stop-CsWindowsService -N x", "-N can mean -Name, -NoWait; write more of it"),
        ("Get-CsSite -Identity $true", "which isn't a switch"),
    ] {
        let fault = ready(typed).expect_err(typed);
        assert!(fault.what.contains(expected), "{typed}: {}", fault.what);
    }
}
