//! Checkpoints, held to another implementation's (vectors/make.py), to the RFC's own recursion, and against tampering.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{
    RecordKey,
    digest::{canonical_json, sha256_hex},
};
use certbridge_sync::{
    AuditRow,
    audit::{Action, Actor, BrokenChain, Cause, Outcome},
    checkpoint::{
        BrokenHead, BrokenHistory, Checkpoint, Fault, Hash, Head, HeadFault, Inclusion, KeyError, Place, PublicKey,
        Signer, Stored, Summary, Tree, verify_extends, verify_history, verify_inclusion, verify_through,
    },
    row::AuditHead,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, sync::LazyLock};

/// What Python made.
#[derive(Deserialize)]
struct Vectors {
    leaves: Vec<String>,
    trees: Vec<TreeVector>,
    keys: Vec<KeyVector>,
    history: Vec<CheckpointVector>,
}

#[derive(Deserialize)]
struct TreeVector {
    size: u64,
    rows: u64,
    root: Hash,
    paths: Vec<PathVector>,
}

#[derive(Deserialize)]
struct PathVector {
    record: String,
    index: u64,
    path: Vec<Hash>,
}

#[derive(Deserialize)]
struct KeyVector {
    seed: String,
    public: String,
    id: String,
}

#[derive(Deserialize)]
struct CheckpointVector {
    canonical: String,
    hash: Hash,
    stored: Stored,
}

static VECTORS: LazyLock<Vectors> =
    LazyLock::new(|| serde_json::from_str(include_str!("vectors/checkpoint.json")).unwrap());

/// The head that the vectors' script makes of a number.
fn head(i: u64) -> Head {
    let number = i / 2;
    let id = if number.is_multiple_of(5) { format!("zürich-{number}") } else { (10_000_000 + number).to_string() };
    let source = if i.is_multiple_of(2) { "accredible" } else { "manual" };
    Head {
        record: format!("certificate#{source}#{id}").parse().unwrap(),
        sequence: i * 7 % 11 + 1,
        hash: sha256_hex(i.to_string().as_bytes()),
    }
}

fn sorted(mut heads: Vec<Head>) -> Vec<Head> {
    heads.sort_by_cached_key(Head::place);
    heads
}

fn heads(size: u64) -> Vec<Head> {
    sorted((0..size).map(head).collect())
}

fn summary(heads: &[Head]) -> Summary {
    let mut tree = Tree::new();
    for head in heads {
        tree.push(head).unwrap();
    }
    tree.summary()
}

fn prove(heads: &[Head], record: &RecordKey) -> Option<Inclusion> {
    let mut tree = Tree::seeking(record.clone());
    for head in heads {
        tree.push(head).unwrap();
    }
    tree.inclusion()
}

/// An unsigned checkpoint of these heads, for proofs.
fn of(heads: &[Head]) -> Checkpoint {
    Checkpoint::next(None, Timestamp::UNIX_EPOCH, &summary(heads)).unwrap()
}

/// The tree as section 2.1 of RFC 6962 defines it.
fn recursive_root(leaves: &[String]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::digest([&[0], leaf.as_bytes()].concat()).into(),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Sha256::digest([&[1][..], &recursive_root(left), &recursive_root(right)].concat()).into()
        }
    }
}

fn recursive(heads: &[Head]) -> Hash {
    let leaves: Vec<_> = heads.iter().map(canonical_json).collect();
    hex::encode(recursive_root(&leaves)).parse().unwrap()
}

fn signer(key: usize) -> Signer {
    Signer::new(&SecretString::from(VECTORS.keys[key].seed.as_str())).unwrap()
}

fn public_keys() -> Vec<PublicKey> {
    VECTORS.keys.iter().map(|key| key.public.parse().unwrap()).collect()
}

fn history() -> Vec<Stored> {
    VECTORS.history.iter().map(|night| night.stored.clone()).collect()
}

fn broken(place: u64, fault: Fault) -> BrokenHistory {
    BrokenHistory { place, fault }
}

#[test]
fn trees_of_another_implementation_are_the_same() {
    let leaves: Vec<_> = heads(33).iter().map(canonical_json).collect();
    assert_eq!(leaves, VECTORS.leaves);
    assert!(VECTORS.trees.len() > 33);
    for vector in &VECTORS.trees {
        let heads = heads(vector.size);
        let checkpoint = of(&heads);
        let summary = Summary { size: vector.size, rows: vector.rows, root: vector.root };
        assert_eq!(checkpoint.summary(), summary, "{}", vector.size);
        for PathVector { record, index, path } in &vector.paths {
            let proof = prove(&heads, &record.parse().unwrap()).unwrap();
            assert_eq!((proof.index, &proof.path), (*index, path), "{record} of {}", vector.size);
            assert_eq!(verify_inclusion(&proof, &checkpoint), Ok(()));
        }
    }
}

