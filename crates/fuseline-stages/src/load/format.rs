//! Recognition of files that are not what their name or stage expects, by their first bytes.

use fuseline_engine::StageError;

use super::table::DAMAGED;

/// Number of first bytes that are looked at.
pub(super) const HEAD_BYTES: usize = 512;

/// A format that some stage kind reads, or that users often have in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    JsonLines,
    Gzip,
    Hdf5,
    Npy,
    Parquet,
    Zip,
    /// A format that no stage kind reads.
    Other,
}
use Format::{Csv, Gzip, Hdf5, JsonLines, Npy, Other, Parquet, Zip};

/// Name of a kind of file, as a noun phrase, and the remedy.
struct Kind {
    format: Format,
    what: &'static str,
    hint: &'static str,
}

const UNPACK: &str = "unpack it, or compress it by gzip";
const FETCH: &str = "a download that failed or asked for a password leaves such a page: open it in a \
                     browser to see why, and fetch the file again";
const FROM_PYTHON: &str =
    "read it in Python, and write the table with pandas as Parquet (to_parquet)";
const FROM_STATISTICS: &str = "export it as CSV or Parquet from the program that wrote it";

/// Files by their first bytes. Where those could begin a text, they go on to what no text has.
const BINARY: [(&[u8], Format, &str, &str); 24] = [
    (
        b"PK\x03\x04",
        Zip,
        "a zip archive or an Excel workbook",
        "unpack it, or save the sheet as CSV",
    ),
    (b"\xd0\xcf\x11\xe0", Other, "an Excel workbook", "save the sheet as CSV"),
    (
        b"PAR1\x15",
        Parquet,
        "a Parquet file",
        "load.parquet reads it, and a table whose name ends in parquet",
    ),
    (b"\x1f\x8b", Gzip, "compressed by gzip", "unpack it"),
    (b"BZh91AY&SY", Other, "compressed by bzip2", UNPACK),
    (b"\xfd7zXZ", Other, "compressed by xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", Other, "compressed by zstd", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", Other, "a 7-Zip archive", "unpack it"),
    (b"\xff\xfe\0\0", Other, "UTF-32 text", "save it as UTF-8"),
    (b"\0\0\xfe\xff", Other, "UTF-32 text", "save it as UTF-8"),
    (b"ARROW1\0\0", Other, "an Arrow (Feather) file", FROM_PYTHON),
    (b"FEA1\0\0\0\0", Other, "a Feather file of version 1", FROM_PYTHON),
    (b"\xff\xff\xff\xff", Other, "a stream of Arrow batches", FROM_PYTHON),
    (b"Obj\x01", Other, "an Avro file", FROM_PYTHON),
    (
        b"\x89HDF\r\n\x1a\n",
        Hdf5,
        "an HDF5 file",
        "load.csd reads those of the CMU-Multimodal SDK; write others as npz or Parquet",
    ),
    (
        b"\x93NUMPY",
        Npy,
        "one array, as numpy.save writes it (.npy)",
        "write ids and features into one file: numpy.savez(\"f.npz\", ids=ids, x=x), which \
         load.npz reads",
    ),
    (b"\x80\x02", Other, "a pickle of Python", FROM_PYTHON),
    (b"\x80\x03", Other, "a pickle of Python", FROM_PYTHON),
    (b"\x80\x04", Other, "a pickle of Python", FROM_PYTHON),
    (b"\x80\x05", Other, "a pickle of Python", FROM_PYTHON),
    (
        b"MATLAB 5.0 MAT-file",
        Other,
        "a MATLAB file",
        "read it by scipy.io.loadmat, and write an npz",
    ),
    (
        b"X\n\0\0\0",
        Other,
        "an R data file (rds)",
        "write it from R: write.csv(x, row.names = FALSE)",
    ),
    (b"%PDF-", Other, "a PDF document", FROM_STATISTICS),
    (b"SQLite format 3\0", Other, "an SQLite database", FROM_STATISTICS),
];

/// Pointers that stand in the place of data, by how they begin.
const POINTERS: [(&str, &str, &str); 2] = [
    (
        "version https://git-lfs.github.com/spec/",
        "a pointer of Git LFS, and the data are not there",
        "fetch them: git lfs pull",
    ),
    (
        "/annex/objects/",
        "a pointer of git-annex, and the data are not there",
        "fetch them: git annex get FILE",
    ),
];

/// Pages that a server gives in the place of data, by how they begin, in lower case.
const PAGES: [(&str, &str); 5] = [
    ("<!doctype html", "a page of HTML"),
    ("<html", "a page of HTML"),
    ("<head", "a page of HTML"),
    ("<?xml", "an XML document"),
    ("<error>", "an XML document"),
];

impl Kind {
    /// The kind of file that begins with these bytes, where they tell.
    fn recognise(head: &[u8]) -> Option<Self> {
        let binary = BINARY.iter().find(|(magic, ..)| head.starts_with(magic));
        if let Some((_, format, what, hint)) = binary {
            return Some(Self { format: *format, what, hint });
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        let begins = |start: &str| {
            text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start.as_bytes()))
        };
        let page = PAGES.iter().find(|(start, _)| begins(start));
        let page = page.map(|(_, what)| Self { format: Other, what, hint: FETCH });
        Self::recognise_pointer(head).or(page)
    }

    /// The pointer to a file that begins with these bytes.
    fn recognise_pointer(head: &[u8]) -> Option<Self> {
        let pointer = POINTERS.iter().find(|(start, ..)| head.starts_with(start.as_bytes()));
        pointer.map(|(_, what, hint)| Self { format: Other, what, hint })
    }

    /// The same, with texts that stage kinds read.
    fn recognise_text(head: &[u8]) -> Option<Self> {
        // The bytes may end within a character.
        let is_utf8 = std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
        let is_control = |byte: &u8| byte.is_ascii_control() && !b"\t\n\r".contains(byte);
        if head.is_empty() || !is_utf8 || head.iter().any(is_control) {
            return None;
        }
        Some(match head.trim_ascii_start().first() {
            Some(b'{' | b'[') => Self {
                format: JsonLines,
                what: "JSON text",
                hint: "load.jsonl reads it where each line is an object, and a table whose name \
                       ends in jsonl",
            },
            _ => Self {
                format: Csv,
                what: "text",
                hint: "load.csv reads text, and a table whose name ends in csv or tsv",
            },
        })
    }
}

