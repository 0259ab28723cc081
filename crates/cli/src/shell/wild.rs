//! Names with `*` and `?` in them.

/// Whether a name is like this: `*` stands for any letters, `?` for one, and capitals don't matter.
pub(super) fn is_like(name: &str, pattern: &str) -> bool {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let (mut at, mut of) = (0, 0);
    // Where the last `*` stands, and up to where it has taken letters.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(of) {
            Some('*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[at] => {
                (at, of) = (at + 1, of + 1);
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, of) = (taken + 1, place + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|letter| *letter == '*')
}

/// Whether it stands for names instead of being one.
pub(super) fn is_wild(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_compared() {
        for (name, pattern, like) in [
            ("Site1", "site1", true),
            ("Site1", "*", true),
            ("", "*", true),
            ("", "", true),
            ("Site1", "S*1", true),
            ("Site1", "S?te?", true),
            ("Site1", "s*t*e*", true),
            ("Site1", "*t", false),
            ("Site1", "Site1?", false),
            ("Site1", "", false),
            ("aaab", "*ab", true),
            ("abab", "*b?", false),
            ("Site1", "Site1*", true),
        ] {
            assert_eq!(super::is_like(name, pattern), like, "{name} {pattern}");
        }
    }
}
