//! What administrators change while the daemon runs: certificates, the configuration, secrets, the internal CA.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::lab::border::{Border, BorderPlan, EXTERNAL, INTERNAL, NEXT_HOP, server_of};
use testkit::lab::played::{Caller, Conduct, PlayedServer, What, header};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};
use testkit::pki::Issued;

/// Certificates in the folder are looked at every five seconds; a machine may do much else.
const SECONDS: Duration = Duration::from_secs(20);
/// Dialback secrets, for who is told to use them.
const FIRST: &str = "the-first-secret\n";
const SECOND: &str = "the-second-secret\n";
const DIALBACK: Conduct = Conduct { external: false, ..Conduct::GOOD };

/// Runs `work` in the network of a border that is made for it.
fn at_the_border<F: Future<Output = ()>>(plan: &BorderPlan, work: impl FnOnce(Border) -> F + Send + 'static) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("secrets"), FIRST).expect("written");
    let border = Border::start(plan, folder.path()).expect("fedge-edge starts");
    let place = border.place.clone();
    place.run(move || work(border));
}

fn issue(border: &Border, domain: &str) -> Issued {
    border.issue(domain).expect("ASCII")
}

fn contoso(border: &Border) -> PlayedServer {
    PlayedServer::start(NEXT_HOP, issue(border, CONTOSO), Conduct::GOOD).expect("free")
}

async fn partner(border: &Border, domain: &str) -> Caller {
    Caller::by_certificate(EXTERNAL, domain, CONTOSO, &issue(border, domain)).await.expect("a stream")
}

/// Says something to contoso, where it arrives as the next thing.
async fn say(caller: &mut Caller, from: &str, contoso: &mut PlayedServer, id: &str) {
    caller.write(format!("<message from='bob@{from}' to='alice@{CONTOSO}' id='{id}'/>")).await.expect("open");
    let (_, stanza) = contoso.stanza().await.expect("it arrives");
    assert_eq!(stanza.id().as_deref(), Some(id));
}

/// How fedge answers whoever wants to come as this domain.
async fn refusal(domain: &str) -> Option<String> {
    let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
    caller.write(header(domain, CONTOSO)).await.expect("open");
    caller.ending().await.expect("fedge ends it").condition
}

/// The certificates that fedge shows on a face to whoever asks it for that domain.
async fn shown(at: std::net::SocketAddr, from: &str, to: &str) -> Vec<Vec<u8>> {
    let mut caller = Caller::connect(at).await.expect("fedge listens");
    caller.starttls(from, to, None).await.expect("TLS");
    caller.shown().iter().map(|certificate| certificate.to_vec()).collect()
}

