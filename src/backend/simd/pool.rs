//! Reusable buffers: in steady state an operation allocates nothing.
//!
//! A [`Buffer`] goes back to its [`Shelf`] when its last clone is dropped. Taking one picks the smallest that is large
//! enough; if none is, the largest one grows, so the number of buffers is that of the busiest moment and their sizes
//! are those of the largest batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Free buffers of one element type.
pub(crate) struct Shelf<T> {
    free: Mutex<Free<T>>,
}

struct Free<T> {
    buffers: Vec<Arc<Vec<T>>>,
    allocated: usize,
}

/// A lent buffer of `len` elements with arbitrary contents.
pub(crate) struct Buffer<T> {
    /// Empty only while it is being dropped.
    values: Option<Arc<Vec<T>>>,
    len: usize,
    shelf: Arc<Shelf<T>>,
}

impl<T: Copy + Default> Shelf<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(Free { buffers: Vec::new(), allocated: 0 }) })
    }

    /// Lends a buffer of `len` elements, whose contents are those of its last use.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer<T> {
        let mut free = self.lock();
        let fits = free.buffers.iter().enumerate().filter(|(_, buffer)| buffer.len() >= len);
        let best = fits.min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at);
        let largest = || free.buffers.iter().enumerate().max_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at);
        let mut values = match best.or_else(largest) {
            Some(at) => free.buffers.swap_remove(at),
            None => Arc::new(Vec::new()),
        };
        let grown = grow(&mut values, len);
        free.allocated += grown * size_of::<T>();
        Buffer { values: Some(values), len, shelf: self.clone() }
    }

    /// The bytes of all buffers, lent or free. Never falls.
    pub(crate) fn allocated(&self) -> usize {
        self.lock().allocated
    }
}

impl<T> Shelf<T> {
    fn lock(&self) -> MutexGuard<'_, Free<T>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for `len` elements and returns how many were added.
fn grow<T: Copy + Default>(values: &mut Arc<Vec<T>>, len: usize) -> usize {
    let before = values.len();
    if before >= len {
        return 0;
    }
    match Arc::get_mut(values) {
        Some(values) => {
            values.clear(); // nothing of the old contents is worth moving
            values.reserve_exact(len);
            values.resize(len, T::default());
        }
        None => *values = Arc::new(vec![T::default(); len]),
    }
    len - before
}

impl<T: Copy> Buffer<T> {
    /// The elements.
    pub(crate) fn values(&self) -> &[T] {
        self.values.as_ref().map_or(&[], |values| &values[..self.len])
    }

    /// The elements, to be written. Copies them first if a clone looks at them.
    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        match &mut self.values {
            Some(values) => &mut Arc::make_mut(values)[..self.len],
            None => &mut [],
        }
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), len: self.len, shelf: self.shelf.clone() }
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Some(mut values) = self.values.take()
            && Arc::get_mut(&mut values).is_some()
        {
            self.shelf.lock().buffers.push(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reuses_what_was_returned() {
        let shelf = Shelf::<f32>::new();
        let large = shelf.take(100);
        let small = shelf.take(10);
        let again = small.clone();
        drop(small);
        drop(large);
        assert_eq!(shelf.take(11).values().len(), 11, "the large one is lent again");
        drop(again);
        assert_eq!(shelf.take(3).values().len(), 3);
        assert_eq!(shelf.allocated(), 440);
    }

    #[test]
    fn grows_the_largest() {
        let shelf = Shelf::<i16>::new();
        for len in [5, 50, 20, 50, 51] {
            assert_eq!(shelf.take(len).values_mut().len(), len);
        }
        assert_eq!(shelf.allocated(), 102);
    }

    #[test]
    fn a_clone_keeps_its_values() {
        let shelf = Shelf::<i16>::new();
        let mut first = shelf.take(2);
        first.values_mut().fill(1);
        let second = first.clone();
        first.values_mut().fill(2);
        assert_eq!(second.values(), [1, 1]);
    }
}
