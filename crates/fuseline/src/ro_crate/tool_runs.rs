//! Executions of stages in a crate, as the profile Provenance Run Crate 0.5 has them.
//!
//! A stage is a step of the workflow and the tool behind it, an action an execution of the tool.
//! **Size is bounded:** of a run of more than [`MAX_DESCRIBED`] actions each stage has its failed
//! ones and then its first ones described, as many as an even share allows, and says so; the
//! manifest beside has them all. An execution refers to at most [`MAX_REFERENCES`] artifacts on each
//! side.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::{EVENTS_FILE, Manifest, ManifestAction, find_job, read_discovered};
use fuseline_workflow::{IndexVec, StageIndex};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FUSELINE, escaped, instant, reference, status};
use crate::portable;
use crate::run_graph::{GraphStage, RunGraph};

/// Executions that are described one by one.
const MAX_DESCRIBED: usize = 2_000;
/// Artifacts that an execution refers to as read, or as made.
const MAX_REFERENCES: usize = 200;
/// Letters of an option's value.
const MAX_VALUE: usize = 300;

/// Entities of the executions, and what others refer to.
pub struct ToolRuns {
    /// Tools, steps, parameters, executions and artifacts.
    pub entities: Vec<Value>,
    /// Tools of the workflow.
    pub tools: Vec<Value>,
    /// Steps of the workflow.
    pub steps: Vec<Value>,
    /// Executions of steps.
    pub controls: Vec<Value>,
    /// Executions of tools.
    pub actions: Vec<Value>,
}

/// Parts of the crate that executions refer to.
pub struct Context<'a> {
    pub cache: &'a Cache,
    pub run: &'a Manifest,
    pub graph: &'a RunGraph,
    /// Agent of every execution, where one is named.
    pub agent: Option<&'a Value>,
    /// Files of the crate by the digest of the artifact that they were written from.
    pub delivered: &'a BTreeMap<Digest, Vec<String>>,
    /// Entities of files that were read, by the digest of their content.
    pub files_read: &'a BTreeMap<Digest, Value>,
}

/// Describes the executions of a run.
pub fn tool_runs(context: &Context<'_>) -> ToolRuns {
    let mut runs = Builder {
        context,
        times: times(context.cache, context.run),
        artifacts: BTreeMap::new(),
        options: BTreeMap::new(),
        parameters: BTreeMap::new(),
        out: ToolRuns {
            entities: Vec::new(),
            tools: Vec::new(),
            steps: Vec::new(),
            controls: Vec::new(),
            actions: Vec::new(),
        },
    };
    let described = described(context.run);
    for (number, stage) in context.run.stages.iter_enumerated() {
        let graph = context.graph.stages.iter().find(|known| known.name == stage.name);
        runs.stage(number, graph, &described);
    }
    runs.finish()
}

/// The actions that are described: for each stage its failed ones, then its first ones.
fn described(run: &Manifest) -> BTreeSet<usize> {
    let mut by_stage: IndexVec<StageIndex, Vec<usize>> = vec![Vec::new(); run.stages.len()].into();
    let is_told = |action: &ManifestAction| action.state != "skipped";
    for (number, action) in run.actions.iter().enumerate().filter(|(_, of)| is_told(of)) {
        by_stage[action.stage].push(number);
    }
    let share = |limit: usize| by_stage.iter().map(|of| of.len().min(limit)).sum::<usize>();
    let (mut limit, mut above) = (0, MAX_DESCRIBED + 1);
    while above - limit > 1 {
        let middle = limit.midpoint(above);
        if share(middle) <= MAX_DESCRIBED { limit = middle } else { above = middle }
    }
    for actions in &mut *by_stage {
        actions.sort_by_key(|&number| (run.actions[number].state != "failed", number));
        actions.truncate(limit);
    }
    by_stage.into_iter().flatten().collect()
}

/// Beginning and end of actions in milliseconds since the run began, from its event log.
fn times(cache: &Cache, run: &Manifest) -> BTreeMap<String, (Option<u64>, Option<u64>)> {
    #[derive(Deserialize)]
    struct Line {
        milliseconds: u64,
        event: String,
        #[serde(default)]
        action: Option<String>,
    }
    let mut times: BTreeMap<String, (Option<u64>, Option<u64>)> = BTreeMap::new();
    let log = cache.runs_folder().join(&run.run).join(EVENTS_FILE);
    let Ok(log) = fuseline_cache::open_regular(&log) else { return times };
    for line in std::io::BufReader::new(log).lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Line>(&line) else { continue };
        let Some(action) = line.action else { continue };
        match line.event.as_str() {
            // The last attempt counts.
            "started" => times.entry(action).or_default().0 = Some(line.milliseconds),
            "finished" | "failed" => times.entry(action).or_default().1 = Some(line.milliseconds),
            _ => {}
        }
    }
    times
}