#[test]
fn checkpoints_of_another_implementation_are_the_same() {
    let keys = public_keys();
    for (key, vector) in keys.iter().zip(&VECTORS.keys) {
        assert_eq!((key.id(), key.to_string()), (vector.id.clone(), vector.public.clone()));
    }
    let mut previous: Option<Checkpoint> = None;
    for CheckpointVector { canonical, hash, stored } in &VECTORS.history {
        let read = stored.unproven();
        assert_eq!((&canonical_json(read), read.hash()), (canonical, *hash));
        // Made anew from the heads, with the same key, it is the same to the last byte.
        let signer = read.key_id.as_ref().map(|id| signer(usize::from(*id != VECTORS.keys[0].id)));
        let heads = summary(&heads(read.size));
        let made = Checkpoint::next(previous.as_ref(), read.time, &heads).unwrap();
        assert_eq!(&made.seal(signer.as_ref()), stored);
        previous = Some(read.clone());
    }
    let holds = verify_history(history(), &keys, Some(&VECTORS.history[2].hash)).unwrap();
    assert_eq!((holds.length, holds.signed, Some(holds.last)), (6, 4, previous));
}

#[test]
fn every_proof_of_a_small_tree_holds_and_no_other() {
    for size in 0..=33 {
        let heads = heads(size);
        let checkpoint = of(&heads);
        assert_eq!(checkpoint.root, recursive(&heads));
        for (index, head) in (0..).zip(&heads) {
            let proof = prove(&heads, &head.record).unwrap();
            assert_eq!((&proof.head, proof.index), (head, index));
            assert_eq!(verify_inclusion(&proof, &checkpoint), Ok(()));
            let refused = |proof: Inclusion| {
                let error = verify_inclusion(&proof, &checkpoint).unwrap_err();
                assert_eq!(error.record, proof.head.record);
            };
            for other in (0..size + 2).chain([u64::MAX]).filter(|other| *other != index) {
                refused(Inclusion { index: other, ..proof.clone() });
            }
            refused(Inclusion { head: Head { sequence: head.sequence + 1, ..head.clone() }, ..proof.clone() });
            refused(Inclusion { path: [&proof.path[..], &[Hash::of(b"")]].concat(), ..proof.clone() });
            for at in 0..proof.path.len() {
                let mut path = proof.path.clone();
                path.remove(at);
                refused(Inclusion { path, ..proof.clone() });
                let mut path = proof.path.clone();
                path[at] = Hash::of(b"");
                refused(Inclusion { path, ..proof.clone() });
            }
        }
        assert_eq!(prove(&heads, &head(size).record), None);
    }
}

#[test]
fn a_streamed_root_is_the_recursive_one() {
    let heads = heads(100_000);
    let mut tree = Tree::seeking(head(77_777).record);
    for head in &heads {
        tree.push(head).unwrap();
    }
    let checkpoint = Checkpoint::next(None, Timestamp::UNIX_EPOCH, &tree.summary()).unwrap();
    assert_eq!(checkpoint.root, recursive(&heads));
    let proof = tree.inclusion().unwrap();
    assert_eq!(proof.path.len(), 17);
    assert_eq!(verify_inclusion(&proof, &checkpoint), Ok(()));
}

#[test]
fn partitions_laid_end_to_end_are_in_order_however_many_there_are() {
    // A partition is a range of the id's hash.
    let run = |head: &Head, of: u64| {
        let digest = sha256_hex(head.record.id.as_str().as_bytes());
        (u64::from_str_radix(&digest[..4], 16).unwrap() * of) >> 16
    };
    let whole = summary(&heads(500));
    let mut random = fastrand::Rng::with_seed(5);
    for partitions in [1, 2, 3, 7, 100, 256] {
        let mut tree = Tree::new();
        let mut heads: Vec<_> = (0..500).map(head).collect();
        random.shuffle(&mut heads);
        for partition in 0..partitions {
            for head in sorted(heads.iter().filter(|head| run(head, partitions) == partition).cloned().collect()) {
                tree.push(&head).unwrap();
            }
        }
        assert_eq!(tree.summary(), whole, "{partitions}");
    }
}

