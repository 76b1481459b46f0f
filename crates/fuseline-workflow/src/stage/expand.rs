//! A stage at every point of its axes: options are evaluated once for each combination of the axes they mention.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{WrittenStage, ports};
use crate::catalogue::{Catalogue, KindSpec};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expression::{
    AxisView, Environment, Mistake, ParamView, Scope, Template, Type, Work, has_expression,
};
use crate::files::{Files, Place};
use crate::limits::Limits;
use crate::options;
use crate::workflow::{Actions, Axis, DeclaredPorts, OptionPlaces, Variant};
use crate::yaml::{Data, Node, describe};

/// What all stages share.
pub(crate) struct World<'a> {
    pub catalogue: &'a Catalogue,
    pub limits: &'a Limits,
    pub files: &'a Files,
    pub params: &'a [ParamView],
    pub values: &'a [Option<Value>],
    pub axes: &'a [Axis],
    pub views: &'a [(String, AxisView)],
}

/// What one stage expands to. Parts with mistakes, all reported, are left out.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    /// `None` when its points are not known.
    pub actions: Option<Actions>,
    /// Those that could be made; `None` for others.
    pub variants: Vec<Option<Variant>>,
    /// The distinct kinds, as far as known.
    pub kinds: Vec<usize>,
    /// The ports that the stage declares for itself, by kind.
    pub declared: BTreeMap<usize, Arc<DeclaredPorts>>,
}

/// Options as read: constants, and templates with the node they stand in.
enum Compiled<'n> {
    Scalar(Template, &'n Node),
    List(Vec<Self>),
    Map(Vec<(&'n str, Self)>),
}

/// Expands one stage. `actions_left` bounds the actions of the whole workflow.
pub(crate) fn expand(
    stage: &WrittenStage,
    world: &World<'_>,
    used: &mut BTreeSet<usize>,
    work: &mut Work,
    actions_left: &mut usize,
    found: &mut Vec<Diagnostic>,
) -> Expanded {
    let over = stage.over.as_deref().unwrap_or_default();
    let mut scope =
        Scope { params: world.params, axes: world.views, over: Some(over), used: &mut *used };
    if stage.over.is_none() {
        // Names cannot be judged, but params are used all the same, and literals can be wrong.
        let all: Vec<_> = (0..world.axes.len()).collect();
        scope.over = Some(&all);
        let mut unheard = Vec::new();
        for node in [&stage.uses, &stage.with, &stage.filter].into_iter().flatten() {
            compile(node, &mut scope, world.files, &mut unheard);
        }
        return Expanded::default();
    }
    let uses = stage.uses.as_ref().and_then(|node| {
        let template = Template::read(node, &mut scope, world.files, found)?;
        Some((template, node))
    });
    let with = stage.with.as_ref().map(|node| compile(node, &mut scope, world.files, found));
    let filter = stage.filter.as_ref().map(|node| filter(node, &mut scope, world.files, found));
    let known = over.iter().all(|axis| !world.axes[*axis].points.is_empty());
    let mut expanded = Expanded::default();
    let Some((uses, uses_node)) = uses else { return expanded };
    if uses.is_constant()
        && let Some(kind) =
            resolve_kind(&uses, uses_node, world, &mut constant_environment(world, work), found)
    {
        expanded.kinds.push(kind);
    }
    let points = match &filter {
        Some(None) => None,
        _ if !known => None,
        Some(Some(filter)) => points(stage, Some(filter), world, work, actions_left, found),
        None => points(stage, None, world, work, actions_left, found),
    };
    let Some(points) = points else {
        check_skeleton(stage, &expanded.kinds, world, found);
        return expanded;
    };
    // Options that could not be read leave the kinds and the joins to be checked.
    let (with, readable) = match with {
        Some(None) => (None, false),
        Some(with) => (with, true),
        None => (None, true),
    };
    let mut maker = VariantMaker {
        stage,
        world,
        uses: (&uses, uses_node),
        with: with.as_ref(),
        readable,
        kinds: BTreeSet::new(),
        places: Arc::new(option_places(stage)),
        paths: BTreeMap::new(),
        declared: BTreeMap::new(),
        repeated: BTreeMap::new(),
    };
    let mut mentioned = uses.axes.clone();
    if let Some(with) = &with {
        with.mentions(&mut mentioned);
    }
    let (variants, of_action) = maker.variants(&points, over, &mentioned, work);
    maker.report(variants.len(), found);
    expanded.kinds = maker.kinds.into_iter().collect();
    expanded.declared = maker.declared;
    if !readable {
        check_skeleton(stage, &expanded.kinds, world, found);
    }
    expanded.actions = Some(Actions { axes: over.len(), coords: points, variants: of_action });
    expanded.variants = variants;
    expanded
}

fn constant_environment<'a>(world: &World<'a>, work: &'a mut Work) -> Environment<'a> {
    Environment { params: world.values, axes: world.axes, coords: &[], work }
}

/// Reads a tree of options; `None` when any part has a mistake or depends on something that has.
fn compile<'n>(
    node: &'n Node,
    scope: &mut Scope<'_>,
    files: &Files,
    found: &mut Vec<Diagnostic>,
) -> Option<Compiled<'n>> {
    match &node.data {
        Data::Scalar(_) => Some(Compiled::Scalar(Template::read(node, scope, files, found)?, node)),
        Data::Sequence(items) => {
            let items: Vec<_> =
                items.iter().map(|item| compile(item, scope, files, found)).collect();
            Some(Compiled::List(items.into_iter().collect::<Option<_>>()?))
        }
        Data::Mapping(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            let mut whole = true;
            for entry in entries {
                if has_expression(&entry.key) {
                    let message = "an expression has no meaning in a key";
                    found.push(Diagnostic::error(
                        codes::EXPRESSION_PLACE,
                        &entry.key_place,
                        message,
                    ));
                    whole = false;
                }
                match compile(&entry.value, scope, files, found) {
                    Some(value) => map.push((entry.key.as_str(), value)),
                    None => whole = false,
                }
            }
            whole.then_some(Compiled::Map(map))
        }
    }
}