struct Builder<'a> {
    context: &'a Context<'a>,
    times: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// Entities of artifacts.
    artifacts: BTreeMap<Digest, Value>,
    /// Entities of options' values by stage, option and value.
    options: BTreeMap<(String, String, String), Value>,
    /// Formal parameters of tools by their ids.
    parameters: BTreeMap<String, Value>,
    out: ToolRuns,
}

impl Builder<'_> {
    fn stage(
        &mut self,
        number: StageIndex,
        graph: Option<&GraphStage>,
        described: &BTreeSet<usize>,
    ) {
        let (run, agent) = (self.context.run, self.context.agent);
        let name = &run.stages[number].name;
        let of_stage = || run.actions.iter().enumerate().filter(|(_, of)| of.stage == number);
        let counts = [("done", "executed"), ("cached", "reused"), ("failed", "failed")]
            .map(|(state, word)| (of_stage().filter(|(_, of)| of.state == state).count(), word));
        let total: usize = counts.iter().map(|(count, _)| count).sum();
        // An action that was not executed is no execution.
        if total == 0 {
            return;
        }
        let kinds = graph.map_or_else(String::new, |graph| graph.kinds.join(", "));
        let (tool, step) = (tool_id(name), format!("#step-{}", escaped(name)));
        let connections = graph.map_or_else(Vec::new, |graph| self.connections(name, graph));
        let mut created = Vec::new();
        for (index, action) in of_stage().filter(|(index, _)| described.contains(index)) {
            created.push(self.action(index, action, name));
        }
        let part = match total.saturating_sub(created.len()) {
            0 => String::new(),
            _ => format!("; {} of them are described here, manifest.json has all", created.len()),
        };
        let counted: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let failed = counts[2].0 > 0;
        let mut control = json!({
            "@id": format!("#control-{}", escaped(name)),
            "@type": "ControlAction",
            "name": format!("Execution of stage {name}"),
            "description": format!("{}{part}", counted.join(", ")),
            "instrument": { "@id": step },
            "object": created.iter().map(reference).collect::<Vec<_>>(),
            "actionStatus": status(!failed),
        });
        if let Some(agent) = agent {
            control["agent"] = reference(agent);
        }
        let prefix = format!("{tool}/");
        let parameters = |out: bool| {
            let of_tool = self.parameters.iter().filter(|(id, _)| id.starts_with(&prefix));
            let of_side = of_tool.filter(|(id, _)| id[prefix.len()..].starts_with("out-") == out);
            of_side.map(|(_, entity)| reference(entity)).collect::<Vec<_>>()
        };
        let tool = json!({
            "@id": tool,
            "@type": "SoftwareApplication",
            "name": if kinds.is_empty() { name.clone() } else { kinds },
            "description": format!("The stage kind behind stage {name}"),
            "softwareVersion": run.fuseline_version,
            "input": parameters(false),
            "output": parameters(true),
        });
        let mut step = json!({
            "@id": step,
            "@type": "HowToStep",
            "name": name,
            "position": number.0.to_string(),
            "workExample": reference(&tool),
        });
        if !connections.is_empty() {
            step["connection"] = connections.iter().map(reference).collect();
        }
        self.out.actions.extend(created.iter().map(reference));
        self.out.tools.push(reference(&tool));
        self.out.steps.push(reference(&step));
        self.out.controls.push(reference(&control));
        self.out.entities.extend([tool, step, control]);
        self.out.entities.extend(created);
        self.out.entities.extend(connections);
    }

    /// Inputs of a stage: outputs of others, and parameters of the workflow.
    fn connections(&mut self, name: &str, graph: &GraphStage) -> Vec<Value> {
        let tool = tool_id(name);
        let mut connections = Vec::new();
        let mut connect = |from: String, to: String| {
            connections.push(json!({
                "@id": format!("#flow-{}-{}", escaped(name), connections.len()),
                "@type": "ParameterConnection",
                "sourceParameter": { "@id": from },
                "targetParameter": { "@id": to },
            }));
        };
        for edge in &graph.reads {
            let from = &self.context.graph.stages[edge.stage].name;
            // Runs of before ports were noted have none.
            if edge.output.is_empty() || edge.input.is_empty() {
                continue;
            }
            let source = format!("{}/out-{}", tool_id(from), escaped(&edge.output));
            let target = format!("{tool}/in-{}", escaped(&edge.input));
            connect(source.clone(), target.clone());
            self.parameter(source, &edge.output, "File");
            self.parameter(target, &edge.input, "File");
        }
        for (param, option) in &graph.params {
            if self.context.run.params.contains_key(param) {
                let target = format!("{tool}/with-{}", escaped(option));
                connect(format!("#param-{}", escaped(param)), target.clone());
                self.parameter(target, option, "Text");
            }
        }
        connections
    }

    fn parameter(&mut self, id: String, name: &str, kind: &str) {
        let entity = || {
            json!({
                "@id": id,
                "@type": "FormalParameter",
                "name": name,
                "additionalType": kind,
            })
        };
        self.parameters.entry(id.clone()).or_insert_with(entity);
    }

    /// An execution of a tool.
    fn action(&mut self, index: usize, action: &ManifestAction, stage: &str) -> Value {
        let run = self.context.run;
        let id = format!("#action-{index}");
        let outputs = &run.stages[action.stage].outputs;
        let mut results = Vec::new();
        for ((port, kind), digest) in outputs.iter().zip(&action.outputs).take(MAX_REFERENCES) {
            let parameter = format!("{}/out-{}", tool_id(stage), escaped(port));
            self.parameter(parameter.clone(), port, "File");
            results.push(self.artifact(*digest, kind, Some(&action.action), &parameter));
            let files = self.context.delivered.get(digest).into_iter().flatten();
            results.extend(files.map(|file| json!({ "@id": file })));
        }
        let mut objects = Vec::new();
        let mut more = String::new();
        let job = action.key.and_then(|key| find_job(self.context.cache, &key).ok().flatten());
        if let Some(job) = &job {
            for input in job.inputs().iter().take(MAX_REFERENCES) {
                let parameter = format!("{}/in-{}", tool_id(stage), escaped(&input.port));
                self.parameter(parameter.clone(), &input.port, "File");
                objects.push(self.artifact(input.digest, input.kind.name(), None, &parameter));
            }
            if let Some(left) = job.inputs().len().checked_sub(MAX_REFERENCES + 1) {
                more = format!("; {} more inputs are not listed", left + 1);
            }
            let fields = job.fields().iter();
            for (field, value) in fields.filter_map(|(f, v)| Some((f.strip_prefix("with.")?, v))) {
                objects.push(self.option(stage, field, value));
            }
        }
        let named = job.iter().flat_map(|job| &job.files).map(|(_, digest)| *digest);
        let files: BTreeSet<Digest> = named.chain(self.discovered(action)).collect();
        let files = files.iter().filter_map(|digest| self.context.files_read.get(digest));
        objects.extend(files.take(MAX_REFERENCES).map(reference));
        objects.dedup();
        let how = match action.state.as_str() {
            "cached" => "Reused: executed by an earlier run, with the same key".to_owned(),
            _ => action
                .reason
                .as_deref()
                .map_or_else(|| "Executed".to_owned(), |reason| format!("Executed: {reason}")),
        };
        let key = action.key.map(|key| format!("; key {key}")).unwrap_or_default();
        let mut entity = json!({
            "@id": id,
            "@type": "CreateAction",
            "name": action.action,
            "description": format!("{how}{key}{more}"),
            "instrument": { "@id": tool_id(stage) },
            "object": objects,
            "result": results,
            "actionStatus": status(action.state != "failed"),
        });
        if let Some(error) = &action.error {
            entity["error"] = error.clone().into();
        }
        if let Some(agent) = self.context.agent {
            entity["agent"] = reference(agent);
        }
        if action.state != "cached"
            && let Some((start, end)) = self.times.get(&action.action)
        {
            let stamp = |milliseconds: &u64| instant(run.started_at, *milliseconds);
            if let Some(start) = start {
                entity["startTime"] = stamp(start).into();
            }
            if let Some(end) = end {
                entity["endTime"] = stamp(end).into();
            }
        }
        if let Some(seconds) = action.cpu_seconds {
            let usage = usage(&format!("{id}-cpu"), "cpu-time", seconds, "SEC");
            entity["resourceUsage"] = json!([reference(&usage)]);
            self.out.entities.push(usage);
        }
        entity
    }

    /// Digests of the files that an action was found to have read.
    fn discovered(&self, action: &ManifestAction) -> Vec<Digest> {
        let cache = self.context.cache;
        let record = action.key.and_then(|key| cache.peek_action(&key).ok().flatten());
        let files = record.and_then(|record| read_discovered(cache, &record).ok());
        files.into_iter().flatten().map(|file| file.digest).collect()
    }

    /// An artifact, by its content. `made_by`: the action that gave it, where that is known.
    fn artifact(
        &mut self,
        digest: Digest,
        kind: &str,
        made_by: Option<&str>,
        parameter: &str,
    ) -> Value {
        let entity = self.artifacts.entry(digest).or_insert_with(|| {
            json!({
                "@id": format!("#blake3-{digest}"),
                "@type": "CreativeWork",
                "name": format!("{kind} {}", digest.short()),
                "description": "An artifact in the cache of the run",
                "identifier": format!("blake3:{digest}"),
                "exampleOfWork": [],
            })
        });
        if let Some(action) = made_by {
            entity["name"] = format!("{kind} of {action}").into();
        }
        if let Value::Array(parameters) = &mut entity["exampleOfWork"] {
            let parameter = json!({ "@id": parameter });
            if !parameters.contains(&parameter) {
                parameters.push(parameter);
            }
        }
        reference(entity)
    }

    /// The value of an option of a stage.
    fn option(&mut self, stage: &str, option: &str, value: &str) -> Value {
        let parameter = format!("{}/with-{}", tool_id(stage), escaped(option));
        self.parameter(parameter.clone(), option, "Text");
        let place = (stage.to_owned(), option.to_owned(), value.to_owned());
        let number = self.options.len();
        let entity = self.options.entry(place).or_insert_with(|| {
            json!({
                "@id": format!("#option-{number}"),
                "@type": "PropertyValue",
                "name": option,
                "value": portable::text(value).chars().take(MAX_VALUE).collect::<String>(),
                "exampleOfWork": { "@id": parameter },
            })
        });
        reference(entity)
    }

    fn finish(self) -> ToolRuns {
        let mut out = self.out;
        out.entities.extend(self.parameters.into_values());
        out.entities.extend(self.artifacts.into_values());
        out.entities.extend(self.options.into_values());
        out
    }
}