#[test]
fn one_id_of_two_sources_stands_together_and_a_place_is_taken_once() {
    let [one, other] = [head(2), head(3)];
    assert_eq!(one.record.id, other.record.id);
    assert!(one.place() < other.place());
    assert_eq!(other.place(), Place::of(&other.record));

    let mut tree = Tree::new();
    tree.push(&other).unwrap();
    let before = tree.summary();
    for refused in [&one, &other] {
        let error = BrokenHead { record: refused.record.clone(), fault: HeadFault::OutOfOrder };
        assert_eq!(tree.push(refused).unwrap_err(), error);
    }
    assert_eq!(tree.summary(), before);
}

#[test]
fn a_head_counts_what_can_be_counted() {
    let key = head(1).record;
    assert_eq!(Head::of(&key, &AuditHead::default()), None);
    let made = Head::of(&key, &AuditHead { sequence: 3, hash: "aa".to_owned() });
    assert_eq!(made, Some(Head { record: key.clone(), sequence: 3, hash: "aa".to_owned() }));

    for sequence in [0, Head::MAX_SEQUENCE + 1, u64::MAX] {
        let refused = Tree::new().push(&Head { sequence, ..head(1) }).cloned();
        assert_eq!(refused, Err(BrokenHead { record: key.clone(), fault: HeadFault::Count }));
    }
    // The sum is bounded as well.
    let mut tree = Tree::new();
    let [first, second] = heads(2).try_into().unwrap();
    tree.push(&Head { sequence: Head::MAX_SEQUENCE, ..first }).unwrap();
    assert_eq!(tree.push(&second).unwrap_err().fault, HeadFault::Count);
    assert_eq!(tree.summary().rows, Head::MAX_SEQUENCE);
}

#[test]
fn a_tree_tells_any_two_sets_of_heads_apart() {
    let mut random = fastrand::Rng::with_seed(6962);
    for _ in 0..200 {
        let size = random.usize(1..60);
        let mut drawn: Vec<_> = (0..200).map(head).collect();
        random.shuffle(&mut drawn);
        drawn.truncate(size);
        let drawn = sorted(drawn);
        let checkpoint = of(&drawn);
        assert_eq!(checkpoint.root, recursive(&drawn));
        let at = random.usize(..size);
        let proof = prove(&drawn, &drawn[at].record).unwrap();
        assert_eq!(verify_inclusion(&proof, &checkpoint), Ok(()));

        let mut other = drawn.clone();
        match random.u8(..4) {
            0 => drop(other.remove(at)),
            1 => other[at].sequence += 1,
            2 => other[at].hash = sha256_hex(other[at].hash.as_bytes()),
            _ => other = sorted([other, vec![head(1000)]].concat()),
        }
        let changed = of(&other);
        assert_eq!(changed.root, recursive(&other));
        assert_ne!(changed.root, checkpoint.root);
        assert!(verify_inclusion(&proof, &changed).is_err());
    }
}

/// Something that happens to a record's head from one night to the next.
fn grown(random: &mut fastrand::Rng, heads: &[Head]) -> Vec<Head> {
    let mut next = heads.to_vec();
    for head in &mut next {
        if random.bool() {
            head.sequence += random.u64(1..5);
            head.hash = sha256_hex(format!("{}{}", head.hash, head.sequence).as_bytes());
        }
    }
    let born = (0..random.u64(..5)).map(|n| head(1_000_000 + 2 * (10 * heads.len() as u64 + n)));
    next.extend(born.collect::<Vec<_>>());
    sorted(next)
}

