//! In which order a model gives the classes of a cohort.

use fuseline_engine::StageError;
use fuseline_onnx::are_places;

use crate::expert::class_names::bind_classes;

/// Index of each class of the cohort in the model's output, and what the user must know about how
/// that was found.
pub(super) fn class_order(
    given: Option<&[String]>,
    classes: &[String],
    names: &[Vec<String>],
    file: &str,
) -> Result<(Vec<usize>, Option<String>), StageError> {
    let listed = classes.join(", ");
    let error = |what: String| StageError::data(what).at("classes");
    let in_file = match names {
        [] => None,
        // Numbers of places name classes only where classes are numbers.
        [names] => Some(names).filter(|names| {
            !are_places(names) || classes.iter().all(|class| class.parse::<f64>().is_ok())
        }),
        [first, second, ..] if given.is_none() => {
            return Err(error(format!(
                "{file} names its classes twice: {} and {}",
                first.join(", "),
                second.join(", ")
            ))
            .hint("say in which order it gives them: classes: [...]"));
        }
        _ => None,
    };
    let bound = in_file.map(|names| (names, bind_classes(names, classes)));
    match (given, bound) {
        (Some(given), bound) => {
            let order = bind_classes(given, classes).ok_or_else(|| {
                error(format!(
                    "the model's classes {} are not those of the cohort: {listed}",
                    given.join(", ")
                ))
            })?;
            match bound {
                Some((names, Some(by_name))) if by_name != order => Err(error(format!(
                    "{file} gives its classes in the order {}, not {}",
                    names.join(", "),
                    given.join(", ")
                ))
                .hint("leave classes out: the file says the order itself")),
                _ => Ok((order, None)),
            }
        }
        (None, Some((_, Some(order)))) => Ok((order, None)),
        (None, Some((names, None))) if names.len() != classes.len() => Err(error(format!(
            "{file} has the {} classes {}, and the cohort the {} classes {listed}",
            names.len(),
            names.join(", "),
            classes.len()
        ))),
        (None, Some((names, None))) => Err(error(format!(
            "{file} calls its classes {}, and the cohort calls them {listed}",
            names.join(", ")
        ))
        .hint(format!(
            "say which of the cohort's classes each is, in the order {}: classes: [...]",
            names.join(", ")
        ))),
        (None, None) => {
            let caution = format!(
                "{file} does not name its classes, and its outputs are bound to those of the \
                 cohort in order: {listed}; classes: [{listed}] says so"
            );
            Ok(((0..classes.len()).collect(), Some(caution)))
        }
    }
}
