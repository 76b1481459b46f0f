//! Codes of diagnostics, with their explanations.

use fuseline_workflow::Code;

mod of_settings {
    fuseline_workflow::codes! {
        /// A file of settings, `fuseline.toml`, is not TOML: a quote or a bracket is not closed, a
        /// key comes twice, or a value has no quotes. What follows such a place is not read.
        SETTINGS_SYNTAX = "fuseline::settings_syntax";
        /// There is no setting of this name, or not in this table. `fuseline config` lists all
        /// settings, and `fuseline schema --settings` prints the schema by which an editor
        /// completes them.
        SETTINGS_KEY = "fuseline::settings_key";
        /// The value of a setting is of another type than it must be, or out of its bounds.
        /// `fuseline config` lists all settings with their values, and `docs/settings.md` says what
        /// each means.
        SETTINGS_VALUE = "fuseline::settings_value";
    }
}

pub(crate) use of_settings::{SETTINGS_KEY, SETTINGS_SYNTAX, SETTINGS_VALUE};

/// Advice on a mistake in settings whose diagnostic has no advice of its own.
pub(crate) fn advice(code: Code) -> String {
    let text = match code {
        SETTINGS_SYNTAX => "mend this place first: what follows it was not read",
        SETTINGS_KEY => "`fuseline config` lists all settings",
        _ => "`fuseline schema --settings` has the shape of every setting",
    };
    text.to_owned()
}

/// Every code with its explanation, sorted.
pub fn all() -> Vec<(Code, &'static str)> {
    let mut all = fuseline_workflow::codes::all();
    all.extend(fuseline_engine::codes::all());
    all.extend(of_settings::all());
    all.sort_unstable_by_key(|(code, _)| *code);
    all
}
