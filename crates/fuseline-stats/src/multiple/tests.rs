use super::*;

#[test]
fn adjusted_values_keep_the_order_of_the_raw_ones_and_stay_within_one() {
    let p = [0.9, 0.01, 0.04, 0.04, 1.0, 0.0];
    for adjusted in [holm(&p).unwrap(), benjamini_hochberg(&p).unwrap()] {
        assert!(adjusted.iter().zip(p).all(|(adjusted, p)| (p..=1.0).contains(adjusted)));
        assert!(
            adjusted[5] <= adjusted[1] && adjusted[1] <= adjusted[2] && adjusted[2] == adjusted[3]
        );
    }
    assert_eq!(holm(&p).unwrap(), [1.0, 0.05, 0.16, 0.16, 1.0, 0.0]);
}

#[test]
fn a_family_of_one_is_left_alone_and_an_empty_one_is_empty() {
    assert_eq!((holm(&[0.03]), benjamini_hochberg(&[0.03])), (Ok(vec![0.03]), Ok(vec![0.03])));
    assert_eq!((holm(&[]), benjamini_hochberg(&[])), (Ok(vec![]), Ok(vec![])));
}

#[test]
fn what_is_no_p_value_is_refused_by_its_place() {
    assert_eq!(holm(&[0.5, 1.5]), Err(MultipleError::NotAPValue { place: 1, value: 1.5 }));
    assert!(benjamini_hochberg(&[f64::NAN]).is_err());
}
