//! Selection of an output to show: `STAGE[.PORT][AXIS=POINT|POINT, AXIS=POINT]`, as in a workflow's
//! `inputs`.

use std::str::FromStr;

/// An output of a stage, at some of its points.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    /// The stage.
    pub stage: String,
    /// Its output, when one is named.
    pub port: Option<String>,
    /// For each axis that is named, the points.
    pub points: Vec<(String, Vec<String>)>,
}

impl Selection {
    /// True if a point is one of those selected.
    pub fn takes(&self, point: &[(String, String)]) -> bool {
        self.points.iter().all(|(axis, labels)| {
            let at = point.iter().find(|(name, _)| name == axis);
            at.is_some_and(|(_, label)| labels.contains(label))
        })
    }

    /// True if the selection leaves one point of an axis.
    pub fn pins(&self, axis: &str) -> bool {
        self.points.iter().any(|(name, labels)| name == axis && labels.len() == 1)
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (output, mut rest) = match text.find('[') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let (stage, port) = match output.trim().split_once('.') {
            Some((stage, port)) => (stage, Some(port.to_owned())),
            None => (output.trim(), None),
        };
        if stage.is_empty() {
            return Err("a stage must be named".to_owned());
        }
        let mut points = Vec::new();
        while !rest.is_empty() {
            let inner = rest.strip_prefix('[').ok_or("there is text after the bracket")?;
            let (inner, after) = inner.split_once(']').ok_or("a bracket is not closed")?;
            for choice in inner.split(',') {
                let (axis, labels) = choice
                    .split_once('=')
                    .ok_or_else(|| format!("expected AXIS=POINT, found \"{}\"", choice.trim()))?;
                let labels = labels.split('|').map(|label| label.trim().to_owned()).collect();
                points.push((axis.trim().to_owned(), labels));
            }
            rest = after.trim();
        }
        Ok(Self { stage: stage.to_owned(), port, points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_may_have_a_port_and_points() {
        let read = |text: &str| text.parse::<Selection>();
        let of = |stage: &str, port: Option<&str>, points: &[(&str, &[&str])]| Selection {
            stage: stage.to_owned(),
            port: port.map(str::to_owned),
            points: points
                .iter()
                .map(|(axis, labels)| {
                    ((*axis).to_owned(), labels.iter().map(|&label| label.to_owned()).collect())
                })
                .collect(),
        };
        assert_eq!(read("cohort"), Ok(of("cohort", None, &[])));
        assert_eq!(
            read("expert.test[fold=0]"),
            Ok(of("expert", Some("test"), &[("fold", &["0"])]))
        );
        let both = of("fusion", None, &[("rule", &["lr", "moe"]), ("fold", &["0"])]);
        assert_eq!(read("fusion[rule=lr|moe, fold=0]"), Ok(both));
        assert_eq!(
            read("fusion[rule=lr][fold=0]"),
            Ok(of("fusion", None, &[("rule", &["lr"]), ("fold", &["0"])]))
        );
        for wrong in ["", "[a=b]", "a[b", "a[b]", "a[b=c]d"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_selection_takes_the_points_that_it_names() {
        let selection: Selection = "fusion[rule=lr|moe]".parse().unwrap();
        let at = |rule: &str| [("rule".to_owned(), rule.to_owned())];
        assert!(selection.takes(&at("moe")) && !selection.takes(&at("mean")));
        assert!(!selection.takes(&[]) && !selection.pins("rule"));
    }
}
