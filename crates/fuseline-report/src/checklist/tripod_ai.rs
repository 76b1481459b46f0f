//! The 27 items of TRIPOD+AI, with their 52 parts: the topic of the item, and what it asks in short.

use super::facts::Facts;
use super::{Item, Items};

pub fn items(of: &Facts<'_>) -> Vec<Item> {
    let mut items = Items::default();

    items.section("Title");
    items.authors("1", "Title: development or evaluation, population, outcome");
    items.section("Abstract");
    items.authors("2", "Abstract, by the checklist TRIPOD+AI for Abstracts");

    items.section("Introduction");
    items.authors("3a", "Background: healthcare context, rationale, existing models");
    items.authors("3b", "Background: target population, purpose, intended users");
    items.authors("3c", "Background: known health inequalities");
    items.authors("4", "Objectives: development, evaluation, or both");

    items.section("Methods");
    let left = "sources of development and evaluation data, reasons for them, and whether they are \
                representative";
    items.add("5a", "Data: sources", of.input_files(), left);
    items.authors("5b", "Data: dates");
    items.authors("6a", "Participants: setting and centres");
    items.authors("6b", "Participants: eligibility");
    items.authors("6c", "Participants: treatments");
    let prepared = of.preparation().into_iter().chain(of.cautions());
    let left = "steps before the workflow read the data, and likeness across groups of people";
    items.add("7", "Data preparation: pre-processing and checks of quality", prepared, left);
    let left = "definition, time horizon, time and method of assessment, why this outcome, and \
                whether it is assessed alike across sociodemographic groups";
    items.add("8a", "Outcome: definition", of.classes(), left);
    items.authors("8b", "Outcome: assessors");
    items.authors("8c", "Outcome: blinding of its assessment");
    items.authors("9a", "Predictors: initial choice and pre-selection");
    items.authors("9b", "Predictors: definition, measurement and blinding");
    items.authors("9c", "Predictors: assessors");
    let left = "how the size came about, and why it is enough";
    items.add("10", "Sample size", of.sample(), left);
    let left = "reasons for omitted data";
    items.add("11", "Missing data", of.missing(), left);
    let left = "how requirements of sample size were considered";
    items.add("12a", "Analytical methods: use and partition of the data", of.split(), left);
    let left = "transformations before the workflow read the data";
    items.add("12b", "Analytical methods: handling of predictors", of.preparation(), left);
    let models = of.models().into_iter().chain(of.hyperparameters()).chain(of.leakage());
    items.add(
        "12c",
        "Analytical methods: model, building steps, internal validation",
        models,
        "rationale",
    );
    let clusters = of.spreads().into_iter().chain(of.intervals());
    let left = "differences between centres or countries";
    items.add("12d", "Analytical methods: heterogeneity across clusters", clusters, left);
    let measures = of.metrics().into_iter().chain(of.tests());
    items.add(
        "12e",
        "Analytical methods: measures and plots of performance",
        measures,
        "rationale",
    );
    items.authors("12f", "Analytical methods: model updating");
    let left = "how predictions are computed for new people";
    items.add("12g", "Analytical methods: calculation of predictions", of.models(), left);
    items.authors("13", "Class imbalance");
    items.authors("14", "Fairness");
    items.authors("15", "Model output: kind, classification and thresholds");
    items.authors("16", "Training versus evaluation: differences of the data");
    items.authors("17", "Ethical approval and informed consent");

    items.section("Open science");
    items.authors("18a", "Funding");
    items.authors("18b", "Conflicts of interest");
    items.authors("18c", "Protocol");
    items.authors("18d", "Registration");
    items.add("18e", "Data sharing", of.input_files(), "where the data are, and for whom");
    let code = of.code().into_iter().chain(of.reproduction());
    items.add("18f", "Code sharing", code, "where the code is, and for whom");

    items.section("Patient and public involvement");
    items.authors("19", "Patient and public involvement");

    items.section("Results");
    let flow = of.sample().into_iter().chain(of.classes());
    let left = "flow of participants before the workflow read the data, and follow-up";
    items.add("20a", "Participants: flow, with and without the outcome", flow, left);
    let left = "characteristics of participants, by source and by groups of people";
    items.add("20b", "Participants: characteristics", of.missing(), left);
    items.authors("20c", "Participants: evaluation against development data");
    let sizes = of.sample().into_iter().chain(of.classes());
    let left = "numbers of participants and of outcomes in each analysis";
    items.add("21", "Model development: participants and outcomes in each analysis", sizes, left);
    let left = "the model itself, or how to get at it";
    items.add("22", "Model specification", of.models(), left);
    let performance = of.answer().into_iter().chain(of.intervals());
    let left = "performance in key subgroups";
    items.add("23a", "Model performance with confidence intervals", performance, left);
    let left = "performance by centre or country, if it was examined";
    items.add("23b", "Model performance: heterogeneity across clusters", of.spreads(), left);
    items.authors("24", "Model updating: results");

    items.section("Discussion");
    items.authors("25", "Interpretation");
    items.add("26", "Limitations", of.cautions(), "limitations of the study");
    items.authors("27a", "Usability: input data of poor quality or unavailable");
    items.authors("27b", "Usability: interaction and expertise of users");
    items.authors("27c", "Usability: next steps for future research");
    items.all
}
