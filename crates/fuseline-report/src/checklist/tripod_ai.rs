//! The 27 items of TRIPOD+AI, with their parts.

use super::facts::Facts;
use super::{Item, Items};

pub fn items(of: &Facts<'_>) -> Vec<Item> {
    let mut items = Items::default();

    items.section("Title and abstract");
    items.authors("1", "Title: development or evaluation, population, outcome");
    items.authors("2", "Abstract");

    items.section("Introduction");
    items.authors("3a", "Healthcare context, rationale, existing models");
    items.authors("3b", "Target population, purpose, intended users");
    items.authors("3c", "Known health inequalities");
    items.authors("4", "Objectives: development, evaluation, or both");

    items.section("Methods");
    let left = "sources, reasons for them, and whether they are representative";
    items.add("5a", "Sources of the data", of.input_files(), left);
    items.authors("5b", "Dates of the data");
    items.authors("6a", "Setting and centres");
    items.authors("6b", "Eligibility of participants");
    items.authors("6c", "Treatments");
    let prepared = of.preparation().into_iter().chain(of.cautions());
    let left = "steps before the workflow read the data, and likeness across groups of people";
    items.add("7", "Data preparation and checks of quality", prepared, left);
    let left = "definition, time and method of assessment, and why this outcome";
    items.add("8a", "Outcome", of.classes(), left);
    items.authors("8b", "Assessors of the outcome");
    items.authors("8c", "Blinding of the assessment of the outcome");
    items.authors("9a", "Choice of predictors");
    items.authors("9b", "Definition and measurement of predictors");
    items.authors("9c", "Assessors of predictors");
    let left = "how the size came about, and why it is enough";
    items.add("10", "Sample size", of.sample(), left);
    let left = "reasons for omitted data";
    items.add("11", "Missing data", of.missing(), left);
    items.add("12a", "Use and division of the data", of.split(), "");
    let left = "transformations before the workflow read the data";
    items.add("12b", "Handling of predictors", of.preparation(), left);
    let models = of.models().into_iter().chain(of.hyperparameters()).chain(of.leakage());
    items.add("12c", "Type of model, building steps, internal validation", models, "rationale");
    let clusters = of.spreads().into_iter().chain(of.intervals());
    let left = "differences between centres or countries";
    items.add("12d", "Heterogeneity across clusters", clusters, left);
    let measures = of.metrics().into_iter().chain(of.tests());
    items.add("12e", "Measures and plots of performance", measures, "rationale");
    items.authors("12f", "Updating of the model");
    let left = "how predictions are computed for new people";
    items.add("12g", "Computation of predictions", of.models(), left);
    items.authors("13", "Class imbalance");
    items.authors("14", "Fairness");
    items.authors("15", "Output of the model and thresholds");
    items.authors("16", "Differences between development and evaluation data");
    items.authors("17", "Ethical approval and consent");

    items.section("Open science");
    items.authors("18a", "Funding");
    items.authors("18b", "Conflicts of interest");
    items.authors("18c", "Protocol");
    items.authors("18d", "Registration");
    items.add("18e", "Sharing of data", of.input_files(), "where the data are, and for whom");
    let code = of.code().into_iter().chain(of.reproduction());
    items.add("18f", "Sharing of code", code, "where the code is, and for whom");

    items.section("Patient and public involvement");
    items.authors("19", "Involvement of patients and the public");

    items.section("Results");
    let flow = of.sample().into_iter().chain(of.classes());
    let left = "flow of participants before the workflow read the data, and follow-up";
    items.add("20a", "Flow of participants", flow, left);
    let left = "characteristics of participants, by source and by groups of people";
    items.add("20b", "Characteristics of participants", of.missing(), left);
    items.authors("20c", "Predictors in evaluation against development data");
    let sizes = of.sample().into_iter().chain(of.classes());
    let left = "numbers of participants and of outcomes in each analysis";
    items.add("21", "Participants and outcomes in each analysis", sizes, left);
    let left = "the model itself, or how to get at it";
    items.add("22", "Specification of the full model", of.models(), left);
    let performance = of.answer().into_iter().chain(of.intervals());
    let left = "performance in key subgroups";
    items.add("23a", "Performance with confidence intervals", performance, left);
    let left = "performance by centre or country, if it was examined";
    items.add("23b", "Heterogeneity of performance", of.spreads(), left);
    items.authors("24", "Results of updating the model");

    items.section("Discussion");
    items.authors("25", "Interpretation");
    items.add("26", "Limitations", of.cautions(), "limitations of the study");
    items.authors("27a", "Input data of poor quality or missing, in use");
    items.authors("27b", "Interaction and expertise of users");
    items.authors("27c", "Next steps");
    items.all
}
