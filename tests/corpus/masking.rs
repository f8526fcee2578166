//! What is masked, how often, and that it follows from seed, step and row alone.

use clinlite::text::{Normalization, Tokenizer};
use clinlite::train::corpus::masking::{Masked, Masking, Options, Place};
use clinlite::train::corpus::{Block, MaskedBatch};

use super::tokenizer;

const CLS: u32 = 2;
const SEP: u32 = 3;
const MASK: u32 = 4;

/// Words of 1, 2, 3 and 4 pieces in turn, with `[UNK]` and `[SEP]` among them.
fn block(length: usize) -> Block {
    let mut block = Block { input_ids: vec![CLS], begins: vec![false] };
    let mut push = |id, begins| {
        block.input_ids.push(id);
        block.begins.push(begins);
    };
    for word in 0..length {
        match word % 17 {
            5 => push(SEP, false),
            11 => push(1, true),
            _ => (0..=word as u32 % 4).for_each(|piece| push(20 + (word as u32 + piece) % 60, piece == 0)),
        }
    }
    push(SEP, false);
    block
}

fn masking(whole_words: bool) -> Masking {
    Masking::new(&tokenizer(), Options { whole_words, ..Options::default() }).expect("a vocabulary with [MASK]")
}

/// Within five deviations of a binomial distribution.
fn expect(what: &str, hits: usize, of: usize, share: f64) {
    let deviation = (of as f64 * share * (1.0 - share)).sqrt();
    assert!((hits as f64 - of as f64 * share).abs() < 5.0 * deviation, "{what}: {hits} of {of}, expected {share}");
}

fn masked(masking: &Masking, block: &Block) -> Vec<Masked> {
    (0..400).map(|row| masking.mask(block, 7, 11, row)).collect()
}

#[test]
fn shares_are_those_of_the_paper() {
    let block = block(60);
    let text: Vec<usize> = (0..block.input_ids.len()).filter(|&place| block.input_ids[place] >= 5).collect();
    let masking = masking(false);
    let found = masked(&masking, &block);
    let chosen: Vec<(u32, u32)> = found
        .iter()
        .flat_map(|one| one.positions.iter().map(|&at| one.input_ids[at as usize]).zip(one.labels.clone()))
        .collect();
    expect("chosen", chosen.len(), 400 * text.len(), 0.15);
    let count = |fits: &dyn Fn(u32, u32) -> bool| chosen.iter().filter(|(now, label)| fits(*now, *label)).count();
    expect("[MASK]", count(&|now, _| now == MASK), chosen.len(), 0.8);
    // One in 96 of the random pieces is the one that stood there.
    expect("kept", count(&|now, label| now == label), chosen.len(), 0.1 + 0.1 / 96.0);
    expect("random", count(&|now, label| now != label && now != MASK), chosen.len(), 0.1 * 95.0 / 96.0);
    assert_eq!(count(&|now, _| now < 5 && now != MASK), 0, "no special token at random");
    assert_eq!(count(&|_, label| label < 5), 0, "no special token is asked for");
}

#[test]
fn what_is_not_chosen_stays() {
    let block = block(60);
    for masking in [masking(false), masking(true)] {
        for one in masked(&masking, &block) {
            let mut back = one.input_ids.clone();
            for (&at, &label) in one.positions.iter().zip(&one.labels) {
                back[at as usize] = label;
            }
            assert!(back == block.input_ids && one.positions.is_sorted() && !one.positions.is_empty());
        }
    }
}

#[test]
fn whole_words_are_whole() {
    let block = block(60);
    let (masking, mut words, mut of) = (masking(true), 0, 0);
    for one in masked(&masking, &block) {
        let chosen: Vec<bool> = (0..block.input_ids.len()).map(|at| one.positions.contains(&(at as u32))).collect();
        for at in 1..chosen.len() {
            let continues = !block.begins[at] && block.input_ids[at] != SEP;
            assert!(!continues || chosen[at] == chosen[at - 1], "a word in parts");
            of += usize::from(block.begins[at] && block.input_ids[at] >= 5);
            words += usize::from(block.begins[at] && chosen[at]);
        }
    }
    expect("words", words, of, 0.15);
}

/// The end of a word that began in the block before is a word, and never one with the piece before it.
#[test]
fn the_rest_of_a_word_is_a_word() {
    let block = Block { input_ids: vec![CLS, 60, 61, SEP, 62, SEP], begins: vec![false; 6] };
    for one in masked(&masking(true), &block) {
        assert!([&[1, 2][..], &[4], &[1, 2, 4]].contains(&&one.positions[..]), "{:?}", one.positions);
    }
}

