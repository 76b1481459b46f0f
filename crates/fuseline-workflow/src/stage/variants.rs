//! Variants of a stage: a kind with options for each combination of the axes that they mention.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::{Map, Value};

use super::compiled::{Compiled, option_places};
use super::expand::{SEED_HINT, World};
use super::points::{Table, written_point};
use super::{Stranger, WrittenStage, ports};
use crate::catalogue::{Catalogue, KindSpec};
use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::expression::{Environment, Mistake, NO_POINT, Template, Work, has_expression};
use crate::files::{FileId, Files};
use crate::index::{ActionIndex, AxisIndex, IndexVec, KindIndex, PointIndex, VariantIndex};
use crate::options;
use crate::workflow::{DeclaredPorts, OptionPlaces, Variant};
use crate::yaml::{Node, describe};

/// Variants of one stage from which they are made on several threads.
const PARALLEL_VARIANTS: usize = 512;
/// Variants that a thread makes at once.
const VARIANTS_AT_ONCE: usize = 128;

/// An environment without axes, for expressions that mention none.
pub(super) fn constant_environment<'a>(world: &World<'a>, work: &'a mut Work) -> Environment<'a> {
    Environment { params: world.values, axes: world.axes, coords: &NO_POINT, work }
}

/// Checks options against the schema of their kind. `sound`: those of which that is known already.
fn check_options(
    kind: &KindSpec,
    options: &Map<String, Value>,
    sound: &[&str],
    places: &OptionPlaces,
    strangers: &[Stranger],
    files: &Files,
    found: &mut Vec<Diagnostic>,
) {
    for problem in options::check_others(&kind.name, &kind.options, options, sound) {
        // Options beside `with` instead of in it are reported there.
        let is_beside = |option: &String| strangers.iter().any(|stranger| stranger.key == *option);
        if problem.missing.as_ref().is_some_and(is_beside) {
            continue;
        }
        let place = match problem.at_key {
            true => places.key_place(&problem.path),
            false => places.place(&problem.path),
        };
        let (mut hint, mut words) = (problem.hint, problem.fix);
        // What is quoted is a number as it is written, `1e3`, and not its value.
        let written = files.slice(&place);
        if let Some((value, meant)) = &mut words
            && *meant == format!("\"{value}\"")
            && !written.starts_with(['"', '\'', '[', '{', '&', '*'])
            && !has_expression(written)
        {
            (*value, *meant) = (written.to_owned(), format!("\"{written}\""));
            hint = Some(format!("quote it: {meant}"));
        }
        let fix = words.map(|(written, meant)| Fix::word(&written, &meant, &place));
        found.push(
            Diagnostic::error(problem.code, &place, problem.message)
                .hint(hint.unwrap_or_else(|| codes::options_advice(&kind.name)))
                .fix(fix),
        );
    }
}

/// Checks options whose expressions have no values, as far as possible.
pub(super) fn check_skeleton(
    stage: &WrittenStage,
    kinds: &[KindIndex],
    world: &World<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let options = match stage.with.as_deref().map(options::skeleton) {
        Some(Value::Object(options)) => options,
        // A `with` that is no mapping or misspelt was reported, and its options are unknown.
        _ if stage.with_key.is_some() || stage.misshapen.with => return,
        _ => Map::new(),
    };
    let places = option_places(stage);
    let mut repeated = AllRepeated::default();
    for kind in kinds {
        let kind = &world.catalogue.kinds()[*kind];
        let mut mistakes = Vec::new();
        check_options(kind, &options, &[], &places, &stage.strangers, world.files, &mut mistakes);
        // What an expression gives is not known here, and it may be nothing at this kind.
        mistakes.retain(|mistake| {
            let option = places.option_at(&mistake.place).filter(|option| {
                options.get(*option).and_then(Value::as_str) == Some(options::UNKNOWN)
            });
            mistake.code != codes::UNKNOWN_OPTION
                || !option.is_some_and(|option| {
                    kinds.iter().any(|kind| world.catalogue.kinds()[*kind].has_option(option))
                })
        });
        repeated.note(mistakes, "");
    }
    let kinds = kinds.iter().map(|kind| &world.catalogue.kinds()[*kind]);
    let before = found.len();
    repeated.report(kinds.len(), &places, &kinds.collect::<Vec<_>>(), found);
    say_what_is_wanted(found, before, world.files);
}

