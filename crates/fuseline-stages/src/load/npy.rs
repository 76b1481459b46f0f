//! Arrays as numpy writes them (`numpy.lib.format`, versions 1 to 3).

use super::numeric::{Class, Layout, truth_text, unsigned};

/// Magic bytes at the start of every such file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// An array.
#[derive(Debug)]
pub(super) struct Npy {
    pub shape: Vec<usize>,
    kind: Kind,
    /// Its items, in row-major order.
    items: Vec<u8>,
}

/// Type of the items.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Number(Layout),
    Truth,
    /// Bytes; the number of them an item.
    Bytes(usize),
    /// Code points of four bytes; the number of bytes an item.
    Points {
        width: usize,
        is_big_endian: bool,
    },
}

impl Kind {
    fn width(self) -> usize {
        match self {
            Self::Number(layout) => layout.width(),
            Self::Truth => 1,
            Self::Bytes(width) | Self::Points { width, .. } => width,
        }
    }
}

/// Reads an array. Errors are lower-case fragments that say what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Npy, String> {
    let (header, data) = parts(bytes).ok_or("it is no numpy array, or is cut short")?;
    // numpy takes the last of two, others the first.
    if ["'descr':", "'shape':", "'fortran_order':"]
        .iter()
        .any(|key| header.matches(key).count() > 1)
    {
        return Err("its header says one thing twice".to_owned());
    }
    let descr = text_after(header, "'descr':")
        .ok_or("it holds records of several fields; save one array for each of them")?;
    let kind = kind(descr)?;
    let shape = shape(header).ok_or("its shape cannot be read")?;
    let count = shape
        .iter()
        .try_fold(1_usize, |count, &n| count.checked_mul(n))
        .ok_or("it is too large")?;
    let width = kind.width();
    if width == 0 && count > 0 {
        return Err("its texts have no length".to_owned());
    }
    let size = count.checked_mul(width).ok_or("it is too large")?;
    if data.len() != size {
        let is_short = data.len() < size;
        let what = if is_short { "it is cut short" } else { "it is longer than its shape" };
        return Err(format!("{what}: {size} bytes were saved, and {} are there", data.len()));
    }
    let is_column_major = match word_after(header, "'fortran_order':") {
        Some("True") => true,
        Some("False") => false,
        _ => return Err("its header does not say whether rows or columns come first".to_owned()),
    };
    let items = match is_column_major && shape.len() > 1 {
        true => row_major(data, width, &shape),
        false => data.to_vec(),
    };
    Ok(Npy { shape, kind, items })
}

impl Npy {
    /// Its items as numbers; none when they are texts.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        match self.kind {
            Kind::Number(layout) => Some(layout.numbers(&self.items)),
            Kind::Truth => {
                Some(self.items.iter().map(|item| f64::from(u8::from(*item != 0))).collect())
            }
            Kind::Bytes(_) | Kind::Points { .. } => None,
        }
    }

    /// Its items as texts, whole numbers with all their digits; NaN is an empty one. The error names
    /// the first that is no text.
    pub fn texts(&self) -> Result<Vec<String>, String> {
        let items = self.items.chunks_exact(self.kind.width().max(1));
        match self.kind {
            Kind::Number(layout) => Ok(items
                .map(|item| match layout.number(item).is_nan() {
                    true => String::new(),
                    false => layout.text(item),
                })
                .collect()),
            Kind::Truth => Ok(items.map(|item| truth_text(item != [0]).to_owned()).collect()),
            Kind::Bytes(_) => items.enumerate().map(|(row, item)| utf8(row, item)).collect(),
            Kind::Points { is_big_endian, .. } => {
                items.enumerate().map(|(row, item)| characters(row, item, is_big_endian)).collect()
            }
        }
    }
}

/// A text of bytes, without the NULs that fill it up.
fn utf8(row: usize, item: &[u8]) -> Result<String, String> {
    let length = item.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match std::str::from_utf8(&item[..length]) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "item {} is not UTF-8 text: b\"{}\"; save it as text, as np.char.decode(array, \
             \"latin-1\") gives it",
            row + 1,
            item[..length].escape_ascii()
        )),
    }
}

