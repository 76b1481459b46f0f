//! Axes: lists, ranges and mappings to points with labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::Definition;
use crate::expression::{
    AxisView, Environment, ParamView, Scope, Template, Type, Work, format_value,
};
use crate::files::{Files, Place};
use crate::limits::Limits;
use crate::names;
use crate::workflow::{Axis, AxisPoint};
use crate::yaml::{Data, Node, describe};

/// Inputs of reading axes.
pub(crate) struct Given<'a> {
    pub params: &'a [ParamView],
    pub values: &'a [Option<Value>],
    pub limits: &'a Limits,
    pub files: &'a Files,
}

/// Reads all axes. One with a mistake has no points and an unknown view.
pub(crate) fn read(
    definitions: &[Definition],
    given: &Given<'_>,
    used: &mut BTreeSet<usize>,
    work: &mut Work,
    found: &mut Vec<Diagnostic>,
) -> (Vec<Axis>, Vec<(String, AxisView)>) {
    let names: Vec<_> = definitions.iter().map(|d| (d.name.clone(), AxisView::Unknown)).collect();
    let mut axes = Vec::new();
    let mut views = Vec::new();
    for definition in definitions {
        let mut reader = Reader { definition, given, names: &names, used, work, found };
        let (points, view) = match reader.points() {
            Some((points, view)) => (points, view),
            None => (Vec::new(), AxisView::Unknown),
        };
        views.push((definition.name.clone(), view));
        axes.push(Axis {
            name: definition.name.clone(),
            points,
            place: definition.name_place.clone(),
        });
    }
    (axes, views)
}

