//! Matrix products on strided views, through the `gemm` crate.

use std::marker::PhantomData;

/// A matrix that is read: element `(r, c)` lies at `r · row_stride + c · col_stride`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix `[rows, cols]` whose rows begin `row_stride` apart.
    ///
    /// # Panics
    /// When the data is too short for the shape; callers inside the backend have checked shapes before.
    pub fn new(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        check(data.len(), rows, cols, row_stride);
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// A row-major matrix that is written.
pub struct ViewMut<'a> {
    data: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

impl<'a> ViewMut<'a> {
    /// A row-major matrix `[rows, cols]` whose rows begin `row_stride` apart.
    ///
    /// # Panics
    /// As [`View::new`].
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        check(data.len(), rows, cols, row_stride);
        Self { data: data.as_mut_ptr(), rows, cols, row_stride, borrow: PhantomData }
    }
}

/// A matrix that several threads fill at once, each its own block.
#[derive(Clone, Copy)]
pub struct Shared {
    data: *mut f32,
    len: usize,
}

// Safety: the pointer is only written through `Shared::block`, whose callers promise disjoint blocks.
unsafe impl Send for Shared {}
// Safety: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Takes the whole buffer; it must outlive every block, which the callers see to by joining their threads.
    pub fn new(data: &mut [f32]) -> Self {
        Self { data: data.as_mut_ptr(), len: data.len() }
    }

    /// The block of `[rows, cols]` whose first element lies at `start`.
    ///
    /// # Safety
    /// No two blocks that live at the same time may share an element, and the buffer must still be alive.
    pub unsafe fn block<'a>(self, start: usize, rows: usize, cols: usize, row_stride: usize) -> ViewMut<'a> {
        check(self.len - start, rows, cols, row_stride);
        // Safety: `start` is inside the buffer, or the subtraction above would have overflowed.
        let data = unsafe { self.data.add(start) };
        ViewMut { data, rows, cols, row_stride, borrow: PhantomData }
    }
}

fn check(len: usize, rows: usize, cols: usize, row_stride: usize) {
    let fits = rows == 0 || cols == 0 || (cols <= row_stride && (rows - 1) * row_stride + cols <= len);
    assert!(fits, "a view of {rows} rows of {cols} at stride {row_stride} does not fit in {len} values");
}

/// Whether a product overwrites its destination or adds to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// `c = a · b`.
    Fresh,
    /// `c += a · b`.
    Sum,
}

/// Whether a product may use all threads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread only: the caller already runs on all of them.
    One,
    /// All of the rayon pool.
    All,
}

/// `c = scale · a · b`, or `c += scale · a · b`: `a` is `[m, k]`, `b` `[k, n]`, `c` `[m, n]`.
///
/// # Panics
/// When the shapes do not fit together.
pub fn product(c: ViewMut<'_>, a: View<'_>, b: View<'_>, scale: f32, into: Into, threads: Threads) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    assert!(a.rows == m && b.cols == n && b.rows == k, "product of [{}, {k}] and [{}, {}]", a.rows, b.rows, b.cols);
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    let (keep, alpha) = if into == Into::Sum { (true, 1.0) } else { (false, 0.0) };
    // Safety: the constructors checked that every element of the three views lies inside its slice, and `c` was built
    // from a mutable borrow, which no other view overlaps while it lives (for [`Shared`], by the promise of its caller).
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.data,
            1,
            c.row_stride as isize,
            keep,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            alpha,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}
