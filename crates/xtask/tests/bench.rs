//! `cargo xtask bench`, quickly: everything starts, everything that is sent arrives, and every way has its figures.

use std::process::Command;

/// What it prints with these words.
fn told(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("bench").args(words).output().expect("it can be run");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    told
}

/// The lines of a table with this cell, each of them with figures.
fn rows<'a>(told: &'a str, cell: &str) -> Vec<&'a str> {
    let cell = format!("| {cell} |");
    let rows: Vec<&str> = told.lines().filter(|line| line.contains(&cell)).collect();
    let faulty = |line: &&str| ["NaN", "inf"].iter().any(|bad| line.contains(bad));
    assert!(!rows.iter().any(faulty), "{told}");
    rows
}

#[test]
fn fedge_is_measured_beside_others() {
    let told = told(&["--quick"]);
    // Two paces, two numbers of links, and one table of memory; nobody's memory stands between two ends.
    for (way, count) in [("direct", 4), ("HAProxy", 5), ("fedge", 5), ("fedge with trunk", 5)] {
        assert_eq!(rows(&told, way).len(), count, "{way}:\n{told}");
    }
}

#[test]
fn streams_are_set_up_and_a_crowd_comes_back() {
    let told = told(&["setup", "--quick"]);
    let kinds = [
        "handshakes by rustls alone",
        "the same, resumed",
        "the same over sockets, not resumed",
        "streams by EXTERNAL",
        "streams by dialback",
    ];
    let crowd = [
        "100 partners come back at once",
        "the last one, which is the worst wait",
        "messages of others before",
        "messages of others meanwhile",
    ];
    // Before, and meanwhile.
    assert_eq!(rows(&told, "the same without fedge in between").len(), 2, "{told}");
    for row in kinds.iter().chain(&crowd) {
        assert_eq!(rows(&told, row).len(), 1, "{row}:\n{told}");
    }
}

#[test]
fn a_move_reaches_every_member_and_after_its_commit() {
    let told = told(&["route", "--quick"]);
    for (edges, members) in [("2", "4"), ("10", "12")] {
        let begin = format!("| {edges} | {members} |");
        let row = told.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{begin}: {told}"));
        let times: Vec<f64> = row.split('|').filter_map(|cell| cell.trim().parse().ok()).skip(2).collect();
        assert_eq!(times.len(), 4, "{told}");
        // The worst of all is none that was forgotten: longer than it takes is what the next look would need.
        assert!(times.iter().all(|time| (0.0..5000.0).contains(time)), "{told}");
    }
}

#[test]
fn what_grows_has_its_figures_for_each_size() {
    let told = told(&["growth", "--quick"]);
    let rows = ["applied by the last member", "edge server: snapshot", "gateway: start", "controller: memory"];
    for row in rows {
        let begin = format!("| {row} |");
        let line = told.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{row}: {told}"));
        let cells: Vec<f64> =
            line.split('|').skip(2).filter_map(|cell| cell.split_whitespace().next()?.parse().ok()).collect();
        assert!(cells.len() == 2 && cells.iter().all(|cell| *cell > 0.0), "{told}");
    }
    let snapshot = told.lines().find(|line| line.starts_with("| edge server: snapshot")).expect("it was there");
    let sizes: Vec<f64> = snapshot.split(['|', ' ']).filter_map(|word| word.parse().ok()).collect();
    assert!(sizes[1] > 2.0 * sizes[0], "ten times as much is larger: {told}");
}
