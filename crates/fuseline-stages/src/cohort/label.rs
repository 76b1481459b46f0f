//! Reading of labels: from the example_id or a column, as texts or as numbers that are cut.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use fuseline_engine::StageError;
use fuseline_engine::kind::Problem;
use fuseline_stats::quantile;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::define::matched;
use super::side::Side;
use crate::load::notation::{Sentinel, sentinel};
use crate::pattern::{Column, Pattern};

/// The label of each example: a text that is in a class, or a number that is cut into classes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    /// Which part of the example_id, or of the column's text, is the label text.
    #[serde(default)]
    pub pattern: Option<Pattern>,
    /// The column of the table that holds the label.
    #[serde(default)]
    pub column: Option<Column>,
    /// The classes, in order, each with its label texts. A number is in a class however it is
    /// written (1 and 1.0), and so is a truth value (true, True and TRUE). When this is left out,
    /// each label text of the column is a class of its own, in numeric order where all are numbers
    /// and in code-point order otherwise.
    #[serde(default)]
    classes: Option<Classes>,
    /// The classes in their order, from the lowest: label texts, each a class, as in [low, mid,
    /// high]. `diagnose.metrics` then measures how far decisions lie from the label, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2))]
    pub ordinal: Option<Vec<String>>,
    /// Cuts the number in the column at given values.
    #[serde(default)]
    threshold: Option<Cut>,
    /// Cuts the number in the column at quantiles of the whole cohort: [0.5] is a median split. The
    /// classes are a part of what is studied, not something that is fitted, and so they are defined
    /// before any split into folds.
    #[serde(default)]
    quantile: Option<Cut>,
    /// True if the number in the column is what is to be predicted, as it is: the cohort then has no
    /// classes, and the gap is one of an error or a correlation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub regression: bool,
}

/// Thresholds that cut numbers into classes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cut {
    /// Thresholds, ascending.
    #[schemars(length(min = 1))]
    at: Vec<f64>,
    /// Names of the classes, from the lowest values to the highest: one more than there are cuts.
    classes: Vec<String>,
    /// To which side a value goes that equals a cut.
    #[serde(default)]
    ties: Ties,
}

/// To which side a value goes that equals a cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Ties {
    /// To the class above.
    #[default]
    Above,
    /// To the class below.
    Below,
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

/// The class of each example.
pub(super) struct Labelling {
    pub classes: Vec<String>,
    pub label: Vec<Option<u32>>,
    /// Label texts that are in no class, with how often each was met.
    pub left_out: BTreeMap<String, usize>,
    /// Notations of missing labels that were met, each with its count.
    pub missing: BTreeMap<String, usize>,
    /// A number that seems to mark a missing label.
    pub sentinel: Option<Sentinel>,
    /// Hint for an empty class: the label texts or numbers that there are.
    pub seen: String,
    /// Caution for classes that are numbers and may be meant as such.
    pub of_numbers: Option<String>,
}

/// The number of each example.
pub(super) struct Values {
    pub numbers: Vec<Option<f64>>,
    /// Notations of missing labels that were met, each with its count.
    pub missing: BTreeMap<String, usize>,
    /// A number that seems to mark a missing label.
    pub sentinel: Option<Sentinel>,
}

const CUTS: &str = "threshold and quantile cut numbers: for texts write classes: { NAME: [TEXT] }";
const NUMBERS: &str = "regression predicts numbers: for texts write classes: { NAME: [TEXT] }";
/// More classes than this that are fractions are no classes.
const MOST_FRACTIONS: usize = 10;
/// More classes than this that are whole numbers, with fewer examples each than
/// [`LEAST_EXAMPLES`], are no classes.
const MOST_CODES: usize = 20;
const LEAST_EXAMPLES: usize = 10;

/// The classes as numbers, if all are: their number, and whether one is a fraction.
fn numbers_among(classes: &[(String, Vec<String>)]) -> Option<(usize, bool)> {
    let numbers: Option<Vec<f64>> =
        classes.iter().map(|(name, _)| plain_number(name)?.parse().ok()).collect();
    let numbers = numbers?;
    Some((numbers.len(), numbers.iter().any(|number| number.fract() != 0.0)))
}

