use arrow::array::Array;
use serde_json::{Value, json};

use super::*;

const FILE: &[u8] = include_bytes!("../../../tests/fixtures/load/arrays.npz");

fn read(array: &str, options: Value) -> Result<Features, StageError> {
    let mut all = json!({ "path": "/data/arrays.npz", "id": { "array": "ids" }, "features": { "array": array } });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    let stage: LoadNpz = serde_json::from_value(all).unwrap();
    stage.read(FILE.to_vec(), &mut Outputs::default())
}

fn refused(array: &str, options: Value) -> String {
    crate::testing::message(&read(array, options).unwrap_err())
}

/// Values in numpy, in the order of the sorted ids.
fn expected() -> Vec<Option<f64>> {
    let file: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/load/arrays.json")).unwrap();
    let x: Vec<Option<f64>> = file["x"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_str().map(|text| text.parse().unwrap()))
        .collect();
    // s1, s10, s2_é, s3
    [1, 2, 0, 3].iter().flat_map(|row| x[row * 3..][..3].to_vec()).collect()
}

fn values(features: &Features) -> Vec<Option<f64>> {
    let rows = features.example_id.len();
    (0..rows)
        .flat_map(|row| {
            features
                .columns
                .iter()
                .map(move |(_, column)| column.is_valid(row).then(|| column.value(row)))
        })
        .collect()
}

#[test]
fn two_arrays_of_one_name_are_refused() {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["ids.npy", "x.npy", "y.npy"] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    }
    let mut bytes = archive.finish().unwrap().into_inner();
    assert!(Archive::open("f.npz", bytes.clone()).is_ok());
    for at in 0..bytes.len() - 5 {
        if &bytes[at..at + 5] == b"y.npy" {
            bytes[at] = b'x';
        }
    }
    let error = Archive::open("f.npz", bytes).err().unwrap();
    assert_eq!(error.message, "two arrays of f.npz have one name");
}

#[test]
fn arrays_of_every_layout_are_what_numpy_says() {
    for (array, tolerance) in [("x", 0.0), ("rows", 0.0), ("big", 1e-7), ("half", 1e-3)] {
        let features = read(array, json!({})).unwrap();
        let ids: Vec<_> = features.example_id.iter().collect();
        assert_eq!(ids, ["s1", "s10", "s2_é", "s3"]);
        for (found, expected) in values(&features).iter().zip(expected()) {
            match (found, expected) {
                (Some(found), Some(expected)) if expected.is_finite() => {
                    assert!((found - expected).abs() <= tolerance * expected.abs(), "{array}");
                }
                (found, expected) => assert_eq!(*found, expected, "{array}"),
            }
        }
    }
}

#[test]
fn names_and_ids_may_be_bytes_and_whole_numbers() {
    let options = json!({
        "id": { "array": "numbers" },
        "features": { "array": "x", "names": "names" },
        "columns": { "include": ["alpha", "gamma"] },
    });
    let features = read("x", options).unwrap();
    let ids: Vec<_> = features.example_id.iter().collect();
    assert_eq!(ids, ["100", "12", "3", "7"]);
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["alpha", "gamma"]);
}

#[test]
fn what_cannot_be_read_is_refused_in_words() {
    assert_eq!(
        refused("y", json!({})),
        "arrays.npz has no array y; its arrays are big, cube, half, ids, names, numbers, objects, \
         rows, x"
    );
    assert_eq!(
        refused("objects", json!({})),
        "array objects of arrays.npz cannot be read: it holds Python objects; save it as numbers \
         or text, without pickle; arrays of numbers (bool, int, uint, float16 to float64) and of \
         text are read"
    );
    assert_eq!(
        refused("cube", json!({})),
        "array cube of arrays.npz has 3 dimensions where 2 are wanted"
    );
    assert_eq!(refused("ids", json!({})), "array ids of arrays.npz holds text, not numbers");
    assert_eq!(
        refused("x", json!({ "id": { "array": "names" } })),
        "array names of arrays.npz holds 3 ids and array x has 4 rows"
    );
    assert_eq!(
        refused("x", json!({ "features": { "array": "x", "names": "ids" } })),
        "array x of arrays.npz has 3 features and 4 names"
    );
}