impl Compiled<'_> {
    fn mentions(&self, axes: &mut BTreeSet<usize>) {
        match self {
            Self::Scalar(template, _) => axes.extend(&template.axes),
            Self::List(items) => items.iter().for_each(|item| item.mentions(axes)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.mentions(axes)),
        }
    }

    fn evaluate<'s>(
        &'s self,
        environment: &mut Environment<'_>,
        mistakes: &mut Vec<(Mistake, &'s Node)>,
    ) -> Value {
        match self {
            Self::Scalar(template, node) => match template.evaluate(environment) {
                Ok(value) => value,
                Err(mistake) => {
                    mistakes.push((mistake, node));
                    Value::Null
                }
            },
            Self::List(items) => {
                items.iter().map(|item| item.evaluate(environment, mistakes)).collect()
            }
            Self::Map(entries) => {
                let entries = entries.iter();
                let evaluated = entries
                    .map(|(key, value)| ((*key).to_owned(), value.evaluate(environment, mistakes)));
                Value::Object(evaluated.collect())
            }
        }
    }
}

struct Filter<'n> {
    template: Template,
    node: &'n Node,
}

fn filter<'n>(
    node: &'n Node,
    scope: &mut Scope<'_>,
    files: &Files,
    found: &mut Vec<Diagnostic>,
) -> Option<Filter<'n>> {
    if !node.scalar().is_some_and(|scalar| has_expression(&scalar.text)) {
        let hint = "where: ${{ fold < 3 }}".to_owned();
        found.push(node.not_a("`where`", "an expression").hint(hint));
        return None;
    }
    let template = Template::read(node, scope, files, found)?;
    if !template.gives.may_be(&Type::Bool) {
        let message = format!("`where` must be true or false, not {}", template.gives.words());
        found.push(Diagnostic::error(codes::EXPRESSION_TYPE, &node.place, message));
        return None;
    }
    Some(Filter { template, node })
}