/// An error for a column of numbers that would become a class each.
fn refuse_numbers(classes: &[(String, Vec<String>)], examples: usize) -> Result<(), StageError> {
    let Some((count, fractions)) = numbers_among(classes) else { return Ok(()) };
    let few_each = count > MOST_CODES && examples < LEAST_EXAMPLES * count;
    if !(fractions && count > MOST_FRACTIONS || few_each) {
        return Ok(());
    }
    let [first, second] = [0, 1].map(|at| classes.get(at).map_or("", |(name, _)| name.as_str()));
    Err(StageError::data(format!(
        "the label column holds {count} different numbers ({first}, {second}, ...) for {examples} \
         examples, and each would be a class of its own"
    ))
    .at("label.column")
    .hint(
        "regression: true predicts the number itself; threshold or quantile cut it into classes; \
         classes: { NAME: [...] } says which numbers are codes of which class",
    ))
}

/// A caution for numbers that are few enough to be classes and may be meant as numbers.
fn few_numbers(classes: &[(String, Vec<String>)]) -> Option<String> {
    let (count, fractions) = numbers_among(classes)?;
    (fractions && count > 2 || count > MOST_CODES).then(|| {
        format!(
            "the label is a number with {count} values, each of which is a class of its own: \
             label: {{ regression: true }} predicts the number itself"
        )
    })
}

impl Label {
    /// True if each text is a class of its own.
    pub fn takes_every_text(&self) -> bool {
        self.classes.is_none()
            && self.ordinal.is_none()
            && self.threshold.is_none()
            && self.quantile.is_none()
    }

