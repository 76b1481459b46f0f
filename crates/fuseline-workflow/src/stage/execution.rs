//! How a stage is executed: retries, timeout, resources, cache, isolation.

use std::time::Duration;

use serde_json::Value;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::unknown_keys;
use crate::names;
use crate::workflow::{Execution, Isolation};
use crate::yaml::Node;

/// The two ways by the names that `isolation:` gives.
pub(crate) const ISOLATIONS: [(&str, Isolation); 2] =
    [("worker", Isolation::Worker), ("in-process", Isolation::InProcess)];

const RESOURCES: [&str; 2] = ["cpu", "memory"];
const MAX_RETRIES: u64 = 100;
const MAX_SECONDS: f64 = 3.2e7;

/// A plain value; `None` when it has a mistake.
fn value(node: &Node, found: &mut Vec<Diagnostic>) -> Option<Value> {
    let expression = node.scalar().is_some_and(|s| crate::expression::has_expression(&s.text));
    if expression {
        let message = "an expression has no meaning here";
        found.push(
            Diagnostic::error(codes::EXPRESSION_PLACE, &node.place, message)
                .hint("how a stage is executed is no part of the experiment".to_owned()),
        );
        return None;
    }
    node.to_value(found)
}

pub(super) fn retries(node: &Node, execution: &mut Execution, found: &mut Vec<Diagnostic>) {
    let Some(value) = value(node, found) else { return };
    match value.as_u64().filter(|retries| *retries <= MAX_RETRIES) {
        Some(retries) => execution.retries = retries as u32,
        None => {
            let wanted = format!("a whole number from 0 to {MAX_RETRIES}");
            found.push(node.not_a("`retries`", &wanted));
        }
    }
}

pub(super) fn timeout(node: &Node, execution: &mut Execution, found: &mut Vec<Diagnostic>) {
    let Some(value) = value(node, found) else { return };
    let seconds = match &value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => quantity(
            text,
            &[("ms", 0.001), ("s", 1.0), ("min", 60.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)],
        ),
        _ => None,
    };
    match seconds.filter(|seconds| *seconds > 0.0 && *seconds <= MAX_SECONDS) {
        Some(seconds) => execution.timeout = Some(Duration::from_secs_f64(seconds)),
        None => {
            let wanted = "a time such as 90s, 10min or 2h";
            found.push(node.not_a("`timeout`", wanted));
        }
    }
}

pub(super) fn resources(node: &Node, execution: &mut Execution, found: &mut Vec<Diagnostic>) {
    let entries = node.mapping("`resources`", found).unwrap_or_default();
    unknown_keys(entries, "`resources`", &RESOURCES, found);
    for entry in entries {
        match entry.key.as_str() {
            "cpu" => {
                let Some(value) = value(&entry.value, found) else { continue };
                match value.as_f64().filter(|cpu| *cpu > 0.0 && *cpu <= 4096.0) {
                    Some(cpu) => execution.cpu = Some(cpu),
                    None => found.push(entry.value.not_a("`cpu`", "a number of processors")),
                }
            }
            "memory" => {
                let Some(value) = value(&entry.value, found) else { continue };
                let bytes = match &value {
                    Value::String(text) => quantity(
                        text,
                        &[
                            ("kib", 1024.0),
                            ("mib", 1_048_576.0),
                            ("gib", 1_073_741_824.0),
                            ("tib", 1_099_511_627_776.0),
                            ("kb", 1e3),
                            ("mb", 1e6),
                            ("gb", 1e9),
                            ("tb", 1e12),
                            ("b", 1.0),
                        ],
                    ),
                    _ => None,
                };
                match bytes.filter(|bytes| *bytes >= 1.0 && *bytes <= 1e18) {
                    Some(bytes) => execution.memory = Some(bytes as u64),
                    None => {
                        let wanted = "an amount such as 512 MiB or 4 GB";
                        found.push(entry.value.not_a("`memory`", wanted));
                    }
                }
            }
            _ => {}
        }
    }
}

pub(super) fn cache(node: &Node, execution: &mut Execution, found: &mut Vec<Diagnostic>) {
    match value(node, found) {
        Some(Value::Bool(cache)) => execution.cache = cache,
        Some(_) => found.push(node.not_a("`cache`", "true or false")),
        None => {}
    }
}

pub(crate) fn isolation(node: &Node, found: &mut Vec<Diagnostic>) -> Option<Isolation> {
    let text = node.text("`isolation`", found)?;
    let known = ISOLATIONS.iter().find(|(name, _)| *name == text);
    if known.is_none() {
        let message = format!("there is no isolation `{}`", names::short(text));
        found.push(
            Diagnostic::error(codes::WRONG_SHAPE, &node.place, message)
                .hint("it is `worker` or `in-process`".to_owned()),
        );
    }
    known.map(|(_, isolation)| *isolation)
}

/// A number with a unit, with or without a space between them.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_need_a_known_unit() {
        let units = [("s", 1.0), ("min", 60.0)];
        assert_eq!(quantity("90s", &units), Some(90.0));
        assert_eq!(quantity(" 1.5 min ", &units), Some(90.0));
        assert_eq!(quantity("90", &units), None);
        assert_eq!(quantity("s", &units), None);
        assert_eq!(quantity("1.2.3s", &units), None);
    }
}