#[test]
fn a_header_that_promises_more_than_there_is_is_refused() {
    let header =
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999), }\n";
    assert_eq!(npy::read(&with_header(header, &[])).unwrap_err(), "it is too large");
    assert_eq!(
        npy::read(&array("'<f8'", "(3L,)", &[0; 8])).unwrap_err(),
        "it is cut short: 24 bytes were saved, and 8 are there"
    );
    assert_eq!(npy::read(b"PK").unwrap_err(), "it is no numpy array, or is cut short");
}

#[test]
fn a_header_that_does_not_say_one_thing_is_refused() {
    let damaged = |from: &str, to: &str| {
        let header =
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n".replace(from, to);
        npy::read(&with_header(&header, &[0; 8])).unwrap_err()
    };
    assert_eq!(
        damaged("False", "None"),
        "its header does not say whether rows or columns come first"
    );
    assert_eq!(damaged("}", "'shape': (0,), }"), "its header says one thing twice");
    assert_eq!(
        damaged("(1,)", "(0,)"),
        "it is longer than its shape: 0 bytes were saved, and 8 are there"
    );
}

/// An array as numpy writes it.
fn array(descr: &str, shape: &str, items: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    with_header(&header, items)
}

fn with_header(header: &str, items: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(items);
    bytes
}

#[test]
fn every_type_of_numpy_is_read_or_refused_in_words() {
    let texts = |descr: &str, shape: &str, items: &[u8]| {
        npy::read(&array(descr, shape, items)).and_then(|array| array.texts())
    };
    assert_eq!(texts("'<u8'", "(1L,)", &[255; 8]), Ok(vec![u64::MAX.to_string()]));
    assert_eq!(texts("u'|b1'", "(2,)", &[0, 1]), Ok(vec!["false".to_owned(), "true".to_owned()]));
    assert_eq!(texts("'<f4'", "(1,)", &0.1_f32.to_le_bytes()), Ok(vec!["0.1".to_owned()]));
    assert_eq!(texts("'<f4'", "(1,)", &f32::NAN.to_le_bytes()), Ok(vec![String::new()]));
    let inner = ["a\0b", "ab"].map(str::to_owned);
    assert_eq!(texts("'|S3'", "(2,)", b"a\0bab\0"), Ok(inner.to_vec()));
    assert_eq!(
        texts("'|S4'", "(1,)", b"\xe9p1\0").unwrap_err(),
        "item 1 is not UTF-8 text: b\"\\xe9p1\"; save it as text, as np.char.decode(array, \
         \"latin-1\") gives it"
    );
    assert_eq!(
        texts("'<U1'", "(1,)", &0xd800_u32.to_le_bytes()).unwrap_err(),
        "item 1 holds a code that is no character"
    );
    for (descr, what) in [
        (
            "'<c16'",
            "it holds complex numbers; save real and imaginary part as two features (numpy type \
             <c16)",
        ),
        (
            "'<f16'",
            "it holds numbers of an unusual width; save it with astype(np.float64) (numpy type \
             <f16)",
        ),
        (
            "'<M8[ns]'",
            "it holds dates or times; save it with astype(str) or astype(np.float64) (numpy type \
             <M8[ns])",
        ),
        ("'|V8'", "it holds something that is neither numbers nor text (numpy type |V8)"),
        ("[('a', '<f8')]", "it holds records of several fields; save one array for each of them"),
        ("'|O'", "it holds Python objects; save it as numbers or text, without pickle"),
    ] {
        assert_eq!(texts(descr, "(1,)", &[0; 16]).unwrap_err(), what);
    }
    assert_eq!(texts("'|S0'", "(1000000000000,)", b"").unwrap_err(), "its texts have no length");
}

#[test]
fn one_array_is_no_npz_file() {
    let stage: LoadNpz = serde_json::from_value(
        json!({ "path": "x.npz", "id": { "array": "ids" }, "features": { "array": "x" } }),
    )
    .unwrap();
    let error = stage.read(array("'<f8'", "(0,)", b""), &mut Outputs::default()).unwrap_err();
    assert_eq!(error.message, "x.npz is one array, as numpy.save writes it (.npy)");
}