    /// Problems with the options, whatever the data.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.pattern.is_none() && self.column.is_none() {
            problems
                .push(Problem::new("label", "neither pattern nor column says what the label is"));
        }
        let ways = [
            self.classes.is_some() || self.ordinal.is_some(),
            self.threshold.is_some(),
            self.quantile.is_some(),
        ];
        let both = self.classes.is_some() && self.ordinal.is_some();
        if both || ways.iter().filter(|way| **way).count() > 1 {
            let message = "classes, ordinal, threshold and quantile exclude each other";
            problems.push(Problem::new("label", message));
        }
        if self.regression {
            if ways.contains(&true) {
                let message = "regression predicts the number itself, and classes, ordinal, \
                               threshold and quantile make classes of it";
                problems.push(Problem::new("label.regression", message).hint("write one of them"));
            }
            if self.pattern.is_some() || self.column.is_none() {
                let message = "only a column without a pattern holds numbers";
                problems.push(
                    Problem::new("label.regression", message)
                        .hint("label: { column: score, regression: true }"),
                );
            }
            return problems;
        }
        if self.column.is_none() && !ways[0] {
            problems
                .push(Problem::new("label", "classes are needed: which label text is in which"));
        }
        for (option, cut) in [("threshold", &self.threshold), ("quantile", &self.quantile)] {
            let Some(cut) = cut else { continue };
            let option = |field: &str| format!("label.{option}.{field}");
            if self.pattern.is_some() || self.column.is_none() {
                problems
                    .push(Problem::new(option("at"), "only a column without a pattern can be cut"));
            }
            if cut.classes.len() != cut.at.len() + 1 {
                let wanted = cut.at.len() + 1;
                let (cuts, named) = (cut.at.len(), cut.classes.len());
                let message = format!("{cuts} cuts make {wanted} classes, and {named} are named");
                let hint =
                    "name one class more than there are cuts, from the lowest to the highest";
                problems.push(Problem::new(option("classes"), message).hint(hint));
            }
            if cut.classes.iter().collect::<BTreeSet<_>>().len() != cut.classes.len() {
                problems.push(Problem::new(option("classes"), "two classes have one name"));
            }
            if cut.at.windows(2).any(|pair| pair[0] >= pair[1]) {
                let mut sorted = cut.at.clone();
                sorted.sort_by(f64::total_cmp);
                sorted.dedup();
                let hint = format!("write {sorted:?}, and the classes in the same order");
                problems.push(Problem::new(option("at"), "the cuts must ascend").hint(hint));
            }
        }
        if let Some(cut) = &self.quantile
            && cut.at.iter().any(|share| !(*share > 0.0 && *share < 1.0))
        {
            let problem = Problem::new("label.quantile.at", "a quantile lies between 0 and 1");
            problems.push(problem.hint("0.5 is the median; threshold cuts at values"));
        }
        let ordinal = self.ordinal.as_deref().unwrap_or_default();
        if self.ordinal.is_some() && ordinal.len() < 2 {
            problems.push(Problem::new("label.ordinal", "at least two classes are needed"));
        }
        if ordinal.iter().collect::<BTreeSet<_>>().len() != ordinal.len() {
            problems.push(Problem::new("label.ordinal", "a class is named twice"));
        }
        let classes = self.classes.as_ref().map(|classes| classes.0.as_slice()).unwrap_or_default();
        if self.classes.is_some() && classes.len() < 2 {
            problems.push(Problem::new("label.classes", "at least two classes are needed"));
        }
        let mut owner = BTreeMap::new();
        for (class, texts) in classes {
            for text in texts {
                if let Some(other) = owner.insert(text, class) {
                    let option = format!("label.classes.{class}");
                    let message = format!("the label text {text} is in class {other} too");
                    let problem = Problem::new(option, message);
                    problems.push(problem.hint("a label text stands in one class only"));
                }
            }
        }
        problems
    }

    /// The option that names a class.
    pub fn option_of_class(&self, class: &str) -> String {
        match (&self.threshold, &self.quantile) {
            (Some(_), _) => "label.threshold.at".to_owned(),
            (_, Some(_)) => "label.quantile.at".to_owned(),
            _ if self.ordinal.is_some() => "label.ordinal".to_owned(),
            _ => format!("label.classes.{class}"),
        }
    }

    /// The label texts that are in a class, where the workflow lists them.
    pub fn class_texts(&self) -> impl Iterator<Item = &str> {
        self.classes
            .iter()
            .flat_map(|classes| &classes.0)
            .flat_map(|(_, texts)| texts)
            .chain(self.ordinal.iter().flatten())
            .map(String::as_str)
    }

    /// The number of each example, none where it is missing, with what was met. Errors where a text
    /// is no number, or a number not finite.
    pub fn values(&self, ids: &[&str], side: Option<&Side>) -> Result<Values, StageError> {
        let numbers = self.numbers(ids, side, NUMBERS)?;
        let (mut missing, mut sentinel_of) = (BTreeMap::new(), None);
        if let (Some(column), Some(side)) = (&self.column, side) {
            for (id, number) in ids.iter().zip(&numbers) {
                match number {
                    Some(number) if !number.is_finite() => {
                        return Err(StageError::data(format!(
                            "the label of {id} is {number} in {}, and a finite number is expected",
                            side.table.file
                        ))
                        .at("label.column")
                        .hint(
                            "table: { missing: [...] } says what stands for a missing label, of \
                             examples that are then left out",
                        ));
                    }
                    Some(_) => {}
                    None => {
                        let text = side.text(id, column, "label.column")?.unwrap_or_default();
                        *missing.entry(text.into_owned()).or_default() += 1;
                    }
                }
            }
            sentinel_of = sentinel(numbers.iter().flatten().copied());
        }
        Ok(Values { numbers, missing, sentinel: sentinel_of })
    }

    /// Labels the examples.
    pub fn assign(&self, ids: &[&str], side: Option<&Side>) -> Result<Labelling, StageError> {
        let mut labelling = self.label(ids, side)?;
        if let (Some(column), Some(side)) = (&self.column, side) {
            let unlabelled = ids.iter().zip(&labelling.label).filter(|(_, label)| label.is_none());
            for (id, _) in unlabelled {
                let text = side.text(id, column, "label.column")?.unwrap_or_default();
                if side.is_missing(&text) {
                    *labelling.missing.entry(text.into_owned()).or_default() += 1;
                }
            }
            if self.classes.is_none() && self.ordinal.is_none() && self.pattern.is_none() {
                let numbers = ids.iter().filter_map(|id| {
                    let text = side.text(id, column, "label.column").ok()??;
                    side.table.notation.number(&text).filter(|number| !number.is_nan())
                });
                labelling.sentinel = sentinel(numbers);
            }
        }
        Ok(labelling)
    }

    fn label(&self, ids: &[&str], side: Option<&Side>) -> Result<Labelling, StageError> {
        match (&self.threshold, &self.quantile) {
            (Some(cut), _) => {
                let values = self.numbers(ids, side, CUTS)?;
                Ok(labelling(cut, &cut.at, &values))
            }
            (_, Some(cut)) => {
                let values = self.numbers(ids, side, CUTS)?;
                let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
                sorted.sort_by(f64::total_cmp);
                let at: Vec<f64> = cut
                    .at
                    .iter()
                    .filter_map(|&share| quantile::of_sorted(&sorted, share))
                    .collect();
                tracing::info!(?at, examples = sorted.len(), "cut labels at quantiles");
                let wrong = if at.iter().any(|at| !at.is_finite()) {
                    Some("are not finite")
                } else if at.len() < cut.at.len() || at.windows(2).any(|pair| pair[0] >= pair[1]) {
                    Some("do not differ")
                } else {
                    None
                };
                if let Some(wrong) = wrong {
                    return Err(StageError::data(format!(
                        "the quantiles {:?} of the {} labels {wrong}: {at:?}",
                        cut.at,
                        sorted.len()
                    ))
                    .at("label.quantile.at"));
                }
                Ok(labelling(cut, &at, &values))
            }
            _ => self.by_text(ids, side),
        }
    }

    /// The number of each example; `hint` is what to do where one has a text.
    fn numbers(
        &self,
        ids: &[&str],
        side: Option<&Side>,
        hint: &str,
    ) -> Result<Vec<Option<f64>>, StageError> {
        let (Some(column), Some(side)) = (&self.column, side) else { return Ok(Vec::new()) };
        ids.iter().map(|id| side.number(id, column, "label.column", hint)).collect()
    }

    fn by_text(&self, ids: &[&str], side: Option<&Side>) -> Result<Labelling, StageError> {
        let texts = self.texts(ids, side)?;
        let is_missing = |text: &str| side.is_some_and(|side| side.is_missing(text));
        let stated: Option<Vec<(String, Vec<String>)>> = match (&self.classes, &self.ordinal) {
            (Some(classes), _) => Some(classes.0.clone()),
            (None, Some(ordinal)) => {
                Some(ordinal.iter().map(|name| (name.clone(), vec![name.clone()])).collect())
            }
            (None, None) => None,
        };
        let is_stated = stated.is_some();
        let classes = match stated {
            Some(classes) => classes,
            None => {
                let labels = texts.iter().flatten().filter(|text| !is_missing(text));
                let classes = classes_of(labels.clone().map(AsRef::as_ref).collect());
                refuse_numbers(&classes, labels.clone().count())?;
                if classes.len() < 2 {
                    let message = match classes.first() {
                        Some((only, _)) => {
                            let count = labels.count();
                            format!("all {count} examples with a label have the label {only}")
                        }
                        None => format!("none of the {} examples has a label", texts.len()),
                    };
                    return Err(StageError::data(message).at("label").hint(
                        "two classes are needed: take another column, or cut numbers with \
                         threshold or quantile",
                    ));
                }
                classes
            }
        };
        let class_of = ClassOf::new(&classes);
        let seen = seen_texts(&texts, &class_of);
        let mut left_out = BTreeMap::new();
        let label = texts
            .into_iter()
            .map(|text| {
                let text = text?;
                let class = class_of.find(&text);
                if class.is_none() && !is_missing(&text) {
                    *left_out.entry(text.into_owned()).or_default() += 1;
                }
                class
            })
            .collect();
        let of_numbers = match is_stated {
            false => few_numbers(&classes),
            true => None,
        };
        let classes = classes.into_iter().map(|(name, _)| name).collect();
        let missing = BTreeMap::new();
        Ok(Labelling { classes, label, left_out, missing, sentinel: None, seen, of_numbers })
    }

    /// The label text of each example that has one. What a pattern is to match is there and does
    /// not read as missing; without one, text that reads as missing may yet be in a class.
    fn texts<'t>(
        &self,
        ids: &[&'t str],
        side: Option<&'t Side>,
    ) -> Result<Vec<Option<Cow<'t, str>>>, StageError> {
        let text = |&id| match (&self.column, side) {
            (Some(column), Some(side)) => {
                let text = side.text(id, column, "label.column")?;
                Ok(text.filter(|text| self.pattern.is_none() || !side.is_missing(text)))
            }
            _ => Ok(Some(Cow::Borrowed(id))),
        };
        let texts = ids.iter().map(text).collect::<Result<Vec<_>, StageError>>()?;
        let Some(pattern) = &self.pattern else { return Ok(texts) };
        let there: Vec<bool> = texts.iter().map(Option::is_some).collect();
        let texts = texts.into_iter().flatten().collect();
        let mut found = matched(pattern, texts, self.column.as_ref(), "label.pattern")?.into_iter();
        Ok(there.into_iter().map(|there| if there { found.next() } else { None }).collect())
    }
}

