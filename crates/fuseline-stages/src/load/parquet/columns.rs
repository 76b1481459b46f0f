//! Columns of any type of Arrow as numbers, truth values or text; lists as a column for each place.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::temporal_conversions::timestamp_s_to_datetime;

/// Type of a column of a file.
pub(super) enum Plain {
    /// Numbers, truth values or text.
    Column(ArrayRef),
    /// Text of something that is no number, said in words.
    Text(ArrayRef, &'static str),
    /// A column for each place of equally long lists.
    Lists(Vec<ArrayRef>),
    /// Neither numbers nor text nor lists of numbers, but what is said in words.
    Unfit(String),
}

/// A column as what it is here. `is_uuid`: its bytes are UUIDs.
pub(super) fn plain(column: &ArrayRef, is_uuid: bool) -> Result<Plain, ArrowError> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256,
        Dictionary, Duration, FixedSizeBinary, FixedSizeList, Float16, Float32, Float64, Int8,
        Int16, Int32, Int64, Interval, LargeBinary, LargeList, LargeListView, LargeUtf8, List,
        ListView, Map, Null, RunEndEncoded, Struct, Time32, Time64, Timestamp, UInt8, UInt16,
        UInt32, UInt64, Union, Utf8, Utf8View,
    };
    const DATES: &str = "dates or times";
    let unfit = |what: &str| Ok(Plain::Unfit(what.to_owned()));
    Ok(match column.data_type() {
        Null | Boolean | Int64 | UInt64 | Float32 | Float64 | Utf8 => Plain::Column(column.clone()),
        Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 => Plain::Column(cast(column, &Int64)?),
        Float16 => Plain::Column(cast(column, &Float64)?),
        // As text they keep all of their digits.
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) | LargeUtf8 | Utf8View => {
            Plain::Column(cast(column, &Utf8)?)
        }
        Date32 | Time32(_) | Time64(_) => Plain::Text(cast(column, &Utf8)?, DATES),
        Date64 => Plain::Text(cast(&cast(column, &Date32)?, &Utf8)?, DATES),
        Timestamp(unit, zone) => Plain::Text(timestamps(column, *unit, zone.is_some())?, DATES),
        FixedSizeBinary(16) if is_uuid => Plain::Text(uuids(column), "UUIDs"),
        FixedSizeBinary(_) | Binary | LargeBinary | BinaryView => {
            match cast(column, &Binary).and_then(|bytes| cast(&bytes, &Utf8)) {
                Ok(texts) => Plain::Column(texts),
                Err(_) => return unfit("bytes that are neither numbers nor UTF-8 text"),
            }
        }
        Dictionary(_, values) => return plain(&cast(column, values)?, is_uuid),
        RunEndEncoded(_, values) => return plain(&cast(column, values.data_type())?, is_uuid),
        List(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _) => {
            places(&cast(column, &LargeList(item.clone()))?)?
        }
        LargeList(_) => places(column)?,
        Struct(_) | Map(..) | Union(..) => {
            return unfit("records of several fields, not numbers or text");
        }
        Duration(_) | Interval(_) => return unfit("durations, not numbers or text"),
    })
}

/// A cast that refuses what it cannot hold, where arrow's own makes it null.
fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// One column for each place of a column of equally long lists.
fn places(column: &ArrayRef) -> Result<Plain, ArrowError> {
    let lists = column.as_list::<i64>();
    let item = lists.value_type();
    if !item.is_numeric() && !matches!(item, DataType::Boolean | DataType::Null) {
        let what = match item {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                "lists of texts, not of numbers"
            }
            item if item.is_list() => "lists of lists, not of numbers",
            _ => "lists of something else than numbers",
        };
        return Ok(Plain::Unfit(what.to_owned()));
    }
    let mut there = (0..lists.len()).filter(|&row| lists.is_valid(row));
    let Some(first) = there.next() else { return Ok(Plain::Lists(Vec::new())) };
    let length = lists.value_length(first);
    if let Some(other) = there.find(|&row| lists.value_length(row) != length) {
        return Ok(Plain::Unfit(format!(
            "lists of {length} values in row {} and of {} in row {}",
            first + 1,
            lists.value_length(other),
            other + 1
        )));
    }
    let offsets = lists.value_offsets();
    let place = |place: i64| {
        let places: Int64Array = (0..lists.len())
            .map(|row| lists.is_valid(row).then_some(offsets[row] + place))
            .collect();
        take(lists.values(), &places, None).and_then(|values| cast(&values, &DataType::Float64))
    };
    Ok(Plain::Lists((0..length).map(place).collect::<Result<_, _>>()?))
}