/// Drops the advice to write true for `yes` where an option takes neither true nor false. `first`:
/// where the diagnostics of options begin; that of the option says what it takes. In a list the
/// advice on each item is enough.
fn say_what_is_wanted(found: &mut Vec<Diagnostic>, first: usize, files: &Files) {
    let is_ambiguous = |known: &Diagnostic| known.code == codes::AMBIGUOUS_SCALAR;
    let own = found.split_off(first);
    for mut of in own {
        let within = |known: &&Diagnostic| is_ambiguous(known) && of.place.contains(&known.place);
        match found.iter().find(within).map(|known| known.place == of.place) {
            Some(true) if of.code == codes::OPTION_TYPE => {
                found.retain(|known| !is_ambiguous(known) || known.place != of.place);
                let written = format!("not `{}`", files.slice(&of.place));
                let message = of.message.replace("not `true`", &written);
                of.message = message.replace("not `false`", &written);
                found.push(of);
            }
            Some(false) if of.code == codes::OPTION_TYPE => {}
            _ => found.push(of),
        }
    }
}

/// The kind that `uses:` gives at one combination.
pub(super) fn resolve_kind(
    uses: &Template,
    node: &Node,
    world: &World<'_>,
    environment: &mut Environment<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<KindIndex> {
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
    let written = node.scalar().map_or("", |scalar| scalar.text.as_str());
    if let (None, Some(mistake)) = (kind, unknown_family(&name, written, node, world.catalogue)) {
        found.push(mistake);
    } else if kind.is_none() {
        let message = format!("there is no stage kind `{}`", crate::names::short(&name));
        let family = name.split_once('.').map_or(name.as_str(), |(family, _)| family);
        let members: Vec<_> =
            world.catalogue.family(family).map(|kind| kind.name.as_str()).collect();
        if let Some(meant) = as_expression(written) {
            let place = &node.place;
            found.push(
                Diagnostic::error(codes::UNKNOWN_KIND, place, message)
                    .hint(format!("an expression is written {meant}"))
                    .fix(Fix::word(written, &meant, place)),
            );
            return None;
        }
        let near = world.catalogue.suggest(&name);
        let hint = match (near, members.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, false) => {
                format!("the kinds of this family are {}", crate::names::list(&members))
            }
            (None, true) => "`fuseline stages` lists them".to_owned(),
        };
        found.push(
            Diagnostic::error(codes::UNKNOWN_KIND, &node.place, message)
                .hint(hint)
                .fix(near.map(|near| Fix::word(&name, near, &node.place))),
        );
    }
    kind
}

/// A text that ends with `{{ name }}`, `$name` or `${name}`, with that as an expression.
fn as_expression(text: &str) -> Option<String> {
    let start = text.find("{{").into_iter().chain(text.find('$')).min()?;
    let (before, rest) = text.split_at(start);
    let meant = options::meant_expression(rest).filter(|_| !has_expression(text))?;
    Some(format!("{before}{meant}"))
}

/// The diagnostic for a family that there is not, before an expression that chooses a member: it is
/// the same at all points.
fn unknown_family(
    name: &str,
    written: &str,
    node: &Node,
    catalogue: &Catalogue,
) -> Option<Diagnostic> {
    let (family, _) = name.split_once('.')?;
    let (before, _) = written.split_once("${{")?;
    if before.strip_suffix('.') != Some(family) || catalogue.family(family).next().is_some() {
        return None;
    }
    let families: BTreeSet<&str> = catalogue.kinds().iter().map(KindSpec::family).collect();
    let message = format!("there is no family of stage kinds `{}`", crate::names::short(family));
    Some(
        Diagnostic::error(codes::UNKNOWN_KIND, &node.place, message)
            .hint("`fuseline stages` lists all kinds".to_owned())
            .suggest(family, "family", families),
    )
}

/// The options of a kind at one combination. An option that the kind does not have is left out where
/// its expression has no value: it gives null, or reads a field that the point lacks.
fn given_options<'s>(
    written: &'s [(&str, Compiled<'_>)],
    kind: &KindSpec,
    environment: &mut Environment<'_>,
    mistakes: &mut Vec<(Mistake, &'s Node)>,
) -> Map<String, Value> {
    let mut options = Map::with_capacity(written.len());
    for (name, option) in written {
        let before = mistakes.len();
        let value = option.evaluate(environment, mistakes);
        let lacks = |(mistake, _): &(Mistake, &Node)| mistake.lacking.is_some();
        let is_absent = match &mistakes[before..] {
            [] => value.is_null() && option.is_expression(),
            found => found.iter().all(lacks),
        };
        if is_absent && !kind.has_option(name) {
            mistakes.truncate(before);
        } else {
            options.insert((*name).to_owned(), value);
        }
    }
    options
}

