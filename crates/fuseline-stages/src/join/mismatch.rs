//! Why ids may differ that are meant to be the same: leading zeros, case, blanks, Unicode, numbers
//! as text, endings.

use std::collections::BTreeMap;
use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Endings of files that name recordings or tables.
const FILE_ENDINGS: [&str; 36] = [
    "aac", "avi", "bdf", "bin", "bmp", "csd", "csv", "dat", "edf", "flac", "h5", "hdf5", "jpeg",
    "jpg", "json", "jsonl", "m4a", "mat", "mkv", "mov", "mp3", "mp4", "npy", "npz", "ogg",
    "parquet", "pkl", "png", "pt", "textgrid", "tsv", "txt", "wav", "webm", "wma", "xml",
];

/// The ids of one side of a join that found no partner.
pub(crate) struct Source<'t> {
    /// Display name of the side.
    name: &'t str,
    pub ids: Vec<&'t str>,
}

impl<'t> Source<'t> {
    pub fn new(name: &'t str, ids: impl IntoIterator<Item = &'t str>) -> Self {
        Self { name, ids: ids.into_iter().collect() }
    }
}

/// An id, behind the number of the source that writes it so.
type Spelling<'t> = (usize, &'t str);

/// Ids that differ between sources and seem to be meant as the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Number of ids of one side that have a partner on another.
    pub pairs: usize,
    /// By what most of them differ.
    pub difference: String,
    /// Number of ids that differ by that.
    most: usize,
    /// One id as two sides write it, each with the side's name.
    pub example: [(String, String); 2],
    /// Remedy, where anything but to write them alike is known.
    pub cure: Option<String>,
}

impl Mismatch {
    /// Hint for the user.
    pub fn hint(&self) -> String {
        self.cure.clone().unwrap_or_else(|| "write the ids of both sides alike".to_owned())
    }

    /// The same of texts of one source.
    pub fn variants(&self) -> String {
        let Self { pairs, difference, example: [(_, one), (_, other)], .. } = self;
        let more = match pairs - 1 {
            0 => String::new(),
            more => format!(", and {more} more pairs are as alike"),
        };
        format!("{one} and {other} differ by {difference} alone{more}")
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, difference, most, example: [(one, here), (other, there)], .. } = self;
        let verb = if *most == 1 { "differs" } else { "differ" };
        write!(
            f,
            "{most} of them {verb} by {difference} alone: {here} in {one}, {there} in {other}"
        )?;
        match pairs - most {
            0 => Ok(()),
            more => write!(f, ", and {more} more in similar ways"),
        }
    }
}

/// One way in which ids differ. Each rewrites an id so that this difference is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Quotes,
    Unicode,
    Blanks,
    Case,
    FileEnding,
    Number,
    Separators,
    LeadingZeros,
}

impl Step {
    /// In an order in which each finds what those before have left.
    const ALL: [Self; 8] = [
        Self::Quotes,
        Self::Unicode,
        Self::Blanks,
        Self::Case,
        Self::FileEnding,
        Self::Number,
        Self::Separators,
        Self::LeadingZeros,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Quotes => "quotes",
            Self::Unicode => "Unicode normalisation (NFC, NFD)",
            Self::Blanks => "blanks or invisible characters",
            Self::Case => "upper and lower case",
            Self::FileEnding => "a file ending",
            Self::Number => "a number written as 1 and as 1.0",
            Self::Separators => "separators",
            Self::LeadingZeros => "leading zeros",
        }
    }

    fn cure(self, ids: [&str; 2]) -> Option<String> {
        let ending = |id: &str| id.rsplit_once('.').map(|(_, ending)| ending.to_owned());
        let cure = match self {
            Self::Unicode => {
                "write both sides in NFC, as Python's unicodedata.normalize('NFC', id) does"
                    .to_owned()
            }
            Self::LeadingZeros if ids.iter().all(|id| id.bytes().all(|b| b.is_ascii_digit())) => {
                format!("{AS_TEXT}, or take the zeros off with {}", pattern("^0*(.+)$"))
            }
            Self::LeadingZeros => AS_TEXT.to_owned(),
            Self::Number => {
                format!("{AS_TEXT}, or take the end off with {}", pattern("^(.+?)(?:[.]0+)?$"))
            }
            Self::FileEnding => {
                let ending = ids.iter().find_map(|id| ending(id))?;
                format!("take it off with {}", pattern(&format!("^(.+?)(?:[.]{ending})?$")))
            }
            Self::Quotes | Self::Blanks | Self::Case | Self::Separators => return None,
        };
        Some(cure)
    }

    fn rewrite(self, id: &str) -> String {
        match self {
            Self::Quotes => {
                // Python's bytes as text too.
                let inner = id.strip_prefix('b').filter(|rest| rest.starts_with(['\'', '"']));
                inner.unwrap_or(id).trim_matches(['\'', '"', '`']).to_owned()
            }
            Self::Unicode => id.nfc().collect(),
            Self::Blanks => {
                let visible: String = id.chars().filter(|letter| !is_invisible(*letter)).collect();
                visible.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            Self::Case => id.to_lowercase(),
            Self::FileEnding => match id.rsplit_once('.') {
                Some((stem, ending))
                    if !stem.is_empty()
                        && FILE_ENDINGS.contains(&ending.to_lowercase().as_str()) =>
                {
                    stem.to_owned()
                }
                _ => id.to_owned(),
            },
            Self::Number => whole_number(id).unwrap_or_else(|| id.to_owned()),
            Self::Separators => id.replace([' ', '-', '.', ':'], "_"),
            Self::LeadingZeros => without_leading_zeros(id),
        }
    }
}

