//! Execution settings of a stage: retries, timeout, resources, cache, isolation, sandbox, limits,
//! env.

use std::time::Duration;

use serde_json::Value;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::unknown_keys;
use crate::files::{Files, Place};
use crate::names;
use crate::quantity::{parse_bytes, parse_time, time_from_seconds};
use crate::workflow::{
    Execution, Isolation, MemoryRetry, ProcessLimits, SANDBOX_LAYERS, Sandbox, Sourced,
};
use crate::yaml::{Data, Node};

/// The two ways by the names that `isolation:` gives.
pub(crate) const ISOLATIONS: [(&str, Isolation); 2] =
    [("worker", Isolation::Worker), ("in-process", Isolation::InProcess)];

/// The sandboxes by the names that `sandbox:` gives.
pub(crate) const SANDBOXES: [(&str, Sandbox); 3] =
    [("strict", Sandbox::Strict), ("default", Sandbox::Default), ("off", Sandbox::Off)];
/// The keys of `limits:`.
pub(crate) const LIMITS: [&str; 3] = ["memory", "load", "call"];
/// The keys of `isolation:` where it is a mapping.
pub(crate) const ISOLATION_KEYS: [&str; 2] = ["mode", "require"];
/// The key of a mapping of sandboxes that means every other rule.
const EVERY_OTHER_RULE: &str = "*";

const RESOURCES: [&str; 4] = ["cpu", "memory", "time", "gpus"];
const MEMORY: [&str; 3] = ["request", "retry", "times"];
const MAX_MEMORY_RETRIES: u64 = 10;
const MAX_GPUS: u64 = 1024;
const MAX_RETRIES: u64 = 100;

/// A plain value; null for one that no kind of number or time is written as, such as `yes`, so that
/// its reader says what is wanted; `None` when it is an expression.
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
    Some(node.to_value(&mut Vec::new()).unwrap_or_default())
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
    execution.timeout = time("`timeout`", node, found).or(execution.timeout);
}

/// A time: text with a unit, or a number of seconds.
fn time(subject: &str, node: &Node, found: &mut Vec<Diagnostic>) -> Option<Duration> {
    let time = match value(node, found)? {
        Value::Number(seconds) => seconds.as_f64().and_then(time_from_seconds),
        Value::String(text) => parse_time(&text),
        _ => None,
    };
    if time.is_none() {
        found.push(node.not_a(subject, "a time such as 90s, 10min or 2h"));
    }
    time
}

pub(super) fn resources(node: &Node, execution: &mut Execution, found: &mut Vec<Diagnostic>) {
    let entries = node.mapping("`resources`", found).unwrap_or_default();
    unknown_keys(entries, "`resources`", &RESOURCES, found);
    for entry in entries {
        let node = &entry.value;
        match entry.key.as_str() {
            "cpu" => {
                let Some(value) = value(node, found) else { continue };
                match value.as_f64().filter(|cpu| *cpu > 0.0 && *cpu <= 4096.0) {
                    Some(cpu) => execution.cpu = Some(cpu),
                    None => found.push(node.not_a("`cpu`", "a number of processors")),
                }
            }
            "memory" => memory_request(node, execution, found),
            "time" => execution.time = time("`time`", node, found).or(execution.time),
            "gpus" => {
                let Some(value) = value(node, found) else { continue };
                match value.as_u64().filter(|gpus| *gpus <= MAX_GPUS) {
                    Some(gpus) => execution.gpus = Some(gpus as u32),
                    None => found.push(node.not_a("`gpus`", "a whole number of GPUs")),
                }
            }
            _ => {}
        }
    }
}

/// An amount, or one with what is asked for when it was too little.
fn memory_request(node: &Node, execution: &mut Execution, found: &mut Vec<Diagnostic>) {
    let Some(entries) = node.mapping("`memory`", &mut Vec::new()) else {
        execution.memory = amount("`memory`", node, found);
        return;
    };
    unknown_keys(entries, "`memory`", &MEMORY, found);
    let (mut request, mut factor, mut times) = (None, None, None);
    for entry in entries {
        let node = &entry.value;
        match entry.key.as_str() {
            "request" => request = amount("`request`", node, found),
            "retry" => {
                let Some(value) = value(node, found) else { continue };
                factor = value.as_str().and_then(parse_factor);
                if factor.is_none() {
                    let wanted = "a factor of more than 1 and at most 16, such as 2x or 1.5x";
                    found.push(node.not_a("`retry`", wanted));
                }
            }
            "times" => {
                let Some(value) = value(node, found) else { continue };
                times = value.as_u64().filter(|times| (1..=MAX_MEMORY_RETRIES).contains(times));
                if times.is_none() {
                    let wanted = format!("a whole number from 1 to {MAX_MEMORY_RETRIES}");
                    found.push(node.not_a("`times`", &wanted));
                }
            }
            _ => {}
        }
    }
    for needed in ["request", "retry"] {
        if entries.iter().all(|entry| entry.key != needed) {
            let message = format!("`memory` has no `{needed}`");
            let hint = "it is an amount such as 4 GB, or { request: 4 GB, retry: 2x }";
            found.push(
                Diagnostic::error(codes::WRONG_SHAPE, &node.place, message).hint(hint.to_owned()),
            );
        }
    }
    execution.memory = request;
    execution.memory_retry = factor.map(|factor| MemoryRetry {
        factor,
        times: times.map_or(MemoryRetry::DEFAULT_TIMES, |times| times as u32),
    });
}

/// An amount of memory, in bytes.
fn amount(subject: &str, node: &Node, found: &mut Vec<Diagnostic>) -> Option<u64> {
    let bytes = value(node, found)?.as_str().and_then(parse_bytes);
    if bytes.is_none() {
        found.push(node.not_a(subject, "an amount such as 512 MiB or 4 GB"));
    }
    bytes
}

