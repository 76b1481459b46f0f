//! Fitting, and the bytes of models.

use std::sync::mpsc;
use std::time::Duration;

use fuseline_artifact::Digest;

use super::rows::{Numbers, Rows};
use super::{BareModel, Broken, Subject, Try, broken, ensure, refusal, skipped};
use crate::batch::{Batch, BatchColumns};
use crate::check::probe::FIT_THREADS;
use crate::descriptor::Count;
use crate::error::HostError;
use crate::rule::Rule;
use crate::stop::StopSignal;

pub(super) const CHECKS: &[Try] = &[
    ("fitting twice gives the same bytes, also in two processes", same_bytes),
    ("fitting with 1 and with 8 threads, and 8 times at once, gives the same bytes", threads),
    ("fitting in another locale gives the same bytes", |subject| subject.probe("locale")),
    ("a model opens in another process and predicts the same", other_process),
    ("truncated, flipped and empty models are refused", damaged),
    ("what stands where a modality is unavailable does not change the model", garbage),
    ("it fits on 1 modality and on many modalities and classes", shapes),
    ("it takes as many modalities and classes as it declares", limits),
    ("a stop is obeyed within 1 s", stops),
    ("200 times opening and closing leak nothing", |subject| subject.probe("leaks")),
    ("with random labels it predicts no better than chance", chance),
];

fn same_bytes(subject: &Subject) -> Result<(), Broken> {
    let rows = subject.rows(120, accepts_missing(subject)?, 1)?;
    let rule = subject.fresh()?;
    let model = subject.model(&rule, &rows)?;
    ensure(subject.model(&rule, &rows)? == model, || {
        "the same process gives other bytes the second time".to_owned()
    })?;
    ensure(subject.model(&subject.fresh()?, &rows)? == model, || {
        "another process gives other bytes".to_owned()
    })
}

/// In a process whose host allows 8 threads, as in this one's workers, whose host allows 1.
fn threads(subject: &Subject) -> Result<(), Broken> {
    if subject.is_script() {
        return skipped("a script has no C functions");
    }
    let rows = subject.rows(120, accepts_missing(subject)?, 25)?;
    let model = Digest::hash(&subject.model(&subject.fresh()?, &rows)?);
    subject.probe(&format!("{FIT_THREADS}{model}"))
}

pub(super) fn accepts_missing(subject: &Subject) -> Result<bool, Broken> {
    Ok(subject.descriptor()?.capabilities.accepts_missing)
}

fn other_process(subject: &Subject) -> Result<(), Broken> {
    let rows = subject.rows(120, accepts_missing(subject)?, 2)?;
    let rule = subject.fresh()?;
    let model = subject.model(&rule, &rows)?;
    let here = BareModel::open(&rule, &model)?.predict(&rows.batch())?;
    let there = BareModel::open(&subject.fresh()?, &model)?.predict(&rows.batch())?;
    ensure(here == there, || "another process predicts otherwise".to_owned())
}

fn damaged(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    let model = subject.model(&rule, &subject.rows(120, false, 3)?)?;
    if model.is_empty() {
        return skipped("the model has no bytes");
    }
    refusal(BareModel::open(&rule, &[]), "an empty model")?;
    for len in [1, model.len() / 2, model.len() - 1]
        .into_iter()
        .filter(|&len| len < model.len() && len > 0)
    {
        refusal(
            BareModel::open(&rule, &model[..len]),
            &format!("a model cut to {len} of {} bytes", model.len()),
        )?;
    }
    let mut numbers = Numbers::new(4);
    for _ in 0..32 {
        let bit = numbers.below(model.len() * 8);
        let mut flipped = model.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refusal(BareModel::open(&rule, &flipped), &format!("a model with bit {bit} flipped"))?;
    }
    Ok(())
}

fn garbage(subject: &Subject) -> Result<(), Broken> {
    if !accepts_missing(subject)? {
        return skipped("it does not take missing modalities");
    }
    let rule = subject.fresh()?;
    let mut rows = subject.rows(120, true, 5)?;
    let model = subject.model(&rule, &rows)?;
    super::predictions::spoil_unavailable(&mut rows);
    ensure(subject.model(&rule, &rows)? == model, || "the model's bytes change".to_owned())
}

/// Ends a check of other shapes where one shape is all that there is.
fn any_shape(subject: &Subject) -> Result<(), Broken> {
    subject.must_fit()?;
    let asked = subject.descriptor()?.accepts;
    match (asked.modalities, asked.classes) {
        (Count::Any, Count::Any) => Ok(()),
        _ => skipped(format!(
            "it takes {} modalities and {} classes",
            asked.modalities, asked.classes
        )),
    }
}

fn shapes(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    any_shape(subject)?;
    let limits = rule.descriptor().limits;
    for (modalities, classes) in
        [(1, 2), (12.min(limits.modalities), 2), (1, 8.min(limits.classes))]
    {
        let rows = Rows::new(30 * classes, modalities, classes, false, 6);
        let model = subject.model(&rule, &rows)?;
        BareModel::open(&rule, &model)?.predict(&rows.batch())?;
    }
    if rule.descriptor().capabilities.regression { numbers(subject, &rule) } else { Ok(()) }
}

