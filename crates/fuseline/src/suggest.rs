//! Suggestions for misspelt names.

/// A hint: the name that was likely meant, or all names when they are few.
pub fn hint<'a>(
    written: &str,
    what: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    match (near(written, names.iter().copied()), names.as_slice()) {
        (Some(near), _) => Some(format!("did you mean `{near}`?")),
        (None, []) => None,
        (None, [only]) => Some(format!("the only {what} is `{only}`")),
        (None, all) => Some(format!("there are: {}", all.join(", "))),
    }
}

/// The name that was likely meant.
pub(crate) fn near<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&written, &name.to_lowercase());
    let nearest = names.into_iter().map(|name| (distance(name), name)).min();
    let is_meant = |(distance, name): &(usize, &str)| {
        let length = written.chars().count().min(name.chars().count());
        *distance <= length / 3 + 1 && *distance < length
    };
    nearest.filter(is_meant).map(|(_, name)| name)
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
