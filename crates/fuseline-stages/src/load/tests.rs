//! Properties of all loaders: the same numbers in every format, and an answer whatever the bytes
//! are.

use std::io::Write;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::Compression;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{ArrayRef, Float64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Float64Type;
use fuseline_artifact::{Digest, Features};
use fuseline_engine::{StageError, StageKind};
use fuseline_tests::damage::Numbers;
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::csd::LoadCsd;
use super::csv::LoadCsv;
use super::jsonl::LoadJsonl;
use super::npz::LoadNpz;
use super::parquet::LoadParquet;

/// Loads a file of these bytes.
fn load<K: StageKind>(bytes: &[u8], mut options: Value) -> Result<Features, StageError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    options["path"] = path.to_str().unwrap().into();
    let files = vec![(path, Digest::hash(bytes))];
    crate::testing::run::<K>(options, 1, &[], |inputs| Ok(inputs.files(files)))?.get("features")
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|row| format!("e{row:05}")).collect()
}

/// An array as numpy saves it.
fn npy(descr: &str, shape: &str, items: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), items].concat()
}

fn npz(values: &[f64], width: usize, is_packed: bool) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = match is_packed {
        true => zip::CompressionMethod::Deflated,
        false => zip::CompressionMethod::Stored,
    };
    let rows = values.len() / width;
    let items: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let arrays = [
        ("ids.npy", npy("|S6", &format!("({rows},)"), ids(rows).concat().as_bytes())),
        ("x.npy", npy("<f8", &format!("({rows}, {width})"), &items)),
    ];
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(name, options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn parquet(values: &[f64], compression: Compression) -> Vec<u8> {
    let rows = values.len();
    let lists = (0..rows).map(|row| Some([Some(values[row]), None]));
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(StringArray::from(ids(rows))) as ArrayRef),
        ("x", Arc::new(Float64Array::from(values.to_vec())) as ArrayRef),
        ("e", Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(lists)) as ArrayRef),
    ])
    .unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn numbers_are_the_same_to_their_last_bit_in_every_format() {
    let mut bits = Numbers(1);
    let random = std::iter::repeat_with(|| f64::from_bits(bits.bits()));
    let special = [0.0, -0.0, 5e-324, f64::MAX, f64::MIN_POSITIVE, 0.1, 1e23, f64::INFINITY];
    let logspace = (0..200).map(|step| libm::pow(10.0, f64::from(step) / 17.0 - 6.0));
    let values: Vec<f64> = special
        .into_iter()
        .chain([f64::NEG_INFINITY, 0.921_568_632_125_854_5])
        .chain(logspace)
        .chain(random.filter(|value| value.is_finite()).take(3_000))
        .collect();
    let rows = ids(values.len());
    let table = rows.iter().zip(&values);
    let csv = table.clone().map(|(id, value)| format!("{id},{value:?}\n")).collect::<String>();
    let json = |value: &f64| match value.is_finite() {
        true => format!("{value:?}"),
        false => format!("{}Infinity", if *value < 0.0 { "-" } else { "" }),
    };
    let lines = table.map(|(id, value)| format!("{{\"id\": \"{id}\", \"x\": {}}}\n", json(value)));
    let by_name = json!({ "id": { "column": "id" }, "columns": { "include": ["x"] } });
    let named = json!({ "id": { "array": "ids" }, "features": { "array": "x" } });
    let loaded = [
        load::<LoadCsv>(format!("id,x\n{csv}").as_bytes(), by_name.clone()),
        load::<LoadJsonl>(lines.collect::<String>().as_bytes(), by_name.clone()),
        load::<LoadNpz>(&npz(&values, 1, false), named),
        load::<LoadParquet>(&parquet(&values, Compression::SNAPPY), by_name),
    ];
    for features in loaded {
        let (_, column) = &features.unwrap().columns[0];
        for (row, value) in values.iter().enumerate() {
            assert_eq!(column.value(row).to_bits(), value.to_bits(), "row {row}: {value:?}");
        }
    }
}

/// Number of damaged files of a kind that are read; `FUSELINE_MUTATIONS` asks for more.
fn mutations() -> u64 {
    std::env::var("FUSELINE_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// Every damaged file gives features or an error of the file, and no panic leaves the loader.
fn check_damaged<K: StageKind>(sound: &[u8], options: &Value) {
    assert!(load::<K>(sound, options.clone()).is_ok(), "the file is sound before it is damaged");
    for seed in 0..mutations() {
        let mut bytes = sound.to_vec();
        Numbers(seed).damage(&mut bytes);
        if let Err(error) = load::<K>(&bytes, options.clone()) {
            let (class, message) = (error.class, error.message);
            let is_of_file = class == fuseline_engine::error::Class::Data;
            assert!(is_of_file && !message.is_empty(), "mutation {seed}: {message}");
        }
    }
}

#[test]
fn a_damaged_file_of_any_format_is_an_answer_or_an_error_of_the_file() {
    let by_name = json!({ "id": { "column": "id" } });
    let values: Vec<f64> = (0..24).map(|row| f64::from(row).sqrt()).collect();
    let rows = ids(values.len());
    let table = rows.iter().zip(&values);
    let csv = table.clone().map(|(id, value)| format!("{id},{value},\"a \"\"b\"\n"));
    let csv = format!("id,x,what\n{}", csv.collect::<String>());
    let lines =
        table.map(|(id, x)| format!("{{\"id\": \"{id}\", \"x\": {x}, \"e\": [{x}, NaN]}}\n"));
    let without = json!({ "id": { "column": "id" }, "columns": { "exclude": ["what"] } });
    check_damaged::<LoadCsv>(csv.as_bytes(), &without);
    check_damaged::<LoadJsonl>(lines.collect::<String>().as_bytes(), &by_name);
    let arrays = json!({ "id": { "array": "ids" }, "features": { "array": "x" } });
    for is_packed in [false, true] {
        check_damaged::<LoadNpz>(&npz(&values, 2, is_packed), &arrays);
    }
    let zstd = Compression::ZSTD(Default::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd] {
        check_damaged::<LoadParquet>(&parquet(&values, compression), &by_name);
    }
    let csd = include_bytes!("../../tests/fixtures/load/words.csd");
    check_damaged::<LoadCsd>(csd, &json!({ "weight": "duration" }));
}
