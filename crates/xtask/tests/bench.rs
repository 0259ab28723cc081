//! `cargo xtask bench`, quickly: everything starts, everything that is sent arrives, and every way has its figures.

use std::process::Command;

#[test]
fn fedge_is_measured_beside_others() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["bench", "--quick"]).output().expect("it can be run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    // Two paces, two numbers of links, and one table of memory; nobody's memory stands between two ends.
    for (way, rows) in [("direct", 4), ("HAProxy", 5), ("fedge", 5), ("fedge with trunk", 5)] {
        let cell = format!("| {way} |");
        let of_way: Vec<&str> = told.lines().filter(|line| line.contains(&cell)).collect();
        assert_eq!(of_way.len(), rows, "{way}:\n{told}");
        let faulty = |line: &&str| ["NaN", "inf"].iter().any(|bad| line.contains(bad));
        assert!(!of_way.iter().any(faulty), "{told}");
    }
}
