//! `cohort.define`: joins features and reads groups and labels from the example_ids.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use arrow::array::Array;
use fuseline_artifact::{ArtifactKind, Cohort, Features};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, Ports, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

/// Says which examples are studied, in which groups, with which labels.
///
/// An example whose label text is in no class is left out; the log says how many. The rest is ordered by example_id, in
/// code-point order, and that order is the order of everything after.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefineCohort {
    /// Which examples to keep.
    #[serde(default)]
    require: Require,
    /// What belongs together and is never split, such as the recordings of one person. Each example alone when left out.
    #[serde(default)]
    group: Option<Group>,
    /// The label of each example.
    label: Label,
}

/// Which examples to keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Those that every modality has.
    #[default]
    Complete,
    /// Those that at least one modality has.
    Any,
}

/// The group of each example.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Which part of the example_id names the group.
    pattern: Pattern,
}

/// The label of each example.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Label {
    /// Which part of the example_id is the label text.
    pattern: Pattern,
    /// The classes, in order, each with its label texts.
    classes: Classes,
}

/// Class names with their label texts, in the order in which they were written.
#[derive(Debug, Serialize)]
struct Classes(Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Classes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ClassesVisitor;
        impl<'de> Visitor<'de> for ClassesVisitor {
            type Value = Classes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of class names to lists of label texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Classes, A::Error> {
                let mut classes = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    classes.push(entry);
                }
                Ok(Classes(classes))
            }
        }
        deserializer.deserialize_map(ClassesVisitor)
    }
}

impl JsonSchema for Classes {
    fn schema_name() -> Cow<'static, str> {
        "Classes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = BTreeMap::<String, Vec<String>>::json_schema(generator);
        schema.insert("minProperties".to_owned(), 2.into());
        schema
    }
}

impl StageKind for DefineCohort {
    const NAME: &'static str = "cohort.define";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Joins the modalities' examples and reads each one's group and label from its example_id.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "features",
                ArtifactKind::Features,
                Role::Neutral,
                "The features of every modality; only their example_ids count.",
            )
            .output("cohort", ArtifactKind::Cohort, "The examples, with group and label.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { require, group, label } = self;
        key.field("require", require);
        key.field("group", group);
        key.field("label", label);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        let classes = &self.label.classes.0;
        if classes.len() < 2 {
            site.report(Problem::new("label.classes", "at least two classes are needed"));
        }
        let mut owner = BTreeMap::new();
        for (class, texts) in classes {
            for text in texts {
                if let Some(other) = owner.insert(text, class) {
                    let option = format!("label.classes.{class}");
                    let message = format!("the label text {text} is in class {other} too");
                    site.report(Problem::new(option, message));
                }
            }
        }
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Vec<Labelled<Features>> = inputs.many("features")?;
        let ids = self.join(&features)?;
        outputs.put("cohort", self.define(&ids)?)
    }
}

impl DefineCohort {
    /// The example_ids to keep, in code-point order.
    fn join<'f>(&self, features: &'f [Labelled<Features>]) -> Result<Vec<&'f str>, StageError> {
        let mut modalities_with = BTreeMap::<&str, usize>::new();
        for modality in features {
            for example_id in modality.artifact.example_id.iter().flatten() {
                *modalities_with.entry(example_id).or_default() += 1;
            }
        }
        let needed = match self.require {
            Require::Complete => features.len(),
            Require::Any => 1,
        };
        let ids: Vec<&str> = modalities_with
            .iter()
            .filter(|(_, count)| **count >= needed)
            .map(|(id, _)| *id)
            .collect();
        tracing::info!(kept = ids.len(), of = modalities_with.len(), "joined examples");
        if ids.is_empty() {
            let each: Vec<_> = features
                .iter()
                .map(|modality| {
                    let place: Vec<_> = modality.point.iter().map(|(_, label)| &**label).collect();
                    let ids = &modality.artifact.example_id;
                    let first = ids.iter().flatten().next().unwrap_or("none");
                    format!("{} has {}, such as {first}", place.join(" "), ids.len())
                })
                .collect();
            return Err(StageError::data("no example is in every modality")
                .at("require")
                .hint(format!("compare the example_ids: {}", each.join("; "))));
        }
        Ok(ids)
    }

    fn define(&self, ids: &[&str]) -> Result<Cohort, StageError> {
        let class_of: BTreeMap<&str, u32> = self
            .label
            .classes
            .0
            .iter()
            .zip(0..)
            .flat_map(|((_, texts), class)| texts.iter().map(move |text| (text.as_str(), class)))
            .collect();
        let classes: Vec<String> =
            self.label.classes.0.iter().map(|(name, _)| name.clone()).collect();
        let mut cohort =
            Cohort { example_id: Vec::new(), group: Vec::new(), label: Vec::new(), classes };
        let mut unused = BTreeMap::<&str, usize>::new();
        for &id in ids {
            let text = matched(&self.label.pattern, id, "label.pattern")?;
            let Some(&class) = class_of.get(text) else {
                *unused.entry(text).or_default() += 1;
                continue;
            };
            let group = match &self.group {
                Some(group) => matched(&group.pattern, id, "group.pattern")?,
                None => id,
            };
            cohort.example_id.push(id.to_owned());
            cohort.group.push(group.to_owned());
            cohort.label.push(class);
        }
        for (text, examples) in &unused {
            tracing::info!(label = text, examples, "left out examples whose label is in no class");
        }
        for (class, name) in (0..).zip(&cohort.classes) {
            if !cohort.label.contains(&class) {
                let seen: Vec<_> = unused.keys().take(8).copied().collect();
                let mut error = StageError::data(format!("no example is of class {name}"))
                    .at(format!("label.classes.{name}"));
                if !seen.is_empty() {
                    error = error.hint(format!("label texts in no class: {}", seen.join(", ")));
                }
                return Err(error);
            }
        }
        Ok(cohort)
    }
}

fn matched<'t>(pattern: &Pattern, id: &'t str, option: &str) -> Result<&'t str, StageError> {
    pattern.first_group(id).ok_or_else(|| {
        StageError::data(format!(
            "the pattern {} does not match the example_id {id}",
            pattern.as_str()
        ))
        .at(option)
    })
}

#[cfg(test)]
mod tests;
