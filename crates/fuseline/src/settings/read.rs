//! One file of settings: text to checked values with their places.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use fuseline_workflow::options::{self, OptionProblem};
use fuseline_workflow::{Diagnostic, Files, Place, absolute, codes as workflow_codes};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Settings;
use crate::codes;
use crate::error::{Error, Mistakes};
use crate::suggest;

/// The settings that one file gives.
pub(super) struct SettingsFile {
    /// Nested as in the file; relative paths are made absolute.
    pub values: Value,
    /// The line of each value, counted from 1, by its dotted name.
    pub lines: BTreeMap<String, usize>,
}

/// Reads and checks a file. All its mistakes are reported together.
pub(super) fn read(path: &Path, schema: &Value) -> Result<SettingsFile, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let (table, errors) = DeTable::parse_recoverable(&text);
    let mut files = Files::default();
    let file = files.add(path, text.as_str());
    let refuse =
        |diagnostics, files| Err(Error::Settings(Box::new(Mistakes { diagnostics, files })));
    if !errors.is_empty() {
        let diagnostic = |error: &toml::de::Error| {
            let place = Place::new(file, error.span().unwrap_or(0..0));
            Diagnostic::error(codes::SETTINGS_SYNTAX, &place, error.message())
                .hint(codes::advice(codes::SETTINGS_SYNTAX))
        };
        return refuse(errors.iter().map(diagnostic).collect(), files);
    }
    let mut places = Places::default();
    let mut values = places.object("", table.get_ref());
    let place = |(at_key, name): (bool, &str)| Place::new(file, places.span(at_key, name));
    let mut problems = places.unreadable.clone();
    problems.extend(options::check("fuseline.toml", schema, &values));
    problems.extend(unknown_kinds(&values));
    if problems.is_empty() {
        let folder = path.parent().unwrap_or(Path::new("."));
        options::absolute_paths(schema, &mut values, folder);
        absolute_remote(&mut values, folder);
        absolute_python(&mut values, folder);
        // Values that no schema can check: regular expressions, credentials.
        let read: Result<Settings, _> =
            serde_path_to_error::deserialize(&Value::from(values.clone()));
        problems.extend(read.err().map(|error| {
            let name = error.path().to_string();
            let message = format!("`{name}` {}", error.inner());
            problem(name, workflow_codes::OPTION_VALUE, message)
        }));
    }
    if !problems.is_empty() {
        let mut diagnostics: Vec<_> = problems
            .into_iter()
            .map(|OptionProblem { path, at_key, code, message, hint, .. }| {
                let code = match code == workflow_codes::UNKNOWN_OPTION {
                    true => codes::SETTINGS_KEY,
                    false => codes::SETTINGS_VALUE,
                };
                let message = message.replace("option `", "setting `");
                Diagnostic::error(code, &place((at_key, &path)), message)
                    .hint(hint.unwrap_or_else(|| codes::advice(code)))
            })
            .collect();
        diagnostics.sort_by_key(|diagnostic| diagnostic.place.order());
        return refuse(diagnostics, files);
    }
    let lines = places.spans.iter();
    let lines = lines.map(|(name, (_, value))| {
        (name.clone(), files.line_column(&Place::new(file, value.clone())).line)
    });
    Ok(SettingsFile { lines: lines.collect(), values: values.into() })
}

fn problem(path: String, code: fuseline_workflow::Code, message: String) -> OptionProblem {
    OptionProblem { path, at_key: false, code, message, hint: None, missing: None, fix: None }
}

