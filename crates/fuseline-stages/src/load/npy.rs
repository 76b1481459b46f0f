//! Arrays as numpy writes them (`numpy.lib.format`, versions 1 to 3).

/// An array in row-major order.
#[derive(Debug, PartialEq)]
pub(super) struct Npy {
    pub shape: Vec<usize>,
    pub values: Values,
}

/// The values of an array.
#[derive(Debug, PartialEq)]
pub(super) enum Values {
    Numbers(Vec<f64>),
    Whole(Vec<i64>),
    Texts(Vec<String>),
}

/// Reads an array. Errors are lower-case fragments that say what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Npy, String> {
    let (header, data) = parts(bytes).ok_or("it is no numpy array, or is cut short")?;
    let descr = text_after(header, "'descr':").ok_or("it has a structured or unknown type")?;
    let fortran = word_after(header, "'fortran_order':") == Some("True");
    let shape = shape(header).ok_or("its shape cannot be read")?;
    let count = shape
        .iter()
        .try_fold(1_usize, |count, &n| count.checked_mul(n))
        .ok_or("it is too large")?;
    if descr == "|O" {
        return Err(
            "it holds Python objects; save it as numbers or text, without pickle".to_owned()
        );
    }
    let (order, rest) = descr.split_at_checked(1).unwrap_or(("", descr));
    let (kind, size) = rest.split_at_checked(1).unwrap_or(("", ""));
    let size: usize = size.parse().map_err(|_| format!("it is of type {descr}"))?;
    let width = if kind == "U" { 4 * size } else { size };
    if count.checked_mul(width).is_none_or(|wanted| wanted > data.len()) {
        return Err("it is cut short".to_owned());
    }
    let items = || data[..count * width].chunks_exact(width.max(1));
    let big = order == ">";
    let values = match (kind, size) {
        ("f", 2) => Values::Numbers(items().map(|b| half(number(b, big) as u16)).collect()),
        ("f", 4) => {
            let value = |b| f64::from(f32::from_bits(number(b, big) as u32));
            Values::Numbers(items().map(value).collect())
        }
        ("f", 8) => Values::Numbers(items().map(|b| f64::from_bits(number(b, big))).collect()),
        ("i", 1 | 2 | 4 | 8) => {
            let unused = 64 - 8 * size;
            let value = |b| (number(b, big) << unused).cast_signed() >> unused;
            Values::Whole(items().map(value).collect())
        }
        ("u", 1 | 2 | 4 | 8) | ("b", 1) => Values::Whole(
            items()
                .map(|b| i64::try_from(number(b, big)))
                .collect::<Result<_, _>>()
                .map_err(|_| "it holds a whole number of more than 63 bits".to_owned())?,
        ),
        ("S", 1..) => Values::Texts(
            items().map(|b| String::from_utf8_lossy(b).trim_end_matches('\0').to_owned()).collect(),
        ),
        ("U", 1..) => {
            let text = |b: &[u8]| -> String {
                let points = b.chunks_exact(4).map(|b| number(b, big) as u32);
                points.take_while(|point| *point != 0).filter_map(char::from_u32).collect()
            };
            Values::Texts(items().map(text).collect())
        }
        _ => return Err(format!("it is of type {descr}")),
    };
    let values = if fortran && shape.len() > 1 { row_major(values, &shape) } else { values };
    Ok(Npy { shape, values })
}

/// The text of the header, and the bytes after it.
fn parts(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_at_checked(2)?;
    let sized = if version[0] == 1 { 2 } else { 4 };
    let (length, rest) = rest.split_at_checked(sized)?;
    let length = usize::try_from(number(length, false)).ok()?;
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

fn text_after<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    let rest = header.split_once(name)?.1.trim_start().strip_prefix('\'')?;
    Some(rest.split_once('\'')?.0)
}

fn word_after<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split_once(name)?.1.trim_start().split([',', '}']).next()
}

fn shape(header: &str) -> Option<Vec<usize>> {
    let rest = header.split_once("'shape':")?.1.trim_start().strip_prefix('(')?;
    let sizes = rest.split_once(')')?.0.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok()).collect()
}

/// Up to eight bytes as one number.
fn number(bytes: &[u8], big: bool) -> u64 {
    let shift = |value, byte: &u8| (value << 8) | u64::from(*byte);
    if big { bytes.iter().fold(0, shift) } else { bytes.iter().rev().fold(0, shift) }
}

/// A number of half precision.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match (bits >> 10) & 0x1f {
        0 => fraction / 16_777_216.0,
        31 if fraction > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        // The power of two is exact: its exponent is written into the bits of a double.
        exponent => (1.0 + fraction / 1024.0) * f64::from_bits((u64::from(exponent) + 1008) << 52),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Values of a column-major array in row-major order.
fn row_major(values: Values, shape: &[usize]) -> Values {
    let count: usize = shape.iter().product();
    let places: Vec<usize> = (0..count)
        .map(|mut rest| {
            let mut at = 0;
            // The last index moves fastest in row-major order, the first in column-major order.
            let mut strides: Vec<usize> = Vec::with_capacity(shape.len());
            let mut stride = 1;
            for size in shape {
                strides.push(stride);
                stride *= size;
            }
            for (size, stride) in shape.iter().zip(&strides).rev() {
                at += rest % size * stride;
                rest /= size;
            }
            at
        })
        .collect();
    match values {
        Values::Numbers(values) => Values::Numbers(places.iter().map(|&at| values[at]).collect()),
        Values::Whole(values) => Values::Whole(places.iter().map(|&at| values[at]).collect()),
        Values::Texts(values) => {
            Values::Texts(places.iter().map(|&at| values[at].clone()).collect())
        }
    }
}