/// A class for each label text: for each number, in their order, where all are numbers; in
/// code-point order otherwise.
fn classes_of(texts: BTreeSet<&str>) -> Vec<(String, Vec<String>)> {
    let numbers: Option<Vec<_>> = texts
        .iter()
        .map(|text| plain_number(text).map(|name| (name.parse().unwrap_or(f64::NAN), name, *text)))
        .collect();
    let Some(mut numbers) = numbers else {
        return texts.into_iter().map(|text| (text.to_owned(), vec![text.to_owned()])).collect();
    };
    numbers.sort_by(|(a, _, _): &(f64, _, _), (b, _, _)| a.total_cmp(b));
    let mut classes = Vec::<(String, Vec<String>)>::new();
    for (_, name, text) in numbers {
        match classes.last_mut().filter(|(last, _)| *last == name) {
            Some((_, texts)) => texts.push(text.to_owned()),
            None => classes.push((name, vec![text.to_owned()])),
        }
    }
    classes
}

/// A number as it is written shortest, so that 1, 1.0 and +1 are one label; `None` for other text,
/// and for codes such as 007.
fn plain_number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let mut bytes = digits.bytes();
    let is_code = bytes.next() == Some(b'0') && bytes.next().is_some_and(|b| b.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite() && !is_code)?;
    if number == 0.0 {
        return Some("0".to_owned());
    }
    // The digits as they are: a number may have more of them than a float.
    Some(match digits.contains(['e', 'E']) {
        true => number.to_string(),
        false if digits.contains('.') => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            let whole = if digits.starts_with('.') { "0" } else { "" };
            format!("{sign}{whole}{digits}")
        }
        false => format!("{sign}{digits}"),
    })
}

