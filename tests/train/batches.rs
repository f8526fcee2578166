//! The steps of an epoch: every example once, of about equal work, the same for the same seed.

use std::collections::BTreeMap;

use clinlite::backend::candle::kernels::random::Stream;
use clinlite::text::frames::Frame;
use clinlite::text::{Normalization, Tokenizer};
use clinlite::train::examples::{self, Cut, Example};
use clinlite::train::sequences::{self, SequenceExample};

/// How often each id stands in rows.
fn counts<'a>(ids: impl Iterator<Item = &'a u32>) -> BTreeMap<u32, usize> {
    ids.fold(BTreeMap::new(), |mut counts, id| {
        *counts.entry(*id).or_default() += 1;
        counts
    })
}

/// The largest over the smallest.
fn ratio(rows: &[usize]) -> f64 {
    *rows.iter().max().unwrap() as f64 / *rows.iter().min().unwrap() as f64
}

#[test]
fn every_piece_is_in_one_window_of_one_step() {
    let letters = ('a'..='z').map(|letter| format!("{letter}\n##{letter}\n"));
    let vocab = ["[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned()].into_iter().chain(letters).collect::<String>();
    let tokenizer = Tokenizer::from_vocab(vocab.as_bytes(), Normalization::uncased()).unwrap();
    let text = |i: usize| (0..5 + i * 37 % 60).map(move |w| &"abcdefgh"[(w + i) % 5..(w + i) % 5 + 1 + w % 3]);
    let texts: Vec<String> = (0..83).map(|i| text(i).collect::<Vec<_>>().join(" ")).collect();
    let examples: Vec<Example> = texts.iter().map(|text| Example::unlabelled(text, &tokenizer)).collect();
    let chosen: Vec<(&Example, f64, f32)> = examples.iter().map(|example| (example, 1.0, 1.0)).collect();
    let (cls_id, sep_id) = (tokenizer.cls_id(), tokenizer.sep_id());
    for batch_tokens in [32, 100, 256, 100_000] {
        let cut = Cut { max_length: 32, batch_tokens, hidden_size: 64, cls_id, sep_id };
        let epoch = |epoch: u64| {
            let windows = examples::windows(&chosen, &cut, Stream::new(1, epoch, 1));
            let steps = examples::steps(&windows, &cut, Stream::new(1, epoch, 2));
            steps.into_iter().map(|step| step.batch.input_ids).collect::<Vec<_>>()
        };
        let special = |id: &&u32| **id != cls_id && **id != sep_id;
        let expected: Vec<u32> = texts.iter().flat_map(|text| tokenizer.encode(text).input_ids).collect();
        let steps = epoch(0);
        assert_eq!(counts(steps.iter().flatten().filter(special)), counts(expected.iter()), "{batch_tokens}");
        assert!(epoch(0) == steps && epoch(1) != steps);
        let rows: Vec<usize> = steps.iter().map(Vec::len).collect();
        if batch_tokens == 256 {
            // A window more or less, one of which is a short one.
            assert!(ratio(&rows) < 1.0 + 2.0 * 32.0 / 256.0, "{rows:?}");
        }
        assert!((steps.len() as f64 - rows.iter().sum::<usize>() as f64 / batch_tokens as f64).abs() <= 1.0);
    }
}

#[test]
fn every_sequence_is_in_one_step_and_steps_are_of_equal_work() {
    // Lengths from 4 to 200, most of them short; the first id tells the sequence.
    let length = |i: u32| 4 + (i * i * 7 % 197 * (i % 7 + 1) / 7) as usize;
    let frame = |i: u32| Frame { input_ids: vec![i; length(i)], first: length(i) };
    let examples: Vec<SequenceExample> =
        (0..640).map(|i| SequenceExample { frames: vec![frame(i)], labels: 1 << (i % 3) }).collect();
    let chosen: Vec<(&SequenceExample, f64, f32)> = examples.iter().map(|example| (example, 1.0, 1.0)).collect();
    let epoch = |epoch: u64| sequences::steps(&chosen, 16, 312, Stream::new(9, epoch, 1));
    let steps = epoch(0);
    let ids = |steps: &[examples::Step]| steps.iter().map(|s| s.batch.input_ids.clone()).collect::<Vec<_>>();
    let expected = examples.iter().flat_map(|example| &example.frames[0].input_ids);
    assert_eq!(counts(ids(&steps).iter().flatten()), counts(expected));
    assert!(steps.len() == 40 && steps.iter().all(|step| step.targets.allowed.len() == 16));
    assert!(ids(&epoch(0)) == ids(&steps) && ids(&epoch(1)) != ids(&steps));
    let rows: Vec<usize> = steps.iter().map(|step| step.batch.input_ids.len()).collect();
    assert!(ratio(&rows) < 1.1, "{rows:?}");
    let by_chance = {
        let mut order: Vec<usize> = (0..640).collect();
        Stream::new(9, 0, 1).shuffle(&mut order);
        order.chunks(16).map(|batch| batch.iter().map(|i| length(*i as u32)).sum()).collect::<Vec<usize>>()
    };
    assert!(ratio(&by_chance) > 1.5, "{by_chance:?}");
}
