//! Matrix products by cuBLAS.

use std::ffi::c_void;

use cudarc::cublas::sys::{self as blas, cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType};

use super::device::{Device, Precision, failed};
use super::launch::{Arg, Grid};
use super::memory::Buffer;
use crate::error::Result;

/// One side of a matrix product: row-major, rows `stride` numbers apart, read as its transpose where it is `turned`.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) at: u64,
    pub(super) stride: usize,
    pub(super) turned: bool,
}

/// Where a matrix product goes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) at: u64,
    pub(super) stride: usize,
    /// `f32` rather than the precision of activations.
    pub(super) f32: bool,
    /// Added to what is there.
    pub(super) sum: bool,
    /// What the product counts.
    pub(super) scale: f32,
}

/// Matrices of one shape, one for each head: where each begins, and how far apart its rows are.
pub(super) struct Heads {
    places: Buffer,
    count: usize,
    stride: usize,
}

/// A side of the products for every head.
#[derive(Clone, Copy)]
pub(super) struct HeadSide<'a> {
    heads: &'a Heads,
    turned: bool,
}

impl Heads {
    /// Read as their transposes.
    pub(super) fn turned(&self) -> HeadSide<'_> {
        HeadSide { heads: self, turned: true }
    }
}

impl<'a> From<&'a Heads> for HeadSide<'a> {
    fn from(heads: &'a Heads) -> Self {
        Self { heads, turned: false }
    }
}

const COMPUTE: cublasComputeType_t = cublasComputeType_t::CUBLAS_COMPUTE_32F;
const ALGORITHM: cublasGemmAlgo_t = cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT;

fn data_type(precision: Precision) -> cudaDataType {
    match precision {
        Precision::F32 => cudaDataType::CUDA_R_32F,
        Precision::Bf16 => cudaDataType::CUDA_R_16BF,
    }
}

fn op(turned: bool) -> cublasOperation_t {
    if turned { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N }
}

fn number(number: &f32) -> *const c_void {
    std::ptr::from_ref(number).cast()
}

impl Device {
    /// `to[m, n] = scale · left[m, k] · right[k, n]`.
    pub(super) fn product(&self, to: Target, [m, n, k]: [usize; 3], left: Side, right: Side) -> Result<()> {
        if m == 0 || n == 0 || k == 0 {
            return Ok(());
        }
        let data = data_type(self.precision());
        let target = if to.f32 { cudaDataType::CUDA_R_32F } else { data };
        let beta = if to.sum { 1f32 } else { 0f32 };
        // cuBLAS thinks in columns: what lies here row by row is the transpose of what it sees, so the sides change places.
        // Safety: pointers and sizes are those of live buffers.
        let status = unsafe {
            blas::cublasGemmEx(
                *self.blas.handle(),
                op(right.turned),
                op(left.turned),
                n as i32,
                m as i32,
                k as i32,
                number(&to.scale),
                right.at as *const c_void,
                data,
                right.stride as i32,
                left.at as *const c_void,
                data,
                left.stride as i32,
                number(&beta),
                to.at as *mut c_void,
                target,
                to.stride as i32,
                COMPUTE,
                ALGORITHM,
            )
        };
        status.result().map_err(|e| failed(&format!("product {m} by {k} by {n}"), &e))
    }

    /// The same for every head, in the precision of activations.
    pub(super) fn products<'a>(
        &self,
        to: &Heads,
        [m, n, k]: [usize; 3],
        left: impl Into<HeadSide<'a>>,
        right: impl Into<HeadSide<'a>>,
    ) -> Result<()> {
        if to.count == 0 || m == 0 || n == 0 || k == 0 {
            return Ok(());
        }
        let (left, right, data) = (left.into(), right.into(), data_type(self.precision()));
        let (one, zero) = (1f32, 0f32);
        // Safety: as in `product`; each array of places has `count` of them.
        let status = unsafe {
            blas::cublasGemmBatchedEx(
                *self.blas.handle(),
                op(right.turned),
                op(left.turned),
                n as i32,
                m as i32,
                k as i32,
                number(&one),
                right.heads.places.at() as *const *const c_void,
                data,
                right.heads.stride as i32,
                left.heads.places.at() as *const *const c_void,
                data,
                left.heads.stride as i32,
                number(&zero),
                to.places.at() as *const *mut c_void,
                data,
                to.stride as i32,
                to.count as i32,
                COMPUTE,
                ALGORITHM,
            )
        };
        status.result().map_err(|e| failed(&format!("{} products {m} by {k} by {n}", to.count), &e))
    }

    /// Where the heads of sequences of equal length lie: `maps` of them, `heads` side by side, rows `stride` numbers apart,
    /// heads `width`.
    pub(super) fn heads(
        &self,
        base: u64,
        [maps, heads, length]: [usize; 3],
        [stride, width]: [usize; 2],
    ) -> Result<Heads> {
        let (places, bytes) = (self.alloc(8 * maps)?, self.precision().bytes());
        let args = [
            (&places).into(),
            Arg::U64(base),
            maps.into(),
            heads.into(),
            (stride * bytes).into(),
            (width * bytes).into(),
            length.into(),
        ];
        self.launch("head_places", Grid::blocks(maps.div_ceil(256), 256), &args)?;
        Ok(Heads { places, count: maps, stride })
    }
}
