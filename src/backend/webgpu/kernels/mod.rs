//! The kernels: one a file in WGSL, beside each its twin in Rust, which does the same steps one after the other and is its
//! judge.
//!
//! A kernel is compiled from its file with what it depends on before it: sizes as constants, and for products what a number
//! is. No subgroups: naga rejects the directive that tint demands.

pub mod add;
pub mod add_norm;
pub mod attention;
pub mod attention_exact;
pub mod columns;
pub mod linear;
pub mod linear_small;
pub mod quantize;
pub mod rows;
pub mod trigram;
mod wgsl;

use std::fmt::Write;

use super::weights::STEP;
use wgsl::wgsl;

/// Workgroups that stand side by side before a second line of them begins: a dispatch may be 65,535 wide.
pub(super) const ROWS_ACROSS: usize = 32_768;

/// What a product multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// `f32`.
    F32,
    /// Weights stored as `f16`; the rest is `f32`.
    F16,
    /// int8, four in a word.
    Int8,
}

/// How a product is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows of the result that a workgroup makes.
    pub rows: usize,
    /// Columns that it makes.
    pub columns: usize,
    /// Inputs, or words of four of them, that it holds at a time; a multiple of four.
    pub depth: usize,
    /// Rows that a thread sums.
    pub thread_rows: usize,
    /// Quads of columns that a thread sums.
    pub thread_quads: usize,
}

impl Tile {
    /// Whether its parts divide each other, rows are whole numbers of it, and it keeps to the limits of every WebGPU.
    pub(super) fn fits(self) -> bool {
        let Self { rows, columns, depth, thread_rows, thread_quads } = self;
        let sizes = [rows, columns, depth, thread_rows, thread_quads];
        let whole = !sizes.contains(&0)
            && rows.is_multiple_of(thread_rows)
            && columns.is_multiple_of(4 * thread_quads)
            && depth.is_multiple_of(4)
            && STEP.is_multiple_of(depth);
        let deals = |quads: usize| quads.is_multiple_of(self.threads());
        whole
            && self.threads() <= 256
            && 4 * depth * (rows + columns) <= 16_384
            && deals(rows * depth / 4)
            && deals(depth * columns / 4)
    }

    /// The threads of a workgroup.
    pub fn threads(self) -> usize {
        self.rows / self.thread_rows * (self.columns / (4 * self.thread_quads))
    }
}

/// A kernel in one of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `add.wgsl`.
    Add,
    /// `add_norm.wgsl`.
    AddNorm,
    /// `attention.wgsl` for heads of at most that many quads.
    Attention(usize),
    /// `attention_exact.wgsl`, likewise.
    AttentionExact(usize),
    /// `columns.wgsl`.
    Columns,
    /// `head_scales.wgsl`.
    HeadScales,
    /// `linear.wgsl`.
    Linear(Numbers, Tile),
    /// `linear_small.wgsl`.
    LinearSmall(Numbers),
    /// `quantize.wgsl`.
    Quantize,
    /// `rows.wgsl`.
    Rows,
    /// `trigram.wgsl`.
    Trigram,
}

/// What a kernel reads beside activations, and so which bind groups it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// Nothing.
    None,
    /// A matrix and a bias.
    Matrix,
    /// Two vectors.
    Vectors,
}

impl Kernel {
    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::AddNorm => "add_norm",
            Self::Attention(_) => "attention",
            Self::AttentionExact(_) => "attention_exact",
            Self::Columns => "columns",
            Self::HeadScales => "head_scales",
            Self::Linear(..) => "linear",
            Self::LinearSmall(_) => "linear_small",
            Self::Quantize => "quantize",
            Self::Rows => "rows",
            Self::Trigram => "trigram",
        }
    }

    pub(super) fn weights(self) -> Weights {
        match self {
            Self::Linear(..) | Self::LinearSmall(_) => Weights::Matrix,
            Self::AddNorm => Weights::Vectors,
            _ => Weights::None,
        }
    }

    /// Whole WGSL, as it is compiled.
    pub fn source(self) -> String {
        match self {
            Self::Add => plain(wgsl!("add.wgsl")),
            Self::AddNorm => plain(wgsl!("add_norm.wgsl")),
            Self::Attention(quads) => attention(quads, wgsl!("attention.wgsl")),
            Self::AttentionExact(quads) => attention(quads, wgsl!("attention_exact.wgsl")) + wgsl!("quotient.wgsl"),
            Self::Columns => plain(wgsl!("columns.wgsl")),
            Self::Linear(numbers, tile) => linear(numbers, tile),
            Self::LinearSmall(numbers) => product(numbers, "", wgsl!("linear_small.wgsl")),
            Self::HeadScales => plain(wgsl!("head_scales.wgsl")) + wgsl!("quotient.wgsl"),
            Self::Quantize => plain(wgsl!("quantize.wgsl")) + wgsl!("quotient.wgsl"),
            Self::Rows => plain(wgsl!("rows.wgsl")),
            Self::Trigram => plain(wgsl!("trigram.wgsl")),
        }
    }
}

fn plain(body: &str) -> String {
    format!("const ROWS_ACROSS = {ROWS_ACROSS}u;\n\n{body}")
}

/// Keys and values of a workgroup, both of which fit 16 KiB.
pub(super) fn attention_keys(quads: usize) -> usize {
    if quads > 16 { 16 } else { 32 }
}

fn attention(quads: usize, body: &str) -> String {
    let keys = attention_keys(quads);
    let (head, body) = (wgsl!("head.wgsl"), repeated(body, &[("{q}", quads)]));
    format!("const QUADS = {quads}u;\nconst KEYS = {keys}u;\n\n{head}\n{body}")
}

fn linear(numbers: Numbers, tile: Tile) -> String {
    let Tile { rows, columns, depth, thread_rows, thread_quads } = tile;
    let sizes = format!(
        "const TILE_ROWS = {rows}u;\nconst TILE_COLUMNS = {columns}u;\nconst DEPTH = {depth}u;\n\
         const THREAD_ROWS = {thread_rows}u;\nconst THREAD_QUADS = {thread_quads}u;\n"
    );
    let fetched = |quads: usize| quads / tile.threads();
    let times = [
        ("{i}", thread_rows),
        ("{j}", thread_quads),
        ("{a}", fetched(rows * depth / 4)),
        ("{b}", fetched(depth * columns / 4)),
    ];
    product(numbers, &sizes, &repeated(wgsl!("linear.wgsl"), &times))
}

fn product(numbers: Numbers, sizes: &str, body: &str) -> String {
    let (head, operations) = match numbers {
        Numbers::F32 => ("alias Weight = vec4<f32>;\n", wgsl!("numbers_float.wgsl")),
        Numbers::F16 => ("enable f16;\nalias Weight = vec4<f16>;\n", wgsl!("numbers_float.wgsl")),
        Numbers::Int8 => ("", wgsl!("numbers_int8.wgsl")),
    };
    [head, sizes, operations, wgsl!("activate.wgsl"), wgsl!("product.wgsl"), body].join("\n")
}

/// A line that holds a mark stands for as many lines as that counts, the mark replaced by 0, 1, 2, …; with two marks for each
/// pair.
fn repeated(body: &str, marks: &[(&str, usize)]) -> String {
    let mut out = String::new();
    for line in body.lines() {
        let mut lines = vec![line.to_owned()];
        for (mark, times) in marks.iter().filter(|(mark, _)| line.contains(mark)) {
            let each = |line: &String| (0..*times).map(|i| line.replace(mark, &i.to_string())).collect::<Vec<_>>();
            lines = lines.iter().flat_map(each).collect();
        }
        for line in lines {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}