/// Hint for ids that were taken for numbers.
const AS_TEXT: &str = "read ids as text where the files are made (pandas: dtype=str)";

/// The option that takes a part of an id, as YAML.
fn pattern(expression: &str) -> String {
    format!("id: {{ column: ..., pattern: '{}' }}", expression.replace('\'', "''"))
}

fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// `1.0`, `+1` and `1e0` as `1`.
fn whole_number(id: &str) -> Option<String> {
    if id.bytes().all(|byte| byte.is_ascii_digit()) || !id.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value = id.parse::<f64>().ok()?;
    // Beyond, not every whole number is a double.
    (value.fract() == 0.0 && value.abs() < 9e15).then(|| format!("{value:.0}"))
}

/// Every run of digits without the zeros that it begins with.
fn without_leading_zeros(id: &str) -> String {
    let mut rewritten = String::with_capacity(id.len());
    let mut letters = id.chars().peekable();
    let mut after_digit = false;
    while let Some(letter) = letters.next() {
        let leads = letter == '0' && !after_digit;
        if !(leads && letters.peek().is_some_and(char::is_ascii_digit)) {
            rewritten.push(letter);
            after_digit = letter.is_ascii_digit();
        }
    }
    rewritten
}

/// An id without any of the differences.
fn canonical(id: &str) -> String {
    Step::ALL.iter().fold(id.to_owned(), |id, step| step.rewrite(&id))
}

/// The fewest steps after which two ids are the same: one, two, or all of them.
fn steps_between(one: &str, other: &str) -> Vec<Step> {
    let same = |steps: &[Step]| {
        let rewrite = |id: &str| steps.iter().fold(id.to_owned(), |id, step| step.rewrite(&id));
        rewrite(one) == rewrite(other)
    };
    let singles = Step::ALL.iter().map(|step| vec![*step]);
    let pairs = Step::ALL.iter().enumerate().flat_map(|(at, first)| {
        Step::ALL[at + 1..].iter().map(move |second| vec![*first, *second])
    });
    singles.chain(pairs).find(|steps| same(steps)).unwrap_or_else(|| Step::ALL.to_vec())
}

/// Finds ids of different sources that seem to be meant as the same, if there are any.
///
/// An id of which one source has two spellings has no partner.
pub(crate) fn find_mismatch(sources: &[Source<'_>]) -> Option<Mismatch> {
    let most = sources.iter().map(|source| source.ids.len()).max().unwrap_or_default();
    let by_steps = find_spellings(sources);
    if by_steps.as_ref().is_some_and(|found| found.pairs * 2 >= most) {
        return by_steps;
    }
    let by_affix = find_affix(sources);
    let pairs = |found: &Option<Mismatch>| found.as_ref().map_or(0, |found| found.pairs);
    if pairs(&by_affix) > pairs(&by_steps) { by_affix } else { by_steps }
}

/// Finds texts of one source that seem to be meant as the same.
pub(crate) fn find_variants<'t>(
    name: &'t str,
    texts: impl IntoIterator<Item = &'t str>,
) -> Option<Mismatch> {
    let sources: Vec<_> = texts.into_iter().map(|text| Source::new(name, [text])).collect();
    find_spellings(&sources)
}

/// Two texts that are the same but for their writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LookAlike<'t> {
    pub one: &'t str,
    pub other: &'t str,
    /// By what they differ.
    pub difference: String,
}

/// Finds distinct texts that are the same but for their writing: each with the first such text, in
/// code-point order.
pub(crate) fn find_look_alikes<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<LookAlike<'t>> {
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for text in texts {
        alike.entry(canonical(text)).or_default().push(text);
    }
    let mut found = Vec::new();
    for mut texts in alike.into_values() {
        texts.sort_unstable();
        texts.dedup();
        let [one, others @ ..] = texts.as_slice() else { continue };
        found.extend(others.iter().map(|other| LookAlike {
            one,
            other,
            difference: difference(&steps_between(one, other)),
        }));
    }
    found
}