/// Error where a file of text, or of a format without first bytes of its own, is of a known format
/// or stands in the place of one.
pub(crate) fn refuse_known(file: &str, head: &[u8]) -> Result<(), StageError> {
    Kind::recognise(head).map_or(Ok(()), |kind| Err(is_other(file, &kind)))
}

/// Error for a file that its reader refuses: what it is in place of the `expected` format, where
/// its first bytes tell; else what the reader says.
pub(super) fn unreadable_as(
    expected: Format,
    file: &str,
    head: &[u8],
    as_what: &str,
    error: &dyn std::fmt::Display,
) -> StageError {
    let kind = Kind::recognise(head).or_else(|| Kind::recognise_text(head));
    match kind.filter(|kind| kind.format != expected) {
        _ if head.is_empty() => StageError::data(format!("{file} is empty"))
            .at("path")
            .hint("copy it again, or write it anew"),
        Some(kind) => is_other(file, &kind),
        None => StageError::data(format!("{file} cannot be read as {as_what}: {error}"))
            .at("path")
            .hint(DAMAGED),
    }
}

/// Error where a file that may hold anything holds a pointer in the place of it.
pub(crate) fn refuse_pointer(file: &str, bytes: &[u8]) -> Result<(), StageError> {
    Kind::recognise_pointer(bytes).map_or(Ok(()), |kind| Err(is_other(file, &kind)))
}

fn is_other(file: &str, kind: &Kind) -> StageError {
    StageError::data(format!("{file} is {}", kind.what)).at("path").hint(kind.hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(expected: Format, head: &[u8]) -> String {
        unreadable_as(expected, "f", head, "it", &"no").message
    }

    #[test]
    fn a_file_is_called_what_it_is_and_not_damaged() {
        for (head, what) in [
            (&b"ARROW1\0\0\xff\xff"[..], "f is an Arrow (Feather) file"),
            (b"id,a\np,1\n", "f is text"),
            (b"[{\"id\": 1}]", "f is JSON text"),
            (b"\xef\xbb\xbf\n <!DOCTYPE HTML>\n", "f is a page of HTML"),
            (b"<?xml version=\"1.0\"?><Error>", "f is an XML document"),
            (b"\x1f\x8b\x08", "f is compressed by gzip"),
            (b"\x80\x05\x95", "f is a pickle of Python"),
            (b"", "f is empty"),
            (b"\0\0\0\0", "f cannot be read as it: no"),
        ] {
            assert_eq!(said(Parquet, head), what);
        }
        let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
        assert_eq!(said(Zip, lfs), "f is a pointer of Git LFS, and the data are not there");
        assert!(refuse_pointer("gate.pt", lfs).is_err());
        // A rule may want a page; nothing else is a table.
        assert!(refuse_pointer("page.html", b"<html>").is_ok());
    }

    #[test]
    fn a_file_of_the_expected_format_is_called_damaged() {
        assert_eq!(said(Parquet, b"PAR1\x15\x04"), "f cannot be read as it: no");
        assert_eq!(said(Hdf5, b"\x89HDF\r\n\x1a\n"), "f cannot be read as it: no");
    }

    #[test]
    fn names_of_columns_that_begin_as_another_format_are_text() {
        for text in ["PAR1,PAR2\n", "BZh,a\n", "PK,a\n", "Obj,a\n", "X\n1\n", "version,a\n"] {
            assert!(refuse_known("f.csv", text.as_bytes()).is_ok(), "{text:?}");
        }
    }
}
