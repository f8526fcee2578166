//! The walls of the house: who may know whom.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A room and the rooms that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("sort", &[]),
    ("unicode", &[]),
    ("json", &["error"]),
    ("text", &["error", "json", "sort", "unicode"]),
    ("clinical", &["error", "sort", "unicode"]),
    ("backend", &["error"]),
    ("weights", &["error", "json", "sort", "backend"]),
    ("models", &["error", "json", "backend", "weights"]),
    ("tasks", &["error", "json", "sort", "backend", "weights", "models", "text", "clinical"]),
    ("export", &["error", "json", "sort", "text", "clinical", "tasks"]),
    ("train", &["error", "json", "backend", "weights", "models", "text", "clinical", "tasks"]),
    ("wasm", &["error", "json", "backend", "weights", "text", "clinical", "tasks", "export"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of this repository") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file without its inline tests, which may look anywhere, and without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("UTF-8 source");
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a file below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms named as `crate::room` in the code.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    for path in rust_files(&root().join("src")) {
        let room = room(&path);
        if room == "lib" || room == "cli" {
            continue; // lib.rs is the map; the binary sees the public API only
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: {room} is not a room of the house", path.display()));
            continue;
        };
        for other in named_rooms(&code(&path)) {
            if other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: {room} must not know {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn models_name_no_engine() {
    for path in rust_files(&root().join("src/models")) {
        let code = code(&path);
        for word in ["candle", "wgpu", "simd", "cfg("] {
            assert!(!code.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn only_train_and_cli_touch_the_outside() {
    for path in rust_files(&root().join("src")) {
        if ["train", "cli"].contains(&room(&path).as_str()) {
            continue;
        }
        let code = code(&path);
        for word in ["std::fs", "std::env", "std::net", "println!", "eprintln!", "dbg!"] {
            assert!(!code.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn wasm_carries_no_native_crate() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--target", "wasm32-unknown-unknown", "--no-default-features", "--features", "wasm"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("UTF-8");
    let native =
        ["candle", "gemm", "rayon", "clap", "indicatif", "mimalloc", "tokenizers", "toml ", "getrandom", "wgpu"];
    for krate in native {
        assert!(!tree.lines().any(|line| line.starts_with(krate)), "the wasm build carries {krate}");
    }
    assert!(tree.contains("wasm-bindgen"), "the tree of the wasm build was read");
}

/// In a page WGSL goes to the browser as text.
#[test]
fn webgpu_in_wasm_carries_no_compiler() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--target", "wasm32-unknown-unknown", "--no-default-features", "--features", "wasm,webgpu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("UTF-8");
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("wgpu"), "the tree of the build with webgpu was read");
    for krate in ["naga", "wgpu-core", "wgpu-hal", "candle-core", "rayon", "getrandom"] {
        assert!(!crates.contains(krate), "the wasm build carries {krate}");
    }
}

/// Connections are opened in two files, for processes that a launcher started as one training.
#[test]
fn only_the_ranks_of_a_training_connect() {
    let own = ["src/train/parallel/rendezvous.rs", "src/train/parallel/link.rs"].map(|file| root().join(file));
    for path in rust_files(&root().join("src")).into_iter().filter(|path| !own.contains(path)) {
        for word in ["std::net", "TcpStream", "UdpSocket"] {
            assert!(!code(&path).contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn no_crate_that_speaks_with_servers() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("UTF-8");
    for krate in ["reqwest", "hyper", "ureq", "curl", "hf-hub", "rustls", "openssl", "tokio"] {
        assert!(!tree.lines().any(|line| line.split(' ').next() == Some(krate)), "the binary carries {krate}");
    }
}
