//! Pickles and archives that nobody should trust: each is refused for what it is, and costs no more than its length.

use clinlite::weights::{Names, Weights};
use clinlite::{Error, ErrorKind};

use super::torch_file::{Pickle, archive, legacy, one_tensor};
use crate::allocated::peak;
use crate::support::Scratch;

/// Reads a file as `pytorch_model.bin`; what is held while doing so is bounded by its length.
fn read(bytes: &[u8]) -> Result<usize, Error> {
    read_within(bytes, 32 * bytes.len() + (64 << 10))
}

fn read_within(bytes: &[u8], most: usize) -> Result<usize, Error> {
    let read = || Weights::from_files([("pytorch_model.bin", bytes)], Names::Bert).map(|w| w.names().count());
    let (result, held) = peak(read);
    assert!(held <= most, "{held} bytes held, expected at most {most}: {result:?}");
    if let Err(error) = &result {
        assert!(error.to_string().starts_with("pytorch_model.bin: "), "{error}");
    }
    result
}

fn refused(bytes: &[u8], expected: &str) -> ErrorKind {
    refused_as(expected, read(bytes))
}

fn refused_as(expected: &str, result: Result<usize, Error>) -> ErrorKind {
    let error = result.expect_err(expected);
    assert!(error.to_string().contains(expected), "expected {expected:?}: {error}");
    error.kind()
}

const FOUR: &[u8] = &[0; 16];

#[test]
fn what_would_run_is_refused_by_name() {
    let scratch = Scratch::new();
    let marker = scratch.path().join("it-ran");
    let command = format!("touch {}", marker.display());
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("torch", "XStorage"),
        ("torch", "Storage"),
        ("collections", "OrderedDict.fromkeys"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("runpy", "_run_code"),
        ("", ""),
    ] {
        let call = || Pickle::new().global(module, name).raw(b"(").text(&command).raw(b"tR").end();
        let in_dict = Pickle::new().ordered_dict().text("w").global(module, name).raw(b"(").text(&command).raw(b"tRs");
        for pickle in [call(), in_dict.end()] {
            let expected = format!("asks for \"{module}.{name}\"");
            assert_eq!(refused(&archive(&pickle, &[("0", FOUR)]), &expected), ErrorKind::Unsupported);
            assert_eq!(refused(&legacy(&pickle, &[]), &expected), ErrorKind::Unsupported);
        }
    }
    assert!(!marker.exists());
}

#[test]
fn instructions_that_build_or_import_are_refused() {
    // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, STACK_GLOBAL, PERSID, FRAME, MEMOIZE, NEXT_BUFFER, and no instruction.
    for instruction in *b"io\x81\x92\x82\x93P\x95\x94\x97\x00" {
        let pickle = Pickle::new().raw(&[instruction]).raw(b"os\nsystem\n").end();
        assert_eq!(refused(&archive(&pickle, &[]), &format!("instruction {instruction:#04x}")), ErrorKind::Unsupported);
    }
    for protocol in [0, 1, 3, 4, 5, 255] {
        refused(&archive(&[0x80, protocol, b'N', b'.'], &[]), &format!("protocol {protocol}"));
    }
    let device = Pickle::new().raw(b"(").text("module").global("torch", "FloatStorage").text("0").text("cpu").int(4);
    refused(&archive(&device.raw(b"tQ.").end(), &[]), "kind \"module\"");
}