/// A quantity that an execution used. `unit`: of QUDT.
pub fn usage(id: &str, quantity: &str, value: impl Into<Value>, unit: &str) -> Value {
    let value: Value = value.into();
    json!({
        "@id": id,
        "@type": "PropertyValue",
        "name": quantity,
        "propertyID": format!("urn:fuseline:{quantity}"),
        "unitCode": format!("https://qudt.org/vocab/unit/{unit}"),
        "value": value.to_string(),
    })
}

fn tool_id(stage: &str) -> String {
    format!("#tool-{}", escaped(stage))
}

/// Execution of the engine, which orchestrated all.
pub fn engine_run(run: &Manifest, runs: &ToolRuns, agent: Option<&Value>, ended: &str) -> Value {
    let mut entity = json!({
        "@id": "#engine-run",
        "@type": "OrganizeAction",
        "name": format!("Run of fuseline {}", run.fuseline_version),
        "instrument": { "@id": FUSELINE },
        "object": runs.controls,
        "result": { "@id": "#run" },
        "startTime": instant(run.started_at, 0),
        "endTime": ended,
        "actionStatus": status(run.status == "ok"),
    });
    let conditions = run.environment.lines();
    if !conditions.is_empty() {
        let words = format!("Rules and programs ran under: {}", conditions.join("; "));
        entity["description"] = words.into();
    }
    if let Some(agent) = agent {
        entity["agent"] = reference(agent);
    }
    entity
}

