//! The codes of diagnostics, each with an explanation.

use crate::Code;

/// A module of codes: a constant for each, whose documentation is its explanation, and `all()`.
#[macro_export]
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: $crate::Code = $crate::Code($code);)+

        /// Every code of this module with its explanation, sorted by code.
        pub fn all() -> Vec<($crate::Code, &'static str)> {
            let mut all = vec![$(($name, concat!($($doc, "\n"),+).trim_ascii())),+];
            all.sort_unstable_by_key(|(code, _)| *code);
            all
        }
    };
}

/// The explanation of a code, with or without its `fuseline::`.
pub fn explain(code: &str) -> Option<&'static str> {
    let name = code.strip_prefix("fuseline::").unwrap_or(code);
    let known = all();
    let found = known.iter().find(|(code, _)| code.0.strip_prefix("fuseline::") == Some(name));
    found.map(|(_, text)| *text)
}

/// Fallback advice about an option of a kind.
pub fn options_advice(kind: &str) -> String {
    format!("`fuseline stages {kind}` says what each option takes")
}

/// Fallback advice about a mistake whose diagnostic has no hint of its own.
pub(crate) fn advice(code: Code) -> String {
    let text = match code {
        DUPLICATE_KEY | DUPLICATE_NAME | DUPLICATE_POINT => "remove one of the two, or rename it",
        YAML_SYNTAX => "mend this place first: what follows it was not read",
        LIMIT => "say it in less, or divide the workflow into several",
        WRONG_SHAPE => {
            "`fuseline schema` has the shape of every part, and `fuseline init` writes an example"
        }
        MISSING_KEY => "add it; `fuseline init` writes an example",
        BAD_NAME => "start with a letter; go on with letters, digits, `_` and `-`",
        PARAM_VALUE => "the declaration under `params:` says what it takes",
        PARAM_DECLARATION => "change the declaration under `params:` so that some value fits it",
        AXIS_VALUE => "list scalars such as `[a, b]`, or map each point to its fields",
        EXPRESSION_SYNTAX => "an expression reads like `${{ params.folds * 2 }}`",
        EXPRESSION_TYPE => {
            "`int()`, `float()` and `str()` convert, and comparisons give true or false"
        }
        EXPRESSION_VALUE => "change the expression, or the param or axis that it reads",
        EXPRESSION_PLACE => "write the text itself here",
        MISSING_OPTION | OPTION_TYPE | OPTION_VALUE => {
            "`fuseline stages KIND` says what each option takes"
        }
        NO_ACTIONS => "let `where` keep a point",
        DROPPED_POINT => "let `where` keep this point",
        PORT_ARITY => "name one output, such as `stage.port`",
        CYCLE => "read from another stage",
        OUTPUT_FILE => "give each output a file of its own",
        Code(name) => {
            let name = name.trim_start_matches("fuseline::");
            return format!("`fuseline explain {name}` says more");
        }
    };
    text.to_owned()
}

