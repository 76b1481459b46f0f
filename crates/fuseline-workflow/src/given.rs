//! Places of the params' values, for diagnostics about expressions that mention them.

use crate::codes;
use crate::diagnostic::{Diagnostic, Related};
use crate::expression::has_expression;
use crate::files::{Files, Place};
use crate::params::Param;

/// A param's value as it was written: a default, in a params file, or after `--set`.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    name: String,
    place: Place,
}

/// Places of the values of all params that were given one.
pub(crate) fn params(params: &[Param]) -> Vec<Given> {
    let given =
        |param: &Param| Some(Given { name: param.name.clone(), place: param.value_place.clone()? });
    params.iter().filter_map(given).collect()
}

/// Adds the places of the params' values to diagnostics of expressions.
pub(crate) fn trace(given: &[Given], files: &Files, found: &mut [Diagnostic]) {
    for diagnostic in found {
        let text = files.slice(&diagnostic.place);
        // A place of several lines is that of a whole section; where an expression may not stand,
        // no value matters.
        let of_value = diagnostic.code != codes::EXPRESSION_PLACE && !text.contains('\n');
        if !of_value || !has_expression(text) {
            continue;
        }
        for Given { name, place } in given.iter().filter(|given| mentions(text, &given.name)) {
            if diagnostic.related.iter().all(|related| related.place != *place) {
                let said = format!("`params.{name}` has its value from here");
                diagnostic.related.push(Related { place: place.clone(), message: said });
            }
        }
    }
}

fn mentions(text: &str, name: &str) -> bool {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split("params.")
        .skip(1)
        .any(|rest| rest.strip_prefix(name).is_some_and(|behind| !behind.starts_with(in_name)))
}