/// A text of code points, without the NULs that fill it up.
fn characters(row: usize, item: &[u8], is_big_endian: bool) -> Result<String, String> {
    let points = item.chunks_exact(4).map(|point| unsigned(point, is_big_endian) as u32);
    let text: Option<String> = points.map(char::from_u32).collect();
    let text = text.ok_or_else(|| format!("item {} holds a code that is no character", row + 1))?;
    Ok(text.trim_end_matches('\0').to_owned())
}

/// Kind of a numpy type, such as `<f8`.
fn kind(descr: &str) -> Result<Kind, String> {
    let (order, rest) = descr.split_at_checked(1).unwrap_or(("", descr));
    let is_big_endian = order == ">";
    let (letter, size) = rest.split_at_checked(1).unwrap_or((rest, ""));
    let other = |what: &str| Err(format!("it holds {what} (numpy type {descr})"));
    let number = |class, size: usize| match Layout::new(class, size, is_big_endian) {
        Some(layout) => Ok(Kind::Number(layout)),
        None => other("numbers of an unusual width; save it with astype(np.float64)"),
    };
    match (letter, size.parse()) {
        ("O", _) => {
            Err("it holds Python objects; save it as numbers or text, without pickle".to_owned())
        }
        ("f", Ok(size)) => number(Class::Float, size),
        ("i", Ok(size)) => number(Class::Signed, size),
        ("u", Ok(size)) => number(Class::Unsigned, size),
        ("b", Ok(1)) => Ok(Kind::Truth),
        ("S", Ok(size)) => Ok(Kind::Bytes(size)),
        ("U", Ok(size)) => match usize::checked_mul(size, 4) {
            Some(width) => Ok(Kind::Points { width, is_big_endian }),
            None => Err("it is too large".to_owned()),
        },
        ("c", _) => other("complex numbers; save real and imaginary part as two features"),
        ("M" | "m", _) => other("dates or times; save it with astype(str) or astype(np.float64)"),
        _ => other("something that is neither numbers nor text"),
    }
}

/// The text of the header, and the bytes after it.
fn parts(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_at_checked(2)?;
    let sized = if version[0] == 1 { 2 } else { 4 };
    let (length, rest) = rest.split_at_checked(sized)?;
    let length = usize::try_from(unsigned(length, false)).ok()?;
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

fn text_after<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    let rest = header.split_once(name)?.1.trim_start();
    // Python 2 may have marked the text as Unicode.
    let rest = rest.strip_prefix('u').unwrap_or(rest).strip_prefix('\'')?;
    Some(rest.split_once('\'')?.0)
}

fn word_after<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split_once(name)?.1.trim_start().split([',', '}']).next()
}

/// The sizes of the dimensions; a whole number of Python 2 may end in `L`.
fn shape(header: &str) -> Option<Vec<usize>> {
    let rest = header.split_once("'shape':")?.1.trim_start().strip_prefix('(')?;
    let sizes = rest.split_once(')')?.0.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.strip_suffix('L').unwrap_or(size).parse().ok()).collect()
}

/// The items of a column-major array in row-major order.
fn row_major(items: &[u8], width: usize, shape: &[usize]) -> Vec<u8> {
    let strides = shape.iter().scan(1, |next, size| {
        let stride = *next;
        *next *= size;
        Some(stride)
    });
    let dimensions: Vec<(usize, usize)> = shape.iter().copied().zip(strides).collect();
    let mut sorted = Vec::with_capacity(items.len());
    for mut rest in 0..shape.iter().product() {
        let mut place = 0;
        // The last index moves fastest in row-major order, the first in column-major order.
        for (size, stride) in dimensions.iter().rev() {
            place += rest % size * stride;
            rest /= size;
        }
        sorted.extend_from_slice(&items[place * width..][..width]);
    }
    sorted
}
