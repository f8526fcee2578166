//! What torch wrote, beside what safetensors wrote of the same tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::read;
use crate::weights::Names;
use crate::weights::file::{self, Raw, Tensors};
use crate::weights::names::canonical;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/weights/", $name)).as_slice()
    };
}

fn by_name(tensors: Tensors<'_>) -> BTreeMap<String, Raw<'_>> {
    tensors.into_iter().collect()
}

fn assert_same(name: &str, found: &BTreeMap<String, Raw<'_>>, expected: &BTreeMap<String, Raw<'_>>) {
    assert!(found.keys().eq(expected.keys()), "{name}: {:?}", found.keys());
    for (tensor, raw) in found {
        let twin = &expected[tensor];
        assert_eq!((raw.dtype, &raw.shape), (twin.dtype, &twin.shape), "{name}: {tensor}");
        assert!(raw.data == twin.data, "{name}: the bytes of {tensor} differ");
    }
}

#[test]
fn every_tensor_equals_its_twin_bit_for_bit() {
    let cases = [
        ("zip", fixture!("zip.bin"), fixture!("zip.safetensors")),
        ("legacy", fixture!("legacy.bin"), fixture!("zip.safetensors")),
        ("strided", fixture!("strided.bin"), fixture!("zip.safetensors")),
        ("half", fixture!("half.bin"), fixture!("half.safetensors")),
        ("bfloat16", fixture!("bfloat16.bin"), fixture!("bfloat16.safetensors")),
        ("tied", fixture!("tied.bin"), fixture!("tied.safetensors")),
    ];
    for (name, bin, twin) in cases {
        let found = by_name(read(bin).expect(name));
        let expected = by_name(file::read("model.safetensors", twin).expect(name));
        assert_same(name, &found, &expected);
        let owned = found.values().filter(|raw| matches!(raw.data, Cow::Owned(_))).count();
        assert_eq!(owned > 0, name == "strided", "{name}: {owned} tensors were copied");
    }
}

#[test]
fn parameters_of_a_data_parallel_trainer_with_old_names() {
    let found = canonical(read(fixture!("parameters.bin")).expect("readable"), Names::Bert).expect("no double");
    let twin = file::read("model.safetensors", fixture!("zip.safetensors")).expect("readable");
    let twin = canonical(twin, Names::Bert).expect("no double");
    assert_same("parameters", &by_name(found), &by_name(twin));
}

#[test]
fn shards_hold_the_whole() {
    let mut found = by_name(read(fixture!("shard-1.bin")).expect("readable"));
    let second = by_name(read(fixture!("shard-2.bin")).expect("readable"));
    assert!(!found.is_empty() && second.keys().all(|name| !found.contains_key(name)));
    found.extend(second);
    assert_same(
        "shards",
        &found,
        &by_name(file::read("model.safetensors", fixture!("zip.safetensors")).expect("readable")),
    );
}

#[test]
fn tied_tensors_are_the_same_bytes() {
    let found = by_name(read(fixture!("tied.bin")).expect("readable"));
    let place = |name: &str| found[name].data.as_ptr();
    assert_eq!(place("cls.predictions.decoder.weight"), place("bert.embeddings.word_embeddings.weight"));
    assert_eq!(place("cls.predictions.decoder.bias"), place("cls.predictions.bias"));
    let names = by_name(canonical(read(fixture!("tied.bin")).expect("readable"), Names::Bert).expect("no double"));
    assert!(names.contains_key("cls.predictions.bias") && !names.contains_key("cls.predictions.decoder.bias"));
}
