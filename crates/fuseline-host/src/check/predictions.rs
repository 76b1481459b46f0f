//! Predictions.

use super::models::accepts_missing;
use super::rows::{Numbers, Rows};
use super::{BareModel, Broken, Subject, Try, broken, ensure, skipped};
use crate::error::HostError;
use crate::rule::Permuted;
use crate::stop::StopSignal;

/// Rows of a large batch: more than any tile that a rule is likely to work in, and a multiple of
/// none.
const MANY_ROWS: usize = 203;

pub(super) const CHECKS: &[Try] = &[
    ("extreme evidence and quality keep the output law", extremes),
    ("batches split and rows reordered give the same rows", splits),
    ("rows under other names give the same probabilities", names),
    ("what stands where a modality is unavailable does not change predictions", garbage),
    ("rows without any modality keep the output law", all_missing),
    ("a quality that is not a number is refused or harmless", nan_quality),
    ("values that no host should send are refused or harmless, and a panic has words", nonsense),
    ("no rows give no predictions", no_rows),
    ("permuted prediction equals a loop of predict, bit for bit", fast_path),
    ("quality changes predictions exactly when the descriptor says so", uses_quality),
    ("8 threads predict alike on one model", |subject| subject.probe("threads")),
    ("inputs are only read, and nothing behind them", |subject| subject.probe("guarded")),
    ("locale and rounding mode are left as they were found", |subject| subject.probe("state")),
    ("it writes nothing to standard output, and leaves no files", |subject| {
        subject.probe("traces")
    }),
];

fn opened(subject: &Subject, missing: bool) -> Result<BareModel, Broken> {
    let rule = subject.fresh()?;
    let model = subject.model(&rule, &subject.rows(160, missing, 11)?)?;
    Ok(BareModel::open(&rule, &model)?)
}

fn extremes(subject: &Subject) -> Result<(), Broken> {
    let model = opened(subject, false)?;
    let mut rows = subject.rows(64, false, 12)?;
    let values = [f64::MAX, f64::MIN, 0.0, -0.0, f64::MIN_POSITIVE, 5e-324, 1e100, -1e308];
    for (cell, quality) in rows.quality.iter_mut().enumerate() {
        *quality = values[cell % values.len()];
    }
    let pairs =
        [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [5e-324, 1.0], [1.0 - f64::EPSILON, f64::EPSILON]];
    let classes = rows.classes.len();
    for (cell, evidence) in rows.evidence.chunks_exact_mut(classes).enumerate() {
        evidence.fill(0.0);
        evidence[..2].copy_from_slice(&pairs[cell % pairs.len()]);
    }
    model.predict(&rows.batch())?;
    Ok(())
}

fn splits(subject: &Subject) -> Result<(), Broken> {
    let missing = accepts_missing(subject)?;
    let model = opened(subject, missing)?;
    if !model.rule.descriptor().capabilities.row_independent {
        return skipped("the descriptor says that rows depend on each other");
    }
    let batch = subject.rows(MANY_ROWS, missing, 13)?.batch();
    let whole = model.predict(&batch)?;
    for size in [1, 7, 64] {
        let mut joined = Vec::new();
        let rows: Vec<_> = (0..batch.rows()).collect();
        for part in rows.chunks(size) {
            joined.extend(model.predict(&batch.take(part))?);
        }
        ensure(joined == whole, || format!("batches of {size} give other probabilities"))?;
    }
    let order = Numbers::new(14).order(batch.rows());
    let reordered = model.predict(&batch.take(&order))?;
    let classes = batch.classes().len();
    let same = order
        .iter()
        .zip(reordered.chunks_exact(classes))
        .all(|(row, out)| *out == whole[row * classes..][..classes]);
    ensure(same, || "another order of rows gives other probabilities".to_owned())
}

fn names(subject: &Subject) -> Result<(), Broken> {
    let missing = accepts_missing(subject)?;
    let model = opened(subject, missing)?;
    let batch = subject.rows(MANY_ROWS, missing, 26)?.batch();
    let plain = model.predict(&batch)?;
    let names: Vec<u64> = (0..MANY_ROWS as u64).map(|row| 1_000_003 * (row + 1)).collect();
    ensure(model.predict(&batch.with_row_ids(&names))? == plain, || {
        "row_id is no feature, and the probabilities change with it".to_owned()
    })
}

