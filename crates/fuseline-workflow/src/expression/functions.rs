//! The functions that expressions can call: pure, and the same everywhere.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Number, Value};

use super::evaluate::{Refusal, Work, compare, format_value};
use super::number::{Num, whole_number};
use super::types::Type;

/// A function of the expression language, for the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionDoc {
    /// Its name.
    pub name: &'static str,
    /// Its signature.
    pub signature: &'static str,
    /// Description of its result, one sentence.
    pub doc: &'static str,
}

/// All functions, sorted by name.
pub fn functions() -> impl Iterator<Item = FunctionDoc> {
    FUNCTIONS.iter().map(|f| FunctionDoc { name: f.name, signature: f.signature, doc: f.doc })
}

/// Types that an argument may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Anything,
    Int,
    Number,
    Text,
    List,
    Sized,
    NumberOrList,
    Scalar,
}

impl Takes {
    fn takes(self, value: &Value) -> bool {
        self.may_take(&Type::from_value(value))
    }

    /// The words for an argument that is not taken.
    pub fn refusal(self, name: &str, place: usize, found: &str) -> String {
        let wanted = match self {
            Self::Anything => "any value",
            Self::Int => "a whole number",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Sized => "a list or a text",
            Self::NumberOrList => "a number or a list",
            Self::Scalar => "a number, text, true or false",
        };
        match place {
            0 => format!("`{name}` takes {wanted}, not {found}"),
            n => format!("argument {} of `{name}` must be {wanted}, not {found}", n + 1),
        }
    }
}

type Arguments<'a> = [Cow<'a, Value>];
type Apply = fn(&Arguments<'_>, &mut Work) -> Result<Value, Refusal>;

pub(super) struct Function {
    name: &'static str,
    signature: &'static str,
    doc: &'static str,
    /// Types of the arguments; the last one stands for all that follow when `repeats`.
    takes: &'static [Takes],
    required: usize,
    repeats: bool,
    gives: fn(&[Type]) -> Type,
    apply: Apply,
}

impl Function {
    pub fn arity(&self) -> RangeInclusive<usize> {
        self.required..=if self.repeats { usize::MAX } else { self.takes.len() }
    }

    pub fn takes(&self, place: usize) -> Takes {
        self.takes.get(place).or(self.takes.last()).copied().unwrap_or(Anything)
    }

    pub fn gives(&self, types: &[Type]) -> Type {
        (self.gives)(types)
    }

    /// Why an argument is not taken, if it is not.
    pub fn refuses(&self, place: usize, argument: &Value) -> Option<String> {
        let takes = self.takes(place);
        let found = || crate::yaml::describe(argument);
        (!takes.takes(argument)).then(|| takes.refusal(self.name, place, &found()))
    }

    /// Calls it with the number of arguments that it takes, all of types that it takes.
    pub fn call(&self, arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
        (self.apply)(arguments, work)
    }
}

pub(super) fn get(name: &str) -> Option<&'static Function> {
    let index = FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok()?;
    FUNCTIONS.get(index)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

pub(super) fn signature(name: &str) -> Option<String> {
    get(name).map(|function| format!("it is called as {}", function.signature))
}

macro_rules! function {
    ($name:literal, $signature:literal, $doc:literal, $takes:expr, $required:literal, $gives:expr,
     $apply:expr) => {
        Function {
            name: $name,
            signature: $signature,
            doc: $doc,
            takes: &$takes,
            required: $required,
            repeats: false,
            gives: $gives,
            apply: $apply,
        }
    };
}

use Takes::{Anything, Int, List, NumberOrList, Scalar, Sized, Text};

/// Sorted by name.
#[rustfmt::skip]
const FUNCTIONS: &[Function] = &[
    function!("abs", "abs(number)", "The number without its sign.", [Takes::Number], 1, same, abs),
    function!("basename", "basename(path)", "The part of a path behind its last `/`.",
        [Text], 1, text, |a, _| {
        Ok(basename(string(&a[0])).into())
    }),
    function!("ceil", "ceil(number)", "The smallest whole number that is not smaller.",
        [Takes::Number], 1, int, |a, _| to_int(&a[0], f64::ceil)),
    function!("ends_with", "ends_with(text, end)", "Whether a text ends with another.",
        [Text, Text], 2, bool, |a, _| {
        Ok(string(&a[0]).ends_with(string(&a[1])).into())
    }),
    function!("float", "float(value)", "A number as a float; a text is read as one.",
        [Scalar], 1, float, to_float),
    function!("floor", "floor(number)", "The largest whole number that is not larger.",
        [Takes::Number], 1, int, |a, _| to_int(&a[0], f64::floor)),
    function!("int", "int(value)", "A number without its fraction; a text is read as a whole \
        number; `true` is 1.", [Scalar], 1, int, int_of),
    function!("join", "join(list, separator)", "The elements as one text.",
        [List, Text], 2, text, join),
    function!("len", "len(list or text)", "The number of elements of a list, or of characters of \
        a text.", [Sized], 1, int, len),
    function!("lower", "lower(text)", "The text in lower case.",
        [Text], 1, text, |a, _| Ok(string(&a[0]).to_lowercase().into())),
    Function { name: "max", signature: "max(list) or max(a, b, …)", doc: "The largest of some \
        numbers or texts.",
        takes: &[Anything], required: 1, repeats: true, gives: element,
        apply: |a, w| extreme(a, w, true) },
    Function { name: "min", signature: "min(list) or min(a, b, …)", doc: "The smallest of some \
        numbers or texts.",
        takes: &[Anything], required: 1, repeats: true, gives: element,
        apply: |a, w| extreme(a, w, false) },
    function!("range", "range(end), range(start, end) or range(start, end, step)", "Whole numbers \
        from `start` (or 0) up to, but without, `end`.",
        [Int, Int, Int], 1, |_| Type::List(Box::new(Type::Int)), range),
    function!("replace", "replace(text, old, new)", "The text with every `old` replaced.",
        [Text, Text, Text], 3, text, replace),
    function!("reversed", "reversed(list)", "The list from its end.", [List], 1, same, |a, w| {
        let items = items(&a[0]);
        w.visit(items.len())?;
        Ok(items.iter().rev().cloned().collect())
    }),
    function!("round", "round(number) or round(number, digits)", "The nearest whole number, \
        halves away from zero; or a float of so many digits behind the point.",
        [Takes::Number, Int], 1,
        |types| if types.len() == 1 { Type::Int } else { Type::Float }, round),
    function!("sorted", "sorted(list)", "The list in ascending order.", [List], 1, same, sorted),
    function!("split", "split(text, separator)", "The parts of a text between separators.",
        [Text, Text], 2, |_| Type::List(Box::new(Type::Text)), split),
    function!("starts_with", "starts_with(text, start)", "Whether a text starts with another.",
        [Text, Text], 2, bool, |a, _| {
        Ok(string(&a[0]).starts_with(string(&a[1])).into())
    }),
    function!("stem", "stem(path)", "The name of a file without its folders and its last \
        extension.", [Text], 1, text, |a, _| {
        let name = basename(string(&a[0]));
        let stem = name.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| !stem.is_empty());
        Ok(stem.unwrap_or(name).into())
    }),
    function!("str", "str(value)", "The value as text.", [Scalar], 1, text, |a, _| {
        format_value(&a[0]).map(Value::String).ok_or_else(|| "`str` takes a scalar".into())
    }),
    function!("sum", "sum(list)", "The sum of numbers; 0 for an empty list.",
        [NumberOrList], 1, |_| Type::Number, sum),
    function!("unique", "unique(list)", "The list without repetitions, first ones kept.",
        [List], 1, same, unique),
    function!("upper", "upper(text)", "The text in upper case.",
        [Text], 1, text, |a, _| Ok(string(&a[0]).to_uppercase().into())),
];

