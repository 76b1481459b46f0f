//! Places of the texts that expressions take values from: params and axes.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, Related};
use crate::document::Definition;
use crate::expression::has_expression;
use crate::files::{Files, Place};
use crate::params::Param;

/// The text of a param's value (a default, in a params file, or after `--set`), or of an axis.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// The name in expressions: `params.folds`, `fold`.
    name: String,
    place: Place,
    is_param: bool,
}

impl Given {
    /// True if it is the value of a param, at this place.
    pub(crate) fn is_param_at(&self, place: &Place) -> bool {
        self.is_param && self.place == *place
    }
}

/// Places of the values of all params that were given one.
pub(crate) fn params(params: &[Param]) -> Vec<Given> {
    let given = |param: &Param| {
        let name = format!("params.{}", param.name);
        Some(Given { name, place: param.value_place.clone()?, is_param: true })
    };
    params.iter().filter_map(given).collect()
}

/// Places of the axes' points.
pub(crate) fn axes(definitions: &[Definition]) -> impl Iterator<Item = Given> {
    definitions.iter().map(|Definition { name, value, .. }| Given {
        name: name.clone(),
        place: value.place.clone(),
        is_param: false,
    })
}

/// Adds the places of the params' values to diagnostics of expressions.
pub(crate) fn trace(given: &[Given], files: &Files, found: &mut [Diagnostic]) {
    for diagnostic in found {
        let text = files.slice(&diagnostic.place);
        // A place of several lines is that of a whole section; where an expression may not stand,
        // no value matters.
        let of_value = diagnostic.code != codes::EXPRESSION_PLACE && !text.contains('\n');
        let within = [codes::EXPRESSION_TYPE, codes::EXPRESSION_VALUE].contains(&diagnostic.code);
        if !of_value || !(within || has_expression(text)) {
            continue;
        }
        for Given { name, place, .. } in sources(given, text).filter(|given| given.is_param) {
            if diagnostic.related.iter().all(|related| related.place != *place) {
                let said = format!("`{name}` has its value from here");
                diagnostic.related.push(Related { place: place.clone(), message: said });
            }
        }
    }
}

/// Keeps the first diagnostic of each param whose value is of the wrong type for an option: that is
/// one mistake, wherever else the param is read.
pub(crate) fn keep_first_of_params(given: &[Given], found: &mut Vec<Diagnostic>) {
    let param = |diagnostic: &Diagnostic| match diagnostic.related.as_slice() {
        [Related { place, .. }] if given.iter().any(|given| given.is_param_at(place)) => {
            Some(place.order())
        }
        _ => None,
    };
    let mut wrong = BTreeMap::new();
    let of_options = found.iter().filter(|diagnostic| diagnostic.code == codes::OPTION_TYPE);
    for (param, diagnostic) in of_options.filter_map(|found| Some((param(found)?, found))) {
        wrong.entry(param).or_insert_with(|| diagnostic.place.order());
    }
    let of_type = [codes::OPTION_TYPE, codes::EXPRESSION_TYPE];
    found.retain(|diagnostic| {
        let first = param(diagnostic).and_then(|param| wrong.get(&param));
        !of_type.contains(&diagnostic.code)
            || first.is_none_or(|first| *first == diagnostic.place.order())
    });
}

/// Place of a word that an expression gives, where one text that it mentions holds the word once.
pub(crate) fn word_place(
    given: &[Given],
    files: &Files,
    expression: &str,
    word: &str,
) -> Option<Place> {
    sources(given, expression).find_map(|Given { place, .. }| {
        // A param may list the points of an axis.
        let mut params = sources(given, files.slice(place)).filter(|given| given.is_param);
        only_word(place, files, word)
            .or_else(|| params.find_map(|given| only_word(&given.place, files, word)))
    })
}

/// Place of a word within another place, if it stands there exactly once and the text is a file's.
fn only_word(place: &Place, files: &Files, word: &str) -> Option<Place> {
    let text = files.slice(place);
    let mut words = text.match_indices(word).map(|(start, _)| start).filter(|start| {
        !text[..*start].ends_with(is_of_word) && !text[start + word.len()..].starts_with(is_of_word)
    });
    let (start, None) = (words.next()?, words.next()) else { return None };
    let start = place.span.start + start;
    let is_file = files.path(place.file).as_os_str() != SET;
    is_file.then(|| Place::new(place.file, start..start + word.len()))
}

/// The path that names the text of an argument.
pub(crate) const SET: &str = "--set";

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-')
}

/// The texts that an expression mentions.
fn sources<'g>(given: &'g [Given], text: &str) -> impl Iterator<Item = &'g Given> {
    given.iter().filter(move |given| mentions(text, &given.name))
}

fn mentions(text: &str, name: &str) -> bool {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.match_indices(name).any(|(start, _)| {
        let (before, behind) = (&text[..start], &text[start + name.len()..]);
        !before.ends_with(|letter| letter == '.' || in_name(letter)) && !behind.starts_with(in_name)
    })
}
