//! Inputs of the benches: random numbers in the shapes of the default model.

use clinlite::backend::{Backend, Linear, Norm, NormKind, Stored, Values};
use clinlite::json::Json;
use clinlite::models::{Batch, Config, Encoder};
use clinlite::weights::{Names, Weights};
use safetensors::{Dtype, tensor::TensorView};

/// Inputs and outputs of every product of the default model: 6 layers, hidden size 384, 12 heads of 32.
pub(super) const SHAPES: [[usize; 2]; 4] = [[384, 384], [384, 1152], [384, 1536], [1536, 384]];

/// Layers, hidden size and intermediate size of an encoder; heads are 12.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) layers: usize,
    pub(super) hidden: usize,
    pub(super) inner: usize,
}

/// That of the default model.
pub(super) const DEFAULT: Size = Size { layers: 6, hidden: 384, inner: 1536 };

/// Values in -1..1.
pub(super) fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b1) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A weight `[rows, columns]` with outputs of about the size of the inputs.
pub(super) fn weight(rows: usize, columns: usize, int8: bool) -> Stored {
    let bound = (3.0 / columns as f32).sqrt();
    let values = noise(rows * columns, 2);
    let values = match int8 {
        true => {
            Values::Int8 { data: values.iter().map(|x| (x * 127.0) as i8).collect(), scales: vec![bound / 127.0; rows] }
        }
        false => Values::F32(values.iter().map(|x| x * bound).collect()),
    };
    Stored { name: "weight".into(), rows, columns, values, transposed: false }
}

/// A vector of small values.
pub(super) fn vector(len: usize) -> Stored {
    let values = noise(len, 3).iter().map(|x| x * 0.1).collect();
    Stored { name: "vector".into(), rows: 1, columns: len, values: Values::F32(values), transposed: false }
}

/// A dense layer.
pub(super) fn linear<B: Backend>(
    backend: &B,
    inputs: usize,
    outputs: usize,
    int8: bool,
) -> clinlite::Result<Linear<B>> {
    let weight = backend.matrix(&[weight(outputs, inputs, int8)])?;
    Ok(Linear { weight, bias: Some(backend.vector(&[vector(outputs)])?) })
}

/// A layer normalisation.
pub(super) fn norm<B: Backend>(backend: &B, columns: usize) -> clinlite::Result<Norm<B>> {
    let (weight, bias) = (backend.vector(&[vector(columns)])?, backend.vector(&[vector(columns)])?);
    Ok(Norm { weight, bias, kind: NormKind::LayerNorm { eps: 1e-12 } })
}

/// Activations, which the trait takes from tables only.
pub(super) fn tensor<B: Backend>(backend: &B, rows: usize, columns: usize) -> clinlite::Result<B::Tensor> {
    let values = Values::F32(noise(rows * columns, 1));
    let table = backend.table(Stored { name: "x".into(), rows, columns, values, transposed: false })?;
    let ids: Vec<u32> = (0..rows as u32).collect();
    backend.embed(&[(&table, &ids)])
}

/// The encoder of the default model with random weights, int8 or `f32`.
pub(super) fn encoder<B: Backend>(backend: &B, int8: bool) -> clinlite::Result<Encoder<B>> {
    sized_encoder(backend, DEFAULT, int8)
}

/// A BERT of that size with a small vocabulary: the table is looked up, not multiplied.
pub(super) fn sized_encoder<B: Backend>(backend: &B, size: Size, int8: bool) -> clinlite::Result<Encoder<B>> {
    let Size { layers, hidden, inner } = size;
    let json = serde_json::json!({
        "vocab_size": 1000, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 12,
        "intermediate_size": inner, "max_position_embeddings": 512
    });
    let config = Config::new("bert", Json::parse(json.to_string().as_bytes())?.root())?;
    let mut tensors = Vec::new();
    matrix(&mut tensors, "bert.embeddings.word_embeddings", 1000, hidden, false);
    matrix(&mut tensors, "bert.embeddings.position_embeddings", 512, hidden, false);
    matrix(&mut tensors, "bert.embeddings.token_type_embeddings", 2, hidden, false);
    push(&mut tensors, "bert.embeddings.LayerNorm", hidden, true);
    for i in 0..layers {
        let at = format!("bert.encoder.layer.{i}");
        for name in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
            dense(&mut tensors, &format!("{at}.{name}"), hidden, hidden, int8);
        }
        push(&mut tensors, &format!("{at}.attention.output.LayerNorm"), hidden, true);
        dense(&mut tensors, &format!("{at}.intermediate.dense"), inner, hidden, int8);
        dense(&mut tensors, &format!("{at}.output.dense"), hidden, inner, int8);
        push(&mut tensors, &format!("{at}.output.LayerNorm"), hidden, true);
    }
    let views = tensors.iter().map(|t| (t.name.as_str(), TensorView::new(t.dtype, t.shape.clone(), &t.bytes)));
    let views: Vec<_> = views.map(|(name, view)| (name, view.expect("whole tensors"))).collect();
    let file = safetensors::serialize(views, None).expect("a small file");
    Encoder::load(backend, &Weights::from_safetensors(&file, Names::Bert)?.root(), &config)
}

/// Sequences of 128 rows.
pub(super) fn batch(rows: usize) -> Batch {
    let ids: Vec<u32> = (0..rows as u32).map(|i| (i * 37) % 1000).collect();
    Batch::new(ids.chunks(128))
}

struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn matrix(to: &mut Vec<Tensor>, name: &str, rows: usize, columns: usize, int8: bool) {
    let name = format!("{name}.weight");
    match weight(rows, columns, int8).values {
        Values::F32(values) => to.push(floats(name, vec![rows, columns], &values)),
        Values::Int8 { data, scales } => {
            to.push(floats(format!("{name}.scale"), vec![rows], &scales));
            let bytes = data.iter().map(|x| x.cast_unsigned()).collect();
            to.push(Tensor { name, dtype: Dtype::I8, shape: vec![rows, columns], bytes });
        }
    }
}

fn dense(to: &mut Vec<Tensor>, name: &str, rows: usize, columns: usize, int8: bool) {
    matrix(to, name, rows, columns, int8);
    push(to, name, rows, false);
}

/// The vectors of a place: its bias, and for a normalisation its weight.
fn push(to: &mut Vec<Tensor>, name: &str, len: usize, norm: bool) {
    to.push(floats(format!("{name}.bias"), vec![len], &vec![0.01; len]));
    if norm {
        to.push(floats(format!("{name}.weight"), vec![len], &vec![1.0; len]));
    }
}

fn floats(name: String, shape: Vec<usize>, values: &[f32]) -> Tensor {
    Tensor { name, dtype: Dtype::F32, shape, bytes: values.iter().flat_map(|x| x.to_le_bytes()).collect() }
}
