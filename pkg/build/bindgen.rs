//! Writes the JavaScript glue of a wasm file: `bindgen INPUT.wasm FOLDER` makes `FOLDER/clinlite.js` and
//! `FOLDER/clinlite_bg.wasm`, an ES module that needs no bundler, without comments: a page downloads it.

use std::path::PathBuf;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [input, folder] = arguments.as_slice() else {
        eprintln!("usage: bindgen INPUT.wasm FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).out_name("clinlite").typescript(false).omit_default_module_path(true);
    let script = folder.join("clinlite.js");
    let written = bindgen.web(true).and_then(|bindgen| bindgen.generate(folder)).and_then(|()| {
        let commented = std::fs::read_to_string(&script)?;
        Ok(std::fs::write(&script, without_comments(&commented))?)
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The lines that are code. The generator gives every comment lines of its own.
fn without_comments(script: &str) -> String {
    let mut inside = false;
    let is_code = |line: &&str| {
        let line = line.trim();
        let is_comment = inside || line.starts_with("/*") || line.starts_with("//");
        inside = (inside || line.starts_with("/*")) && !line.ends_with("*/");
        !is_comment
    };
    script.lines().filter(is_code).flat_map(|line| [line, "\n"]).collect()
}