/// Steps in words.
fn difference(steps: &[Step]) -> String {
    match steps {
        [one] => one.name().to_owned(),
        [one, other] => format!("{} and {}", one.name(), other.name()),
        _ => "several things".to_owned(),
    }
}

fn find_spellings(sources: &[Source<'_>]) -> Option<Mismatch> {
    let mut groups: BTreeMap<String, Vec<Spelling<'_>>> = BTreeMap::new();
    for (number, source) in sources.iter().enumerate() {
        for id in &source.ids {
            groups.entry(canonical(id)).or_default().push((number, id));
        }
    }
    let mut kinds: BTreeMap<Vec<Step>, (usize, [Spelling<'_>; 2])> = BTreeMap::new();
    for group in groups.values() {
        let [one, others @ ..] = group.as_slice() else { continue };
        let Some(other) = others.iter().find(|other| other.1 != one.1) else { continue };
        // Groups are in the order of the sources.
        if group.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            continue;
        }
        kinds.entry(steps_between(one.1, other.1)).or_insert((0, [*one, *other])).0 += 1;
    }
    let pairs = kinds.values().map(|(count, _)| count).sum();
    let most =
        kinds.iter().max_by_key(|(steps, (count, _))| (*count, std::cmp::Reverse(steps.len())));
    most.map(|(steps, (most, example))| {
        let ids = [example[0].1, example[1].1];
        Mismatch {
            pairs,
            difference: difference(steps),
            most: *most,
            example: example
                .map(|(number, id)| (sources[number].name.to_owned(), shown(id, steps))),
            cure: match steps.as_slice() {
                [step] => step.cure(ids),
                _ => None,
            },
        }
    })
}

/// An id as shown to the user: invisible characters are spelt out.
fn shown(id: &str, steps: &[Step]) -> String {
    let unseen = steps.contains(&Step::Unicode) || steps.contains(&Step::Blanks);
    if unseen { format!("\"{}\"", id.escape_default()) } else { format!("{id:?}") }
}

/// Finds a beginning or an ending that the ids of one source have and those of another have not.
fn find_affix(sources: &[Source<'_>]) -> Option<Mismatch> {
    let mut best: Option<Mismatch> = None;
    for (number, longer) in sources.iter().enumerate() {
        for shorter in sources.iter().enumerate().filter(|(at, _)| *at != number).map(|(_, of)| of)
        {
            let found = affix_between(longer, shorter);
            if let Some(found) = found
                && best.as_ref().is_none_or(|best| best.pairs < found.pairs)
            {
                best = Some(found);
            }
        }
    }
    best
}

fn affix_between(longer: &Source<'_>, shorter: &Source<'_>) -> Option<Mismatch> {
    let index: BTreeMap<String, &str> = shorter.ids.iter().map(|id| (canonical(id), *id)).collect();
    // By the affix, whether it begins the id: how often, and where first.
    let mut counts: BTreeMap<(bool, String), (usize, [&str; 2])> = BTreeMap::new();
    for id in &longer.ids {
        let whole = canonical(id);
        for (at, _) in whole.char_indices().skip(1) {
            let (head, tail) = whole.split_at(at);
            if !is_boundary(head, tail) {
                continue;
            }
            for (begins, affix, rest) in [(true, head, tail), (false, tail, head)] {
                if let Some(partner) = index.get(rest)
                    && affix.contains(char::is_alphabetic)
                {
                    counts.entry((begins, affix.to_owned())).or_insert((0, [id, partner])).0 += 1;
                }
            }
        }
    }
    let ((begins, _), (count, [long, short])) =
        counts.into_iter().max_by_key(|(_, (count, _))| *count)?;
    // One alone may be chance, and so may be a few of many.
    if count < 2 || count * 10 < longer.ids.len().min(shorter.ids.len()) {
        return None;
    }
    let affix = if begins { long.strip_suffix(short) } else { long.strip_prefix(short) };
    let cure = affix.map(|affix| {
        // More than needed is escaped, which a reader need not see.
        let affix = regex::escape(affix).replace("\\-", "-");
        let expression =
            if begins { format!("^(?:{affix})?(.+)$") } else { format!("^(.+?)(?:{affix})?$") };
        format!("take it off with {}", pattern(&expression))
    });
    Some(Mismatch {
        pairs: count,
        difference: if begins { "a beginning" } else { "an ending" }.to_owned(),
        most: count,
        example: [(longer.name, long), (shorter.name, short)]
            .map(|(name, id)| (name.to_owned(), format!("{id:?}"))),
        cure,
    })
}

/// True if an id may be split here: beside a separator, or between a letter and a digit.
fn is_boundary(head: &str, tail: &str) -> bool {
    let (Some(before), Some(after)) = (head.chars().next_back(), tail.chars().next()) else {
        return false;
    };
    let joins = before.is_alphanumeric() && after.is_alphanumeric();
    !joins || before.is_ascii_digit() != after.is_ascii_digit()
}

#[cfg(test)]
mod tests;