/// Writes values that no rule may read where a modality is unavailable.
pub(super) fn spoil_unavailable(rows: &mut Rows) {
    let classes = rows.classes.len();
    for cell in (0..rows.available.len()).filter(|&cell| rows.available[cell] == 0) {
        rows.quality[cell] = f64::NAN;
        let evidence = &mut rows.evidence[cell * classes..][..classes];
        evidence.fill(f64::NEG_INFINITY);
        evidence[0] = 1e300;
    }
}

fn garbage(subject: &Subject) -> Result<(), Broken> {
    if !accepts_missing(subject)? {
        return skipped("it does not take missing modalities");
    }
    let model = opened(subject, true)?;
    let mut rows = subject.rows(61, true, 15)?;
    let clean = model.predict(&rows.batch())?;
    spoil_unavailable(&mut rows);
    ensure(model.predict(&rows.batch())? == clean, || "the probabilities change".to_owned())
}

fn all_missing(subject: &Subject) -> Result<(), Broken> {
    if !accepts_missing(subject)? {
        return skipped("it does not take missing modalities");
    }
    let model = opened(subject, true)?;
    let mut rows = subject.rows(8, true, 16)?;
    rows.available.fill(0);
    model.predict(&rows.batch())?;
    Ok(())
}

fn nan_quality(subject: &Subject) -> Result<(), Broken> {
    let model = opened(subject, false)?;
    let mut rows = subject.rows(8, false, 17)?;
    rows.quality[4] = f64::NAN;
    match model.predict(&rows.batch()) {
        Ok(_) | Err(HostError::Rule { .. }) => Ok(()),
        Err(error) => broken(error.to_string()),
    }
}

/// Inputs that make careless code panic or throw: evidence and quality that are no numbers, weights
/// of almost 0, a single class, one row.
///
/// The worker must live: it is asked something sensible afterwards.
fn nonsense(subject: &Subject) -> Result<(), Broken> {
    let sound = subject.rows(60, false, 22)?;
    let rule = subject.fresh()?;
    let model = subject.model(&rule, &sound)?;
    let expected = BareModel::open(&rule, &model)?.predict(&sound.batch())?;
    let spoilt = |spoil: fn(&mut Rows)| {
        let mut rows = sound.clone();
        spoil(&mut rows);
        rows
    };
    let cases = [
        ("evidence that is not a number", spoilt(|rows| rows.evidence.fill(f64::NAN))),
        ("infinite evidence", spoilt(|rows| rows.evidence.fill(f64::INFINITY))),
        ("evidence of 0", spoilt(|rows| rows.evidence.fill(0.0))),
        ("quality that is not a number", spoilt(|rows| rows.quality.fill(f64::NAN))),
        ("infinite quality", spoilt(|rows| rows.quality.fill(f64::NEG_INFINITY))),
        ("weights of almost 0", spoilt(|rows| rows.weight.fill(f64::MIN_POSITIVE))),
        ("labels of a single class", spoilt(|rows| rows.label.fill(0))),
        ("a single row", subject.rows(1, false, 23)?),
    ];
    let params = subject.params(&rule)?;
    for (what, rows) in &cases {
        if subject.must_fit().is_ok() {
            harmless(rule.fit(&rows.training(), &params, 1, &StopSignal::new()), what)?;
        }
        harmless(BareModel::open(&rule, &model)?.predict(&rows.batch()), what)?;
    }
    ensure(BareModel::open(&rule, &model)?.predict(&sound.batch())? == expected, || {
        "afterwards it predicts otherwise".to_owned()
    })
}

/// An answer, a refusal in words, or probabilities that break the output law as their rows do: all
/// but the end of the process.
fn harmless<T>(result: Result<T, HostError>, what: &str) -> Result<(), Broken> {
    match result {
        Ok(_) | Err(HostError::Batch(_) | HostError::OutputLaw { .. }) => Ok(()),
        Err(HostError::Rule { error, .. }) => {
            ensure(!error.message.is_empty(), || format!("{what}: refused without a word"))
        }
        Err(error) => broken(format!("{what}: {error}")),
    }
}