#[test]
fn new_certificates_are_shown_within_seconds_and_broken_ones_never() {
    at_the_border(&BorderPlan::default(), |mut border| async move {
        let mut contoso = contoso(&border);
        let mut old = partner(&border, FABRIKAM).await;
        say(&mut old, FABRIKAM, &mut contoso, "before").await;
        let file = border.folder().join("certificates/contoso.pem");
        let first = shown(EXTERNAL, FABRIKAM, CONTOSO).await;

        let begin = border.log().expect("a log").len();
        issue(&border, CONTOSO).write(&border.folder().join("certificates"), "contoso").expect("written");
        let began = Instant::now();
        let mut second = shown(EXTERNAL, FABRIKAM, CONTOSO).await;
        while second == first {
            assert!(began.elapsed() < SECONDS, "the new certificate is not shown");
            tokio::time::sleep(Duration::from_millis(100)).await;
            second = shown(EXTERNAL, FABRIKAM, CONTOSO).await;
        }
        border.logged_since(begin, &["certificates were read again"]).expect("it says so");
        say(&mut old, FABRIKAM, &mut contoso, "by the old stream").await;

        // Cut off in the middle: the set of before stays, whole, and somebody is told.
        let begin = border.log().expect("a log").len();
        let pem = fs::read_to_string(&file).expect("it is there");
        fs::write(&file, &pem[..pem.len() / 2]).expect("written");
        let line = border.logged_since(begin, &["certificates can't be used"]).expect("it says so");
        assert!(line.contains("ERROR") && line.contains("contoso.pem"), "{line}");
        assert_eq!(shown(EXTERNAL, FABRIKAM, CONTOSO).await, second);
        say(&mut old, FABRIKAM, &mut contoso, "after").await;
        assert_eq!(contoso.streams(), 1, "no stream was closed");
        old.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn a_partner_comes_and_goes_by_sighup_and_a_broken_configuration_changes_nothing() {
    let plan = BorderPlan::default();
    at_the_border(&plan.clone(), |mut border| async move {
        let mut contoso = contoso(&border);
        let mut fabrikam = partner(&border, FABRIKAM).await;
        say(&mut fabrikam, FABRIKAM, &mut contoso, "1").await;
        assert_eq!(refusal(TAILSPIN).await.as_deref(), Some("policy-violation"));

        border.configure(&plan.clone().partner(TAILSPIN, "")).expect("written");
        assert!(border.reload().expect("it says so").contains("were read again"));
        let mut tailspin = partner(&border, TAILSPIN).await;
        say(&mut tailspin, TAILSPIN, &mut contoso, "2").await;
        say(&mut fabrikam, FABRIKAM, &mut contoso, "3").await;

        // With an unknown key, and without fabrikam.
        let broken = BorderPlan { partners: vec![], more: "[nonsense]\n".to_owned(), ..plan.clone() };
        border.configure(&broken).expect("written");
        let line = border.reload().expect("it says so");
        assert!(line.contains("ERROR") && line.contains("nonsense"), "{line}");
        say(&mut fabrikam, FABRIKAM, &mut contoso, "4").await;
        say(&mut tailspin, TAILSPIN, &mut contoso, "5").await;

        // Struck off: what it says on its open stream is refused, and it can't come again.
        border.configure(&plan).expect("written");
        assert!(border.reload().expect("it says so").contains("were read again"));
        tailspin.write(format!("<message from='bob@{TAILSPIN}' to='alice@{CONTOSO}' id='no'/>")).await.expect("open");
        tailspin.until("<policy-violation").await.expect("it is told");
        tailspin.close().await.expect("fedge answers the end");
        assert_eq!(refusal(TAILSPIN).await.as_deref(), Some("policy-violation"));
        // Were it delivered, it would come before this; and the other one never noticed.
        loop {
            fabrikam
                .write(format!("<message from='bob@{FABRIKAM}' to='alice@{CONTOSO}' id='6'/>"))
                .await
                .expect("open");
            let heard = contoso.next().await.expect("it arrives");
            match heard.what {
                // By which tailspin's stanzas went.
                What::Closed => {}
                What::Stanza(stanza) => {
                    assert_eq!(stanza.id().as_deref(), Some("6"));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        fabrikam.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}

/// Whether fedge says that contoso made this key, as fabrikam's server asks the edge that DNS leads to.
async fn made(id: &str, key: &str) -> bool {
    let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
    caller.starttls(FABRIKAM, CONTOSO, None).await.expect("TLS");
    let question = format!("<db:verify from='{FABRIKAM}' to='{CONTOSO}' id='{id}'>{key}</db:verify>");
    caller.write(question).await.expect("open");
    caller.until(&format!("<db:verify from='{CONTOSO}' to='{FABRIKAM}' id='{id}' type='")).await.expect("an answer");
    caller.until("'").await.expect("a verdict") == "valid'"
}

/// With a key that fedge has just shown to fabrikam, and the id of the stream that it is for.
fn with_a_key<F: Future<Output = ()>>(
    plan: &BorderPlan,
    work: impl FnOnce(Border, String, String) -> F + Send + 'static,
) {
    at_the_border(plan, move |border| async move {
        let mut fabrikam = PlayedServer::start(server_of(FABRIKAM), issue(&border, FABRIKAM), DIALBACK).expect("free");
        let contosos = issue(&border, CONTOSO);
        let outward = Caller::by_certificate(INTERNAL, CONTOSO, FABRIKAM, &contosos).await;
        let mut outward = outward.expect("a stream");
        outward.write(format!("<message from='alice@{CONTOSO}' to='bob@{FABRIKAM}'/>")).await.expect("open");
        let heard = fabrikam.next().await.expect("a key");
        let What::Key { id, key } = heard.what else { panic!("a key, not {heard:?}") };
        assert!(made(&id, &key).await && !made(&id, "forged").await && !made("another", &key).await);
        work(border, id, key).await;
    });
}

#[test]
fn a_secret_that_was_drawn_stays() {
    with_a_key(&BorderPlan::default(), |mut border, id, key| async move {
        assert!(border.reload().expect("it says so").contains("were read again"));
        assert!(made(&id, &key).await, "it is under way");
    });
}

#[test]
fn secrets_are_rotated_without_losing_a_key() {
    let external = "dialback_secrets = \"secrets\"".to_owned();
    with_a_key(&BorderPlan { external, ..BorderPlan::default() }, |mut border, id, key| async move {
        let secrets = border.folder().join("secrets");
        for (text, still_made) in
            [(format!("{FIRST}{SECOND}"), true), (format!("{SECOND}{FIRST}"), true), (SECOND.into(), false)]
        {
            fs::write(&secrets, &text).expect("written");
            assert!(border.reload().expect("it says so").contains("were read again"));
            assert_eq!(made(&id, &key).await, still_made, "{text}");
        }
        fs::write(&secrets, "short\n").expect("written");
        assert!(border.reload().expect("it says so").contains("stays as it was"));
    });
}

#[test]
fn a_renewed_ca_speaks_on_new_streams() {
    at_the_border(&BorderPlan::default(), |mut border| async move {
        let mut contoso = contoso(&border);
        let mut fabrikam = partner(&border, FABRIKAM).await;
        say(&mut fabrikam, FABRIKAM, &mut contoso, "before").await;
        let first = shown(INTERNAL, CONTOSO, FABRIKAM).await;
        assert!(first.len() >= 2, "a leaf and its intermediate");
        assert_eq!(shown(INTERNAL, CONTOSO, FABRIKAM).await, first, "a leaf is kept");
        let ca = border.folder().join("ca").display().to_string();
        border.programs.run("fedge", &["ca", "renew", &ca, "--local", CONTOSO]).expect("the root's key is there");
        assert!(border.reload().expect("it says so").contains("were read again"));
        let second = shown(INTERNAL, CONTOSO, FABRIKAM).await;
        assert_ne!((&second[0], &second[1]), (&first[0], &first[1]));
        say(&mut fabrikam, FABRIKAM, &mut contoso, "by the old stream").await;
        assert_eq!(contoso.streams(), 1);
        // One that can't be read changes nothing.
        fs::write(border.folder().join("ca/intermediate.crt"), "nothing").expect("written");
        assert!(border.reload().expect("it says so").contains("stays as it was"));
        assert_eq!(shown(INTERNAL, CONTOSO, FABRIKAM).await, second);
        fabrikam.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn a_hangup_as_soon_as_it_is_ready_ends_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut border = Border::start(&BorderPlan::default(), folder.path()).expect("fedge-edge starts");
    for _ in 0..20 {
        border.fedge_edge.signal(Signal::SIGHUP).expect("it runs");
    }
    border.ask(&["status"]).expect("it answers");
    border.stop().expect("fedge ends well");
}