fn same(types: &[Type]) -> Type {
    types.first().cloned().unwrap_or(Type::Any)
}

fn element(types: &[Type]) -> Type {
    match types {
        [Type::List(element)] => (**element).clone(),
        [_] => Type::Any,
        several => Type::common(several.iter().cloned()),
    }
}

fn int(_: &[Type]) -> Type {
    Type::Int
}

fn float(_: &[Type]) -> Type {
    Type::Float
}

fn text(_: &[Type]) -> Type {
    Type::Text
}

fn bool(_: &[Type]) -> Type {
    Type::Bool
}

// Arguments have been checked before any of these is called.

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> Num {
    Num::from_value(value).unwrap_or(Num::Int(0))
}

fn basename(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// A number as a whole one; one that is whole is taken as it is.
fn to_int(value: &Value, round: fn(f64) -> f64) -> Result<Value, Refusal> {
    let whole = match number(value) {
        Num::Int(number) => Some(number),
        Num::Float(number) => whole_number(round(number)),
    };
    let whole = whole.ok_or_else(|| format!("{value} is too large for a whole number"))?;
    Ok(whole.into())
}

fn abs(arguments: &Arguments<'_>, _: &mut Work) -> Result<Value, Refusal> {
    match number(&arguments[0]) {
        Num::Int(number) => number.checked_abs().map(Value::from).ok_or("it is too large".into()),
        Num::Float(number) => Ok(Num::Float(number.abs()).value()?),
    }
}

fn to_float(arguments: &Arguments<'_>, _: &mut Work) -> Result<Value, Refusal> {
    let parsed = match &*arguments[0] {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    let parsed = parsed.and_then(Number::from_f64).map(Value::Number);
    parsed.ok_or_else(|| format!("{} is no number", crate::yaml::describe(&arguments[0])).into())
}

fn int_of(arguments: &Arguments<'_>, _: &mut Work) -> Result<Value, Refusal> {
    match &*arguments[0] {
        Value::String(text) => text.trim().parse::<i64>().map(Value::from).ok(),
        Value::Bool(flag) => Some(Value::from(i64::from(*flag))),
        value @ Value::Number(_) => return to_int(value, f64::trunc),
        _ => None,
    }
    .ok_or_else(|| format!("{} is no whole number", crate::yaml::describe(&arguments[0])).into())
}

fn join(arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
    let (items, separator) = (items(&arguments[0]), string(&arguments[1]));
    let mut text = String::new();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.push_str(separator);
        }
        let item = format_value(item).ok_or("`join` takes a list of scalars")?;
        work.visit(1 + item.len() + separator.len())?;
        text.push_str(&item);
    }
    work.text(text.len())?;
    Ok(text.into())
}

