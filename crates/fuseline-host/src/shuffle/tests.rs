use super::*;
use crate::batch::BatchColumns;

/// Seven rows of three modalities; not every row has the second and the third.
fn batch() -> Batch {
    let names = |stem: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("{stem}{number}")).collect()
    };
    let mut available = [1; 21];
    [1, 4, 8, 20].into_iter().for_each(|cell| available[cell] = 0);
    let columns = BatchColumns {
        row_id: &[0, 1, 2, 3, 4, 5, 6],
        evidence: &(0..21)
            .flat_map(|n| [n as f64 / 21.0, 1.0 - n as f64 / 21.0])
            .collect::<Vec<_>>(),
        available: &available,
        quality: &(0..21).map(f64::from).collect::<Vec<_>>(),
    };
    Batch::new(&names("m", 3), &names("k", 2), columns).unwrap()
}

/// Evidence and quality of each row, in the order of the batch, as a rule meets them in one
/// permutation.
fn met(batch: &Batch, permuted: &Permuted<'_>, order: &[usize], number: usize) -> Vec<Vec<u64>> {
    let mut met = vec![Vec::new(); batch.rows()];
    let mut quality = vec![0.0; 21];
    permuted.gather(batch, number, &mut quality);
    for (place, &row) in order.iter().enumerate() {
        let there = batch.available()[place * 3..][..3].iter().map(|&there| u64::from(there));
        let evidence = batch.evidence()[place * 6..][..6].iter().map(|value| value.to_bits());
        let quality = quality[place * 3..][..3].iter().map(|value| value.to_bits());
        met[row] = there.chain(evidence).chain(quality).collect();
    }
    met
}

#[test]
fn shuffled_rows_meet_the_same_evidence_and_quality_in_every_permutation() {
    let batch = batch();
    let key = Key::of_question(&Digest::hash("model"), &batch);
    let mut draws = key.draws();
    for (columns, modality_mask) in [(1, 0b111), (1, 0b010), (3, 0b111), (3, 0b101)] {
        // Any row's quality may go to any row; the last permutation moves nothing.
        let mut index: Vec<u32> = (0..4 * columns * 7).map(|_| draws.below(7) as u32).collect();
        index.extend((0..columns).flat_map(|_| 0..7));
        let permuted = Permuted { index: &index, permutations: 5, columns, modality_mask };
        let shuffled = ShuffledQuality::new(&batch, key.clone(), &permuted);
        let moved = shuffled.index(&index);
        let own = Permuted { index: &moved, ..permuted };
        let plain: Vec<usize> = (0..7).collect();
        for number in 0..5 {
            assert_eq!(
                met(&shuffled.rows.batch, &own, &shuffled.rows.order, number),
                met(&batch, &permuted, &plain, number),
                "{columns} columns, mask {modality_mask:b}, permutation {number}"
            );
        }
        let stays = &moved[4 * columns * 7..];
        assert_ne!(stays, &index[4 * columns * 7..], "nobody sees that nothing moves");
    }
}

#[test]
fn rows_come_back_in_their_order() {
    let batch = batch();
    let shuffled = ShuffledRows::new(&batch, &Key::of_question(&Digest::hash("model"), &batch));
    assert_ne!(shuffled.order, (0..7).collect::<Vec<_>>());
    let mut first: Vec<f64> =
        shuffled.batch.evidence().chunks_exact(6).flat_map(|row| [row[0], row[1]]).collect();
    shuffled.restore(&mut first, 2, &mut Vec::new());
    let own: Vec<f64> = batch.evidence().chunks_exact(6).flat_map(|row| [row[0], row[1]]).collect();
    assert_eq!(first, own);
}

#[test]
fn another_model_and_other_rows_have_other_names_and_orders() {
    let batch = batch();
    let key = |model: &str, batch: &Batch| Key::of_question(&Digest::hash(model), batch);
    let one = ShuffledRows::new(&batch, &key("one", &batch));
    let again = ShuffledRows::new(&batch, &key("one", &batch));
    assert_eq!((&one.order, one.batch.row_id()), (&again.order, again.batch.row_id()));
    let other = ShuffledRows::new(&batch, &key("other", &batch));
    assert_ne!(one.order, other.order);
    assert_ne!(one.batch.row_id(), other.batch.row_id());
    let fewer = ShuffledRows::new(
        &batch.take(&[0, 1, 2, 3, 4, 5]),
        &key("one", &batch.take(&[0, 1, 2, 3, 4, 5])),
    );
    assert_ne!(one.order[..6], fewer.order);
    let mut names = one.batch.row_id().to_vec();
    names.sort_unstable();
    assert_eq!(names, [0, 1, 2, 3, 4, 5, 6]);
}
