//! Description of a rule.

use serde_json::{Map, Value, json};

/// Description of a rule: words, parameters, limits and capabilities.
///
/// A new one has no parameters, takes up to 64 modalities and 1,000 classes, uses quality, predicts
/// each row by itself, takes missing modalities and reads no embeddings.
#[derive(Clone, Debug)]
pub struct Descriptor {
    name: &'static str,
    version: &'static str,
    licence: &'static str,
    summary: &'static str,
    params: Vec<Param>,
    modalities: usize,
    classes: usize,
    uses_quality: bool,
    row_independent: bool,
    accepts_missing: bool,
    accepts_embeddings: bool,
    fits: bool,
    loads: bool,
    regression: bool,
    accepts: Map<String, Value>,
}

impl Descriptor {
    /// Name, version (MAJOR.MINOR.PATCH), licence (SPDX) and a one-line description of the rule.
    pub fn new(
        name: &'static str,
        version: &'static str,
        licence: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            name,
            version,
            licence,
            summary,
            params: Vec::new(),
            modalities: 64,
            classes: 1000,
            uses_quality: true,
            row_independent: true,
            accepts_missing: true,
            accepts_embeddings: false,
            fits: true,
            loads: false,
            regression: false,
            accepts: Map::new(),
        }
    }

    /// With one more parameter.
    pub fn param(mut self, param: Param) -> Self {
        self.params.push(param);
        self
    }

    /// With these limits.
    pub fn limits(self, modalities: usize, classes: usize) -> Self {
        Self { modalities, classes, ..self }
    }

    /// Quality can, or cannot, change the predictions.
    pub fn uses_quality(self, uses_quality: bool) -> Self {
        Self { uses_quality, ..self }
    }

    /// A row's prediction does not, or does, depend on the rows beside it.
    pub fn row_independent(self, row_independent: bool) -> Self {
        Self { row_independent, ..self }
    }

    /// Rows may, or may not, have unavailable modalities.
    pub fn accepts_missing(self, accepts_missing: bool) -> Self {
        Self { accepts_missing, ..self }
    }

    /// Embeddings are, or are not, read when they are there.
    pub fn accepts_embeddings(self, accepts_embeddings: bool) -> Self {
        Self { accepts_embeddings, ..self }
    }

    /// [`FusionRule::fit`](crate::FusionRule::fit) serves, or does not: a rule that only loads.
    pub fn fits(self, fits: bool) -> Self {
        Self { fits, ..self }
    }

    /// Models are loaded from files: the rule exports the extension `load`.
    pub fn loads(self, loads: bool) -> Self {
        Self { loads, ..self }
    }

    /// Fits and predicts numbers too: see [`Batch::is_regression`](crate::Batch::is_regression).
    pub fn regression(self, regression: bool) -> Self {
        Self { regression, ..self }
    }

    /// True if it does.
    pub(crate) fn takes_numbers(&self) -> bool {
        self.regression
    }

    /// Takes exactly this number of modalities.
    pub fn exactly_modalities(mut self, count: usize) -> Self {
        self.accepts.insert("modalities".to_owned(), format!("exactly {count}").into());
        self
    }

    /// Takes exactly this number of classes.
    pub fn exactly_classes(mut self, count: usize) -> Self {
        self.accepts.insert("classes".to_owned(), format!("exactly {count}").into());
        self
    }

    /// The JSON that the ABI requires.
    pub(crate) fn json(&self, id: &str) -> String {
        let properties: Map<_, _> = self
            .params
            .iter()
            .map(|param| (param.name.to_owned(), Value::Object(param.schema.clone())))
            .collect();
        let mut json = json!({
            "id": id,
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "summary": self.summary,
            "params": { "type": "object", "properties": properties, "additionalProperties": false },
            "limits": { "modalities": self.modalities, "classes": self.classes },
            "capabilities": {
                "uses_quality": self.uses_quality,
                "row_independent": self.row_independent,
                "accepts_missing": self.accepts_missing,
                "accepts_embeddings": self.accepts_embeddings,
                "fits": self.fits,
                "loads": self.loads,
            },
            "accepts": self.accepts,
        });
        if self.regression {
            json["capabilities"]["regression"] = true.into();
        }
        json.to_string()
    }
}

/// A parameter, with its default.
#[derive(Clone, Debug)]
pub struct Param {
    name: &'static str,
    schema: Map<String, Value>,
}

impl Param {
    fn new(name: &'static str, kind: &str, default: Value, help: &str) -> Self {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), kind.into());
        schema.insert("description".to_owned(), help.into());
        schema.insert("default".to_owned(), default);
        Self { name, schema }
    }

    /// A number.
    pub fn number(name: &'static str, default: f64, help: &str) -> Self {
        Self::new(name, "number", default.into(), help)
    }

    /// An integer.
    pub fn integer(name: &'static str, default: i64, help: &str) -> Self {
        Self::new(name, "integer", default.into(), help)
    }

    /// A boolean.
    pub fn boolean(name: &'static str, default: bool, help: &str) -> Self {
        Self::new(name, "boolean", default.into(), help)
    }

    /// Text.
    pub fn text(name: &'static str, default: &str, help: &str) -> Self {
        Self::new(name, "string", default.into(), help)
    }

    /// A mapping, empty by default, whose entries the rule checks: see
    /// [`Params::json`](crate::Params::json).
    pub fn mapping(name: &'static str, help: &str) -> Self {
        Self::new(name, "object", Value::Object(Map::new()), help)
            .with("additionalProperties", true.into())
    }

    /// One of some words, the first of which is the default.
    pub fn choice(name: &'static str, words: &[&str], help: &str) -> Self {
        let default = words.first().copied().unwrap_or_default();
        Self::new(name, "string", default.into(), help).with("enum", words.into())
    }

    /// At least this.
    pub fn at_least(self, bound: impl Into<Value>) -> Self {
        self.with("minimum", bound.into())
    }

    /// At most this.
    pub fn at_most(self, bound: impl Into<Value>) -> Self {
        self.with("maximum", bound.into())
    }

    /// Above this.
    pub fn above(self, bound: impl Into<Value>) -> Self {
        self.with("exclusiveMinimum", bound.into())
    }

    fn with(mut self, keyword: &str, value: Value) -> Self {
        self.schema.insert(keyword.to_owned(), value);
        self
    }
}