#[cfg(test)]
mod tests {
    use fuseline_engine::ManifestStage;

    use super::*;

    #[test]
    fn of_a_large_run_every_stage_has_its_failures_and_a_share_described() {
        let action = |stage: usize, number: usize, state: &str| json!({ "stage": stage, "action": format!("s{stage}[n={number}]"), "state": state });
        let mut actions: Vec<Value> = (0..9_000).map(|n| action(0, n, "done")).collect();
        actions[8_999]["state"] = "failed".into();
        actions.extend((0..5).map(|n| action(1, n, "cached")));
        actions.push(action(1, 5, "skipped"));
        let stages = ["s0", "s1"].map(|name| ManifestStage { name: name.into(), outputs: vec![] });
        let run = Manifest {
            actions: serde_json::from_value(actions.into()).unwrap(),
            stages: stages.into_iter().collect(),
            ..crate::ro_crate::tests::manifest()
        };
        let described = described(&run);
        assert!(described.len() <= MAX_DESCRIBED);
        assert!(described.len() > MAX_DESCRIBED - 10, "{}", described.len());
        assert!(described.contains(&8_999), "what failed comes first");
        assert!((9_000..9_005).all(|number| described.contains(&number)), "small stages are whole");
        assert!(!described.contains(&9_005), "what was not tried is no execution");
    }
}
