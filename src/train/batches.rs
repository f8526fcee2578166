//! Sequences of unequal length as batches of about equal work.
//!
//! Rows are packed without padding, so a batch costs the work of its sequences, and a random one costs now twice, now half of
//! what the next does. Here each batch has as many sequences as the others, or one more, and about the same work: sorted by
//! work, with some chance, the sequences are taken a batch's worth at a time, and of those the longest goes where there is
//! least so far. Every sequence is in one batch, and all is a function of the stream.

use crate::backend::candle::kernels::random::Stream;

/// How far chance moves a sequence when they are sorted: its work times up to this much more. Without it the same sequences
/// would meet in every epoch.
const CHANCE: f64 = 0.5;
/// Numbers of the stream from here on are drawn for this; those below shuffle.
const SITE: u32 = 1 << 31;

/// The work of a sequence of `length` rows, in units that do not matter: a row of a layer takes `12·H²` products with its
/// weights, four times as wide inside, and `2·H·length` with the other rows of its sequence.
pub fn work(length: usize, hidden_size: usize) -> u64 {
    length as u64 * (6 * hidden_size as u64 + length as u64)
}

/// The numbers of the sequences of each of so many batches, by the work of each sequence. The batches are in random order.
pub fn deal(work: &[u64], batches: usize, stream: Stream) -> Vec<Vec<usize>> {
    let moved = |i: usize| work[i] as f64 * (1.0 + CHANCE * f64::from(stream.uniform(SITE + i as u32)));
    let mut order: Vec<(usize, f64)> = (0..work.len()).map(|i| (i, moved(i))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut dealt = vec![(0, Vec::new()); batches];
    for some in order.chunks(batches.max(1)) {
        let mut some: Vec<usize> = some.iter().map(|(i, _)| *i).collect();
        some.sort_by_key(|i| std::cmp::Reverse(work[*i]));
        dealt.sort_by_key(|(load, _): &(u64, Vec<usize>)| *load);
        for ((load, batch), i) in dealt.iter_mut().zip(some) {
            *load += work[i];
            batch.push(i);
        }
    }
    stream.shuffle(&mut dealt);
    dealt.into_iter().map(|(_, batch)| batch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths as sentences have them: many short ones and a few that fill a window.
    fn lengths(n: usize, stream: Stream) -> Vec<usize> {
        (0..n as u32).map(|i| (40.0 * f64::from(0.8 * stream.normal(i)).exp()).clamp(4.0, 512.0) as usize).collect()
    }

    /// The standard deviation of the work of batches, over its mean.
    fn spread(work: &[u64], batches: &[Vec<usize>]) -> f64 {
        let loads: Vec<f64> = batches.iter().map(|batch| batch.iter().map(|i| work[*i] as f64).sum()).collect();
        let mean = loads.iter().sum::<f64>() / loads.len() as f64;
        (loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / loads.len() as f64).sqrt() / mean
    }

    #[test]
    fn every_sequence_is_in_one_batch_and_batches_are_of_one_size() {
        for (n, batches) in [(0, 0), (1, 1), (5, 5), (16, 3), (100, 7), (1000, 63)] {
            let work: Vec<u64> = lengths(n, Stream::new(1, 0, 0)).into_iter().map(|length| work(length, 64)).collect();
            let dealt = deal(&work, batches, Stream::new(2, 0, 0));
            let mut seen: Vec<usize> = dealt.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!((dealt.len(), seen), (batches, (0..n).collect()), "{n} in {batches}");
            assert!(dealt.iter().all(|batch| [n / batches, n.div_ceil(batches)].contains(&batch.len())));
        }
    }

    #[test]
    fn batches_are_of_about_equal_work() {
        let stream = Stream::new(7, 0, 0);
        let work: Vec<u64> = lengths(1600, stream).into_iter().map(|length| work(length, 312)).collect();
        let mut shuffled: Vec<usize> = (0..work.len()).collect();
        stream.shuffle(&mut shuffled);
        let before: Vec<Vec<usize>> = shuffled.chunks(16).map(<[usize]>::to_vec).collect();
        let (before, after) = (spread(&work, &before), spread(&work, &deal(&work, 100, stream)));
        assert!(before > 0.2 && after < 0.25 * before, "{before:.3} before, {after:.4} after");
    }

    #[test]
    fn the_same_stream_deals_the_same_and_another_does_not() {
        let work: Vec<u64> = lengths(800, Stream::new(1, 0, 0)).into_iter().map(|length| work(length, 312)).collect();
        let of = |epoch| deal(&work, 50, Stream::new(3, epoch, 9));
        assert_eq!(of(4), of(4));
        // Two that met in one epoch meet again as rarely as chance has it: one of 50 batches, half as often again allowed.
        let place = |dealt: &[Vec<usize>]| {
            let mut place = vec![0; work.len()];
            dealt.iter().enumerate().for_each(|(at, batch)| batch.iter().for_each(|i| place[*i] = at));
            place
        };
        let (mut met, mut again) = (0, 0);
        for epoch in 0..20 {
            let (first, second) = (of(epoch), place(&of(epoch + 1)));
            for batch in &first {
                for (at, i) in batch.iter().enumerate() {
                    met += at;
                    again += batch[..at].iter().filter(|other| second[**other] == second[*i]).count();
                }
            }
        }
        let share = again as f64 / met as f64;
        assert!((0.01..0.03).contains(&share), "{share}");
    }
}