#[test]
fn heads_that_grew_extend_and_the_first_that_did_not_is_named() {
    let mut random = fastrand::Rng::with_seed(1962);
    for _ in 0..300 {
        let old = heads(random.u64(1..40));
        let new = grown(&mut random, &old);
        let extension = verify_extends(&old, &new).unwrap();
        assert_eq!((extension.previous, extension.new), (summary(&old), summary(&new)));
        // The checkpoints themselves agree.
        Checkpoint::next(Some(&of(&old)), Timestamp::UNIX_EPOCH, &extension.new).unwrap();

        // Some records are tampered with; whichever stands first is named.
        let places: BTreeSet<_> = (0..random.usize(1..4)).map(|_| random.usize(..old.len())).collect();
        let mut tampered = new.clone();
        let mut first = None;
        for place in places.into_iter().rev() {
            let head = &old[place];
            let at = tampered.iter().position(|new| new.record == head.record).unwrap();
            let fault = match random.u8(..3) {
                0 => {
                    tampered.remove(at);
                    HeadFault::Vanished
                }
                1 if head.sequence > 1 => {
                    tampered[at].sequence = head.sequence - 1;
                    HeadFault::Shrunk { from: head.sequence, to: head.sequence - 1 }
                }
                _ => {
                    tampered[at] = Head { hash: sha256_hex(b"another"), ..head.clone() };
                    HeadFault::Rewritten
                }
            };
            first = Some(BrokenHead { record: head.record.clone(), fault });
        }
        assert_eq!(verify_extends(&old, &tampered).err(), first);
    }
    assert_eq!(verify_extends(heads(0), heads(3)).unwrap().new, summary(&heads(3)));
    let unsorted = [head(3), head(2)];
    assert_eq!(verify_extends(&unsorted, heads(9)).unwrap_err().fault, HeadFault::OutOfOrder);
    assert_eq!(verify_extends(heads(0), &unsorted).unwrap_err().fault, HeadFault::OutOfOrder);
}

#[test]
fn a_checkpoint_is_not_made_of_heads_that_shrank() {
    let day = SignedDuration::from_hours(24);
    let first = of(&heads(9));
    let next = |heads: &[Head], time| Checkpoint::next(Some(&first), time, &summary(heads)).err();
    let later = first.time + day;
    assert_eq!(next(&heads(9), later), None);
    assert_eq!(next(&heads(10), first.time), None);
    assert_eq!(next(&heads(10), first.time - day), Some(Fault::Earlier));
    assert_eq!(next(&heads(8), later), Some(Fault::Shrunk));

    let mut changed = heads(9);
    changed[4].sequence += 1;
    assert_eq!(next(&changed, later), None);
    changed[3].sequence -= 1;
    assert_eq!(next(&changed, later), Some(Fault::Rewritten));
    changed[3].sequence -= 1;
    assert_eq!(next(&changed, later), Some(Fault::Shrunk));

    // A record more, and yet no row more than before.
    let mut swapped = heads(10);
    let longest = swapped.iter_mut().max_by_key(|head| head.sequence).unwrap();
    longest.sequence -= head(9).sequence.min(longest.sequence - 1);
    assert_eq!(next(&swapped, later), Some(Fault::Shrunk));
}

#[test]
fn a_history_that_was_tampered_with_names_the_first_checkpoint_that_does_not_hold() {
    let keys = public_keys();
    let whole = history();
    let fault = |history: &[Stored]| verify_history(history, &keys, None).unwrap_err();

    // Swapped, dropped from within, cut off at the front, replayed as the newest or put in twice.
    let mut swapped = whole.clone();
    swapped.swap(3, 4);
    assert_eq!(fault(&swapped), broken(4, Fault::Missing));
    let mut cut = whole.clone();
    cut.remove(3);
    assert_eq!(fault(&cut), broken(4, Fault::Missing));
    assert_eq!(fault(&whole[2..]), broken(1, Fault::Missing));
    let replayed = [&whole[..], &whole[3..4]].concat();
    assert_eq!(fault(&replayed), broken(7, Fault::OutOfPlace));
    let twice = [&whole[..4], &whole[3..]].concat();
    assert_eq!(fault(&twice), broken(5, Fault::OutOfPlace));

    // Cut off at its end it is whole; a hash noted elsewhere finds it.
    let known = VECTORS.history[5].hash;
    assert_eq!(verify_history(&whole[..5], &keys, None).unwrap().length, 5);
    let missing = BrokenHistory { place: 6, fault: Fault::Missing };
    assert_eq!(verify_history(&whole[..5], &keys, Some(&known)), Err(missing));
    let nothing = BrokenHistory { place: 1, fault: Fault::Missing };
    assert_eq!(fault(&[]), nothing);

    // Any word of any signed one changed, or of one that a signed one vouches for.
    let edits: [fn(&mut Checkpoint); 6] = [
        |it| it.number += 1,
        |it| it.time += SignedDuration::from_secs(1),
        |it| it.rows += 1,
        |it| it.root = Hash::of(b"another"),
        |it| it.previous = Some(Hash::of(b"another")),
        |it| it.size += 1,
    ];
    for edit in edits {
        for at in 2..6 {
            let mut edited = whole.clone();
            edited[at] = edit_json(&whole[at], edit);
            let error = fault(&edited);
            assert_eq!((error.place, error.fault), (at as u64 + 1, Fault::Forged));
        }
        let mut edited = whole.clone();
        edited[1] = edit_json(&whole[1], edit);
        assert!(fault(&edited).place <= 3);
    }
    let mut other_form = whole.clone();
    other_form[0] = edit_json(&whole[0], |it| it.schema = 2);
    assert_eq!(fault(&other_form), broken(1, Fault::Schema));
}

