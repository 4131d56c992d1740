//! `test_updater_key_rotations.py`: roots and heads with other keys, thresholds and signers than before.

use crate::world::{Client, role, shop};

/// Keys of the role, its threshold, who signed.
type Version = (&'static [u8], usize, &'static [u8]);

/// Publishes the roots, of which the client pins the first, and looks whether it takes all of them; the keys are numbers from 10 on.
fn roots(versions: &[Version], is_taken: bool) {
    let numbers = |keys: &[u8]| keys.iter().map(|number| number + 10).collect::<Vec<u8>>();
    let mut shop = shop();
    shop.files.clear();
    shop.root_version = 0;
    for (keys, threshold, signers) in versions {
        shop.root = role(&numbers(keys), *threshold);
        shop.publish_root(&numbers(signers));
    }
    shop.publish(1);
    let mut client = Client::of(&shop);
    let last = format!("root/{}.json", versions.len());
    if is_taken {
        client.refresh(&mut shop).unwrap();
        assert_eq!(client.version(), shop.version);
    } else {
        assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
        assert_eq!((client.version(), client.asked.last().unwrap()), (0, &last));
    }
}

macro_rules! roots {
    ($($name:ident: $($version:expr),+ => $taken:expr;)+) => {$(
        #[test]
        fn $name() {
            roots(&[$($version),+], $taken);
        }
    )+};
}

roots! {
    root_1_of_1_key_rotation: (&[1], 1, &[1]), (&[2], 1, &[2, 1]), (&[2], 1, &[2]) => true;
    root_1_of_1_key_rotation_unused_signatures:
        (&[1], 1, &[3, 1, 4]), (&[2], 1, &[3, 2, 1, 4]), (&[2], 1, &[3, 2, 4]) => true;
    root_3_of_5_sign_with_different_keycombos:
        (&[0, 1, 2, 3, 4], 3, &[0, 2, 4]), (&[0, 1, 2, 3, 4], 3, &[0, 4, 1]), (&[0, 1, 2, 3, 4], 3, &[0, 1, 3]),
        (&[0, 1, 2, 3, 4], 3, &[0, 1, 3]) => true;
    root_3_of_5_one_key_rotated: (&[0, 1, 2, 3, 4], 3, &[0, 2, 4]), (&[0, 1, 3, 4, 5], 3, &[0, 4, 1]) => true;
    root_3_of_5_one_key_rotated_with_intermediate_step:
        (&[0, 1, 2, 3, 4], 3, &[0, 2, 4]), (&[0, 1, 3, 4, 5], 3, &[0, 2, 4, 5]), (&[0, 1, 3, 4, 5], 3, &[0, 4, 5]) => true;
    root_3_of_5_all_keys_rotated_with_intermediate_step:
        (&[0, 1, 2, 3, 4], 3, &[0, 2, 4]), (&[5, 6, 7, 8, 9], 3, &[0, 2, 4, 5, 6, 7]), (&[5, 6, 7, 8, 9], 3, &[5, 6, 7]) => true;
    root_1_of_3_threshold_increase_to_2_of_3: (&[1, 2, 3], 1, &[1]), (&[1, 2, 3], 2, &[1, 2]) => true;
    root_2_of_3_threshold_decrease_to_1_of_3:
        (&[1, 2, 3], 2, &[1, 2]), (&[1, 2, 3], 1, &[1, 2]), (&[1, 2, 3], 1, &[1]) => true;
    root_1_of_2_threshold_increase_to_2_of_2: (&[1], 1, &[1]), (&[1, 2], 2, &[1, 2]) => true;
    root_1_of_1_key_rotation_fail_not_signed_with_old_key: (&[1], 1, &[1]), (&[2], 1, &[2, 3, 4]) => false;
    root_1_of_1_key_rotation_fail_not_signed_with_new_key: (&[1], 1, &[1]), (&[2], 1, &[1, 3, 4]) => false;
    root_3_of_5_one_key_rotate_fails_not_signed_with_3_new_keys:
        (&[0, 1, 2, 3, 4], 3, &[0, 2, 4]), (&[0, 1, 3, 4, 5], 3, &[0, 2, 4]) => false;
    root_3_of_5_one_key_rotate_fails_not_signed_with_3_old_keys:
        (&[0, 1, 2, 3, 4], 3, &[0, 2, 4]), (&[0, 1, 3, 4, 5], 3, &[0, 4, 5]) => false;
    root_1_of_3_threshold_bump_to_2_of_3_fails_new_threshold_not_reached:
        (&[1, 2, 3], 1, &[1]), (&[1, 2, 3], 2, &[2]) => false;
    root_2_of_3_threshold_decr_to_1_of_3_fails_old_threshold_not_reached:
        (&[1, 2, 3], 2, &[1, 2]), (&[1, 2, 3], 1, &[1]) => false;
}

/// A client that serves a release meets a root with other keys for heads, and a head that these signers signed.
fn heads((keys, threshold, signers): Version, is_taken: bool) {
    let numbers = |keys: &[u8]| keys.iter().map(|number| number + 10).collect::<Vec<u8>>();
    let mut shop = shop();
    let mut client = Client::of(&shop);
    client.refresh(&mut shop).unwrap();
    shop.head = role(&numbers(keys), threshold);
    shop.head_signers = numbers(signers);
    shop.publish_root(&[1]);
    shop.publish(2);
    let found = client.refresh(&mut shop);
    assert_eq!(found, if is_taken { Ok(()) } else { Err("release/signatures") });
    assert_eq!(client.version(), if is_taken { 2 } else { 1 });
}

macro_rules! heads {
    ($($name:ident: $version:expr => $taken:expr;)+) => {$(
        #[test]
        fn $name() {
            heads($version, $taken);
        }
    )+};
}

heads! {
    head_1_of_1_key_rotation: (&[2], 1, &[2]) => true;
    head_1_of_1_key_rotation_unused_signatures: (&[1], 1, &[3, 1, 4]) => true;
    head_1_of_1_key_rotation_fail_not_signed_with_new_key: (&[2], 1, &[1, 3, 4]) => false;
    head_3_of_5_one_key_signature_wrong_not_signed_with_3_expected_keys: (&[0, 1, 3, 4, 5], 3, &[0, 2, 4]) => false;
    head_2_of_5_one_key_signature_missing_threshold_not_reached: (&[0, 1, 3, 4, 5], 3, &[0, 4]) => false;
    head_3_of_5_sign_first_combo: (&[0, 1, 2, 3, 4], 3, &[0, 2, 4]) => true;
    head_3_of_5_sign_second_combo: (&[0, 1, 2, 3, 4], 3, &[0, 4, 1]) => true;
    head_3_of_5_sign_third_combo: (&[0, 1, 2, 3, 4], 3, &[0, 1, 3]) => true;
    head_3_of_5_sign_fourth_combo: (&[0, 1, 2, 3, 4], 3, &[1, 2, 3]) => true;
    head_3_of_5_sign_fifth_combo: (&[0, 1, 2, 3, 4], 3, &[2, 3, 4]) => true;
}
