//! Ids and groups that may be one, written in two ways.

use std::collections::BTreeMap;

use fuseline_artifact::Severity;

use super::Study;
use super::collector::{Collector, fault};
use super::data::Check;
use crate::join::find_look_alikes;

/// Letters of a word from which a slip of one letter is no chance.
const LEAST_LETTERS: usize = 4;
/// Texts that have a word before another is taken for a slip of it.
const LEAST_TEXTS: usize = 5;
/// A slip is this many times rarer than the word.
const RARER: usize = 5;

/// Looks at the example_ids, and at the groups where they are not the ids.
pub(super) fn check(study: &Study, found: &mut Collector) {
    let ids: Vec<&str> = study.cohort.example_id.iter().collect();
    look_at("example_id", &ids, Severity::Warning, found);
    let mut groups: Vec<&str> = study.cohort.group.iter().collect();
    groups.sort_unstable();
    groups.dedup();
    if groups != ids {
        // Two names of one person are a person on both sides of a split.
        look_at("group", &groups, Severity::Error, found);
    }
}

fn look_at(what: &str, texts: &[&str], severity: Severity, found: &mut Collector) {
    found.examined(Check::SimilarIds, what);
    let mut add = |one: &str, other: &str, difference: String| {
        let message = format!(
            "{what}s {one:?} and {other:?} differ by {difference} alone and may be one{}",
            if what == "group" { ", which a split may part" } else { "" }
        );
        let mut fault = fault(Check::SimilarIds, severity, what, "difference", message);
        fault.column = Some(difference);
        if what == "example_id" {
            fault.first_example_id = Some(one.to_owned());
            fault.second_example_id = Some(other.to_owned());
        }
        found.add(fault);
    };
    for alike in find_look_alikes(texts.iter().copied()) {
        add(alike.one, alike.other, alike.difference);
    }
    for slip in find_slips(texts) {
        let difference = format!("one letter ({} for {})", slip.rare, slip.usual);
        add(slip.usual_text, slip.text, difference);
    }
}

/// A word that is a frequent one but for one letter.
struct Slip<'t> {
    text: &'t str,
    rare: String,
    usual: String,
    /// A text with the frequent word in the same place.
    usual_text: &'t str,
}

/// Texts with a word, by what surrounds it: digits are all one.
type Places<'t> = BTreeMap<String, Vec<&'t str>>;

/// Finds rare words that are one letter away from a frequent one which stands in the same place
/// of other texts.
///
/// Words with the same letters left out once are compared alone, so that the work grows with the
/// number of words.
fn find_slips<'t>(texts: &[&'t str]) -> Vec<Slip<'t>> {
    let mut words = BTreeMap::<String, Places<'t>>::new();
    for text in texts {
        for (start, end) in words_of(text) {
            let word = text[start..end].to_lowercase();
            let around =
                format!("{}*{}", without_numbers(&text[..start]), without_numbers(&text[end..]));
            words.entry(word).or_default().entry(around).or_default().push(text);
        }
    }
    let mut alike = BTreeMap::<String, Vec<&str>>::new();
    for word in words.keys() {
        for shorter in std::iter::once(word.clone()).chain(without_one_letter(word)) {
            alike.entry(shorter).or_default().push(word);
        }
    }
    let mut slips = BTreeMap::new();
    for candidates in alike.into_values() {
        for rare in &candidates {
            for usual in candidates.iter().filter(|usual| **usual != *rare) {
                if usual.chars().count() < LEAST_LETTERS || !is_one_slip(rare, usual) {
                    continue;
                }
                for (around, rare_texts) in &words[*rare] {
                    let Some(usual_texts) = words[*usual].get(around) else { continue };
                    let is_slip = usual_texts.len() >= LEAST_TEXTS
                        && usual_texts.len() >= RARER * rare_texts.len();
                    for text in rare_texts.iter().filter(|_| is_slip) {
                        slips.insert((*text, *usual), ((*rare).to_owned(), usual_texts[0]));
                    }
                }
            }
        }
    }
    let slip = |((text, usual), (rare, usual_text)): ((&'t str, &str), (String, &'t str))| Slip {
        text,
        rare,
        usual: usual.to_owned(),
        usual_text,
    };
    slips.into_iter().map(slip).collect()
}

/// Beginnings and ends of the words of a text, and of what may be one without a letter.
fn words_of(text: &str) -> Vec<(usize, usize)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
        match (letter.is_alphabetic(), start) {
            (true, None) => start = Some(at),
            (false, Some(begins)) => {
                if text[begins..at].chars().count() + 1 >= LEAST_LETTERS {
                    words.push((begins, at));
                }
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// A text in which every number is one sign.
fn without_numbers(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    for letter in text.chars() {
        if !letter.is_ascii_digit() {
            short.push(letter);
        } else if !short.ends_with('#') {
            short.push('#');
        }
    }
    short
}

fn without_one_letter(word: &str) -> impl Iterator<Item = String> + '_ {
    word.char_indices()
        .map(|(at, letter)| format!("{}{}", &word[..at], &word[at + letter.len_utf8()..]))
}

/// True if one letter more, less, other, or two letters exchanged make one word of the other.
fn is_one_slip(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (long, short) = if one.len() >= other.len() { (&one, &other) } else { (&other, &one) };
    let same = long.iter().zip(short).take_while(|(a, b)| a == b).count();
    let (long, short) = (&long[same..], &short[same..]);
    match long.len() - short.len() {
        0 if short.is_empty() => false,
        0 => {
            long[1..] == short[1..]
                || long.len() > 1
                    && (long[0], long[1]) == (short[1], short[0])
                    && long[2..] == short[2..]
        }
        1 => long[1..] == *short,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_a_letter_is_found_and_numbering_is_not() {
        let mut texts: Vec<String> = (0..30).map(|row| format!("s{row:02}_Counting1")).collect();
        texts.push("s31_Conting1".to_owned());
        texts.push("s32_Coutning1".to_owned());
        texts.push("s33_Reading".to_owned());
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found: Vec<_> = find_slips(&texts).iter().map(|slip| slip.text).collect();
        assert_eq!(found, ["s31_Conting1", "s32_Coutning1"]);
        let letters: Vec<String> =
            (0..26).map(|row| format!("{}1", char::from(b'a' + row))).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert!(find_slips(&letters).is_empty(), "one letter is a name");
    }

    #[test]
    fn one_slip_is_one_letter_or_two_exchanged() {
        for (one, other) in [("math", "maths"), ("math", "mth"), ("math", "mats"), ("math", "maht")]
        {
            assert!(is_one_slip(one, other) && is_one_slip(other, one), "{one} {other}");
        }
        for (one, other) in [("math", "math"), ("math", "mathss"), ("math", "hatm")] {
            assert!(!is_one_slip(one, other), "{one} {other}");
        }
    }
}