/// Elements of the storage; offset, shape and strides of the tensor; what is said of it.
type Lie = (i64, i64, &'static [i64], &'static [i64], &'static str);

#[test]
fn sizes_that_lie_are_refused() {
    let cases: &[Lie] = &[
        (1 << 60, 0, &[2, 2], &[2, 1], "a storage of 1152921504606846976 elements has"),
        (1 << 62, 0, &[2, 2], &[2, 1], "larger than any memory"),
        (-1, 0, &[2, 2], &[2, 1], "a storage of -1 elements"),
        (5, 0, &[2, 2], &[2, 1], "a storage of 5 elements has 20 bytes, found 16"),
        (4, 1, &[2, 2], &[2, 1], "does not lie in a storage of 4"),
        (4, i64::MAX, &[2, 2], &[2, 1], "does not lie in"),
        (4, -1, &[2, 2], &[2, 1], "a tensor at -1"),
        (4, 0, &[3, 2], &[2, 1], "does not lie in"),
        (4, 0, &[2, 2], &[i64::MAX, i64::MAX], "does not lie in"),
        (4, 0, &[1 << 40, 1 << 40], &[0, 0], "larger than any memory"),
        (4, 0, &[1 << 20, 1 << 20], &[0, 0], "does not lie in"),
        (4, 0, &[5], &[0], "does not lie in"),
        (4, 0, &[2, 2], &[2], "2 axes with 1 strides"),
        (4, 0, &[-2, 2], &[2, 1], "an axis of -2"),
        (4, 0, &[2, 2], &[2, -1], "an axis of -1"),
        (4, 0, &[1; 9], &[1; 9], "9 axes"),
        (4, 5, &[0], &[1], "does not lie in"),
    ];
    for (len, offset, shape, strides, expected) in cases {
        let pickle = one_tensor(*len, *offset, shape, strides);
        refused(&archive(&pickle, &[("0", FOUR)]), expected);
        if *len == 4 {
            refused(&legacy(&pickle, &[("0", 4, FOUR)]), expected);
        }
    }
    let whole = one_tensor(4, 0, &[2, 2], &[2, 1]);
    assert_eq!(read(&archive(&whole, &[("0", FOUR)])).expect("a tensor"), 1);
    assert_eq!(read(&legacy(&whole, &[("0", 4, FOUR)])).expect("a tensor"), 1);
    assert_eq!(read(&archive(&one_tensor(4, 4, &[0, 7], &[7, 1]), &[("0", FOUR)])).expect("an empty one"), 1);
    refused(&archive(&whole, &[]), "there is no storage \"0\"");
    refused(&legacy(&whole, &[]), "there is no storage \"0\"");
    refused(&legacy(&whole, &[("0", 1 << 60, FOUR)]), "expected 4 elements");
    refused(&legacy(&whole, &[("0", 4, &FOUR[1..])]), "not whole");
    refused(&legacy(&whole, &[("1", 4, FOUR)]), "belongs to no tensor");
    refused(&legacy(&whole, &[("0", 4, FOUR), ("0", 4, FOUR)]), "listed twice");
    refused(&legacy(&one_tensor(1 << 61, 0, &[2, 2], &[2, 1]), &[("0", 1 << 61, FOUR)]), "not whole");
}

#[test]
fn one_storage_under_a_thousand_names_is_refused() {
    let bytes = vec![0; 64 << 10];
    let len = bytes.len() as i64 / 4;
    let name = |pickle: Pickle, i| pickle.text(&format!("w{i}")).tensor("0", len, 0, &[len], &[1]).raw(b"s");
    let names = |count| (0..count).fold(Pickle::new().ordered_dict(), name).end();
    assert_eq!(read(&archive(&names(6), &[("0", &bytes)])).expect("tied"), 6);
    refused(&archive(&names(1000), &[("0", &bytes)]), "share their bytes too often");
}

#[test]
fn bombs_cost_their_length() {
    let state = |body: &[u8]| archive(&Pickle::new().ordered_dict().text("w").raw(body).raw(b"s").end(), &[]);
    // However many instructions there are, only so many are followed: what they leave behind is bounded.
    let refused = |bytes: &[u8], expected: &str| refused_as(expected, read_within(bytes, 40 << 20));
    // A tuple in a tuple, 200,000 deep; a pair of pairs of pairs, 2^50000 leaves; a list in itself.
    refused(&state(&[b")".as_slice(), &b"\x85".repeat(200_000)].concat()), "entry \"w\": is not a tensor");
    refused(&state(&[b")q\x07".as_slice(), &b"h\x07\x86q\x07".repeat(50_000)].concat()), "is not a tensor");
    refused(&state(b"]q\x07h\x07a"), "is not a tensor");
    refused(&state(&b"N".repeat(1 << 17)), "a stack of more than");
    refused(&state(&b"(".repeat(1 << 17)), "a stack of more than");
    refused(&state(&[b"]".as_slice(), &b"Na".repeat(1 << 20)].concat()), "instructions");
    refused(&state(b"X\xff\xff\xff\xffw"), "a text of 4294967295 bytes");
    refused(&state(b"T\xff\xff\xff\x7fw"), "a text of 2147483647 bytes");
    refused(&state(b"X\x01\0\0\0\xff"), "not UTF-8");
    refused(&state(b"\x8a\xff"), "an integer of 255 bytes");
    refused(&state(&[b"c".as_slice(), &b"x".repeat(100_000)].concat()), "a name without an end");
    refused(&archive(&vec![b'N'; (16 << 20) + 1], &[]), "a pickle of 16777217 bytes");
    let remembered: Vec<u8> = (0..70_000u32).flat_map(|i| [b"r".as_slice(), &i.to_le_bytes()].concat()).collect();
    refused(&state(&[b"N".as_slice(), &remembered].concat()), "are remembered");
}

#[test]
fn nonsense_on_the_stack_is_refused() {
    for (body, expected) in [
        (b"".as_slice(), "ends in the middle"),
        (b".", "empty stack"),
        (b"N.", "not a state dict"),
        (b"t.", "a mark that is not there"),
        (b"(R.", "empty stack"),
        (b"NR", "empty stack"),
        (b"NNR", "without a tuple"),
        (b"N)R", "not a name"),
        (b"NNNs", "not a dict"),
        (b"NNa", "not a list"),
        (b"}(Nu", "a key without a value"),
        (b"}NNs.", "a key that is not a name"),
        (b"NNb", "what is not a dict"),
        (b"NQ", "persistent id"),
        (b"q\0", "remembers nothing"),
        (b"(q\0", "remembers nothing"),
        (b"h\0", "nothing is remembered as 0"),
        (b"ccollections\nOrderedDict\nN\x85R", "other arguments"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "other arguments"),
        (b"ctorch._utils\n_rebuild_parameter\nN\x85R", "other arguments"),
    ] {
        refused(&archive(&Pickle::new().raw(body).0, &[]), expected);
    }
    let twice = one_tensor(4, 0, &[4], &[1]);
    let twice = Pickle(twice[..twice.len() - 1].to_vec()).text("w").tensor("0", 4, 0, &[4], &[1]).raw(b"s").end();
    refused(&archive(&twice, &[("0", FOUR)]), "are both");
    let nested = Pickle::new().ordered_dict().text("state_dict").ordered_dict().raw(b"s").end();
    refused(&archive(&nested, &[]), "entry \"state_dict\": is not a tensor");
}

#[test]
fn archives_that_torch_would_not_write_are_refused() {
    let whole = archive(&one_tensor(4, 0, &[4], &[1]), &[("0", FOUR)]);
    let end = whole.len() - 22;
    let directory = u32::from_le_bytes(whole[end + 16..end + 20].try_into().expect("four bytes")) as usize;
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    assert_eq!(read(&changed(0, b"PK")).expect("unchanged"), 1);
    for method in [8u16, 12, 93, 99] {
        assert_eq!(refused(&changed(directory + 10, &method.to_le_bytes()), "compressed"), ErrorKind::Unsupported);
    }
    refused(&changed(directory + 24, &[0xff, 0xff, 0xff, 0x7f]), "compressed"); // another size than what is stored
    refused(&changed(directory + 20, &[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]), "not in the archive");
    refused(&changed(directory + 20, &[0xff; 8]), "directory of the archive is damaged"); // no wide numbers follow
    refused(&changed(directory + 8, &[1, 0]), "encrypted");
    refused(&changed(directory + 42, &[0xfe; 4]), "not in the archive");
    refused(&changed(directory, b"XX"), "directory of the archive is damaged");
    refused(&changed(directory + 28, &[0xff, 0xff]), "directory of the archive is damaged");
    refused(&changed(end + 10, &[0xfe, 0xff]), "entries, found");
    refused(&changed(end + 10, &[0xff, 0xff]), "no end record");
    refused(&changed(end + 12, &[0xfe; 4]), "no end record");
    refused(&changed(end + 20, &[1, 0]), "no end record");
    refused(&[&whole[..], b"x"].concat(), "no end record");
    let big = archive(&one_tensor(4, 0, &[4], &[1]), &[("0", FOUR)]);
    let at = big.windows(6).position(|window| window == b"little").expect("a record of the byte order");
    let mut big = big;
    big[at..at + 6].copy_from_slice(b"biggie");
    assert_eq!(refused(&big, "byteorder \"biggie\""), ErrorKind::Unsupported);
    // Two entries that are the same bytes, and two of one name.
    let two = archive(&one_tensor(4, 0, &[4], &[1]), &[("0", FOUR), ("1", FOUR)]);
    let end = two.len() - 22;
    let last = (directory..end).rev().find(|&at| two[at..].starts_with(b"PK\x01\x02")).expect("an entry");
    let before = (directory..last).rev().find(|&at| two[at..].starts_with(b"PK\x01\x02")).expect("an entry");
    let mut overlap = two.clone();
    overlap.copy_within(before + 42..before + 46, last + 42);
    refused(&overlap, "overlap");
    let mut named = two.clone();
    let name = named[before + 46..last].to_vec();
    named[last + 46..last + 46 + name.len()].copy_from_slice(&name);
    refused(&named, "two entries are named");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let pickle = one_tensor(4, 0, &[2, 2], &[1, 2]);
    for whole in [archive(&pickle, &[("0", FOUR)]), legacy(&pickle, &[("0", 4, FOUR)])] {
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len} of {} bytes", whole.len());
        }
    }
    for other in [b"".as_slice(), b"\x80", b"\x80\x02}.", b"PK\x05\x06", b"{}", &[0xff; 100]] {
        refused(other, "neither a zip archive nor the older form");
    }
}
