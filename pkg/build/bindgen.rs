//! Writes the JavaScript glue of a wasm file: `bindgen INPUT.wasm FOLDER NAME` makes `FOLDER/NAME.js` and
//! `FOLDER/NAME_bg.wasm`, an ES module that needs no bundler, without comments: a page downloads it.

use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder, name] = arguments.as_slice() else {
        eprintln!("usage: bindgen INPUT.wasm FOLDER NAME");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).out_name(name).typescript(false).omit_default_module_path(true);
    let script = Path::new(folder).join(format!("{name}.js"));
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