fn len(arguments: &Arguments<'_>, _: &mut Work) -> Result<Value, Refusal> {
    Ok(match &*arguments[0] {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        other => string(other).chars().count(),
    }
    .into())
}

fn extreme(arguments: &Arguments<'_>, work: &mut Work, largest: bool) -> Result<Value, Refusal> {
    let values: Vec<&Value> = match arguments {
        [only] if only.is_array() => items(only).iter().collect(),
        [_] => return Err("one argument must be a list".into()),
        several => several.iter().map(AsRef::as_ref).collect(),
    };
    work.visit(values.len())?;
    let mut values = values.into_iter();
    let mut best = values.next().ok_or("an empty list has no smallest or largest element")?;
    compare(best, best)?;
    for value in values {
        let order = compare(value, best)?;
        if order == if largest { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less } {
            best = value;
        }
    }
    Ok(best.clone())
}

fn range(arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
    let whole = |place: usize| arguments.get(place).and_then(|value| value.as_i64());
    let (start, end) = match arguments.len() {
        1 => (Some(0), whole(0)),
        _ => (whole(0), whole(1)),
    };
    let step = if arguments.len() == 3 { whole(2) } else { Some(1) };
    let (Some(start), Some(end), Some(step)) = (start, end, step) else {
        return Err("a bound of the range is too large".into());
    };
    if step == 0 {
        return Err("the step of a range cannot be 0".into());
    }
    let distance = if step > 0 {
        i128::from(end) - i128::from(start)
    } else {
        i128::from(start) - i128::from(end)
    };
    let count = (distance.max(0) as u128).div_ceil(u128::from(step.unsigned_abs()));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    work.list(count)?;
    Ok((0..count as i64).map(|index| Value::from(start + index * step)).collect())
}

fn replace(arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
    let (text, old, new) = (string(&arguments[0]), string(&arguments[1]), string(&arguments[2]));
    if old.is_empty() {
        return Err("an empty text cannot be replaced".into());
    }
    work.visit(text.len() + text.matches(old).count() * new.len())?;
    Ok(text.replace(old, new).into())
}

fn round(arguments: &Arguments<'_>, _: &mut Work) -> Result<Value, Refusal> {
    let Some(digits) = arguments.get(1) else {
        return to_int(&arguments[0], f64::round);
    };
    let digits = digits.as_u64().filter(|digits| *digits <= 15);
    let digits = digits.ok_or("the digits of `round` must be 0 to 15")?;
    let number = number(&arguments[0]);
    // Powers of ten up to 10^22 are exact.
    let scale = (0..digits).fold(1.0, |scale, _| scale * 10.0);
    let scaled = number.float() * scale;
    Ok(Num::Float(if scaled.is_finite() { scaled.round() / scale } else { number.float() })
        .value()?)
}

fn sorted(arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
    let mut items = items(&arguments[0]).to_vec();
    work.visit(items.len())?;
    let mut refusal = None;
    if let Some(first) = items.first() {
        // All must compare with one of them, else the order would not be one.
        for item in &items {
            compare(first, item)?;
        }
    }
    items.sort_by(|a, b| {
        compare(a, b).unwrap_or_else(|message| {
            refusal = Some(message);
            std::cmp::Ordering::Equal
        })
    });
    refusal.map_or(Ok(Value::Array(items)), |message| Err(message.into()))
}

fn split(arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
    let (text, separator) = (string(&arguments[0]), string(&arguments[1]));
    if separator.is_empty() {
        return Err("the separator of `split` cannot be empty".into());
    }
    work.visit(text.len())?;
    Ok(text.split(separator).map(Value::from).collect())
}

fn sum(arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
    let single = std::slice::from_ref(&*arguments[0]);
    let items = if arguments[0].is_array() { items(&arguments[0]) } else { single };
    work.visit(items.len())?;
    let mut total = Num::Int(0);
    for item in items {
        let item = Num::from_value(item).ok_or("`sum` takes a list of numbers")?;
        total = total.add(item)?;
    }
    Ok(total.value()?)
}

fn unique(arguments: &Arguments<'_>, work: &mut Work) -> Result<Value, Refusal> {
    let items = items(&arguments[0]);
    work.visit(items.len())?;
    let mut seen = BTreeSet::new();
    Ok(items.iter().filter(|item| seen.insert(comparable(item).to_string())).cloned().collect())
}

/// A value that is written as all that equal it: whole floats are whole numbers.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(comparable).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), comparable(field))).collect()
        }
        Value::Number(number) if number.is_f64() => {
            number.as_f64().and_then(whole_number).map_or_else(|| value.clone(), Value::from)
        }
        other => other.clone(),
    }
}
