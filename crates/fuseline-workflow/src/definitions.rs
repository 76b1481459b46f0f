//! Definitions that are misspelt where they stand, and named rightly where they are used.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, Fix, Related};
use crate::files::Place;

/// A definition that nothing uses: `param`, `axis` or `stage`, its name, and the place of that.
pub(crate) type Lonely<'a> = (&'a str, &'a str, &'a Place);

/// Number of uses of one name from which on it is taken for right, and the definition for misspelt.
const MIN_USES: usize = 2;

/// True of what says that a param, an axis or a stage is not there.
pub(crate) fn is_unknown_name(found: &Diagnostic) -> bool {
    [codes::UNKNOWN_PARAM, codes::UNKNOWN_AXIS, codes::UNKNOWN_STAGE].contains(&found.code)
}

/// Lets the fix be one of the definition, where nothing uses that and several places use another
/// name that was likely meant for it.
pub(crate) fn blame(lonely: &[Lonely<'_>], found: &mut [Diagnostic]) {
    for (what, name, place) in lonely {
        let code = match *what {
            "param" => codes::UNKNOWN_PARAM,
            "axis" => codes::UNKNOWN_AXIS,
            _ => codes::UNKNOWN_STAGE,
        };
        let written = |found: &Diagnostic| {
            let fix = found.fix.as_ref().filter(|_| found.code == code)?;
            fix.replaced(name).map(str::to_owned)
        };
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        for name in found.iter().filter_map(written) {
            *uses.entry(name).or_default() += 1;
        }
        let Some((used, _)) = uses.into_iter().find(|(_, count)| *count >= MIN_USES) else {
            continue;
        };
        for mistake in found.iter_mut().filter(|found| written(found).as_ref() == Some(&used)) {
            let title = format!("rename the {what} `{name}` to `{used}`");
            mistake.hint = Some(format!("nothing uses the {what} `{name}`: rename it to `{used}`"));
            mistake.fix = Some(Fix::new(title, (*place).clone(), used.clone()));
            let message = format!("the {what} `{name}` is defined here");
            mistake.related.push(Related { place: (*place).clone(), message });
        }
    }
}