/// UUIDs in their usual form.
fn uuids(column: &ArrayRef) -> ArrayRef {
    let uuid = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    };
    let texts = column.as_fixed_size_binary().iter().map(|bytes| bytes.map(uuid));
    std::sync::Arc::new(texts.collect::<StringArray>())
}

/// Points in time as pandas writes those of one column: the date alone where all are midnight, and
/// as many digits of the second as one of them needs. Where the file has a time zone, they are in
/// UTC and marked so.
fn timestamps(column: &ArrayRef, unit: TimeUnit, has_zone: bool) -> Result<ArrayRef, ArrowError> {
    let per_second: i64 = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let times = cast(column, &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>();
    let split = |time: i64| {
        let nanoseconds = time.rem_euclid(per_second) * (1_000_000_000 / per_second);
        (time.div_euclid(per_second), nanoseconds)
    };
    let all = || times.iter().flatten().map(split);
    let are_dates = !has_zone && all().all(|(seconds, nano)| seconds % 86_400 == 0 && nano == 0);
    let is_multiple = |of: i64| all().all(|(_, nanoseconds)| nanoseconds % of == 0);
    let (digits, divisor) = match () {
        () if is_multiple(1_000_000_000) => (0, 1_000_000_000),
        () if is_multiple(1_000_000) => (3, 1_000_000),
        () if is_multiple(1_000) => (6, 1_000),
        () => (9, 1),
    };
    let text = |time: i64| {
        let (seconds, nanoseconds) = split(time);
        let out_of_range = || ArrowError::CastError(format!("{time} is no point in time"));
        let time = timestamp_s_to_datetime(seconds).ok_or_else(out_of_range)?;
        if are_dates {
            return Ok(time.format("%Y-%m-%d").to_string());
        }
        let mut text = time.format("%Y-%m-%d %H:%M:%S").to_string();
        if digits > 0 {
            text += &format!(".{:0digits$}", nanoseconds / divisor);
        }
        Ok(text + if has_zone { "+00:00" } else { "" })
    };
    let texts = times.iter().map(|time| time.map(text).transpose());
    Ok(std::sync::Arc::new(texts.collect::<Result<StringArray, ArrowError>>()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, Decimal256Array, TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::i256;

    use super::*;

    fn texts(column: impl Array + 'static) -> Vec<String> {
        match plain(&(Arc::new(column) as ArrayRef), true).unwrap() {
            Plain::Column(column) | Plain::Text(column, _) => {
                column.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
            }
            Plain::Lists(_) | Plain::Unfit(_) => panic!("no text"),
        }
    }

    #[test]
    fn points_in_time_are_written_as_pandas_writes_them() {
        let day = 86_400;
        assert_eq!(texts(TimestampSecondArray::from(vec![0, -day])), ["1970-01-01", "1969-12-31"]);
        assert_eq!(
            texts(TimestampSecondArray::from(vec![0, 61])),
            ["1970-01-01 00:00:00", "1970-01-01 00:01:01"]
        );
        assert_eq!(
            texts(TimestampMicrosecondArray::from(vec![0, -500_000])),
            ["1970-01-01 00:00:00.000", "1969-12-31 23:59:59.500"]
        );
        let zoned = TimestampMicrosecondArray::from(vec![1]).with_timezone("Europe/Berlin");
        assert_eq!(texts(zoned), ["1970-01-01 00:00:00.000001+00:00"]);
        let endless = TimestampSecondArray::from(vec![i64::MAX]);
        assert!(plain(&(Arc::new(endless) as ArrayRef), false).is_err());
    }

    #[test]
    fn decimals_keep_their_digits_and_bytes_are_text_where_they_can_be() {
        let decimals =
            Decimal256Array::from(vec![i256::from_i128(-12_345_678_901_234_567_890_123)]);
        let decimals = decimals.with_precision_and_scale(40, 2).unwrap();
        assert_eq!(texts(decimals), ["-123456789012345678901.23"]);
        assert_eq!(texts(BinaryArray::from(vec!["é".as_bytes()])), ["é"]);
        let latin = Arc::new(BinaryArray::from(vec![b"\xe9".as_slice()])) as ArrayRef;
        assert!(matches!(plain(&latin, false), Ok(Plain::Unfit(_))));
        let whole = Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef;
        assert!(matches!(plain(&whole, false), Ok(Plain::Column(_))));
    }
}