codes! {
    /// The text is not YAML. Only the first such mistake of a file is known, because nothing behind
    /// it can be read with confidence. Frequent reasons: a tab in the indentation; an unquoted
    /// expression inside `{ }` or `[ ]`; a `: ` inside an unquoted text.
    YAML_SYNTAX = "fuseline::yaml_syntax";
    /// The text is YAML, but uses a part of it that workflows do without: several documents in one
    /// file, tags, merge keys (`<<`), directives, keys that are not text. Write the thing out, or
    /// share stages and axes with `include:`.
    YAML_UNSUPPORTED = "fuseline::yaml_unsupported";
    /// One mapping gives the same key twice. Most readers of YAML silently keep one of them; here
    /// neither is guessed.
    DUPLICATE_KEY = "fuseline::duplicate_key";
    /// An unquoted scalar that YAML 1.1 and YAML 1.2 read differently: `no`, `on`, `yes`, `off`,
    /// numbers with leading zeros or underscores. Write `true` or `false`, or quote the text.
    AMBIGUOUS_SCALAR = "fuseline::ambiguous_scalar";
    /// A number that does not fit into 64 bits, or is not finite.
    NUMBER_RANGE = "fuseline::number_range";
    /// The workflow asks for more than a stated limit: actions, points of an axis, depth, values,
    /// or the work that expressions do. The message says the limit and how to raise it where that
    /// is possible.
    LIMIT = "fuseline::limit";
    /// The `fuseline:` key is missing, or names a version of the language that this program does
    /// not know.
    VERSION = "fuseline::version";
    /// A key that has no meaning in its place; often a slip of spelling or of indentation.
    UNKNOWN_KEY = "fuseline::unknown_key";
    /// A key that must be there is not.
    MISSING_KEY = "fuseline::missing_key";
    /// A value has the wrong shape: a list where a mapping is wanted, a number where a text is
    /// wanted, and so on.
    WRONG_SHAPE = "fuseline::wrong_shape";
    /// Names of params, axes, stages, ports and the workflow start with a letter and go on with
    /// letters, digits, `_` and `-`, so that they can be written in references, selections and file
    /// names.
    BAD_NAME = "fuseline::bad_name";
    /// The same name is defined twice, here and in an included file.
    DUPLICATE_NAME = "fuseline::duplicate_name";
    /// An included file cannot be read, or includes itself.
    INCLUDE = "fuseline::include";

    /// A param that must be given was not: it has no default. Give it by `--set name=value` or in a
    /// `--params` file.
    MISSING_PARAM = "fuseline::missing_param";
    /// `--set`, a `--params` file or an expression names a param that the workflow does not
    /// declare.
    UNKNOWN_PARAM = "fuseline::unknown_param";
    /// The value of a param is not of its type, not one of its choices, or outside of its range.
    PARAM_VALUE = "fuseline::param_value";
    /// The declaration of a param is inconsistent, such as a range for a text or a default that is
    /// not among the choices.
    PARAM_DECLARATION = "fuseline::param_declaration";
    /// A param that nothing uses. A warning: the workflow runs, but setting the param has no
    /// effect, which is rarely meant.
    UNUSED_PARAM = "fuseline::unused_param";

    /// The values of an axis are not a list of scalars, nor points with fields, nor lists that are
    /// zipped, nor points within those of another axis; or the lists do not fit each other.
    AXIS_VALUE = "fuseline::axis_value";
    /// An axis without points: a stage over it would have no action.
    EMPTY_AXIS = "fuseline::empty_axis";
    /// Two points of one axis have the same label, so that no selection or table could tell them
    /// apart.
    DUPLICATE_POINT = "fuseline::duplicate_point";
    /// A point of an axis lacks a field that an expression reads there. A field that only some
    /// points have may be the whole value of an option that only their stage kinds have: it is left
    /// out for the others. Also a field of one point whose name is nearly that of the others', and
    /// a nested axis whose points have other fields under each point of the other axis, read by a
    /// stage that does not run over both.
    AXIS_FIELDS = "fuseline::axis_fields";
    /// An `over:`, a selection or an expression names an axis that does not exist.
    UNKNOWN_AXIS = "fuseline::unknown_axis";
    /// A selection names a point that the axis does not have. A warning where an expression
    /// compares an axis with a text that none of its points is, `rule != "maen"`: the comparison
    /// gives the same at all points.
    UNKNOWN_POINT = "fuseline::unknown_point";
    /// An axis that no stage runs over. A warning: the workflow runs as if the axis were not there.
    UNUSED_AXIS = "fuseline::unused_axis";

    /// An expression `${{ }}` does not parse.
    EXPRESSION_SYNTAX = "fuseline::expression_syntax";
    /// An expression uses a name that is not visible there. Expressions see `params.name`, the axes
    /// that the stage runs over, and functions; nothing of the environment.
    UNKNOWN_NAME = "fuseline::unknown_name";
    /// A field that the points of an axis do not carry.
    UNKNOWN_FIELD = "fuseline::unknown_field";
    /// A function that does not exist, or is given the wrong number of arguments.
    UNKNOWN_FUNCTION = "fuseline::unknown_function";
    /// An operator or a function is given values of a type that it does not take.
    EXPRESSION_TYPE = "fuseline::expression_type";
    /// An expression has no value: a division by zero, an index out of range, a number that does
    /// not fit.
    EXPRESSION_VALUE = "fuseline::expression_value";
    /// An expression stands where none is evaluated, such as in a key, a name or a reference.
    EXPRESSION_PLACE = "fuseline::expression_place";

    /// `uses:` names a stage kind that does not exist. `fuseline stages` lists them.
    UNKNOWN_KIND = "fuseline::unknown_kind";
    /// An expression in `uses:` resolves to stage kinds with different outputs, so that nothing
    /// could read the stage. Kinds of one family share their ports.
    MIXED_KINDS = "fuseline::mixed_kinds";
    /// An option that the stage kind does not have.
    UNKNOWN_OPTION = "fuseline::unknown_option";
    /// An option that the stage kind needs is not given.
    MISSING_OPTION = "fuseline::missing_option";
    /// The value of an option has the wrong type.
    OPTION_TYPE = "fuseline::option_type";
    /// The value of an option is of the right type, but not one of those allowed.
    OPTION_VALUE = "fuseline::option_value";
    /// `where:` leaves no point at all.
    NO_ACTIONS = "fuseline::no_actions";

    /// A reference does not read `stage`, `stage.port` or `stage.port[axis=point]`.
    REFERENCE_SYNTAX = "fuseline::reference_syntax";
    /// A reference names a stage that does not exist.
    UNKNOWN_STAGE = "fuseline::unknown_stage";
    /// A reference names an output that the stage does not have, or does not say which of several
    /// is meant.
    UNKNOWN_OUTPUT = "fuseline::unknown_output";
    /// `inputs:` names a port that the stage kind does not have.
    UNKNOWN_PORT = "fuseline::unknown_port";
    /// A stage does not give an input that its kind needs.
    MISSING_INPUT = "fuseline::missing_input";
    /// An output of one artifact kind is given to a port of another.
    PORT_TYPE = "fuseline::port_type";
    /// A port that takes one artifact is given many: an axis of the producer is neither shared nor
    /// selected.
    PORT_ARITY = "fuseline::port_arity";
    /// An action needs an action of another stage that `where:` dropped there.
    DROPPED_POINT = "fuseline::dropped_point";
    /// Stages that wait for each other, or a stage that reads its own output.
    CYCLE = "fuseline::cycle";
    /// A stage from which no path leads to `outputs:`. A warning: the workflow runs, and the
    /// stage's results stay in the cache, but nothing is given out.
    UNUSED_STAGE = "fuseline::unused_stage";
    /// A file under `outputs:` is not a relative path below the folder of results, or two of them
    /// collide.
    OUTPUT_FILE = "fuseline::output_file";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_explanation_in_sentences_and_a_name_of_its_own() {
        let all = all();
        for pair in all.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} is given twice", pair[1].0);
        }
        for (code, text) in &all {
            assert!(code.0.starts_with("fuseline::"), "{code}");
            assert!(text.ends_with('.') && text.len() > 20, "{code}: {text}");
            assert_eq!(explain(code.0), Some(*text));
        }
        assert_eq!(explain("port_type"), explain("fuseline::port_type"));
        assert_eq!(explain("fuseline::port"), None);
    }
}
