use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn batch(evidence: &[f64], available: &[u8], quality: &[f64]) -> Result<Batch, BatchError> {
    let row_id: Vec<u64> = (0..available.len() as u64 / 2).collect();
    let columns = BatchColumns { row_id: &row_id, evidence, available, quality };
    Batch::new(&names(&["face", "voice"]), &names(&["no", "yes"]), columns)
}

#[test]
fn every_buffer_is_aligned_to_64_bytes_also_without_rows() {
    for batch in [
        batch(&[], &[], &[]).unwrap(),
        batch(&[0.5; 4], &[1, 1], &[1.0, 2.0]).unwrap(),
        batch(&[0.5; 4], &[1, 1], &[1.0, 2.0]).unwrap().take(&[0, 0, 0]),
    ] {
        for pointer in [
            batch.row_id().as_ptr() as usize,
            batch.evidence().as_ptr() as usize,
            batch.available().as_ptr() as usize,
            batch.quality().as_ptr() as usize,
        ] {
            assert_eq!(pointer % 64, 0);
            assert!(pointer > 4096);
        }
    }
}

#[test]
fn a_quality_that_is_not_finite_is_named_unless_its_modality_is_unavailable() {
    assert!(batch(&[0.5; 4], &[1, 0], &[1.0, f64::NAN]).is_ok());
    let error = batch(&[0.5; 4], &[1, 1], &[1.0, f64::NAN]).unwrap_err().to_string();
    assert_eq!(
        error,
        "column quality has NaN in row 0, modality voice; a finite number is expected"
    );
}

#[test]
fn evidence_below_zero_is_named() {
    let error = batch(&[0.5, 0.5, 1.1, -0.1], &[1, 1], &[1.0; 2]).unwrap_err().to_string();
    assert_eq!(
        error,
        "column evidence has -0.1 in row 0, modality voice; a finite number of at least 0 is \
         expected"
    );
}

#[test]
fn columns_of_another_length_are_named() {
    let error = batch(&[0.5; 3], &[1, 1], &[1.0; 2]).unwrap_err();
    assert_eq!(error, BatchError::Length { column: "evidence".to_owned(), found: 3, expected: 4 });
}

#[test]
fn labels_are_numbers_of_classes_and_weights_are_above_zero() {
    let rows = || batch(&[0.5; 4], &[1, 1], &[1.0; 2]).unwrap();
    assert!(rows().with_labels(&[1], &[0.5]).is_ok());
    for (label, weight) in [(2, 1.0), (-1, 1.0), (0, 0.0), (0, f64::NAN)] {
        assert!(rows().with_labels(&[label], &[weight]).is_err(), "{label} {weight}");
    }
}

#[test]
fn rows_are_taken_in_the_order_asked_for() {
    let whole =
        batch(&[0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6], &[1, 1, 1, 0], &[1.0, 2.0, 3.0, 4.0])
            .unwrap();
    let part = whole.take(&[1, 0, 1]);
    assert_eq!(part.row_id(), [1, 0, 1]);
    assert_eq!(part.quality(), [3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(part.available(), [1, 0, 1, 1, 1, 0]);
}

#[test]
fn a_batch_crosses_to_another_process_unchanged_and_aligned() {
    let values: Vec<f64> = (0..6).map(f64::from).collect();
    for rows in [0, 1, 3] {
        let evidence = [0.25, 0.75].repeat(2 * rows);
        let row_id: Vec<u64> = (7..7 + rows as u64).collect();
        let columns = BatchColumns {
            row_id: &row_id,
            evidence: &evidence,
            available: &vec![1; 2 * rows],
            quality: &values[..2 * rows],
        };
        let batch = Batch::new(&names(&["face", "voice"]), &names(&["no", "yes"]), columns)
            .unwrap()
            .with_embedding("voice", 2, &values[..2 * rows])
            .unwrap()
            .with_labels(&vec![1; rows], &vec![0.5; rows])
            .unwrap();
        let stream = batch.to_stream(Vec::new()).unwrap();
        let mut bytes = arrow::buffer::MutableBuffer::with_capacity(stream.len());
        bytes.extend_from_slice(&stream);
        let read = Batch::of_stream(bytes).unwrap();
        assert_eq!(read.modalities(), batch.modalities());
        assert_eq!(read.classes(), batch.classes());
        assert_eq!(read.row_id(), batch.row_id());
        assert_eq!(read.evidence(), batch.evidence());
        assert_eq!(read.available(), batch.available());
        assert_eq!(read.quality(), batch.quality());
        assert_eq!(read.label(), batch.label());
        assert_eq!(read.weight(), batch.weight());
        assert_eq!(read.embeddings[0].values.values(), batch.embeddings[0].values.values());
        assert_eq!(read.evidence().as_ptr() as usize % 64, 0);
        assert_eq!(read.quality().as_ptr() as usize % 64, 0);
    }
}