/// The same diagnostic at several points of a stage.
struct Repeated {
    diagnostic: Diagnostic,
    first: String,
    count: usize,
    /// The same option unknown to other kinds: what is said of each.
    others: BTreeSet<String>,
}

/// The diagnostics of one stage, each once.
#[derive(Default)]
struct AllRepeated(BTreeMap<(FileId, usize, usize, &'static str, String), Repeated>);

impl AllRepeated {
    fn note(&mut self, found: Vec<Diagnostic>, at: &str) {
        for diagnostic in found {
            let (file, start, end) = diagnostic.place.order();
            // Wrong values differ from point to point, and one of them is enough to see; missing
            // options have the same place, and are distinguished by their words.
            let words = match diagnostic.code {
                codes::MISSING_OPTION | codes::UNKNOWN_KIND | codes::AXIS_FIELDS => {
                    diagnostic.message.clone()
                }
                _ => String::new(),
            };
            let unknown = diagnostic.code == codes::UNKNOWN_OPTION;
            match self.0.entry((file, start, end, diagnostic.code.0, words)) {
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.count += 1;
                    if unknown && known.diagnostic.message != diagnostic.message {
                        known.others.insert(diagnostic.message);
                    }
                }
                Entry::Vacant(new) => {
                    let (first, others) = (at.to_owned(), BTreeSet::new());
                    new.insert(Repeated { diagnostic, first, count: 1, others });
                }
            }
        }
    }

    /// Reports each problem once, with its points unless it holds at all of them. `kinds`: those of
    /// the stage.
    fn report(
        self,
        variants: usize,
        places: &OptionPlaces,
        kinds: &[&KindSpec],
        found: &mut Vec<Diagnostic>,
    ) {
        for Repeated { mut diagnostic, first, count, others } in self.0.into_values() {
            // A point that lacks a field is the place.
            let is_point = diagnostic.code == codes::AXIS_FIELDS;
            if count < variants && !first.is_empty() && !is_point {
                diagnostic.label = Some(match count - 1 {
                    0 => format!("at {first}"),
                    more => format!("at {first} and {more} more"),
                });
            }
            if !others.is_empty() {
                diagnostic = unknown_to_several(diagnostic, others.len(), places, kinds);
            }
            found.push(diagnostic);
        }
    }
}

/// One error for an option that one kind of a stage does not have, nor some others.
fn unknown_to_several(
    mut diagnostic: Diagnostic,
    others: usize,
    places: &OptionPlaces,
    kinds: &[&KindSpec],
) -> Diagnostic {
    diagnostic.message += &match others {
        1 => ", nor has another kind of this stage".to_owned(),
        more => format!(", nor have {more} other kinds of this stage"),
    };
    let Some(option) = places.option_at(&diagnostic.place).map(str::to_owned) else {
        return diagnostic;
    };
    let having: Vec<_> = kinds.iter().filter(|kind| kind.has_option(&option)).collect();
    if having.is_empty() {
        let names: BTreeSet<_> = kinds.iter().flat_map(|kind| kind.option_names()).collect();
        return diagnostic.suggest(&option, "option", names);
    }
    let having: Vec<_> = having.iter().map(|kind| kind.name.as_str()).collect();
    diagnostic.hint = Some(format!(
        "{} {} it: give the value to its points of the axis as a field, and read that field here; \
         the option is left out at points that lack it",
        crate::names::list(&having),
        if having.len() == 1 { "alone has" } else { "alone have" },
    ));
    diagnostic.fix = None;
    diagnostic
}

/// Makes the variants of one stage.
pub(super) struct VariantMaker<'a, 'n> {
    stage: &'a WrittenStage,
    world: &'a World<'a>,
    uses: (&'a Template, &'a Node),
    with: Option<&'a Compiled<'n>>,
    seed: Option<(&'a Template, &'a Node)>,
    /// True if the options could be read; if not, kinds alone are resolved.
    readable: bool,
    /// The kind at all points, once it is known that there is one.
    only_kind: Option<KindIndex>,
    /// The options that have one value at all points.
    constants: Vec<&'a str>,
    /// The kinds for which those have been found sound.
    sound_for: BTreeSet<KindIndex>,
    /// The kinds that were resolved.
    pub kinds: BTreeSet<KindIndex>,
    /// By kind, the ports that the stage declares for itself.
    pub declared: BTreeMap<KindIndex, Arc<DeclaredPorts>>,
    places: Arc<OptionPlaces>,
    repeated: AllRepeated,
}

impl<'a, 'n> VariantMaker<'a, 'n> {
    pub fn new(
        stage: &'a WrittenStage,
        world: &'a World<'a>,
        uses: (&'a Template, &'a Node),
        with: Option<&'a Compiled<'n>>,
        seed: Option<(&'a Template, &'a Node)>,
        readable: bool,
    ) -> Self {
        let constants = match with {
            Some(Compiled::Map(options)) => {
                let constants = options.iter().filter(|(_, option)| option.is_constant());
                constants.map(|(name, _)| *name).collect()
            }
            _ => Vec::new(),
        };
        Self {
            stage,
            world,
            uses,
            with,
            seed,
            readable,
            only_kind: None,
            constants,
            sound_for: BTreeSet::new(),
            kinds: BTreeSet::new(),
            declared: BTreeMap::new(),
            places: Arc::new(option_places(stage)),
            repeated: AllRepeated::default(),
        }
    }

    /// A variant for each combination of the mentioned axes, and the variant of each action.
    pub(super) fn variants(
        &mut self,
        points: &[PointIndex],
        over: &[AxisIndex],
        mentioned: &BTreeSet<AxisIndex>,
        work: &mut Work,
    ) -> (IndexVec<VariantIndex, Option<Variant>>, IndexVec<ActionIndex, VariantIndex>) {
        let table = Table::new(over, mentioned, self.world.axes);
        let mut known: Vec<Option<VariantIndex>> = vec![None; table.size];
        let count = if over.is_empty() { 1 } else { points.len() / over.len() };
        let point = |action: usize| &points[action * over.len()..(action + 1) * over.len()];
        // The first action of each variant.
        let mut firsts = IndexVec::new();
        let mut of_action = Vec::with_capacity(count);
        for action in 0..count {
            let slot = &mut known[table.slot(point(action))];
            if slot.is_none() {
                *slot = Some(firsts.push(point(action)));
            }
            of_action.extend(*slot);
        }
        let mut variants = Vec::with_capacity(firsts.len());
        let mut by_axis = IndexVec::from(vec![None; self.world.axes.len()]);
        while let Some((&point, rest)) = firsts.raw[variants.len()..].split_first() {
            let mut environment = self.environment(over, point, &mut by_axis, work);
            let mut found = Vec::new();
            variants.push(self.variant(&mut environment, &mut found));
            if !found.is_empty() {
                let at = written_point(over, point, self.world.axes, Some(mentioned));
                self.repeated.note(found, &at);
            }
            // The first has settled what all of them share.
            if variants.len() == 1 && rest.len() >= PARALLEL_VARIANTS {
                variants.extend(self.variants_in_parallel(over, rest, work).unwrap_or_default());
            }
        }
        (variants.into(), of_action.into())
    }

    /// The variants at some points, made on all threads; none if any of them needs more than options
    /// without a mistake, or takes more work than is left: then they are made one after the other,
    /// which says what is wrong in order.
    fn variants_in_parallel(
        &self,
        over: &[AxisIndex],
        points: &[&[PointIndex]],
        work: &mut Work,
    ) -> Option<Vec<Option<Variant>>> {
        let kind = self.only_kind.filter(|kind| self.sound_for.contains(kind))?;
        if self.world.catalogue.kinds()[kind].declared_ports {
            return None;
        }
        let whole = &*work;
        let make = |part: &[&[PointIndex]]| {
            let mut by_axis = IndexVec::from(vec![None; self.world.axes.len()]);
            let mut work = whole.clone();
            let mut variants = Vec::with_capacity(part.len());
            let mut found = Vec::new();
            for point in part {
                let mut environment = self.environment(over, point, &mut by_axis, &mut work);
                let (options, seed) = self.options(kind, true, &mut environment, &mut found);
                if !found.is_empty() {
                    return None;
                }
                let (options, places) = (Arc::new(options), Arc::clone(&self.places));
                variants.push(Some(Variant { kind, options, places, declared: None, seed }));
            }
            Some((variants, work))
        };
        let parts: Option<Vec<_>> = points.par_chunks(VARIANTS_AT_ONCE).map(make).collect();
        let (variants, spent): (Vec<_>, Vec<_>) = parts?.into_iter().unzip();
        *work = spent.iter().try_fold(whole.clone(), |left, part| left.less(whole, part))?;
        Some(variants.into_iter().flatten().collect())
    }

    /// The values that names have at a point. `by_axis`: buffer of its coordinates.
    fn environment<'e>(
        &self,
        over: &[AxisIndex],
        point: &[PointIndex],
        by_axis: &'e mut IndexVec<AxisIndex, Option<PointIndex>>,
        work: &'e mut Work,
    ) -> Environment<'e>
    where
        'a: 'e,
    {
        for (axis, coord) in over.iter().zip(point) {
            by_axis[*axis] = Some(*coord);
        }
        let world = self.world;
        Environment { params: world.values, axes: world.axes, coords: by_axis, work }
    }

    fn variant(
        &mut self,
        environment: &mut Environment<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Variant> {
        let world = self.world;
        let kind = match self.only_kind {
            Some(kind) => kind,
            None => {
                let (uses, node) = self.uses;
                let kind = resolve_kind(uses, node, world, environment, found)?;
                self.kinds.insert(kind);
                self.only_kind = uses.is_constant().then_some(kind);
                kind
            }
        };
        let is_sound = self.sound_for.contains(&kind);
        let (options, seed) = self.options(kind, is_sound, environment, found);
        if !is_sound && self.readable && found.is_empty() {
            self.sound_for.insert(kind);
        }
        let mut declared = None;
        if world.catalogue.kinds()[kind].declared_ports && self.readable {
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
        (self.readable && found.is_empty()).then_some(Variant {
            kind,
            options,
            places,
            declared,
            seed,
        })
    }

    /// The options of a kind at one combination, checked, and the stage's own seed. `is_sound`: the
    /// options that have one value at all points need no check.
    fn options(
        &self,
        kind: KindIndex,
        is_sound: bool,
        environment: &mut Environment<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> (Map<String, Value>, Option<u64>) {
        let spec = &self.world.catalogue.kinds()[kind];
        let seed = self.seed(environment, found);
        let mut mistakes = Vec::new();
        let mut options = match self.with {
            Some(Compiled::Map(written)) => {
                given_options(written, spec, environment, &mut mistakes)
            }
            _ => Map::new(),
        };
        if self.readable && mistakes.is_empty() {
            let sound = if is_sound { &self.constants[..] } else { &[] };
            check_options(
                spec,
                &options,
                sound,
                &self.places,
                &self.stage.strangers,
                self.world.files,
                found,
            );
        }
        found.extend(
            mistakes.into_iter().map(|(mistake, node)| mistake.diagnostic(node, self.world.files)),
        );
        if found.is_empty() && spec.options.has_paths() {
            options::absolute_paths(&spec.options, &mut options, Path::new(&self.stage.folder));
        }
        (options, seed)
    }

    /// The stage's own seed at one combination.
    fn seed(&self, environment: &mut Environment<'_>, found: &mut Vec<Diagnostic>) -> Option<u64> {
        let (template, node) = self.seed?;
        match template.evaluate(environment) {
            Ok(value) => {
                let seed = value.as_u64();
                if seed.is_none() {
                    let message =
                        format!("`seed` must be a whole number from 0, not {}", describe(&value));
                    found.push(
                        Diagnostic::error(codes::EXPRESSION_TYPE, &node.place, message)
                            .hint(SEED_HINT.to_owned()),
                    );
                }
                seed
            }
            Err(mistake) => {
                found.push(mistake.diagnostic(node, self.world.files));
                None
            }
        }
    }

    /// Reports each problem once.
    pub(super) fn report(&mut self, variants: usize, found: &mut Vec<Diagnostic>) {
        let kinds: Vec<_> =
            self.kinds.iter().map(|kind| &self.world.catalogue.kinds()[*kind]).collect();
        std::mem::take(&mut self.repeated).report(variants, &self.places, &kinds, found);
    }
}
