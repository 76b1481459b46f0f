//! Suggestions for misspelt names.

/// A hint: the name that was likely meant, or all names when they are few.
pub fn hint<'a>(
    written: &str,
    what: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    let near = names
        .iter()
        .map(|name| {
            (strsim::damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase()), name)
        })
        .min()
        .filter(|(distance, name)| {
            let length = written.chars().count().min(name.chars().count());
            *distance <= length / 3 + 1 && *distance < length
        });
    match (near, names.as_slice()) {
        (Some((_, near)), _) => Some(format!("did you mean `{near}`?")),
        (None, []) => None,
        (None, [only]) => Some(format!("the only {what} is `{only}`")),
        (None, all) => Some(format!("there are: {}", all.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_suggested_and_a_stranger_gets_the_list() {
        let stages = ["features", "cohort", "findings"];
        assert_eq!(hint("finding", "stage", stages).as_deref(), Some("did you mean `findings`?"));
        assert_eq!(
            hint("x", "stage", stages).as_deref(),
            Some("there are: features, cohort, findings")
        );
        assert_eq!(hint("zzz", "port", ["main"]).as_deref(), Some("the only port is `main`"));
        assert_eq!(hint("9", "point", ["0", "1"]).as_deref(), Some("there are: 0, 1"));
        assert_eq!(hint("zzz", "port", []), None);
    }
}
