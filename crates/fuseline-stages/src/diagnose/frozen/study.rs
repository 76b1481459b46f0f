//! Examples in code-point order of their ids, checked, and how their quality moves.

use std::collections::BTreeMap;

use fuseline_artifact::{Digest, Texts};
use fuseline_engine::StageError;
use fuseline_stats::permutation::{self, Intervention, Permuter};

use super::{Examples, Metric, Settings, Stop};
use crate::diagnose::moved::{Moved, bits, movable};
use crate::diagnose::strata::{Known, refused, strata};
use crate::rows::{rows_digest, shares_of};

/// Tolerance of the sum of a row's probabilities around 1: models compute in single or half
/// precision.
const SUM_TOLERANCE: f64 = 1e-3;

/// Examples in code-point order of their ids, and how their quality moves.
pub(super) struct Study<'a> {
    pub(super) examples: &'a Examples,
    pub(super) settings: &'a Settings,
    /// The row of the examples at each place.
    pub(super) order: Vec<u32>,
    /// The place at which each row of the examples stands.
    pub(super) place: Vec<u32>,
    pub(super) ids: Texts,
    pub(super) labels: Vec<u32>,
    pub(super) group: Vec<u32>,
    pub(super) groups: usize,
    pub(super) permuter: Permuter,
    pub(super) share_movable: f64,
    /// Examples whose quality changes, on average.
    pub(super) moved: Moved,
}

