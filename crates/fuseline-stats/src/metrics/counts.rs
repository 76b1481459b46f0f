//! Metrics of decisions.

use super::{MetricError, classes, length};

/// Recall of each class from its counts; none for a class without rows.
///
/// `rows` and `correct`: one count a class. Errors when the lengths differ or more rows are right
/// than there are.
pub fn recalls(rows: &[u64], correct: &[u64]) -> Result<Vec<Option<f64>>, MetricError> {
    length("correct", rows.len(), correct.len())?;
    let recall = |(class, (&rows, &correct)): (usize, (&u64, &u64))| {
        if correct > rows {
            return Err(MetricError::TooManyCorrect { class, correct, rows });
        }
        Ok((rows > 0).then(|| correct as f64 / rows as f64))
    };
    rows.iter().zip(correct).enumerate().map(recall).collect()
}

/// Balanced accuracy: the mean recall of the classes that have rows, as scikit-learn's
/// `balanced_accuracy_score`.
///
/// `rows` and `correct`: one count a class, pooled over folds by adding. Errors as [`recalls`], and
/// when no class has rows.
pub fn balanced_accuracy(rows: &[u64], correct: &[u64]) -> Result<f64, MetricError> {
    let (mut sum, mut present) = (0.0, 0_u32);
    for recall in recalls(rows, correct)?.into_iter().flatten() {
        sum += recall;
        present += 1;
    }
    if present == 0 { Err(MetricError::Empty) } else { Ok(sum / f64::from(present)) }
}

/// Share of rows whose decision changed. Errors when there are none, or the lengths differ.
pub fn flip_rate(before: &[u32], after: &[u32]) -> Result<f64, MetricError> {
    length("after", before.len(), after.len())?;
    if before.is_empty() {
        return Err(MetricError::Empty);
    }
    let flips = before.iter().zip(after).filter(|(before, after)| before != after).count();
    Ok(flips as f64 / before.len() as f64)
}

/// Rows by label and decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<u64>,
    classes: usize,
}

impl Confusion {
    /// Counts n labels against n decisions. Errors when the lengths differ or a value is no class
    /// number.
    pub fn from_decisions(
        labels: &[u32],
        decisions: &[u32],
        class_count: usize,
    ) -> Result<Self, MetricError> {
        length("decisions", labels.len(), decisions.len())?;
        classes("label", labels, class_count)?;
        classes("decision", decisions, class_count)?;
        let mut counts = vec![0; class_count * class_count];
        for (&label, &decision) in labels.iter().zip(decisions) {
            counts[label as usize * class_count + decision as usize] += 1;
        }
        Ok(Self { counts, classes: class_count })
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows of `label` that were decided as `decision`; 0 for a number that is no class.
    #[must_use]
    pub fn count(&self, label: usize, decision: usize) -> u64 {
        if label < self.classes && decision < self.classes {
            self.counts[label * self.classes + decision]
        } else {
            0
        }
    }

    /// Rows of each class.
    #[must_use]
    pub fn rows(&self) -> Vec<u64> {
        self.counts.chunks(self.classes.max(1)).map(|row| row.iter().sum()).collect()
    }

    /// Rows of each class that were decided right.
    #[must_use]
    pub fn correct(&self) -> Vec<u64> {
        (0..self.classes).map(|class| self.count(class, class)).collect()
    }

    /// Adds the counts of another fold. Errors when it has other classes.
    pub fn add(&mut self, other: &Self) -> Result<(), MetricError> {
        length("classes", self.classes, other.classes)?;
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        Ok(())
    }

    /// Share of rows decided right. Errors when there are none.
    pub fn accuracy(&self) -> Result<f64, MetricError> {
        match self.counts.iter().sum::<u64>() {
            0 => Err(MetricError::Empty),
            rows => Ok(self.correct().iter().sum::<u64>() as f64 / rows as f64),
        }
    }

    /// See [`balanced_accuracy`].
    pub fn balanced_accuracy(&self) -> Result<f64, MetricError> {
        balanced_accuracy(&self.rows(), &self.correct())
    }

    /// Mean distance of decision and label in classes, whose numbers are their order.
    ///
    /// scikit-learn's `mean_absolute_error` of class numbers. Errors when there are no rows.
    pub fn rank_error(&self) -> Result<f64, MetricError> {
        let (distance, rows) = self.weighed(|distance| distance);
        if rows == 0.0 { Err(MetricError::Empty) } else { Ok(distance / rows) }
    }

    /// Cohen's kappa with quadratic weights (Cohen 1968) of classes whose numbers are their order.
    ///
    /// scikit-learn's `cohen_kappa_score(weights="quadratic")`. Errors when there are no rows, or
    /// all labels and decisions are of one class.
    pub fn quadratic_kappa(&self) -> Result<f64, MetricError> {
        let (observed, total) = self.weighed(|distance| distance * distance);
        if total == 0.0 {
            return Err(MetricError::Empty);
        }
        let rows = self.rows();
        let decided = |class: usize| (0..self.classes).map(move |label| self.count(label, class));
        let mut expected = 0.0;
        for (label, rows) in rows.iter().enumerate() {
            for class in 0..self.classes {
                let distance = label.abs_diff(class) as f64;
                let decided: u64 = decided(class).sum();
                expected += distance * distance * *rows as f64 * decided as f64 / total;
            }
        }
        if expected == 0.0 {
            let reason = "all labels and decisions are of one class";
            return Err(MetricError::Undefined { metric: "quadratic kappa", reason });
        }
        Ok(1.0 - observed / expected)
    }

    /// Sum over rows of a weight of the distance between label and decision, and the rows.
    fn weighed(&self, weight: impl Fn(f64) -> f64) -> (f64, f64) {
        let (mut sum, mut rows) = (0.0, 0.0);
        for label in 0..self.classes {
            for decision in 0..self.classes {
                let count = self.count(label, decision) as f64;
                sum += count * weight(label.abs_diff(decision) as f64);
                rows += count;
            }
        }
        (sum, rows)
    }

    /// Mean F1 of the classes that occur as label or decision, 0 for one never decided right.
    ///
    /// scikit-learn's `f1_score(average="macro", zero_division=0)`. Errors when there are no rows.
    pub fn macro_f1(&self) -> Result<f64, MetricError> {
        let rows = self.rows();
        let (mut sum, mut present) = (0.0, 0_u32);
        for (class, &rows) in rows.iter().enumerate() {
            let decided: u64 = (0..self.classes).map(|label| self.count(label, class)).sum();
            if rows + decided > 0 {
                sum += 2.0 * self.count(class, class) as f64 / (rows + decided) as f64;
                present += 1;
            }
        }
        if present == 0 { Err(MetricError::Empty) } else { Ok(sum / f64::from(present)) }
    }
}
