//! The questions that a model is asked, and what its answers must be before anything is read from
//! them.

use fuseline_engine::StageError;
use fuseline_stats::metrics::balanced_accuracy;
use fuseline_stats::permutation_test::TIE;

use super::study::{Study, are_probabilities, to_probabilities};
use super::{Answerer, Question, Settings, Stop};
use crate::diagnose::tally::Tally;

/// Permutations at least as accurate as Clean-Q after which a sequential test stops (Besag and
/// Clifford 1991).
const SEQUENTIAL_STOP: u64 = 20;

impl Study<'_> {
    /// Asks, checks that the answers are probabilities, and puts them in code-point order.
    pub(super) fn ask(
        &self,
        model: &mut dyn Answerer,
        question: &Question<'_>,
    ) -> Result<Vec<f64>, StageError> {
        let (rows, classes) = (self.order.len(), self.examples.classes.len());
        let (count, what) = match question {
            Question::Clean => (1, "Clean-Q".to_owned()),
            Question::Mixed { .. } => (1, "quality of which half is permuted".to_owned()),
            Question::Neutral => (1, "quality held neutral".to_owned()),
            Question::Broken { count, first, .. } => {
                (*count as usize, format!("permutations from {first}"))
            }
        };
        let answer = model.answer(question)?;
        if answer.len() != count * rows * classes {
            return Err(StageError::data(format!(
                "the model gave {} values under {what} where {count} x {rows} rows x {classes} \
                 classes are expected",
                answer.len()
            )));
        }
        if self.settings.metric.is_some() {
            if let Some(at) = answer.iter().position(|value| !value.is_finite()) {
                return Err(StageError::data(format!(
                    "row {} has {} under {what}: a finite number is expected",
                    at % rows,
                    answer[at]
                )));
            }
            return Ok(self.sorted(&answer, 1));
        }
        for (number, row) in answer.chunks_exact(classes).enumerate() {
            if !are_probabilities(row) {
                return Err(StageError::data(format!(
                    "row {} has {row:?} under {what}: these are no probabilities that sum to 1",
                    number % rows
                ))
                .hint(to_probabilities(row)));
            }
        }
        Ok(self.sorted(&answer, classes))
    }

    /// Answers of `width` numbers a row in code-point order.
    fn sorted(&self, answer: &[f64], width: usize) -> Vec<f64> {
        let mut sorted = Vec::with_capacity(answer.len());
        for permutation in answer.chunks_exact(self.order.len() * width) {
            for &row in &self.order {
                sorted.extend_from_slice(&permutation[row as usize * width..][..width]);
            }
        }
        sorted
    }

    /// Evaluates all permutations, or as many as the settings and the time allow; where a
    /// sequential test stopped, its p-value.
    pub(super) fn count<'t>(
        &'t self,
        model: &mut dyn Answerer,
        clean: &'t [f64],
    ) -> Result<(Tally<'t>, Option<f64>), StageError> {
        let mut tally = Tally::new(&self.labels, clean, self.examples.classes.len());
        // A sequential test stops between blocks, so their size tells how many permutations it has.
        let size = match self.settings.stop {
            Stop::Never => tally.part_size(),
            Stop::Sequential => tally.block_size(),
        };
        let sequential = self.each_block(model, size, |predictions| {
            tally.count_block(predictions);
            if self.settings.stop == Stop::Never {
                return Ok(None);
            }
            Ok(sequential_p(self.settings, &self.accuracies(&tally)?))
        })?;
        Ok((tally, sequential))
    }

    /// Asks about all permutations, or as many as the time allows, `size` at once. `take` is given
    /// the answers in code-point order, and gives a p-value where a sequential test stops.
    ///
    /// Where time is short the first block is one permutation, and each that follows a quarter
    /// larger: a block that is begun is answered whole, however slow the model is.
    pub(super) fn each_block(
        &self,
        model: &mut dyn Answerer,
        size: u32,
        mut take: impl FnMut(&[f64]) -> Result<Option<f64>, StageError>,
    ) -> Result<Option<f64>, StageError> {
        let (rows, columns) = (self.order.len(), self.permuter.columns());
        let mut drawn = vec![0; columns * rows];
        // A sequential test does not know what it will ask next.
        let is_certain = self.settings.stop == Stop::Never;
        let (mut first, mut most) = (0, if is_certain && model.is_timed() { 1 } else { size });
        let mut draw = || {
            let count = most.min(self.settings.permutations - first);
            most = size.min(most + (most / 4).max(1));
            let mut index = Vec::with_capacity(count as usize * columns * rows);
            for number in first..first + count {
                self.permuter.draw_into(number.into(), &mut drawn);
                index.extend(self.in_order_of_caller(&drawn));
            }
            first += count;
            (count > 0).then_some((first - count, count, index))
        };
        let mut next = draw();
        while let Some((first, count, index)) = next.take() {
            if first > 0 && !model.has_time() {
                break;
            }
            let question = Question::Broken { first, count, columns, index: &index };
            if first == 0 && is_certain {
                model.announce(&question)?;
            }
            next = draw();
            if let Some((first, count, index)) = next.as_ref().filter(|_| is_certain) {
                let (first, count) = (*first, *count);
                model.announce(&Question::Broken { first, count, columns, index })?;
            } else if is_certain {
                model.announce(&Question::Neutral)?;
                model.announce(&Question::Mixed { columns, index: &self.mixed() })?;
                model.announce(&Question::Clean)?;
            }
            if let Some(p) = take(&self.ask(model, &question)?)? {
                return Ok(Some(p));
            }
        }
        Ok(None)
    }

    /// Index vectors over places in code-point order as ones over rows in the caller's order, both
    /// in what they say and in what they say it of.
    fn in_order_of_caller(&self, drawn: &[u32]) -> impl Iterator<Item = u32> {
        drawn.chunks_exact(self.order.len()).flat_map(|column| {
            self.place.iter().map(|&at| self.order[column[at as usize] as usize])
        })
    }

    /// Asks with the quality of every other row permuted, which must not change what is answered
    /// for the rows that keep theirs.
    ///
    /// Permutations of all rows do not show it: a mean or a variance of quality over the batch is
    /// the same under each of them, and another where quality is held neutral.
    pub(super) fn check_rows_independent(
        &self,
        model: &mut dyn Answerer,
        clean: &[f64],
    ) -> Result<(), StageError> {
        let (columns, index) = (self.permuter.columns(), self.mixed());
        let mixed = self.ask(model, &Question::Mixed { columns, index: &index })?;
        let width = self.examples.classes.len();
        let kept = |answers: &[f64]| -> Vec<f64> {
            answers.chunks_exact(width).step_by(2).flatten().copied().collect()
        };
        let (row, largest) = self.largest_difference(&kept(clean), &kept(&mixed));
        if largest <= self.settings.tolerance {
            return Ok(());
        }
        // Where it answers no question alike, that says more.
        let again = self.ask(model, &Question::Clean)?;
        self.check_frozen(clean, &again)?;
        let row = 2 * row;
        let answers = |of: &'_ [f64]| format!("{:?}", &of[row * width..][..width]);
        Err(StageError::data(format!(
            "the answer for an example depends on the quality of others: of example {}, which keeps \
             its quality while that of every other one is permuted, the model says {} and before \
             {} (difference {largest:e}, tolerance {:e})",
            &self.ids[row],
            answers(&mixed),
            answers(clean),
            self.settings.tolerance
        ))
        .hint(
            "put normalisation layers in evaluation mode (model.eval()), and scale quality by \
             statistics of the training examples and not of the batch; where rounding depends on \
             the rows beside it, raise `tolerance`",
        ))
    }

    /// Index vectors that leave every other row as it is, in code-point order, and permute the rest
    /// as a permutation does that is not asked about otherwise.
    fn mixed(&self) -> Vec<u32> {
        let rows = self.order.len();
        let mut drawn = vec![0; self.permuter.columns() * rows];
        self.permuter.draw_into(self.settings.permutations.into(), &mut drawn);
        for column in drawn.chunks_exact_mut(rows) {
            (0..).zip(column).step_by(2).for_each(|(own, row)| *row = own);
        }
        self.in_order_of_caller(&drawn).collect()
    }

    /// The largest difference between two answers to the same question; an error where it is above
    /// the tolerance.
    pub(super) fn check_frozen(&self, clean: &[f64], again: &[f64]) -> Result<f64, StageError> {
        let classes = self.examples.classes.len();
        let (row, largest) = self.largest_difference(clean, again);
        if largest <= self.settings.tolerance {
            return Ok(largest);
        }
        let of = |answers: &'_ [f64]| format!("{:?}", &answers[row * classes..][..classes]);
        Err(StageError::data(format!(
            "the model is not frozen: asked the same question twice, it answers {} and \
             {} for example {} (difference {largest:e}, tolerance {:e})",
            of(clean),
            of(again),
            &self.ids[row],
            self.settings.tolerance
        ))
        .hint(
            "turn dropout off and put normalisation layers in evaluation mode (model.eval()), \
             keep no state between calls; where a GPU rounds differently from call to call, raise \
             `tolerance`",
        ))
    }

    /// Between answers to one question, by row: the row that differs most, and by how much.
    fn largest_difference(&self, one: &[f64], other: &[f64]) -> (usize, f64) {
        let differences = one.iter().zip(other).map(|(one, other)| (one - other).abs());
        let (at, largest) = differences.enumerate().fold((0, 0.0), |worst, (at, difference)| {
            if difference > worst.1 { (at, difference) } else { worst }
        });
        (at / self.examples.classes.len(), largest)
    }

    /// Balanced accuracy under Clean-Q, then under each permutation so far.
    pub(super) fn accuracies(&self, tally: &Tally<'_>) -> Result<Vec<f64>, StageError> {
        let counts = |of: &[i64]| of.iter().map(|count| count.unsigned_abs()).collect::<Vec<u64>>();
        let rows = counts(&tally.rows_of_class);
        let each = tally.correct.chunks_exact(self.examples.classes.len());
        each.map(|correct| {
            balanced_accuracy(&rows, &counts(correct))
                .map_err(|error| StageError::data(error.to_string()))
        })
        .collect()
    }
}

/// The p-value of a sequential test, where it stops: of values of which more is better, Clean-Q
/// first.
pub(super) fn sequential_p(settings: &Settings, reached: &[f64]) -> Option<f64> {
    if settings.stop == Stop::Never {
        return None;
    }
    let (clean, broken) = (reached[0], &reached[1..]);
    let mut at_least = (1_u64..).zip(broken).filter(|(_, value)| **value >= clean - TIE);
    let (number, _) = at_least.nth(SEQUENTIAL_STOP as usize - 1)?;
    Some(SEQUENTIAL_STOP as f64 / number as f64)
}