/// The checkpoint as somebody would edit its file.
fn edit_json(stored: &Stored, edit: fn(&mut Checkpoint)) -> Stored {
    let mut checkpoint = stored.unproven().clone();
    edit(&mut checkpoint);
    let mut file = serde_json::to_value(stored).unwrap();
    file["checkpoint"] = serde_json::to_value(checkpoint).unwrap();
    serde_json::from_value(file).unwrap()
}

#[test]
fn only_trusted_keys_prove_and_none_can_be_taken_away() {
    let keys = public_keys();
    let whole = history();
    let error = |history: &[Stored], keys: &[PublicKey]| verify_history(history, keys, None).unwrap_err();
    let unknown = |key: usize| Fault::UnknownKey { key_id: VECTORS.keys[key].id.clone() };

    // Rotation: both keys are needed, in any order.
    let turned: Vec<_> = keys.iter().rev().copied().collect();
    assert_eq!(verify_history(&whole, &turned, None).unwrap().signed, 4);
    assert_eq!(error(&whole, &keys[..1]), broken(5, unknown(1)));
    assert_eq!(error(&whole, &keys[1..]), broken(3, unknown(0)));
    assert_eq!(error(&whole, &[]), broken(3, unknown(0)));

    // Somebody else's signature, under their own key or under the name of ours.
    let stranger = Signer::new(&SecretString::from("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")).unwrap();
    let last = whole[5].unproven().clone();
    let mut forged = whole.clone();
    forged[5] = last.clone().seal(Some(&stranger));
    assert_eq!(error(&forged, &keys), broken(6, Fault::UnknownKey { key_id: stranger.public_key().id() }));
    let mut file = serde_json::to_value(&forged[5]).unwrap();
    file["checkpoint"]["key_id"] = VECTORS.keys[1].id.clone().into();
    forged[5] = serde_json::from_value(file).unwrap();
    assert_eq!(error(&forged, &keys), broken(6, Fault::Forged));

    // The signature dropped, and the name of the key with it.
    let mut stripped = whole.clone();
    stripped[5] = Stored::Unsigned { checkpoint: last.clone() };
    assert_eq!(error(&stripped, &keys), broken(6, Fault::Stripped));
    stripped[5] = last.seal(None);
    assert_eq!(error(&stripped, &keys), broken(6, Fault::Unsigned));

    // All signatures dropped and all hashes made anew: only who expects no signature takes it.
    assert_eq!(error(&whole[..2], &keys), broken(2, Fault::Unsigned));
    let holds = verify_history(&whole[..2], &[], None).unwrap();
    assert_eq!((holds.length, holds.signed), (2, 0));
}

#[test]
fn a_stored_checkpoint_says_whether_it_is_signed() {
    let checkpoint = of(&heads(3));
    let unsigned = checkpoint.clone().seal(None);
    let file = serde_json::to_value(&unsigned).unwrap();
    assert_eq!((&file["type"], &file["checkpoint"]["key_id"]), (&"unsigned".into(), &serde_json::Value::Null));
    assert_eq!(file.get("signature"), None);
    assert_eq!(unsigned.verify(&public_keys()), Err(Fault::Unsigned));

    let signed = checkpoint.seal(Some(&signer(0)));
    let file = serde_json::to_value(&signed).unwrap();
    assert_eq!((&file["type"], &file["checkpoint"]["key_id"]), (&"signed".into(), &VECTORS.keys[0].id.clone().into()));
    assert_eq!(signed.verify(&public_keys()), Ok(signed.unproven()));

    // What stands in a file and is not understood is not passed over.
    for (path, value) in [("/checkpoint/more", "1"), ("/more", "1"), ("/signature", "AA=="), ("/checkpoint/root", "AB")]
    {
        let mut file = file.clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        file.pointer_mut(parent).unwrap()[name] = value.into();
        assert!(serde_json::from_value::<Stored>(file).is_err(), "{path}");
    }
}

