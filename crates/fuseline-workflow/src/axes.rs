//! Axes: lists, ranges and mappings to points with labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::Definition;
use crate::expression::{
    AxisView, Environment, NO_POINT, ParamView, Scope, Template, Type, Work, format_value,
    has_expression,
};
use crate::files::{Files, Place};
use crate::index::{AxisIndex, IndexVec, ParamIndex, PointIndex};
use crate::limits::Limits;
use crate::names;
use crate::workflow::{Axis, AxisPoint, Within};
use crate::yaml::{Data, Entry, Node, describe};

/// Inputs of reading axes.
pub(crate) struct Given<'a> {
    pub params: &'a IndexVec<ParamIndex, ParamView>,
    pub values: &'a IndexVec<ParamIndex, Option<Value>>,
    pub limits: &'a Limits,
    pub files: &'a Files,
}

/// Keys of an axis that say how its points are made.
pub(crate) const WITHIN: &str = "within";
pub(crate) const ZIP: &str = "zip";

/// Reads all axes. One with a mistake has no points and an unknown view.
pub(crate) fn read(
    definitions: &IndexVec<AxisIndex, Definition>,
    given: &Given<'_>,
    used: &mut BTreeSet<ParamIndex>,
    work: &mut Work,
    found: &mut Vec<Diagnostic>,
) -> (IndexVec<AxisIndex, Axis>, IndexVec<AxisIndex, (String, AxisView)>) {
    let names: IndexVec<_, _> =
        definitions.iter().map(|d| (d.name.clone(), AxisView::Unknown)).collect();
    let mut axes: IndexVec<AxisIndex, Axis> = definitions
        .iter()
        .map(|definition| Axis {
            name: definition.name.clone(),
            points: IndexVec::new(),
            within: None,
            place: definition.name_place.clone(),
        })
        .collect();
    let mut views = names.clone();
    // A nested axis needs the points of the other one, which may be declared behind it.
    let (nested, whole): (Vec<_>, Vec<_>) =
        definitions.keys().partition(|axis| within(&definitions[*axis]).is_some());
    for axis in whole.into_iter().chain(nested) {
        let definition = &definitions[axis];
        let mut reader =
            Reader { definition, given, names: &names, axes: &axes, used, work, found };
        let read = match within(definition) {
            Some(outer) => reader.nested(outer, definitions),
            None => reader.whole().map(|written| (written, None)),
        };
        let Some((written, within)) = read else { continue };
        let Some(view) = reader.view(&written) else { continue };
        views[axis].1 = view;
        axes[axis].points = written.points.into();
        axes[axis].within = within;
    }
    (axes, views)
}

/// The name of the axis that an axis is nested in, as written.
pub(crate) fn outer_name(definition: &Definition) -> Option<&str> {
    Some(&within(definition)?.value.scalar()?.text)
}

/// The entry of an axis that names the one it is nested in.
fn within(definition: &Definition) -> Option<&Entry> {
    let Data::Mapping(entries) = &definition.value.data else { return None };
    entries.iter().find(|entry| entry.key == WITHIN && entry.value.scalar().is_some())
}

/// Points as they are written in one place.
struct Written {
    points: Vec<AxisPoint>,
    has_fields: bool,
}