struct Reader<'a> {
    definition: &'a Definition,
    given: &'a Given<'a>,
    names: &'a [(String, AxisView)],
    used: &'a mut BTreeSet<usize>,
    work: &'a mut Work,
    found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn points(&mut self) -> Option<(Vec<AxisPoint>, AxisView)> {
        let node = &self.definition.value;
        let name = &self.definition.name;
        let (points, places, view) = match &node.data {
            Data::Mapping(_) => self.mapping()?,
            Data::Sequence(items) => {
                let values: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                let values = values.into_iter().collect::<Option<Vec<_>>>()?;
                let places = items.iter().map(|item| item.place.clone()).collect();
                self.scalars(values, places)?
            }
            Data::Scalar(_) => {
                let value =
                    if node.is_null() { Value::Array(Vec::new()) } else { self.value(node)? };
                let Value::Array(values) = value else {
                    let message = format!(
                        "the axis `{name}` must be a list or points, not {}",
                        describe(&value)
                    );
                    let hint =
                        "write `[a, b]`, `${{ range(5) }}`, or a mapping of points to fields";
                    self.found.push(
                        Diagnostic::error(codes::AXIS_VALUE, &node.place, message)
                            .hint(hint.to_owned()),
                    );
                    return None;
                };
                let places = vec![node.place.clone(); values.len()];
                self.scalars(values, places)?
            }
        };
        if points.is_empty() {
            let message = format!("the axis `{name}` has no points");
            self.found.push(
                Diagnostic::error(codes::EMPTY_AXIS, &node.place, message)
                    .hint("a stage over it would never run".to_owned()),
            );
            return None;
        }
        if points.len() > self.given.limits.max_list() {
            let max = self.given.limits.max_list();
            let message =
                format!("the axis `{name}` has {} points; at most {max} are allowed", points.len());
            self.found.push(
                Diagnostic::error(codes::LIMIT, &node.place, message)
                    .hint(format!("raise the limit with --max-actions {}", 10 * points.len())),
            );
            return None;
        }
        self.labels_differ(&points, &places).then_some((points, view))
    }

    /// The value of a scalar, which may be an expression over params.
    fn value(&mut self, node: &Node) -> Option<Value> {
        if node.scalar().is_none() {
            let what = "a point of an axis";
            let hint = "points with fields are written as a mapping: `name: { field: value }`";
            self.found.push(node.not_a(what, "a scalar").hint(hint.to_owned()));
            return None;
        }
        let mut scope =
            Scope { params: self.given.params, axes: self.names, over: None, used: self.used };
        let template = Template::read(node, &mut scope, self.given.files, self.found)?;
        let mut environment =
            Environment { params: self.given.values, axes: &[], coords: &[], work: self.work };
        match template.evaluate(&mut environment) {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.found.push(mistake.diagnostic(node, self.given.files));
                None
            }
        }
    }

    fn scalars(
        &mut self,
        values: Vec<Value>,
        places: Vec<Place>,
    ) -> Option<(Vec<AxisPoint>, Vec<Place>, AxisView)> {
        let mut points = Vec::with_capacity(values.len());
        let mut whole = true;
        for (value, place) in values.into_iter().zip(&places) {
            let label = if value.is_null() { None } else { format_value(&value) };
            match label.filter(|label| self.label(label, place)) {
                Some(label) => points.push(AxisPoint { label, value }),
                None => {
                    whole = false;
                    if value.is_null() || value.is_array() || value.is_object() {
                        let what = describe(&value);
                        let message = format!("a point of an axis must be a scalar, not {what}");
                        self.found.push(Diagnostic::error(codes::AXIS_VALUE, place, message));
                    }
                }
            }
        }
        let gives = Type::common(points.iter().map(|point| Type::from_value(&point.value)));
        whole.then_some((points, places, AxisView::Scalar(gives)))
    }

    fn mapping(&mut self) -> Option<(Vec<AxisPoint>, Vec<Place>, AxisView)> {
        let Data::Mapping(entries) = &self.definition.value.data else { return None };
        let mut points = Vec::new();
        let mut places = Vec::new();
        let mut whole = true;
        for entry in entries {
            whole &= self.label(&entry.key, &entry.key_place);
            let mut fields = Map::new();
            match &entry.value.data {
                Data::Mapping(written) => {
                    for field in written {
                        whole &= self.field(field);
                        match self.value(&field.value) {
                            Some(value) => _ = fields.insert(field.key.clone(), value),
                            None => whole = false,
                        }
                    }
                }
                _ if entry.value.is_null() => {}
                _ => {
                    whole = false;
                    let what = format!("the point `{}`", names::short(&entry.key));
                    let hint = format!("name the field: `{}: {{ value: … }}`", entry.key);
                    self.found.push(entry.value.not_a(&what, "a mapping of fields").hint(hint));
                }
            }
            points.push(AxisPoint { label: entry.key.clone(), value: Value::Object(fields) });
            places.push(entry.key_place.clone());
        }
        if !whole {
            return None;
        }
        let mut types: Vec<(String, Vec<Type>)> = Vec::new();
        for point in &points {
            for (field, value) in point.value.as_object().into_iter().flatten() {
                match types.iter_mut().find(|(known, _)| known == field) {
                    Some((_, types)) => types.push(Type::from_value(value)),
                    None => types.push((field.clone(), vec![Type::from_value(value)])),
                }
            }
        }
        let complete = self.fields_agree(&points, &places, &types);
        let fields = types.into_iter().map(|(field, types)| (field, Type::common(types)));
        complete.then(|| (points, places, AxisView::Fields(fields.collect())))
    }

    fn field(&mut self, field: &crate::yaml::Entry) -> bool {
        let valid = names::is_identifier(&field.key);
        if !valid {
            let message = format!("`{}` cannot name a field", names::short(&field.key));
            self.found.push(
                Diagnostic::error(codes::BAD_NAME, &field.key_place, message)
                    .hint("start with a letter; go on with letters, digits and `_`".to_owned()),
            );
        }
        valid
    }

    /// Every point needs every field; one that most points lack is the stranger, not they.
    fn fields_agree(
        &mut self,
        points: &[AxisPoint],
        places: &[Place],
        types: &[(String, Vec<Type>)],
    ) -> bool {
        let mut found = Vec::new();
        let common: Vec<&str> = types
            .iter()
            .filter(|(_, types)| types.len() * 2 >= points.len())
            .map(|(field, _)| field.as_str())
            .collect();
        for (point, place) in points.iter().zip(places) {
            let has = |field: &str| point.value.get(field).is_some();
            let mut lacking: Vec<_> = common.iter().copied().filter(|field| !has(field)).collect();
            let strangers = types.iter().map(|(field, _)| field.as_str());
            for stranger in strangers.filter(|field| has(field) && !common.contains(field)) {
                let near = names::suggest(stranger, lacking.iter().copied());
                let message = format!(
                    "the point `{}` has the field `{stranger}`, which others lack",
                    point.label
                );
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "all points of an axis carry the same fields".to_owned(),
                };
                let place = self.field_place(&point.label, stranger).unwrap_or(place);
                found.push(Diagnostic::error(codes::AXIS_FIELDS, place, message).hint(hint));
                lacking.retain(|field| Some(*field) != near);
            }
            for field in lacking {
                let message = format!("the point `{}` lacks the field `{field}`", point.label);
                let mut diagnostic = Diagnostic::error(codes::AXIS_FIELDS, place, message)
                    .hint("all points of an axis carry the same fields".to_owned());
                let other = points.iter().find(|other| other.value.get(field).is_some());
                if let Some(other) = other
                    && let Some(place) = self.field_place(&other.label, field)
                {
                    diagnostic = diagnostic.related(place, format!("`{}` has it", other.label));
                }
                found.push(diagnostic);
            }
        }
        let agree = found.is_empty();
        self.found.extend(found);
        agree
    }

    /// The place of the key of a point's field.
    fn field_place(&self, label: &str, field: &str) -> Option<&Place> {
        let Data::Mapping(points) = &self.definition.value.data else { return None };
        let point = points.iter().find(|point| point.key == label)?;
        let Data::Mapping(fields) = &point.value.data else { return None };
        fields.iter().find(|entry| entry.key == field).map(|entry| &entry.key_place)
    }

    fn label(&mut self, label: &str, place: &Place) -> bool {
        let valid = !label.is_empty() && !label.chars().any(char::is_control);
        if !valid {
            let message = "the label of a point must have text and no control characters";
            self.found.push(Diagnostic::error(codes::AXIS_VALUE, place, message));
        }
        valid
    }

    fn labels_differ(&mut self, points: &[AxisPoint], places: &[Place]) -> bool {
        let mut seen = BTreeMap::new();
        let mut differ = true;
        for (point, place) in points.iter().zip(places) {
            if let Some(first) = seen.insert(point.label.as_str(), place) {
                differ = false;
                let message = format!(
                    "the axis `{}` has the point `{}` twice",
                    self.definition.name, point.label
                );
                self.found.push(
                    Diagnostic::error(codes::DUPLICATE_POINT, place, message)
                        .related(first, "first given here"),
                );
            }
        }
        differ
    }
}
