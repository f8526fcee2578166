//! Writes the JavaScript glue of a wasm file: `bindgen INPUT.wasm FOLDER NAME` makes `FOLDER/NAME.js` and
//! `FOLDER/NAME_bg.wasm`, which call each other by short names: a page downloads both.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use walrus::{ExportItem, ImportKind, Module};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder, name] = arguments.as_slice() else {
        eprintln!("usage: bindgen INPUT.wasm FOLDER NAME");
        return ExitCode::from(2);
    };
    match write(input, Path::new(folder), name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write(input: &str, folder: &Path, name: &str) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).out_name(name).typescript(false).omit_default_module_path(true);
    let mut output = bindgen.web(true)?.generate_output()?;
    let names = shorten(output.wasm_mut());
    let script = renamed(output.js(), &names);
    output.emit(folder)?;
    Ok(fs::write(folder.join(format!("{name}.js")), script)?)
}

/// Gives the functions that WebAssembly and script have of each other a letter and a number, except those of this crate's API. Names come in their order, so that two
/// builds with the same functions get the same.
fn shorten(module: &mut Module) -> BTreeMap<String, String> {
    let imports = module.imports.iter_mut().filter(|import| matches!(import.kind, ImportKind::Function(_)));
    let is_ours = |name: &str| !name.starts_with('_') && !name.starts_with("wasm_bindgen");
    let exports = module.exports.iter_mut().filter(|export| matches!(export.item, ExportItem::Function(_)) && !is_ours(&export.name));
    let mut functions: Vec<&mut String> = imports.map(|import| &mut import.name).chain(exports.map(|export| &mut export.name)).collect();
    functions.sort();
    let names = functions.into_iter().enumerate().map(|(i, name)| {
        let short = format!("{}{}", char::from(b'a' + (i % 26) as u8), i / 26);
        (std::mem::replace(name, short.clone()), short)
    });
    names.collect()
}

/// The script with those names: after `wasm.`, and as keys of what the WebAssembly imports.
fn renamed(script: &str, names: &BTreeMap<String, String>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let mut renamed = String::with_capacity(script.len());
    let mut rest = script;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        renamed.push_str(before);
        let is_name = renamed.ends_with("wasm.") || after.starts_with(": function");
        renamed.push_str(names.get(word).filter(|_| is_name).map_or(word, String::as_str));
        rest = after;
    }
    renamed + rest
}