fn no_rows(subject: &Subject) -> Result<(), Broken> {
    let model = opened(subject, false)?;
    model.predict(&subject.rows(0, false, 18)?.batch())?;
    Ok(())
}

/// Numbers of permutations of one call: one, a few, and more than any block.
const PERMUTATIONS: [usize; 3] = [1, 5, 130];

/// Most modalities that are permuted in every combination.
const FEW_MODALITIES: usize = 3;

/// Every form of the index and of the mask. A script answers this itself, fast or not.
fn fast_path(subject: &Subject) -> Result<(), Broken> {
    let missing = accepts_missing(subject)?;
    let model = opened(subject, missing)?;
    if !model.opened.has_fast_path() && !subject.is_script() {
        return skipped("it has no fast path; the host loops");
    }
    let batch = subject.rows(MANY_ROWS, missing, 19)?.batch();
    let mut numbers = Numbers::new(20);
    let width = batch.modalities().len();
    let all = u64::MAX >> (64 - width.clamp(1, 64));
    let masks: Vec<u64> = match width {
        0..=FEW_MODALITIES => (0..=all).collect(),
        _ => vec![0, 1, all & 0x5555_5555_5555_5555, all & !1, all],
    };
    let mut columns = vec![1, width];
    columns.dedup();
    // Columns of the index, and modalities that are permuted, of the largest call.
    let main_forms = [(1, all), (width, all), (width, all & 0x5555_5555_5555_5555)];
    for permutations in PERMUTATIONS {
        let forms =
            columns.iter().flat_map(|&columns| masks.iter().map(move |&mask| (columns, mask)));
        // Of very many permutations, the forms that differ most.
        let few = |form: &(usize, u64)| permutations < 100 || main_forms.contains(form);
        for (columns, modality_mask) in forms.filter(few) {
            let index: Vec<u32> = (0..permutations * columns)
                .flat_map(|_| numbers.order(MANY_ROWS))
                .map(|row| row as u32)
                .collect();
            let permuted = Permuted { index: &index, permutations, columns, modality_mask };
            let fast = model.predict_permuted(&batch, permuted)?;
            // The loop is the slow side: of many permutations the ends are held against it, and
            // some between.
            let held: Vec<usize> =
                (0..permutations).filter(|number| permutations < 100 || number % 9 < 2).collect();
            for number in held {
                let own = permuted.only(&batch, number);
                let slow = model.looped(&batch, own)?;
                let fast = &fast[number * slow.len()..][..slow.len()];
                same_permutation(fast, &slow, permuted, number, batch.classes().len())?;
            }
        }
    }
    Ok(())
}

fn same_permutation(
    fast: &[f64],
    slow: &[f64],
    Permuted { permutations, columns, modality_mask, .. }: Permuted<'_>,
    number: usize,
    classes: usize,
) -> Result<(), Broken> {
    let differs = fast.iter().zip(slow).position(|(fast, slow)| fast.to_bits() != slow.to_bits());
    differs.map_or(Ok(()), |at| {
        broken(format!(
            "permutation {number} of {permutations}, row {} of {MANY_ROWS}, {columns} columns of \
             the index, modality mask {modality_mask:#b}: {} is not {}",
            at / classes,
            fast[at],
            slow[at]
        ))
    })
}

fn uses_quality(subject: &Subject) -> Result<(), Broken> {
    let model = opened(subject, false)?;
    let rows = subject.rows(61, false, 21)?;
    let clean = model.predict(&rows.batch())?;
    let mut changed = false;
    for scale in [-1.0, 10.0, 0.0] {
        let mut other = rows.clone();
        other
            .quality
            .iter_mut()
            .enumerate()
            .for_each(|(cell, q)| *q *= if cell % 2 == 0 { scale } else { 1.0 });
        changed |= model.predict(&other.batch())? != clean;
    }
    match (changed, model.rule.descriptor().capabilities.uses_quality) {
        (true, false) => {
            broken("it says that it does not use quality, and predictions change with it")
        }
        (false, true) => {
            broken("it says that it uses quality, and predictions do not change with it")
        }
        _ => Ok(()),
    }
}