/// Keys of `executor.resources` that fit no stage kind.
fn unknown_kinds(values: &Map<String, Value>) -> Vec<OptionProblem> {
    let resources = values.get("executor").and_then(|executor| executor.get("resources"));
    let Some(resources) = resources.and_then(Value::as_object).filter(|keys| !keys.is_empty())
    else {
        return Vec::new();
    };
    let kinds = fuseline_stages::kinds();
    let names: Vec<_> = kinds.catalogue().names().collect();
    let unknown = |key: &&String| match key.strip_suffix('*') {
        Some(start) => !names.iter().any(|name| name.starts_with(start)),
        None => !names.contains(&key.as_str()),
    };
    let problem = |key: &String| {
        let families = names.iter().filter_map(|name| name.split_once('.'));
        let families: BTreeSet<_> = families.map(|(family, _)| format!("{family}.*")).collect();
        let near = match key.ends_with('*') {
            true => suggest::near(key, families.iter().map(String::as_str)),
            false => kinds.catalogue().suggest(key),
        };
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a kind of `fuseline stages`, a family such as `expert.*`, or `*`".into(),
        };
        OptionProblem {
            at_key: true,
            hint: Some(hint),
            ..problem(
                format!("executor.resources.{key}"),
                workflow_codes::UNKNOWN_OPTION,
                format!("`executor.resources` has `{key}`, which fits no stage kind"),
            )
        }
    };
    resources.keys().filter(unknown).map(problem).collect()
}

/// Makes the path of a remote in a folder absolute; a URL is left as it is.
fn absolute_remote(values: &mut Map<String, Value>, folder: &Path) {
    if let Some(Value::String(remote)) =
        values.get_mut("cache").and_then(|cache| cache.get_mut("remote"))
        && !remote.contains("://")
    {
        *remote = absolute(folder, Path::new(remote)).display().to_string();
    }
}

/// Makes the path of an interpreter absolute; a bare name is left as it is.
fn absolute_python(values: &mut Map<String, Value>, folder: &Path) {
    if let Some(Value::String(python)) = values.get_mut("python")
        && (python.contains('/') || python.starts_with('.'))
    {
        *python = absolute(folder, Path::new(python.as_str())).display().to_string();
    }
}

/// The places of keys and values, by their dotted names, and settings that have no value in JSON.
#[derive(Default)]
struct Places {
    spans: BTreeMap<String, (Range<usize>, Range<usize>)>,
    unreadable: Vec<OptionProblem>,
}

impl Places {
    /// The place of a key or of its value; of what contains it, where it has none.
    fn span(&self, at_key: bool, name: &str) -> Range<usize> {
        let mut name = name;
        loop {
            match (self.spans.get(name), name.rsplit_once('.')) {
                (Some((key, value)), _) => return if at_key { key } else { value }.clone(),
                (None, Some((outer, _))) => name = outer,
                (None, None) => return 0..0,
            }
        }
    }

    fn object(&mut self, path: &str, table: &DeTable<'_>) -> Map<String, Value> {
        let entries = table.iter().map(|(key, value)| {
            let name = match path {
                "" => key.get_ref().to_string(),
                path => format!("{path}.{}", key.get_ref()),
            };
            self.spans.insert(name.clone(), (key.span(), value.span()));
            (key.get_ref().to_string(), self.value(&name, value))
        });
        entries.collect()
    }

    fn value(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(truth) => Value::from(*truth),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::from(number),
                    Err(_) => self.unreadable(name, "is too large a number"),
                }
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Value::from(number),
                _ => self.unreadable(name, "must be a finite number"),
            },
            DeValue::Datetime(_) => self.unreadable(name, "must not be a date"),
            DeValue::Array(items) => {
                let items = items.iter().enumerate().map(|(index, item)| {
                    let name = format!("{name}.{index}");
                    self.spans.insert(name.clone(), (item.span(), item.span()));
                    self.value(&name, item)
                });
                items.collect()
            }
            DeValue::Table(table) => Value::from(self.object(name, table)),
        }
    }

    fn unreadable(&mut self, name: &str, what: &str) -> Value {
        let message = format!("`{name}` {what}");
        self.unreadable.push(problem(name.to_owned(), workflow_codes::OPTION_TYPE, message));
        Value::Null
    }
}
