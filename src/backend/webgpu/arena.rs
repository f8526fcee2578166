//! Who has which part of the one buffer that all activations lie in. Knows no GPU.
//!
//! A [`Slot`] goes back when its last clone is dropped, so that the next tensor takes its place. What an operation reads may be
//! overwritten by a later one, because a GPU does them in their order; but numbers that come from the host are written before
//! all of them, so those take a place that nothing recorded has touched ([`Arena::take_untouched`]).

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};

/// Places begin at multiples of this many floats: 256 bytes.
const ALIGNMENT: usize = 64;

/// The places of an arena.
pub(super) struct Arena {
    /// The floats that one buffer may have.
    most: usize,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    /// In order, not adjacent.
    free: Vec<Range<usize>>,
    /// Where nothing has been taken yet.
    end: usize,
    /// Everything from here on is untouched by what is recorded.
    touched: usize,
    /// The number of the recording.
    epoch: u64,
}

/// A place in the arena, in floats.
pub(super) struct Slot {
    arena: Arc<Arena>,
    range: Range<usize>,
    /// The recording that used it last.
    used: Mutex<u64>,
}

impl Arena {
    /// Of at most that many floats.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, places: Mutex::default() })
    }

    /// A place for `len` floats with arbitrary contents.
    pub(super) fn take(self: &Arc<Self>, len: usize) -> Result<Arc<Slot>> {
        self.take_from(len, false)
    }

    /// A place that no recorded operation reads or writes.
    pub(super) fn take_untouched(self: &Arc<Self>, len: usize) -> Result<Arc<Slot>> {
        self.take_from(len, true)
    }

    fn take_from(self: &Arc<Self>, len: usize, untouched: bool) -> Result<Arc<Slot>> {
        let mut places = self.places();
        let least = if untouched { places.touched } else { 0 };
        let Some(range) = places.cut(len.max(1).next_multiple_of(ALIGNMENT), least, self.most) else {
            let most = 4 * self.most;
            let message = format!("a batch that needs {} bytes beside others, the GPU binds at most {most}", 4 * len);
            return Err(Error::new(ErrorKind::GpuLimits, message + ": judge fewer windows at once"));
        };
        places.touched = places.touched.max(range.end);
        let used = Mutex::new(places.epoch);
        Ok(Arc::new(Slot { arena: self.clone(), range, used }))
    }

    /// The floats that the buffer must hold.
    pub(super) fn len(&self) -> usize {
        self.places().end
    }

    /// What was recorded has been handed to the GPU.
    pub(super) fn begin_recording(&self) {
        let mut places = self.places();
        places.touched = 0;
        places.epoch += 1;
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// The first free range of that length at `least` or above; none if the end would lie beyond `most`.
    fn cut(&mut self, len: usize, least: usize, most: usize) -> Option<Range<usize>> {
        let fits = |free: &Range<usize>| free.end >= free.start.max(least) + len;
        if let Some(at) = self.free.iter().position(fits) {
            let free = self.free.remove(at);
            let start = free.start.max(least);
            self.put(free.start..start);
            self.put(start + len..free.end);
            return Some(start..start + len);
        }
        // A free range at the end is the beginning of the new one. `least` lies at most at the end.
        let last = self.free.last().filter(|last| last.end == self.end).cloned();
        let start = last.as_ref().map_or(self.end, |last| last.start.max(least));
        if start + len > most {
            return None;
        }
        if let Some(last) = last {
            self.free.pop();
            self.put(last.start..start);
        }
        self.end = start + len;
        Some(start..self.end)
    }

    fn put(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let at = self.free.partition_point(|free| free.start < range.start);
        self.free.insert(at, range);
        if at + 1 < self.free.len() && self.free[at].end == self.free[at + 1].start {
            self.free[at].end = self.free.remove(at + 1).end;
        }
        if at > 0 && self.free[at - 1].end == self.free[at].start {
            self.free[at - 1].end = self.free.remove(at).end;
        }
    }
}

impl Slot {
    /// Where it begins, in floats.
    pub(super) fn start(&self) -> usize {
        self.range.start
    }

    /// A recorded operation reads it.
    pub(super) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = self.arena.places().epoch;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let used = *self.used.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut places = self.arena.places();
        if used == places.epoch {
            places.touched = places.touched.max(self.range.end);
        }
        places.put(self.range.clone());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a step that fails is the failure")]
mod tests {
    use super::*;

    #[test]
    fn places_are_reused_and_joined() {
        let arena = Arena::new(1 << 20);
        let [a, b, c] = [100, 64, 1].map(|len| arena.take(len).unwrap());
        assert_eq!([a.start(), b.start(), c.start()], [0, 128, 192]);
        let again = a.clone();
        drop(a);
        assert_eq!(arena.take(64).unwrap().start(), 256, "a clone still holds the first");
        drop(again);
        drop(b);
        assert_eq!(arena.take(192).unwrap().start(), 0, "two neighbours are one place");
        drop(c);
        assert_eq!(arena.take(1000).unwrap().start(), 0, "the last place grows");
        assert_eq!(arena.len(), 1024);
    }

    #[test]
    fn what_comes_from_the_host_takes_an_untouched_place() {
        let arena = Arena::new(1 << 20);
        let before = arena.take(64).unwrap();
        arena.begin_recording();
        let rows = arena.take_untouched(64).unwrap();
        let result = arena.take(64).unwrap();
        assert_eq!([rows.start(), result.start()], [64, 128]);
        drop(rows);
        before.touch();
        drop(before);
        // Operations read both places, so that later numbers must not be there before them.
        assert_eq!(arena.take_untouched(64).unwrap().start(), 192);
        assert_eq!(arena.take(64).unwrap().start(), 0, "a result may be");
        arena.begin_recording();
        drop(result);
        assert_eq!(arena.take_untouched(64).unwrap().start(), 0, "nothing has been recorded since");
    }

    #[test]
    fn the_same_work_needs_the_same_room() {
        let arena = Arena::new(1 << 20);
        let work = || {
            let x = arena.take_untouched(300).unwrap();
            let wide = arena.take(900).unwrap();
            let y = arena.take(300).unwrap();
            drop(wide);
            let late = arena.take_untouched(300).unwrap();
            let end = arena.take(20).unwrap();
            arena.begin_recording();
            drop((x, y, late));
            end
        };
        let kept = work();
        drop(kept);
        let after_one = arena.len();
        for _ in 0..10 {
            drop(work());
        }
        assert_eq!(arena.len(), after_one);
    }

    #[test]
    fn what_does_not_fit_leaves_all_as_it_was() {
        let arena = Arena::new(256);
        let first = arena.take(64).unwrap();
        let error = arena.take(256).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GpuLimits);
        assert_eq!(arena.take(192).unwrap().start(), 64);
        drop(first);
        assert_eq!((arena.take(256).unwrap().start(), arena.len()), (0, 256));
    }
}