#[test]
fn every_block_with_text_is_asked_something() {
    let (masking, one) = (masking(false), Block { input_ids: vec![CLS, 20, SEP], begins: vec![false, true, false] });
    assert!(masked(&masking, &one).iter().all(|one| one.positions == [1] && one.labels == [20]));
    let none = Block { input_ids: vec![CLS, 1, SEP, 1, SEP], begins: vec![false, true, false, true, false] };
    assert!(masked(&masking, &none).iter().all(|one| one.positions.is_empty() && one.input_ids == none.input_ids));
}

fn parts(batch: MaskedBatch) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    (batch.input.input_ids, batch.rows, batch.labels)
}

#[test]
fn masks_follow_from_seed_step_and_row() {
    let (masking, blocks) = (masking(true), [block(60), block(20), block(60), block(3)]);
    let batch = |seed, step| parts(masking.batch(&blocks, seed, step, 0));
    assert!(batch(1, 2) == batch(1, 2));
    assert!(batch(1, 2) != batch(1, 3) && batch(1, 2) != batch(2, 2));
    let rows = |row| masking.mask(&blocks[0], 1, 2, row).positions;
    assert_ne!(rows(0), rows(2), "the same block in another row");
    let threads: Vec<_> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..8).map(|_| scope.spawn(|| parts(masking.batch(&blocks, 1, 2, 0)))).collect();
        spawned.into_iter().map(|thread| thread.join().expect("a batch")).collect()
    });
    assert!(threads.iter().all(|found| *found == batch(1, 2)));
}

#[test]
fn a_batch_is_its_parts() {
    let (masking, blocks) = (masking(false), [block(60), block(20), block(60), block(3)]);
    let (input_ids, rows, labels) = parts(masking.batch(&blocks, 1, 2, 0));
    let (first, second) = (parts(masking.batch(&blocks[..2], 1, 2, 0)), parts(masking.batch(&blocks[2..], 1, 2, 2)));
    let shift = first.0.len() as u32;
    assert!(rows == [first.1, second.1.iter().map(|row| row + shift).collect()].concat());
    assert!(labels == [first.2, second.2].concat());
    assert!(input_ids == [first.0, second.0].concat());
    let whole: Vec<u32> = blocks.iter().flat_map(|block| block.input_ids.clone()).collect();
    assert!(
        rows.iter().zip(&labels).all(|(&row, &label)| whole[row as usize] == label),
        "labels stand where they stood"
    );
}

#[test]
fn what_cannot_mask() {
    let refused = |tokenizer: &Tokenizer, options| Masking::new(tokenizer, options).expect_err("refused").to_string();
    for (share, mask, random) in
        [(0.0, 0.8, 0.1), (1.5, 0.8, 0.1), (0.15, 0.8, 0.3), (0.15, -0.1, 0.1), (f64::NAN, 0.8, 0.1)]
    {
        let message = refused(&tokenizer(), Options { share, mask, random, whole_words: false });
        assert!(message.starts_with("expected shares of 1 to mask, found"), "{message}");
    }
    let without = |vocab: &str| Tokenizer::from_vocab(vocab.as_bytes(), Normalization::uncased()).expect("a tokenizer");
    assert_eq!(refused(&without("[UNK]\n[CLS]\n[SEP]\na\n"), Options::default()), "the vocabulary has no \"[MASK]\"");
    assert_eq!(
        refused(&without("[UNK]\n[CLS]\n[SEP]\n[MASK]\n[unused1]\n"), Options::default()),
        "the vocabulary has no piece that is text"
    );
}

/// A mask that comes again follows from its seed, its number and the block, whatever stands beside it.
#[test]
fn masks_that_come_again() {
    let (masking, blocks) = (masking(false), [block(30), block(40), block(30)]);
    let place = |mask, block| Place { mask, block };
    let batch = |places: &[Place], blocks: &[Block], seed| masking.fixed(blocks, places, seed);
    let all = batch(&[place(0, 5), place(1, 6), place(0, 7)], &blocks, 3);
    let alone = batch(&[place(1, 6)], &blocks[1..2], 3);
    let first = all.input.lengths.ranges().nth(1).unwrap();
    assert_eq!(all.input.input_ids[first.clone()], alone.input.input_ids[..]);
    let here: Vec<u32> = all
        .rows
        .iter()
        .map(|row| *row as usize)
        .filter(|row| first.contains(row))
        .map(|row| (row - first.start) as u32)
        .collect();
    assert_eq!(here, alone.rows);
    // Another mask, another block of the same words, another seed.
    for other in [
        batch(&[place(2, 6)], &blocks[1..2], 3),
        batch(&[place(1, 8)], &blocks[1..2], 3),
        batch(&[place(1, 6)], &blocks[1..2], 4),
    ] {
        assert_ne!(other.rows, alone.rows);
    }
}