/// A factor such as `2x`.
fn parse_factor(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix(['x', 'X'])?;
    let is_plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let factor: f64 = number.parse().ok().filter(|_| is_plain)?;
    (factor > 1.0 && factor <= 16.0).then_some(factor)
}

pub(super) fn cache(node: &Node, execution: &mut Execution, found: &mut Vec<Diagnostic>) {
    match value(node, found) {
        // For `yes` and `no` there is a fix.
        Some(Value::Null) if !node.is_null() => _ = node.to_value(found),
        Some(Value::Bool(cache)) => execution.cache = cache,
        Some(_) => found.push(node.not_a("`cache`", "true or false")),
        None => {}
    }
}

/// Reads `limits:`, of a stage or of the workflow.
pub(crate) fn limits(node: &Node, files: &Files, found: &mut Vec<Diagnostic>) -> ProcessLimits {
    let mut limits = ProcessLimits::default();
    if node.is_null() {
        return limits;
    }
    let entries = node.mapping("`limits`", found).unwrap_or_default();
    unknown_keys(entries, "`limits`", &LIMITS, found);
    for entry in entries {
        let (node, origin) = (&entry.value, files.origin(&entry.key_place));
        match entry.key.as_str() {
            "memory" => {
                limits.memory =
                    amount("`memory`", node, found).map(|value| Sourced { value, origin });
            }
            "load" => {
                limits.load = time("`load`", node, found).map(|value| Sourced { value, origin });
            }
            "call" => {
                limits.call = time("`call`", node, found).map(|value| Sourced { value, origin });
            }
            _ => {}
        }
    }
    limits
}

/// Reads `env:`: names of variables of the environment.
pub(crate) fn passed_variables(node: &Node, found: &mut Vec<Diagnostic>) -> Vec<String> {
    if node.is_null() {
        return Vec::new();
    }
    if let Data::Mapping(_) = &node.data {
        found.push(node.not_a("`env`", "a list of names").hint(
            "`env: [HF_HOME]` passes variables as they are; a program of `command` is given values \
             by `env` under `with`"
                .to_owned(),
        ));
        return Vec::new();
    }
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = |text: &str| {
        text.starts_with(is_start) && text.chars().all(|c| is_start(c) || c.is_ascii_digit())
    };
    let mut variables = Vec::new();
    for item in node.sequence("`env`", found).unwrap_or_default() {
        let Some(text) = item.text("a variable", found) else { continue };
        match is_name(text) {
            true => variables.push(text.to_owned()),
            false => {
                let wanted = "the name of a variable: letters, digits and _";
                found.push(item.not_a(&format!("`{}`", names::short(text)), wanted));
            }
        }
    }
    variables
}

/// Reads `isolation:`: how plugins run, and the layers without which they may not.
pub(crate) fn isolation(
    node: &Node,
    found: &mut Vec<Diagnostic>,
) -> (Option<Isolation>, Vec<(&'static str, Place)>) {
    let Data::Mapping(entries) = &node.data else {
        return (isolation_mode(node, found), Vec::new());
    };
    unknown_keys(entries, "`isolation`", &ISOLATION_KEYS, found);
    let entry = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    let mode = entry("mode").and_then(|node| isolation_mode(node, found));
    let items = entry("require").and_then(|node| node.sequence("`require`", found));
    let mut required = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(text) = item.text("a layer", found) else { continue };
        match SANDBOX_LAYERS.into_iter().find(|name| *name == text) {
            Some(name) => required.push((name, item.place.clone())),
            None => {
                let message = format!("there is no layer `{}` of a sandbox", names::short(text));
                let known = format!("the layers are {}", names::list(&SANDBOX_LAYERS));
                found.push(
                    Diagnostic::error(codes::WRONG_SHAPE, &item.place, message)
                        .hint(known)
                        .suggest(text, "layer", SANDBOX_LAYERS),
                );
            }
        }
    }
    (mode, required)
}

fn isolation_mode(node: &Node, found: &mut Vec<Diagnostic>) -> Option<Isolation> {
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

/// Reads `sandbox:` of a stage. An unquoted `off` is a word here, whatever YAML 1.1 made of it.
pub(crate) fn sandbox(node: &Node, found: &mut Vec<Diagnostic>) -> Option<Sandbox> {
    let text = node.scalar().map(|scalar| scalar.text.as_str());
    let known = SANDBOXES.iter().find(|(name, _)| Some(*name) == text);
    if known.is_none() {
        let message = match text {
            Some(text) => format!("there is no sandbox `{}`", names::short(text)),
            None => format!("`sandbox` must be a word, not {}", node.describe()),
        };
        found.push(
            Diagnostic::error(codes::WRONG_SHAPE, &node.place, message)
                .hint("it is `strict`, `default` or `off`".to_owned()),
        );
    }
    known.map(|(_, sandbox)| *sandbox)
}

/// Reads `sandbox:` of the workflow: a word for every rule, or a mapping of rules to words, in
/// which `"*"` is every other rule.
pub(crate) fn sandboxes(
    node: &Node,
    found: &mut Vec<Diagnostic>,
) -> (Option<Sandbox>, Vec<(String, Sandbox, Place)>) {
    let Data::Mapping(entries) = &node.data else { return (sandbox(node, found), Vec::new()) };
    let mut every_other = None;
    let mut single = Vec::new();
    for entry in entries {
        let Some(sandbox) = sandbox(&entry.value, found) else { continue };
        match entry.key.as_str() {
            EVERY_OTHER_RULE => every_other = Some(sandbox),
            rule => single.push((rule.to_owned(), sandbox, entry.key_place.clone())),
        }
    }
    (every_other, single)
}
