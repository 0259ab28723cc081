//! The ledger on a store in memory: deeds are written down with what they do, by several controllers at once.

use store::{Memory, Transaction};

use super::*;

fn ledger(memory: &Memory, controller: &str) -> Ledger {
    Ledger::new(Arc::new(memory.clone()), controller, 1, || 1_000).expect("a name")
}

fn deed(what: &str) -> Deed {
    Deed {
        who: "anna".to_owned(),
        what: what.to_owned(),
        why: "because".to_owned(),
        before: String::new(),
        after: String::new(),
    }
}

fn secrets(text: &str) -> records::Secrets {
    records::Secrets { external: vec![text.to_owned()], internal: vec![text.to_owned()], ..records::Secrets::default() }
}

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

#[tokio::test]
async fn controllers_write_one_trail_together() {
    let memory = Memory::new();
    let tasks = ["ctl1.contoso.test", "ctl2.contoso.test", "ctl3.contoso.test"].map(|name| {
        let ledger = ledger(&memory, name);
        tokio::spawn(async move {
            for number in 0..20 {
                ledger.note(&deed(&format!("deed {number}"))).await.expect("it is written down");
            }
        })
    });
    for task in tasks {
        task.await.expect("it went well");
    }
    let verified = ledger(&memory, "ctl1.contoso.test").verify().await.expect("it can be read");
    assert_eq!((verified.entries, verified.broken), (60, None));
}

#[tokio::test]
async fn what_is_not_done_is_not_written_down() {
    let memory = Memory::new();
    let ledger = ledger(&memory, "ctl1.contoso.test");
    let once = Transaction::new().expect(key("a"), Expect::Absent).put(key("a"), "1");
    assert_eq!(ledger.change(&once, &deed("first")).await, Ok(()));
    assert_eq!(ledger.change(&once, &deed("second")).await, Err(StoreError::Conflict(key("a"))));
    let whats: Vec<String> = ledger.audit(1, 10).await.expect("two").into_iter().map(|entry| entry.what).collect();
    assert_eq!(whats, ["first"]);
}

#[tokio::test]
async fn a_trail_that_somebody_touched_is_found_out() {
    let memory = Memory::new();
    let ledger = ledger(&memory, "ctl1.contoso.test");
    for what in ["a", "b", "c"] {
        ledger.note(&deed(what)).await.expect("it is written down");
    }
    let forged = Transaction::new().delete(records::audit(2));
    memory.transact(&forged).await.expect("the store lets it");
    let verified = ledger.verify().await.expect("it can be read");
    assert_eq!(verified.broken, Some(Broken::Gap { expected: 2, found: 3 }));
}

#[tokio::test]
async fn an_installation_is_founded_once() {
    let memory = Memory::new();
    let (first, second) = (ledger(&memory, "ctl1.contoso.test"), ledger(&memory, "ctl2.contoso.test"));
    let (a, b) = (secrets("a"), secrets("b"));
    let (one, other) = tokio::join!(first.installation("one", &a, "ctl1"), second.installation("other", &b, "ctl2"));
    assert_eq!(one, other);
    assert_eq!(first.verify().await.expect("it can be read").entries, 1);
}

#[tokio::test]
async fn large_documents_are_kept_whole() {
    let memory = Memory::new();
    let ledger = ledger(&memory, "ctl1.contoso.test");
    let large = "ä1234567 ".repeat(200_000);
    let digest = put_document(&ledger, &large).await.expect("it is laid down");
    assert_eq!(put_document(&ledger, &large).await, Ok(digest), "once more is the same");
    assert_eq!(read_document(&ledger, &digest).await.expect("it is there"), large);
    memory.transact(&Transaction::new().delete(records::piece(&digest, 1))).await.expect("the store lets it");
    assert!(matches!(read_document(&ledger, &digest).await, Err(StoreError::Damaged { .. })));
    let longest = "x".repeat(DOCUMENT_BYTES + 1);
    assert!(matches!(put_document(&ledger, &longest).await, Err(StoreError::Refused { .. })));
}