struct Reader<'a> {
    definition: &'a Definition,
    given: &'a Given<'a>,
    names: &'a IndexVec<AxisIndex, (String, AxisView)>,
    /// All axes; those that were read have points.
    axes: &'a IndexVec<AxisIndex, Axis>,
    used: &'a mut BTreeSet<ParamIndex>,
    work: &'a mut Work,
    found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// The points of an axis that is not nested.
    fn whole(&mut self) -> Option<Written> {
        let node = &self.definition.value;
        let written = match &node.data {
            Data::Mapping(entries) => match entries.as_slice() {
                [Entry { key, value, .. }]
                    if key == ZIP && matches!(value.data, Data::Mapping(_)) =>
                {
                    self.zip(value)?
                }
                entries => self.mapping(entries)?,
            },
            _ => self.scalars(node)?,
        };
        let name = &self.definition.name;
        if written.points.is_empty() {
            let message = format!("the axis `{name}` has no points");
            self.found.push(
                Diagnostic::error(codes::EMPTY_AXIS, &node.place, message)
                    .hint("a stage over it would never run".to_owned()),
            );
            return None;
        }
        (self.is_short(written.points.len()) && self.labels_differ(&written.points))
            .then_some(written)
    }

    fn is_short(&mut self, points: usize) -> bool {
        let max = self.given.limits.max_list();
        if points > max {
            let name = &self.definition.name;
            let message =
                format!("the axis `{name}` has {points} points; at most {max} are allowed");
            self.found.push(
                Diagnostic::error(codes::LIMIT, &self.definition.value.place, message)
                    .hint(format!("raise the limit with --max-actions {}", 10 * points)),
            );
        }
        points <= max
    }

    /// The points of an axis that has its own under each point of another.
    fn nested(
        &mut self,
        outer: &Entry,
        definitions: &IndexVec<AxisIndex, Definition>,
    ) -> Option<(Written, Option<Within>)> {
        let Data::Mapping(entries) = &self.definition.value.data else { return None };
        let name = outer.value.text("`within`", self.found)?;
        let Some(axis) = definitions.position(|other| other.name == name) else {
            let names = definitions.iter().map(|other| other.name.as_str());
            let names = names.filter(|other| *other != self.definition.name);
            let message = format!("there is no axis `{}`", names::short(name));
            self.found.push(
                Diagnostic::error(codes::UNKNOWN_AXIS, &outer.value.place, message)
                    .suggest(name, "axis", names),
            );
            return None;
        };
        if within(&definitions[axis]).is_some() {
            let message = match definitions[axis].name == self.definition.name {
                true => format!("the axis `{name}` is within itself"),
                false => format!("the axis `{name}` is itself within another"),
            };
            self.found.push(
                Diagnostic::error(codes::AXIS_VALUE, &outer.value.place, message)
                    .hint("an axis is nested in one that is not nested".to_owned()),
            );
            return None;
        }
        let axes = self.axes;
        let outer_points = &axes[axis].points;
        if outer_points.is_empty() {
            // The other axis has a mistake, which was reported.
            return None;
        }
        let mut found = Within { axis, values: BTreeMap::new() };
        let mut points: IndexVec<PointIndex, AxisPoint> = IndexVec::new();
        let mut places: BTreeMap<String, PointIndex> = BTreeMap::new();
        let mut shapes: Vec<(bool, &Place)> = Vec::new();
        let mut whole = true;
        for entry in entries.iter().filter(|entry| entry.key != WITHIN) {
            let Some(at) = outer_points.position(|point| point.label == entry.key) else {
                whole = false;
                let labels = outer_points.iter().map(|point| point.label.as_str());
                let message =
                    format!("the axis `{name}` has no point `{}`", names::short(&entry.key));
                self.found.push(
                    Diagnostic::error(codes::UNKNOWN_POINT, &entry.key_place, message)
                        .suggest(&entry.key, "point", labels),
                );
                continue;
            };
            let written = match &entry.value.data {
                Data::Mapping(entries) => self.mapping(entries),
                _ => self.scalars(&entry.value),
            };
            let Some(written) = written else {
                whole = false;
                continue;
            };
            whole &= self.labels_differ(&written.points);
            if !written.points.is_empty() {
                shapes.push((written.has_fields, &entry.key_place));
            }
            for point in written.points {
                let next = points.next_key();
                let place = *places.entry(point.label.clone()).or_insert(next);
                found.values.insert((at, place), point.value.clone());
                if place == next {
                    points.push(point);
                }
            }
            whole = whole && self.is_short(found.values.len());
        }
        if let Some((has_fields, first)) = shapes.first()
            && let Some((_, other)) = shapes.iter().find(|(other, _)| other != has_fields)
        {
            let message = format!(
                "the points of the axis `{}` have fields in one place and none in another",
                self.definition.name
            );
            self.found.push(
                Diagnostic::error(codes::AXIS_VALUE, other, message)
                    .hint("write all of them as scalars, or all with fields".to_owned())
                    .related(first, "unlike here"),
            );
            return None;
        }
        let lacking: Vec<_> = outer_points
            .iter()
            .map(|point| point.label.as_str())
            .filter(|label| !entries.iter().any(|entry| entry.key == *label))
            .collect();
        if whole && !lacking.is_empty() {
            let message = format!(
                "the axis `{}` says no points for {}",
                self.definition.name,
                names::list(&lacking)
            );
            self.found.push(Diagnostic::error(codes::AXIS_VALUE, &outer.key_place, message).hint(
                format!(
                    "each point of `{name}` has a list; where there are none, `{}: []`",
                    lacking[0]
                ),
            ));
            return None;
        }
        if whole && points.is_empty() {
            let message = format!("the axis `{}` has no points", self.definition.name);
            self.found.push(Diagnostic::error(
                codes::EMPTY_AXIS,
                &self.definition.value.place,
                message,
            ));
            return None;
        }
        let has_fields = shapes.first().is_some_and(|(has_fields, _)| *has_fields);
        whole.then_some((Written { points: points.raw, has_fields }, Some(found)))
    }

    /// Points of which each takes one element of several lists.
    fn zip(&mut self, node: &Node) -> Option<Written> {
        let Data::Mapping(entries) = &node.data else { return None };
        let mut lists: Vec<(&Entry, Vec<AxisPoint>)> = Vec::new();
        let mut whole = true;
        for entry in entries {
            whole &= self.field(entry);
            match self.scalars(&entry.value) {
                Some(written) => lists.push((entry, written.points)),
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        let Some((first, values)) = lists.first() else {
            let message = "`zip` has no lists";
            self.found.push(
                Diagnostic::error(codes::AXIS_VALUE, &node.place, message)
                    .hint("write `zip: { field: [a, b], other: [c, d] }`".to_owned()),
            );
            return None;
        };
        let count = values.len();
        if let Some((entry, other)) = lists.iter().find(|(_, other)| other.len() != count) {
            let message = format!(
                "the lists of `zip` have different lengths: `{}` {count}, `{}` {}",
                first.key,
                entry.key,
                other.len()
            );
            self.found.push(
                Diagnostic::error(codes::AXIS_VALUE, &entry.key_place, message)
                    .hint("each point takes one element of each list".to_owned())
                    .related(&first.key_place, format!("{count} here")),
            );
            return None;
        }
        let points = (0..count).map(|at| {
            let labels: Vec<_> = lists.iter().map(|(_, list)| list[at].label.as_str()).collect();
            let fields =
                lists.iter().map(|(entry, list)| (entry.key.clone(), list[at].value.clone()));
            let place = values[at].place.clone();
            AxisPoint { label: labels.join("-"), value: Value::Object(fields.collect()), place }
        });
        Some(Written { points: points.collect(), has_fields: true })
    }

    /// The value of a scalar, which may be an expression over params.
    fn value(&mut self, node: &Node) -> Option<Value> {
        if node.scalar().is_none() {
            let what = "a point of an axis";
            let hint = "points with fields are written as a mapping: `name: { field: value }`";
            self.found.push(node.not_a(what, "a scalar").hint(hint.to_owned()));
            return None;
        }
        let mut scope = Scope {
            params: self.given.params,
            axes: self.names,
            over: None,
            points: None,
            used: self.used,
        };
        let template = Template::read(node, &mut scope, self.given.files, self.found)?;
        let mut environment = Environment {
            params: self.given.values,
            axes: &IndexVec::new(),
            coords: &NO_POINT,
            work: self.work,
        };
        match template.evaluate(&mut environment) {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.found.push(mistake.diagnostic(node, self.given.files));
                None
            }
        }
    }

    /// The value of a field: anything, with expressions over params in it.
    fn field_value(&mut self, node: &Node) -> Option<Value> {
        match &node.data {
            Data::Scalar(_) => self.value(node),
            Data::Sequence(items) => {
                let values: Vec<_> = items.iter().map(|item| self.field_value(item)).collect();
                values.into_iter().collect()
            }
            Data::Mapping(entries) => {
                let values = entries.iter().map(|entry| (&entry.key, &entry.value));
                let values: Vec<_> = values
                    .map(|(key, value)| Some((key.clone(), self.field_value(value)?)))
                    .collect();
                values.into_iter().collect::<Option<_>>().map(Value::Object)
            }
        }
    }

    /// Points without fields: a list, or an expression that gives one.
    fn scalars(&mut self, node: &Node) -> Option<Written> {
        let (values, places) = match &node.data {
            Data::Sequence(items) => {
                let values: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                let places = items.iter().map(|item| item.place.clone()).collect();
                (values.into_iter().collect::<Option<Vec<_>>>()?, places)
            }
            _ => {
                let value = match &node.data {
                    Data::Scalar(_) if node.is_null() => Value::Array(Vec::new()),
                    Data::Scalar(_) => self.value(node)?,
                    _ => Value::Null,
                };
                let Value::Array(values) = value else {
                    let name = &self.definition.name;
                    let found = match node.data {
                        Data::Mapping(_) => "a mapping".to_owned(),
                        _ => describe(&value),
                    };
                    let message =
                        format!("the axis `{name}` must be a list or points, not {found}");
                    let hint =
                        "write `[a, b]`, `${{ range(5) }}`, or a mapping of points to fields";
                    let mistake = Diagnostic::error(codes::AXIS_VALUE, &node.place, message);
                    let written = node.scalar().filter(|scalar| !has_expression(&scalar.text));
                    self.found.push(match written.and_then(|_| node.as_list()) {
                        Some(list) => mistake.write(&list),
                        None => mistake.hint(hint.to_owned()),
                    });
                    return None;
                };
                let places = vec![node.place.clone(); values.len()];
                (values, places)
            }
        };
        let mut points = Vec::with_capacity(values.len());
        let mut whole = true;
        for (value, place) in values.into_iter().zip(places) {
            let label = if value.is_null() { None } else { format_value(&value) };
            match label.filter(|label| self.label(label, &place)) {
                Some(label) => points.push(AxisPoint { label, value, place }),
                None => {
                    whole = false;
                    if value.is_null() || value.is_array() || value.is_object() {
                        let what = describe(&value);
                        let message = format!("a point of an axis must be a scalar, not {what}");
                        self.found.push(Diagnostic::error(codes::AXIS_VALUE, &place, message));
                    }
                }
            }
        }
        whole.then_some(Written { points, has_fields: false })
    }

    /// Points with fields.
    fn mapping(&mut self, entries: &[Entry]) -> Option<Written> {
        let mut points = Vec::new();
        let mut whole = true;
        for entry in entries {
            whole &= self.label(&entry.key, &entry.key_place);
            let mut fields = Map::new();
            match &entry.value.data {
                Data::Mapping(written) => {
                    for field in written {
                        whole &= self.field(field);
                        match self.field_value(&field.value) {
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
            let (label, place) = (entry.key.clone(), entry.key_place.clone());
            points.push(AxisPoint { label, value: Value::Object(fields), place });
        }
        whole
            .then(|| self.fields_agree(entries, &points))
            .filter(|agree| *agree)
            .map(|_| Written { points, has_fields: true })
    }

    /// Types of the points, as expressions see them.
    fn view(&mut self, written: &Written) -> Option<AxisView> {
        if !written.has_fields {
            let types = written.points.iter().map(|point| Type::from_value(&point.value));
            return Some(AxisView::Scalar(Type::common(types)));
        }
        let types = field_types(&written.points);
        let fields = types.into_iter().map(|(field, types)| (field, Type::common(types)));
        Some(AxisView::Fields(fields.collect()))
    }

    fn field(&mut self, field: &Entry) -> bool {
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

    /// Points need not have the same fields; but one that few have, beside one that they lack and
    /// that has nearly its name, is misspelt.
    fn fields_agree(&mut self, entries: &[Entry], points: &[AxisPoint]) -> bool {
        let types = field_types(points);
        let common: Vec<&str> = types
            .iter()
            .filter(|(_, types)| types.len() * 2 >= points.len())
            .map(|(field, _)| field.as_str())
            .collect();
        let before = self.found.len();
        for (point, entry) in points.iter().zip(entries) {
            let Data::Mapping(written) = &entry.value.data else { continue };
            let has = |field: &str| point.value.get(field).is_some();
            let lacking: Vec<_> = common.iter().copied().filter(|field| !has(field)).collect();
            for field in written.iter().filter(|field| !common.contains(&field.key.as_str())) {
                if let Some(near) = names::suggest(&field.key, lacking.iter().copied()) {
                    let message = format!(
                        "the point `{}` has the field `{}`, which others lack",
                        point.label, field.key
                    );
                    self.found.push(
                        Diagnostic::error(codes::AXIS_FIELDS, &field.key_place, message).suggest(
                            &field.key,
                            "field",
                            [near],
                        ),
                    );
                }
            }
        }
        self.found.len() == before
    }

    fn label(&mut self, label: &str, place: &Place) -> bool {
        let valid = !label.is_empty() && !label.chars().any(char::is_control);
        if !valid {
            let message = "the label of a point must have text and no control characters";
            self.found.push(Diagnostic::error(codes::AXIS_VALUE, place, message));
        }
        valid
    }

    fn labels_differ(&mut self, points: &[AxisPoint]) -> bool {
        let mut seen = BTreeMap::new();
        let mut differ = true;
        for AxisPoint { label, place, .. } in points {
            if let Some(first) = seen.insert(label.as_str(), place) {
                differ = false;
                let message =
                    format!("the axis `{}` has the point `{label}` twice", self.definition.name);
                self.found.push(
                    Diagnostic::error(codes::DUPLICATE_POINT, place, message)
                        .related(first, "first given here"),
                );
            }
        }
        differ
    }
}

/// The fields of some points in the order in which they are met, each with the types of its values.
fn field_types(points: &[AxisPoint]) -> Vec<(String, Vec<Type>)> {
    let mut types: Vec<(String, Vec<Type>)> = Vec::new();
    for point in points {
        for (field, value) in point.value.as_object().into_iter().flatten() {
            match types.iter_mut().find(|(known, _)| known == field) {
                Some((_, types)) => types.push(Type::from_value(value)),
                None => types.push((field.clone(), vec![Type::from_value(value)])),
            }
        }
    }
    types
}