/// The coordinates of all points that `where:` keeps, in declared order.
fn points(
    stage: &WrittenStage,
    filter: Option<&Filter<'_>>,
    world: &World<'_>,
    work: &mut Work,
    actions_left: &mut usize,
    found: &mut Vec<Diagnostic>,
) -> Option<Vec<u32>> {
    let over = stage.over.as_deref().unwrap_or_default();
    let lengths: Vec<_> = over.iter().map(|axis| world.axes[*axis].points.len()).collect();
    let all = lengths.iter().try_fold(1_usize, |all, length| all.checked_mul(*length));
    let max = world.limits.max_actions;
    let over_place = stage.over_place.as_ref().unwrap_or(&stage.name_place);
    let too_many = |count: Option<usize>, whole: &str| {
        let size = count.map_or("too many".to_owned(), |count| count.to_string());
        let message = format!("{whole} {size} actions; at most {max} are allowed");
        let hint = match count {
            Some(count) => format!("raise the limit with --max-actions {count}"),
            None => "run over fewer axes, or over fewer points".to_owned(),
        };
        Diagnostic::error(codes::LIMIT, over_place, message).hint(hint)
    };
    let Some(count) = all.filter(|all| *all <= max) else {
        let name = &stage.name;
        found.push(too_many(all, &format!("the stage `{name}` has, before `where`,")));
        return None;
    };
    let mut coords = Vec::with_capacity(count * over.len());
    let mut verdicts = filter.map(|filter| {
        let table = Table::new(over, &filter.template.axes, world.axes);
        let size = table.size;
        (filter, table, vec![None::<bool>; size])
    });
    let mut point = vec![0_u32; over.len()];
    let mut by_axis = vec![u32::MAX; world.axes.len()];
    let mut kept_points = 0;
    for _ in 0..count {
        let mut kept = true;
        if let Some((filter, table, verdicts)) = &mut verdicts {
            let slot = table.slot(&point);
            kept = match verdicts[slot] {
                Some(kept) => kept,
                None => {
                    for (axis, coord) in over.iter().zip(&point) {
                        by_axis[*axis] = *coord;
                    }
                    let mut environment = Environment {
                        params: world.values,
                        axes: world.axes,
                        coords: &by_axis,
                        work,
                    };
                    let value = filter.template.evaluate(&mut environment).and_then(|value| {
                        value.as_bool().ok_or_else(|| {
                            let text = filter.node.scalar().map_or(0, |scalar| scalar.text.len());
                            let message =
                                format!("`where` must be true or false, not {}", describe(&value));
                            Mistake::new(codes::EXPRESSION_TYPE, &(0..text), message)
                        })
                    });
                    match value {
                        Ok(kept) => *verdicts[slot].insert(kept),
                        Err(mistake) => {
                            let at = written_point(over, &point, world.axes, None);
                            let mut diagnostic = mistake.diagnostic(filter.node, world.files);
                            diagnostic.label = (!at.is_empty()).then(|| format!("at {at}"));
                            found.push(diagnostic);
                            return None;
                        }
                    }
                }
            };
        }
        if kept {
            coords.extend_from_slice(&point);
            kept_points += 1;
        }
        for (coord, length) in point.iter_mut().zip(&lengths).rev() {
            *coord += 1;
            if (*coord as usize) < *length {
                break;
            }
            *coord = 0;
        }
    }
    if kept_points == 0 {
        let place = filter.map_or(over_place, |filter| &filter.node.place);
        let message = format!("`where` leaves no point of the stage `{}`", stage.name);
        found.push(Diagnostic::error(codes::NO_ACTIONS, place, message));
        return None;
    }
    match actions_left.checked_sub(kept_points) {
        Some(left) => *actions_left = left,
        None => {
            let whole = "with this stage the workflow has";
            found.push(too_many(Some(max - *actions_left + kept_points), whole));
            *actions_left = 0;
            return None;
        }
    }
    Some(coords)
}

/// A dense numbering of the combinations of some of a stage's axes.
pub(super) struct Table {
    /// For each axis of `over`, what one step along it adds; 0 for an axis that does not count.
    strides: Vec<usize>,
    pub size: usize,
}

impl Table {
    pub fn new(over: &[usize], counted: &BTreeSet<usize>, axes: &[Axis]) -> Self {
        let mut size = 1;
        let mut strides = vec![0; over.len()];
        for (stride, axis) in strides.iter_mut().zip(over).rev() {
            if counted.contains(axis) {
                *stride = size;
                size *= axes[*axis].points.len();
            }
        }
        Self { strides, size }
    }

    pub fn slot(&self, point: &[u32]) -> usize {
        self.strides.iter().zip(point).map(|(stride, coord)| stride * *coord as usize).sum()
    }
}

/// A point in words, `axis=label, axis=label`; of all axes, or of some.
pub(super) fn written_point(
    over: &[usize],
    point: &[u32],
    axes: &[Axis],
    only: Option<&BTreeSet<usize>>,
) -> String {
    let named =
        over.iter().zip(point).filter(|(axis, _)| only.is_none_or(|only| only.contains(axis)));
    let words: Vec<_> = named
        .map(|(axis, coord)| {
            let axis = &axes[*axis];
            let label = axis.points.get(*coord as usize).map_or("?", |point| point.label.as_str());
            format!("{}={label}", axis.name)
        })
        .collect();
    words.join(", ")
}