impl<'a> Study<'a> {
    pub(super) fn new(examples: &'a Examples, settings: &'a Settings) -> Result<Self, StageError> {
        let Examples { example_id, group, label, classes, modalities, available, .. } = examples;
        let rows = example_id.len();
        for (what, found, expected) in [
            ("groups", group.len(), rows),
            ("labels", label.len(), rows),
            ("values of availability", available.len(), rows * modalities.len()),
            (
                "values of quality",
                examples.quality.len(),
                (rows * modalities.len()).saturating_mul(examples.channels),
            ),
            (
                "probabilities of evidence",
                examples.evidence.as_ref().map_or(0, Vec::len),
                examples.evidence.as_ref().map_or(0, |_| rows * modalities.len() * classes.len()),
            ),
        ] {
            if found != expected {
                return Err(StageError::data(format!(
                    "{found} {what} where {expected} are expected"
                )));
            }
        }
        if let Some(margin) = settings.equivalence_margin.filter(|of| !(0.0..1.0).contains(of)) {
            return Err(StageError::data(format!(
                "the equivalence margin is a fraction from 0 to below 1, and {margin} is not"
            ))
            .hint("0.02 is 2 percentage points"));
        }
        settings.check()?;
        check_metric(examples, settings)?;
        if rows == 0 || (classes.len() < 2 && settings.metric.is_none()) {
            return Err(StageError::data("at least one row and two classes are needed"));
        }
        if let Some(row) = label.iter().position(|&class| class as usize >= classes.len()) {
            return Err(StageError::data(format!(
                "row {row} has class {} of {}",
                label[row],
                classes.len()
            )));
        }
        check_evidence(examples)?;
        for (what, names) in [("modalities", modalities), ("classes", classes)] {
            let mut named = names.iter().collect::<Vec<_>>();
            named.sort();
            if let Some(pair) = named.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(StageError::data(format!("two {what} are called {}", pair[0])));
            }
        }
        let Intervention::Permutation(scheme) = settings.scheme.into() else {
            return Err(StageError::data(
                "a model from outside is asked about permutations across examples only",
            )
            .hint(
                "use joint, per_modality, within_group, whole_groups, conditional, derangement, \
                 within_class or within_correct",
            ));
        };
        if settings.stop == Stop::Sequential && !Intervention::from(settings.scheme).has_p_value() {
            return Err(StageError::data(
                "a sequential test stops by its p-value, and the scheme derangement has none",
            )
            .hint("ask joint, or all permutations"));
        }
        if scheme == permutation::Scheme::ConditionalResidual {
            return Err(StageError::data(
                "the scheme conditional_residual fits a regression of quality on evidence on \
                 training rows, and a model from outside comes without them",
            )
            .hint(
                "use conditional here, or load the model with fusion.load in a workflow and give \
                 diagnose.permute_quality the inputs evidence_train and quality_train",
            ));
        }
        let mut order: Vec<u32> = (0..).take(rows).collect();
        order.sort_by_key(|&row| &example_id[row as usize]);
        let same = |pair: &[u32]| example_id[pair[0] as usize] == example_id[pair[1] as usize];
        if let Some(pair) = order.windows(2).find(|pair| same(pair)) {
            let id = &example_id[pair[0] as usize];
            return Err(StageError::data(format!(
                "the id {id} stands in rows {} and {}",
                pair[0], pair[1]
            )));
        }
        let mut place = vec![0; rows];
        order.iter().zip(0..).for_each(|(&row, at)| place[row as usize] = at);
        let ids: Texts = order.iter().map(|&row| example_id[row as usize].as_str()).collect();
        let mut numbers = BTreeMap::new();
        numbers.extend(group.iter().map(|name| (name.as_str(), 0)));
        numbers.values_mut().zip(0..).for_each(|(number, rank)| *number = rank);
        let groups = numbers.len();
        let group: Vec<u32> =
            order.iter().map(|&row| numbers[group[row as usize].as_str()]).collect();
        let width = modalities.len();
        let sorted_available: Vec<bool> = order
            .iter()
            .flat_map(|&row| &available[row as usize * width..][..width])
            .copied()
            .collect();
        let digest = rows_digest(&ids);
        let permuter =
            Self::permuter(examples, settings, scheme, &order, &sorted_available, &group, digest)?;
        let study = Self {
            examples,
            settings,
            labels: order.iter().map(|&row| label[row as usize]).collect(),
            order,
            place,
            ids,
            group,
            groups,
            permuter,
            share_movable: 0.0,
            moved: Moved { moved: 0.0, movable: 0.0 },
        };
        let chances = study.change_chances();
        let movable = chances.iter().filter(|chance| **chance > 0.0).count();
        Ok(Self {
            share_movable: movable as f64 / rows as f64,
            moved: study.moved(&chances),
            ..study
        })
    }

    /// `chances`: those of the rows to get another quality.
    fn moved(&self, chances: &[f64]) -> Moved {
        let Examples { available, quality, modalities, channels, .. } = self.examples;
        let (width, channels) = (modalities.len(), *channels);
        let rows = self.order.iter().map(|&row| {
            let cells = row as usize * width..(row as usize + 1) * width;
            let own = |cell: usize| match available[cell] {
                true => quality[cell * channels..(cell + 1) * channels]
                    .iter()
                    .copied()
                    .map(bits)
                    .collect(),
                false => Vec::new(),
            };
            (&available[cells.clone()], cells.map(own).collect::<Vec<Vec<u64>>>())
        });
        Moved { moved: chances.iter().sum(), movable: movable(rows) }
    }

    fn permuter(
        examples: &Examples,
        settings: &Settings,
        scheme: permutation::Scheme,
        order: &[u32],
        available: &[bool],
        group: &[u32],
        digest: Digest,
    ) -> Result<Permuter, StageError> {
        let mut rows = permutation::Rows {
            modalities: examples.modalities.len(),
            available,
            group: Some(group),
            stratum: None,
            digest: digest.as_bytes(),
        };
        let (classes, width) = (examples.classes.len(), examples.modalities.len());
        let labels: Vec<u32> = order.iter().map(|&row| examples.label[row as usize]).collect();
        let evidence: Option<Vec<f64>> = examples.evidence.as_ref().map(|evidence| {
            let own = |&row: &u32| &evidence[row as usize * width * classes..][..width * classes];
            order.iter().flat_map(own).copied().collect()
        });
        let known =
            Known { labels: &labels, evidence: evidence.as_deref(), classes, bins: settings.bins };
        let stratum = strata(scheme, &rows, &known)?;
        rows.stratum = stratum.as_deref();
        Permuter::new(scheme, &rows, settings.seed).map_err(refused)
    }

    /// The chance of each row to get another quality than its own, in code-point order.
    fn change_chances(&self) -> Vec<f64> {
        let Examples { quality, channels, modalities, .. } = self.examples;
        let width = modalities.len() * channels;
        self.permuter.change_chances(|column, row| -> Vec<u64> {
            let own = match self.permuter.columns() {
                1 => 0..width,
                _ => column * channels..(column + 1) * channels,
            };
            let row = self.order[row as usize] as usize * width;
            quality[row..][own].iter().copied().map(bits).collect()
        })
    }
}