#[test]
fn a_bad_key_is_refused_and_never_shown() {
    let seed = &VECTORS.keys[0].seed;
    let secret = |text: &str| Signer::new(&SecretString::from(text));
    assert_eq!(format!("{:?}", signer(0)), format!("Signer({})", VECTORS.keys[0].id));
    assert_eq!(secret(&format!(" {seed}\n")).unwrap().public_key(), signer(0).public_key());

    assert_eq!(secret("").unwrap_err(), KeyError::Empty);
    assert_eq!(secret(" \n").unwrap_err(), KeyError::Empty);
    let long = "QUJD".repeat(1000);
    for bad in ["hush", "QUJD", &seed[1..], &seed[..43], &format!("{seed}{seed}"), &long, "ä"] {
        let error = secret(bad).unwrap_err();
        assert_eq!(error, KeyError::Malformed);
        assert!(!format!("{error} {error:?}").contains(bad));
    }

    let public = |text: &str| text.parse::<PublicKey>();
    assert_eq!(public(""), Err(KeyError::Empty));
    assert_eq!(public("QUJD"), Err(KeyError::Malformed));
    // The neutral element, for which anybody can sign, and a number that is no point.
    assert_eq!(public("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), Err(KeyError::Weak));
    assert_eq!(public("AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), Err(KeyError::Weak));
}

#[test]
fn a_hash_has_one_text() {
    let text = sha256_hex(b"");
    assert_eq!(text.parse::<Hash>().unwrap(), Hash::of(b""));
    assert_eq!(Hash::of(b"").to_string(), text);
    for bad in ["", &text[1..], &text.to_uppercase(), &format!("{text}00"), &text.replace('e', "g")] {
        assert!(bad.parse::<Hash>().is_err(), "{bad}");
    }
}

/// A whole chain of so many rows.
fn chain(record: &str, length: u64) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    for sequence in 1..=length {
        rows.push(AuditRow {
            record: record.to_owned(),
            sequence,
            fence: sequence,
            time: Timestamp::UNIX_EPOCH,
            actor: Actor::Recovery,
            cause: Cause::Recovery { id: sequence.to_string() },
            action: Action::None,
            outcome: Outcome::Unchanged,
            changes: Vec::new(),
            plan: serde_json::from_value("plan".into()).unwrap(),
            destination_request_id: None,
            previous_hash: String::new(),
            hash: String::new(),
        });
    }
    rehash(&mut rows);
    rows
}

/// Makes all hashes anew, as who can write the table would.
fn rehash(rows: &mut [AuditRow]) {
    let mut previous = AuditHead::default();
    for row in rows {
        row.previous_hash = previous.hash;
        row.hash = row.expected_hash();
        previous = row.head();
    }
}

#[test]
fn a_chain_leads_through_the_row_that_a_checkpoint_saw() {
    let key = "certificate#accredible#1";
    let rows = chain(key, 9);
    let seen = Head::of(&key.parse().unwrap(), &rows[5].head()).unwrap();
    let end = |rows: &[AuditRow]| rows.last().map_or_else(AuditHead::default, AuditRow::head);
    assert_eq!(verify_through(&rows, &seen, &end(&rows)), Ok(()));
    assert_eq!(verify_through(&rows[..6], &seen, &rows[5].head()), Ok(()));

    let place = |rows: &[AuditRow]| verify_through(rows, &seen, &end(rows)).unwrap_err().sequence;
    for at in 0..9 {
        // Edited alone, it is named itself, be it before the checkpoint or after.
        let mut edited = rows.clone();
        edited[at].fence += 1;
        assert_eq!(place(&edited), at as u64 + 1);
        // With all hashes made anew, what the checkpoint saw is no longer there. What is newer is not proven.
        rehash(&mut edited);
        let rewritten = BrokenChain { sequence: 6, fault: "it is not the row that the checkpoint saw" };
        let expected = if at < 6 { Err(rewritten) } else { Ok(()) };
        assert_eq!(verify_through(&edited, &seen, &end(&edited)), expected);
    }
    for length in 0..6 {
        let cut = verify_through(&rows[..length], &seen, &end(&rows[..length]));
        let fault = "it was cut off: the checkpoint saw more rows";
        assert_eq!(cut, Err(BrokenChain { sequence: length as u64 + 1, fault }));
    }
    // The chain of another record is whole, and not this one's.
    let other = chain("certificate#accredible#2", 9);
    let fault = "it is of another record";
    assert_eq!(verify_through(&other, &seen, &end(&other)), Err(BrokenChain { sequence: 1, fault }));
}
