//! The options that name a rule and its parameters, where a model is made.

use fuseline_engine::kind::Problem;
use fuseline_engine::{CheckSite, PlanSite, StageError, codes};
use fuseline_host::{CHOOSE_INTERPRETER, Descriptor, HostError, Params, Rule};
use fuseline_workflow::Diagnostic;
use fuseline_workflow::codes::OPTION_VALUE;
use serde_json::{Map, Value};

/// Reports what is wrong with the options `rule` and `params`; gives the rule's descriptor where
/// there is one.
///
/// A rule that is not there is reported where the key is written.
pub(crate) fn check(
    site: &mut CheckSite<'_>,
    rule: &str,
    params: &Map<String, Value>,
) -> Option<Descriptor> {
    let services = site.services;
    let file = services.plugins.find(rule).ok()?;
    let conditions = &site.conditions;
    let described = conditions
        .ensure_layers(&file, site.isolation)
        .and_then(|()| services.plugins.interpreter(&file, conditions))
        .and_then(|interpreter| {
            let descriptor = services.plugins.descriptor(&file, site.isolation, conditions)?;
            Ok((descriptor, interpreter))
        });
    let descriptor = match described {
        Ok((descriptor, interpreter)) => {
            site.interpreter = interpreter;
            descriptor
        }
        Err(error) => {
            let mut problem = Problem::new("rule", error.to_string());
            if matches!(error, HostError::Interpreter(_)) {
                problem = problem.code(codes::MISSING_INTERPRETER).hint(CHOOSE_INTERPRETER);
            }
            site.report(problem);
            return None;
        }
    };
    for problem in descriptor.check_params(params).err().into_iter().flatten() {
        let option = match problem.path.as_str() {
            "" => "params".to_owned(),
            path => format!("params.{path}"),
        };
        let words = format!("`{option}` of the rule {rule}: {}", problem.message);
        let mut reported = Problem::new(option, words);
        reported.hint = problem.hint;
        reported.at_key = problem.at_name;
        reported.meant = problem.meant.map(Box::new);
        site.report(reported);
    }
    Some(descriptor)
}

/// Reports embeddings that the rule does not take.
pub(crate) fn check_embeddings(site: &mut CheckSite<'_>, descriptor: &Descriptor) {
    if site.inputs.contains(&"embeddings") && !descriptor.capabilities.accepts_embeddings {
        let takes_none = format!("the rule {} takes no embeddings", descriptor.id);
        site.report(Problem::new("rule", takes_none).hint(
            "leave the input embeddings out, or choose a rule that takes them, such as attention",
        ));
    }
}

/// The descriptor of a rule; none of one that is not there or cannot be read, which is reported
/// elsewhere.
fn planned_descriptor(site: &PlanSite<'_>, rule: &str) -> Option<Descriptor> {
    let file = site.services.plugins.find(rule).ok()?;
    let (isolation, conditions) = site.conditions();
    site.services.plugins.descriptor(&file, isolation, &conditions).ok()
}

/// Reports a rule that takes another number of modalities than evidence arrives of.
pub(crate) fn check_modalities(site: &mut PlanSite<'_>, rule: &str) {
    let Some(descriptor) = planned_descriptor(site, rule) else { return };
    for action in site.distinct(&["evidence"]) {
        let modalities = action.inputs("evidence").count();
        if let Err(error) = descriptor.accepts_modalities(modalities) {
            let place = action.option_place("rule");
            let words = error.to_string();
            site.report(Diagnostic::error(OPTION_VALUE, &place, words).hint(
                "choose another rule, or gather the modalities that it takes: `where` drops points"
                    .to_owned(),
            ));
            return;
        }
    }
}

/// Reports a rule that takes classes alone behind a cohort whose label is a number.
pub(crate) fn check_numbers(site: &mut PlanSite<'_>, rule: &str) {
    let Some(action) = site.actions().find(|action| site.is_regression(*action)) else { return };
    let Some(descriptor) = planned_descriptor(site, rule) else { return };
    if !descriptor.capabilities.regression {
        site.report(
            Diagnostic::error(
                codes::REGRESSION,
                &action.option_place("rule"),
                only_classes(&descriptor.id),
            )
            .hint(NUMBER_RULES.to_owned()),
        );
    }
}

/// An error where the label is a number and the rule takes classes alone.
pub(crate) fn takes(rule: &Rule, is_regression: bool) -> Result<(), StageError> {
    let descriptor = rule.descriptor();
    if !is_regression || descriptor.capabilities.regression {
        return Ok(());
    }
    Err(StageError::data(only_classes(&descriptor.id))
        .at("rule")
        .code(&codes::REGRESSION)
        .hint(NUMBER_RULES))
}

fn only_classes(rule: &str) -> String {
    format!("the rule {rule} takes classes, and the label is a number (regression: true)")
}

const NUMBER_RULES: &str = "of the rules in the box mean, weighted_mean and lr take a number; \
     `fuseline plugin inspect` says of any rule if it does";

/// Parameters with the rule's defaults.
pub(crate) fn params(rule: &Rule, given: &Map<String, Value>) -> Result<Params, StageError> {
    rule.params(given).map_err(|problems| {
        let problems = HostError::Params { id: rule.descriptor().id.clone(), problems };
        StageError::data(problems.to_string()).at("params")
    })
}