/// A label that is a number, where the rule says that it takes one: the same bytes twice, finite
/// predictions, and those of a row whatever is beside it.
fn numbers(subject: &Subject, rule: &Rule) -> Result<(), Broken> {
    let made = Rows::new(60, 3, 2, accepts_missing(subject)?, 27);
    let evidence: Vec<f64> =
        made.evidence.iter().step_by(2).map(|probability| 40.0 * probability - 25.0).collect();
    let columns = BatchColumns { evidence: &evidence, ..made.columns() };
    let target: Vec<f64> =
        made.label.iter().zip(&made.weight).map(|(&y, w)| f64::from(y) * 30.0 - w).collect();
    let batch = Batch::of_numbers(&made.modalities, columns).map_err(HostError::from)?;
    let training = batch.clone().with_targets(&target).map_err(HostError::from)?;
    let params = subject.params(rule)?;
    let fit = || rule.fit(&training, &params, 1, &StopSignal::new());
    let model = fit()?.model;
    ensure(fit()?.model == model, || "of numbers it gives other bytes the second time".to_owned())?;
    let model = BareModel::open(rule, &model)?;
    let whole = model.predict(&batch)?;
    let some: Vec<usize> = (0..60).step_by(7).collect();
    let part = model.predict(&batch.take(&some))?;
    let same = part.iter().zip(&some).all(|(value, &row)| value.to_bits() == whole[row].to_bits());
    ensure(same || !rule.descriptor().capabilities.row_independent, || {
        "a predicted number depends on the rows beside it".to_owned()
    })
}

/// Time that one fit may take at the declared limits. A rule may be slow there, as long as it
/// listens.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most modalities and classes that are tried, whatever is declared.
const MOST: usize = 4096;

/// Most numbers of evidence that are made where modalities and classes are many at once.
const MOST_EVIDENCE: usize = 1 << 20;

fn limits(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    any_shape(subject)?;
    let limits = rule.descriptor().limits;
    let params = subject.params(&rule)?;
    let mut slow = Vec::new();
    let (most_modalities, most_classes) = (limits.modalities.min(MOST), limits.classes.min(MOST));
    let rows_of = |classes: usize| 2 * classes + 20;
    // Both at once: all of the modalities, and as many of the classes as is affordable.
    let affordable =
        |classes: &usize| rows_of(*classes) * most_modalities * classes <= MOST_EVIDENCE;
    let together = (2..=most_classes).rev().find(affordable).unwrap_or(2);
    for (modalities, classes) in
        [(most_modalities, 2), (1, most_classes), (most_modalities, together)]
    {
        let rows = Rows::new(rows_of(classes), modalities, classes, false, 24);
        let batch = rows.training();
        let stop = StopSignal::new();
        let (done, ended) = mpsc::channel::<()>();
        let fitted = std::thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    stop.stop();
                }
            });
            let fitted = rule.fit(&batch, &params, 1, stop);
            drop(done);
            fitted
        });
        match fitted {
            Ok(fitted) => drop(BareModel::open(&rule, &fitted.model)?.predict(&rows.batch())?),
            Err(error) if error.is_cancelled() => {
                slow.push(format!("{modalities} x {classes}"));
            }
            Err(error) => {
                return broken(format!("modalities x classes = {modalities} x {classes}: {error}"));
            }
        }
    }
    match slow.is_empty() {
        true => Ok(()),
        false => skipped(format!(
            "fitting modalities x classes = {} takes longer than {PATIENCE:?}",
            slow.join(" and ")
        )),
    }
}

/// The host kills what goes on for 1 s of the time that the machine has for it. Three times: a
/// machine that is busy with other things may be late in ways that nobody counts, a rule that does
/// not listen always is.
fn stops(subject: &Subject) -> Result<(), Broken> {
    stops_once(subject).or_else(|_| stops_once(subject)).or_else(|_| stops_once(subject))
}

fn stops_once(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    let params = subject.params(&rule)?;
    subject.must_fit()?;
    let (modalities, classes) = match any_shape(subject) {
        Ok(()) => (3, 4.min(rule.descriptor().limits.classes)),
        Err(_) => subject.shape()?,
    };
    let rows = Rows::new(20_000, modalities, classes, false, 7).training();
    let stop = StopSignal::new();
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| rule.fit(&rows, &params, 1, &stop));
        std::thread::sleep(Duration::from_millis(100));
        stop.stop();
        running.join()
    });
    match outcome {
        Ok(Err(error)) if !error.is_cancelled() => broken(error.to_string()),
        Ok(Err(HostError::Rule { error, .. })) if error.message.contains("was killed") => {
            broken("it went on for 1 s after it was asked to stop, and was killed")
        }
        Ok(_) => Ok(()),
        Err(_) => broken("the fit panicked"),
    }
}

/// Labels that nothing can know, held-out rows with the row_ids of the training rows: a rule that
/// is right about them has seen the labels elsewhere.
fn chance(subject: &Subject) -> Result<(), Broken> {
    let rule = subject.fresh()?;
    let count = 400;
    subject.must_fit()?;
    let mut training = subject.rows(count, false, 8)?;
    let classes = training.classes.len();
    let mut numbers = Numbers::new(9);
    for label in &mut training.label {
        *label = numbers.below(classes) as i32;
    }
    let model = subject.model(&rule, &training)?;
    let held_out = subject.rows(count, false, 10)?;
    let out = BareModel::open(&rule, &model)?.predict(&held_out.batch())?;
    // As the host decides: the first of equals.
    let first_of_most = |row: &[f64]| {
        (1..classes).fold(0, |best, class| if row[class] > row[best] { class } else { best }) as i32
    };
    let decided = out.chunks_exact(classes).map(first_of_most);
    let right = decided.zip(&training.label).filter(|(class, label)| class == *label).count();
    // Five standard deviations of a fair die.
    let chance = 1.0 / classes as f64;
    let sd = (count as f64 * chance * (1.0 - chance)).sqrt();
    let surplus = (right as f64 - count as f64 * chance).abs() / sd;
    ensure(surplus < 5.0, || format!("{right} of {count} labels that it cannot know are right"))
}
