//! The file, its functions, its descriptor and its parameters.

use serde_json::{Map, Value, json};

use super::{Broken, Subject, Try, broken, ensure, skipped};
use crate::batch::Batch;
use crate::conditions::Sandbox;
use crate::error::{HostError, RuleCode};
use crate::params::Params;
use crate::stop::StopSignal;
use crate::tag_file;

pub(super) const LOADS: &str =
    "it loads, and its descriptor is valid and the same in two processes";

pub(super) const CHECKS: &[Try] = &[
    (LOADS, loads),
    ("a sandbox confines it", sandbox),
    ("it exports nothing but the two symbols of the ABI", exports),
    ("another major version of the ABI is refused", |subject| subject.probe("other_major")),
    ("smaller structs of the host are respected", |subject| subject.probe("small_structs")),
    ("it can be initialised twice, and from two threads", |subject| subject.probe("init_twice")),
    ("wrong parameters are refused with their path", params),
    ("absent parameters do not break it", no_params),
];

/// Parameters that are tried with wrong values at most.
const MOST_PARAMS: usize = 100;

fn loads(subject: &Subject) -> Result<(), Broken> {
    let (one, other) = (subject.fresh()?, subject.fresh()?);
    ensure(one.descriptor() == other.descriptor(), || {
        "the descriptors of two processes differ".to_owned()
    })
}

fn sandbox(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    if rule.sandbox() == Some(Sandbox::Off) {
        return skipped("it was checked without a sandbox");
    }
    let missing = rule.missing_layers();
    match missing.is_empty() {
        true => Ok(()),
        false => skipped(format!("this system does not have {}", missing.join(" and "))),
    }
}

fn exports(subject: &Subject) -> Result<(), Broken> {
    if subject.is_script() {
        return skipped("a script exports no symbols");
    }
    let bytes = std::fs::read(&subject.file.path).or_else(|error| broken(error.to_string()))?;
    let allowed = [fuseline_abi::INIT_SYMBOL, fuseline_abi::TAG_SYMBOL];
    let others: Vec<_> = tag_file::exports(&bytes)
        .into_iter()
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect();
    ensure(others.is_empty(), || {
        format!("{} others, as {}", others.len(), others[..others.len().min(3)].join(", "))
    })
}

/// A value that a property's schema refuses, if there is one.
fn wrong_values(property: &Value) -> Vec<Value> {
    let mut values = vec![match property.get("type").and_then(Value::as_str) {
        Some("string") => json!(7),
        _ => json!("seven"),
    }];
    if let Some(least) = property.get("minimum").and_then(Value::as_f64) {
        values.push(json!((least - 1.0).floor()));
    }
    if let Some(bound) = property.get("exclusiveMinimum").and_then(Value::as_f64) {
        values.push(json!(bound));
    }
    if let Some(most) = property.get("maximum").and_then(Value::as_f64) {
        values.push(json!((most + 1.0).ceil()));
    }
    values
}

fn params(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    let given = |name: &str, value: Value| -> Map<String, Value> {
        [(name.to_owned(), value)].into_iter().collect()
    };
    let refused = |name: &str, value: Value| {
        rule.params(&given(name, value)).is_err_and(|problems| {
            problems.iter().any(|problem| {
                problem.path == name || problem.path.starts_with(&format!("{name}."))
            })
        })
    };
    let open = rule.descriptor().params.get("additionalProperties") == Some(&Value::Bool(true));
    ensure(open || refused("no_such_parameter", json!(1)), || {
        "an unknown name is taken".to_owned()
    })?;
    let none = Map::new();
    let properties =
        rule.descriptor().params.get("properties").and_then(Value::as_object).unwrap_or(&none);
    // Of very many, some from all over: each is checked against all names.
    let step = properties.len().div_ceil(MOST_PARAMS).max(1);
    let typed = properties.iter().step_by(step);
    for (name, property) in typed.filter(|(_, property)| property.get("type").is_some()) {
        for value in wrong_values(property) {
            ensure(refused(name, value.clone()), || format!("{name}: {value} is taken"))?;
        }
    }
    Ok(())
}

/// The host never passes on what its schema refuses; a plugin must still not crash on it.
fn no_params(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    subject.params(&rule)?;
    subject.must_fit()?;
    let nothing = Params::checked(Map::new());
    let batch: Batch = subject.rows(60, false, 1)?.training();
    match rule.fit(&batch, &nothing, 1, &StopSignal::new()) {
        Ok(_) => Ok(()),
        Err(HostError::Rule { error, .. }) if error.code == RuleCode::Param => {
            ensure(error.param.is_some() || subject.is_script(), || {
                "it says that a parameter is wrong, but not which".to_owned()
            })
        }
        Err(HostError::Rule { .. }) if subject.is_script() => Ok(()),
        Err(error) => broken(error.to_string()),
    }
}