/// True for numbers from 0 to 1 that sum to 1, as models compute them.
pub(super) fn are_probabilities(row: &[f64]) -> bool {
    let sound = |p: &f64| (-SUM_TOLERANCE..=1.0 + SUM_TOLERANCE).contains(p);
    row.iter().all(sound) && (row.iter().sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
}

/// Advice on a row that is no probabilities. The softmax is advised of logits alone: of percentages
/// and scores it is another distribution, which would be taken for what the model says.
pub(super) fn to_probabilities(row: &[f64]) -> &'static str {
    match shares_of(row) {
        Some(100.0) => "these are percentages: divide them by 100",
        _ if row.iter().any(|value| !value.is_finite()) => "give finite numbers",
        _ if row.iter().any(|value| *value < 0.0) => {
            "give the softmax of the model's logits, or its decisions"
        }
        _ => "divide each row by its sum; if these are logits, give their softmax",
    }
}

/// An error where what an expert says of a modality that is there is no probabilities.
fn check_evidence(examples: &Examples) -> Result<(), StageError> {
    let Examples { evidence: Some(evidence), modalities, classes, available, .. } = examples else {
        return Ok(());
    };
    let mut rows = evidence.chunks_exact(classes.len().max(1)).zip(available).enumerate();
    let Some((at, (row, _))) = rows.find(|(_, (row, there))| **there && !are_probabilities(row))
    else {
        return Ok(());
    };
    Err(StageError::data(format!(
        "evidence of row {}, modality {:?} is {row:?}: these are no probabilities that sum to 1",
        at / modalities.len(),
        modalities[at % modalities.len()]
    ))
    .hint(format!("{}; say in `available` where a modality is missing", to_probabilities(row))))
}

/// An error where a metric and the labels do not belong together.
fn check_metric(examples: &Examples, settings: &Settings) -> Result<(), StageError> {
    let Examples { value, example_id, evidence, .. } = examples;
    let Some(metric) = settings.metric else {
        return match value {
            Some(_) => Err(StageError::data("the label is a number, and no metric is named")
                .hint("name one of mae, rmse, pearson and concordance")),
            None => Ok(()),
        };
    };
    let Some(value) = value.as_ref().filter(|value| value.len() == example_id.len()) else {
        return Err(StageError::data("a metric needs a number as the label of each row"));
    };
    if let Some(row) = value.iter().position(|value| !value.is_finite()) {
        return Err(StageError::data(format!(
            "the label of row {row} is {}, and a finite number is expected",
            value[row]
        )));
    }
    if metric != Metric::Score && value.iter().all(|other| *other == value[0]) {
        return Err(StageError::data("all labels are one number: a label that varies is needed"));
    }
    if evidence.is_some() {
        return Err(StageError::data(
            "evidence is class probabilities here, and the label is a number",
        )
        .hint("leave evidence out"));
    }
    if settings.equivalence_margin.is_some() {
        return Err(StageError::data(
            "equivalence is not claimed where the label is a number: an error has no largest \
             value, so that no bound of the gap holds where the sample shows no difference",
        )
        .hint("leave the equivalence margin out, and read the interval of the gap"));
    }
    Ok(())
}