fn option_places(stage: &WrittenStage) -> OptionPlaces {
    let uses = stage.uses.as_ref().map(|node| &node.place);
    let whole = stage.with_key.as_ref().or(uses).unwrap_or(&stage.name_place).clone();
    let mut places = BTreeMap::new();
    if let Some(with) = &stage.with {
        collect_places(with, "", &mut places);
    }
    OptionPlaces { places, whole }
}

fn collect_places(node: &Node, path: &str, places: &mut BTreeMap<String, (Place, Place)>) {
    let join =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match &node.data {
        Data::Scalar(_) => {}
        Data::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = join(&index.to_string());
                places.insert(path.clone(), (item.place.clone(), item.place.clone()));
                collect_places(item, &path, places);
            }
        }
        Data::Mapping(entries) => {
            for entry in entries {
                let path = join(&entry.key);
                let both = (entry.key_place.clone(), entry.value.place.clone());
                places.insert(path.clone(), both);
                collect_places(&entry.value, &path, places);
            }
        }
    }
}

fn check_options(
    kind: &KindSpec,
    options: &Map<String, Value>,
    places: &OptionPlaces,
    found: &mut Vec<Diagnostic>,
) {
    for problem in options::check(&kind.name, &kind.options, options) {
        let place = match problem.at_key {
            true => places.key_place(&problem.path),
            false => places.place(&problem.path),
        };
        found.push(Diagnostic::error(problem.code, &place, problem.message).hint(problem.hint));
    }
}

/// What can be said of options whose expressions have no values.
fn check_skeleton(
    stage: &WrittenStage,
    kinds: &[usize],
    world: &World<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let options = match stage.with.as_ref().map(options::skeleton) {
        Some(Value::Object(options)) => options,
        // What is no mapping was reported, and nothing is known of its options.
        _ if stage.with_key.is_some() => return,
        _ => Map::new(),
    };
    let places = option_places(stage);
    for kind in kinds {
        check_options(&world.catalogue.kinds()[*kind], &options, &places, found);
    }
}

/// The kind that `uses:` gives at one combination.
fn resolve_kind(
    uses: &Template,
    node: &Node,
    world: &World<'_>,
    environment: &mut Environment<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let name = match uses.evaluate(environment) {
        Ok(Value::String(name)) => name,
        Ok(other) => {
            let message = format!("`uses` must name a stage kind, not be {}", describe(&other));
            found.push(Diagnostic::error(codes::EXPRESSION_TYPE, &node.place, message));
            return None;
        }
        Err(mistake) => {
            found.push(mistake.diagnostic(node, world.files));
            return None;
        }
    };
    let kind = world.catalogue.index(&name);
    if kind.is_none() {
        let message = format!("there is no stage kind `{}`", crate::names::short(&name));
        let family = name.split_once('.').map_or(name.as_str(), |(family, _)| family);
        let members: Vec<_> =
            world.catalogue.family(family).map(|kind| kind.name.as_str()).collect();
        let hint = match (world.catalogue.suggest(&name), members.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, false) => {
                format!("the kinds of this family are {}", crate::names::list(&members))
            }
            (None, true) => "`fuseline stages` lists them".to_owned(),
        };
        found.push(Diagnostic::error(codes::UNKNOWN_KIND, &node.place, message).hint(hint));
    }
    kind
}

/// The same diagnostic at several points of a stage.
struct Repeated {
    diagnostic: Diagnostic,
    first: String,
    count: usize,
}