/// The classes by label text.
struct ClassOf<'c> {
    written: BTreeMap<&'c str, u32>,
    alike: BTreeMap<String, u32>,
}

impl<'c> ClassOf<'c> {
    fn new(classes: &'c [(String, Vec<String>)]) -> Self {
        let (mut written, mut alike) = (BTreeMap::new(), BTreeMap::new());
        for ((_, texts), class) in classes.iter().zip(0..) {
            for text in texts {
                written.insert(text.as_str(), class);
                alike.entry(Self::plain(text)).or_insert(class);
            }
        }
        Self { written, alike }
    }

    /// The class of a text as it is written, or else of the same number or truth value.
    fn find(&self, text: &str) -> Option<u32> {
        if let Some(class) = self.written.get(text) {
            return Some(*class);
        }
        let plain = Self::plain(text);
        let as_number = match &*plain {
            "true" => "1",
            "false" => "0",
            other => other,
        };
        self.alike.get(&plain).or_else(|| self.alike.get(as_number)).copied()
    }

    fn plain(text: &str) -> String {
        let truth = ["true", "false"].into_iter().find(|truth| text.eq_ignore_ascii_case(truth));
        let number = || plain_number(text).unwrap_or_else(|| text.to_owned());
        truth.map_or_else(number, str::to_owned)
    }
}

/// Label texts that there are, those in no class first.
fn seen_texts(texts: &[Option<Cow<'_, str>>], class_of: &ClassOf<'_>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for text in texts.iter().flatten() {
        *counts.entry(text).or_default() += 1;
    }
    let outside: Vec<&str> =
        counts.keys().filter(|text| class_of.find(text).is_none()).take(8).copied().collect();
    if !outside.is_empty() {
        return format!("label texts in no class: {}", outside.join(", "));
    }
    let each: Vec<_> =
        counts.iter().take(8).map(|(text, count)| format!("{text} ({count})")).collect();
    format!(
        "the only label texts are {}: take the class out, or give it a text that occurs",
        each.join(", ")
    )
}

/// The class of each number: as many cuts as lie below it.
fn labelling(cut: &Cut, at: &[f64], values: &[Option<f64>]) -> Labelling {
    let class = |value: f64| {
        at.iter()
            .filter(|&&at| match cut.ties {
                Ties::Above => value >= at,
                Ties::Below => value > at,
            })
            .map(|_| 1)
            .sum()
    };
    let missing = values.iter().filter(|value| value.is_none()).count();
    let label = values.iter().map(|value| value.map(class)).collect();
    let seen = match values.iter().flatten().copied().fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    }) {
        Some((low, high)) => format!(
            "the {} numbers lie in {low} to {high} and are cut at {at:?}: cut between them; ties \
             says where those go that equal a cut",
            values.len() - missing
        ),
        None => format!("none of the {missing} examples has a number"),
    };
    let (left_out, missing) = Default::default();
    let classes = cut.classes.clone();
    Labelling { classes, label, left_out, missing, sentinel: None, seen, of_numbers: None }
}
