use std::io::BufReader;

use super::*;

/// The line and the cells of each record, or the fault; read two bytes at a time, so that every
/// state meets the end of a buffer.
fn records(bytes: &[u8]) -> Result<Vec<(u64, Vec<String>)>, Fault> {
    let mut records = Records::new(BufReader::with_capacity(2, bytes), b',');
    let mut all = Vec::new();
    while let Some(record) = records.next()? {
        all.push((record.line, record.cells().map(Cow::into_owned).collect()));
    }
    Ok(all)
}

fn fault(bytes: &[u8]) -> String {
    format!("{:?}", records(bytes).unwrap_err())
}

#[test]
fn lines_are_counted_right_whatever_ends_them() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["id,a", "p,1", "", "\"q", "q\",2", "r,3"].join(end);
        let lines: Vec<u64> =
            records(text.as_bytes()).unwrap().into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 2, 4, 6], "{end:?}");
    }
}

#[test]
fn cells_are_unquoted_and_lose_the_blanks_around_them() {
    let text = b"\"a, b\" , c \"d\" ,\"say \"\"hi\"\"\", \"e\",\"\",\nlast";
    let (_, cells) = &records(text).unwrap()[0];
    assert_eq!(cells, &["a, b", "c \"d\"", "say \"hi\"", "e", "", ""]);
    assert_eq!(records(text).unwrap()[1], (2, vec!["last".to_owned()]));
    assert_eq!(records(b"").unwrap(), []);
    assert_eq!(records(b"\"a\"").unwrap(), [(1, vec!["a".to_owned()])]);
}

#[test]
fn a_quotation_mark_that_is_not_closed_is_named_where_it_opens() {
    assert_eq!(fault(b"id,a\np,\"1\nq,2\n"), "Unclosed { line: 2, column: 1 }");
    assert_eq!(fault(b"id,a\r\np,1\r\n\"q\"\"\"\"\r\n"), "Unclosed { line: 3, column: 0 }");
    assert_eq!(
        fault(b"id,a\np,\"1\nq,\"2\"\n"),
        "TextAfterQuote { line: 2, column: 1, closed: 3 }"
    );
    assert_eq!(fault(b"\"a\"b,c\n"), "TextAfterQuote { line: 1, column: 0, closed: 1 }");
}

#[test]
fn cells_of_several_lines_are_told() {
    let mut records = Records::new(&b"id,a\np,\"x\r\ny\r\nz\"\n"[..], b',');
    records.next().unwrap();
    let record = records.next().unwrap().unwrap();
    assert_eq!(record.tall_cells().collect::<Vec<_>>(), [(1, (2, 4))]);
}

#[test]
fn what_is_no_text_is_named_by_line_and_byte() {
    assert_eq!(fault(b"id,a\r\np,M\xfcller\r\n"), "NotUtf8 { line: 2, byte: 10 }");
    assert_eq!(fault(b"id,a\n\"p\nq\xe9\",1\n"), "NotUtf8 { line: 3, byte: 10 }");
    assert_eq!(fault(b"id,a\np\0x,1\n"), "Nul { line: 2, byte: 7, is_utf16: false }");
    let utf16: Vec<u8> = "id,a\np,1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(fault(&utf16), "Nul { line: 1, byte: 2, is_utf16: true }");
}