struct VariantMaker<'a, 'n> {
    stage: &'a WrittenStage,
    world: &'a World<'a>,
    uses: (&'a Template, &'a Node),
    with: Option<&'a Compiled<'n>>,
    /// Whether the options could be read; if not, kinds alone are resolved.
    readable: bool,
    places: Arc<OptionPlaces>,
    /// By kind, whether any option is a path.
    paths: BTreeMap<usize, bool>,
    /// The kinds that were resolved.
    kinds: BTreeSet<usize>,
    /// By kind, the ports that the stage declares for itself.
    declared: BTreeMap<usize, Arc<DeclaredPorts>>,
    repeated: BTreeMap<(crate::files::FileId, usize, usize, &'static str, String), Repeated>,
}

impl VariantMaker<'_, '_> {
    /// A variant for each combination of the mentioned axes, and the variant of each action.
    fn variants(
        &mut self,
        points: &[u32],
        over: &[usize],
        mentioned: &BTreeSet<usize>,
        work: &mut Work,
    ) -> (Vec<Option<Variant>>, Vec<u32>) {
        let table = Table::new(over, mentioned, self.world.axes);
        let mut known = vec![u32::MAX; table.size];
        let mut variants = Vec::new();
        let count = if over.is_empty() { 1 } else { points.len() / over.len() };
        let mut of_action = Vec::with_capacity(count);
        let mut by_axis = vec![u32::MAX; self.world.axes.len()];
        for action in 0..count {
            let point = &points[action * over.len()..(action + 1) * over.len()];
            let slot = &mut known[table.slot(point)];
            if *slot == u32::MAX {
                *slot = variants.len() as u32;
                for (axis, coord) in over.iter().zip(point) {
                    by_axis[*axis] = *coord;
                }
                let world = self.world;
                let mut environment =
                    Environment { params: world.values, axes: world.axes, coords: &by_axis, work };
                let mut found = Vec::new();
                variants.push(self.variant(&mut environment, &mut found));
                if !found.is_empty() {
                    let at = written_point(over, point, world.axes, Some(mentioned));
                    self.note(found, &at);
                }
            }
            of_action.push(*slot);
        }
        (variants, of_action)
    }

    fn variant(
        &mut self,
        environment: &mut Environment<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Variant> {
        let world = self.world;
        let kind = resolve_kind(self.uses.0, self.uses.1, world, environment, found)?;
        self.kinds.insert(kind);
        let spec = &world.catalogue.kinds()[kind];
        let mut mistakes = Vec::new();
        let value = self.with.map(|with| with.evaluate(environment, &mut mistakes));
        let mut options = match value {
            Some(Value::Object(options)) => options,
            _ => Map::new(),
        };
        if self.readable && mistakes.is_empty() {
            check_options(spec, &options, &self.places, found);
        }
        found.extend(
            mistakes.into_iter().map(|(mistake, node)| mistake.diagnostic(node, world.files)),
        );
        let has_paths =
            *self.paths.entry(kind).or_insert_with(|| options::has_paths(&spec.options));
        if has_paths && found.is_empty() {
            options::absolute_paths(&spec.options, &mut options, Path::new(&self.stage.folder));
        }
        let mut declared = None;
        if spec.declared_ports && self.readable {
            let ports = ports::declared(&options, world.catalogue, &self.places, found);
            if found.is_empty() {
                let first = self.declared.entry(kind).or_insert_with(|| Arc::new(ports.clone()));
                if **first != ports {
                    let message = "the ports of a stage must be the same at all its points";
                    found.push(Diagnostic::error(codes::MIXED_KINDS, &self.places.whole, message));
                }
                declared = Some(Arc::clone(first));
            }
        }
        let (options, places) = (Arc::new(options), Arc::clone(&self.places));
        (self.readable && found.is_empty()).then_some(Variant { kind, options, places, declared })
    }

    fn note(&mut self, found: Vec<Diagnostic>, at: &str) {
        for diagnostic in found {
            let (file, start, end) = diagnostic.place.order();
            // Wrong values differ from point to point, and one of them is enough to see; missing options stand at one
            // place, and are told apart by their words.
            let words = match diagnostic.code {
                codes::MISSING_OPTION | codes::UNKNOWN_OPTION | codes::UNKNOWN_KIND => {
                    diagnostic.message.clone()
                }
                _ => String::new(),
            };
            self.repeated
                .entry((file, start, end, diagnostic.code.0, words))
                .and_modify(|repeated| repeated.count += 1)
                .or_insert_with(|| Repeated { diagnostic, first: at.to_owned(), count: 1 });
        }
    }

    /// Says everything once, and where it holds when it does not hold everywhere.
    fn report(&mut self, variants: usize, found: &mut Vec<Diagnostic>) {
        for Repeated { mut diagnostic, first, count } in
            std::mem::take(&mut self.repeated).into_values()
        {
            if count < variants && !first.is_empty() {
                diagnostic.label = Some(match count - 1 {
                    0 => format!("at {first}"),
                    more => format!("at {first} and {more} more"),
                });
            }
            found.push(diagnostic);
        }
    }
}
