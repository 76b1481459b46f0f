//! `quality.evidential`: how much evidence there is behind the expert's probabilities.

use fuseline_artifact::Control;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, Problem, RowFlow, StageError,
    StageKind, UnreadOption,
};
use fuseline_learn::link::log1p_exp;
use fuseline_stats::evidence::{ensemble_vacuity, vacuity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ensemble::{self, Ensemble, EnsembleOptions};
use super::logits;
use crate::quality::{Source, put};

/// Quality is minus the vacuity u = K / S of a Dirichlet distribution over K classes with strength
/// S: from -1, nothing is known, to 0; more is more reliable (Sensoy, Kaplan and Kandemir,
/// "Evidential deep learning to quantify classification uncertainty", NeurIPS 2018).
///
/// `from: logits` takes evidence e_k = max(0, l_k), as in the paper, or ln(1 + exp(l_k)) from each
/// logit, and S = K + sum_k e_k. The experts here are not trained with the evidential loss of the
/// paper: it is the same formula on the logits of an ordinary classifier. Where these sum to 0, as
/// those of `expert.logistic` do, it is a function of the probabilities, and marked as
/// evidence-derived.
///
/// `from: ensemble` takes the Dirichlet distribution that has the means m_k and the summed variance
/// of the members of the ensemble of `quality.ensemble_variance`, S = sum_k m_k (1 - m_k) / sum_k
/// v_k - 1, at least K; none of them saw the group of a training row that it is asked about. It is
/// not evidence-derived.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidential {
    /// Source of the Dirichlet distribution.
    #[serde(default)]
    from: DirichletSource,
    /// Evidence of a logit.
    #[serde(default)]
    activation: Activation,
    /// Number of experts of the ensemble; even.
    #[serde(default = "ensemble::members")]
    #[schemars(range(min = 4, max = 10_000), extend("multipleOf" = 2))]
    members: u32,
    /// Weight of the losses of the ensemble's experts against the penalty, as of `expert.logistic`.
    #[serde(default = "ensemble::c")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    c: f64,
    /// Columns that the ensemble's experts do not see.
    #[serde(default)]
    exclude: Vec<String>,
}

/// Source of the Dirichlet distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DirichletSource {
    /// The logits that the evidence keeps.
    #[default]
    Logits,
    /// The agreement of experts on halves of the training groups; needs features and cohort.
    Ensemble,
}

/// Evidence of a logit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Activation {
    /// The logit where it is above 0.
    #[default]
    Relu,
    /// ln(1 + exp(logit)).
    Softplus,
}

impl StageKind for Evidential {
    const NAME: &'static str = "quality.evidential";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Minus the vacuity of a Dirichlet distribution, from logits or from an ensemble.";

    fn ports() -> Ports {
        super::ports_with(&["evidence_train", "evidence_test"], &["features", "cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { from, activation, members, c, exclude } = self;
        key.field("from", from);
        key.field("activation", activation);
        if *from == DirichletSource::Ensemble {
            key.field("members", members);
            key.field("c", c);
            key.field("exclude", exclude);
            key.seed();
        }
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        match self.from {
            DirichletSource::Logits => ensemble::OPTIONS
                .map(|option| (option, "with `from: logits` no ensemble is fitted"))
                .into(),
            DirichletSource::Ensemble => vec![("activation", "`from: ensemble` reads no logits")],
        }
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        let lacking = ensemble::PORTS.iter().find(|port| !site.inputs.contains(port));
        if let (DirichletSource::Ensemble, Some(port)) = (self.from, lacking) {
            let message = format!("an ensemble is fitted, and nothing arrives at input {port}");
            site.report(Problem::new("from", message).hint("give it features and cohort"));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        if self.from == DirichletSource::Logits {
            logits::check_kept(site);
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        match self.from {
            DirichletSource::Logits => super::rows(flow),
            DirichletSource::Ensemble => super::fitted_rows(flow, "features"),
        }
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let Self { from, activation, members, c, exclude } = self;
        let source = |evidence_derived| Source {
            name: "evidential",
            control: Control::Native,
            evidence_derived,
        };
        if *from == DirichletSource::Ensemble {
            let options = EnsembleOptions { members: *members, c: *c, exclude };
            let ensemble = Ensemble::fit(inputs, outputs, &options)?;
            return put(inputs, outputs, &source(false), |evidence| {
                ensemble.each_row(evidence, |members| -ensemble_vacuity(members))
            });
        }
        let evidence_of = |logit: &f64| match activation {
            Activation::Relu => logit.max(0.0),
            Activation::Softplus => log1p_exp(*logit),
        };
        put(inputs, outputs, &source(logits::are_centred(inputs)?), |evidence| {
            let rows = logits::logit_rows(evidence)?;
            Ok(rows.map(|row| -vacuity(row.iter().map(evidence_of))).collect())
        })
    }
}
