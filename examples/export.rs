//! A document that `clinlite tag --format json` wrote, perhaps corrected by a person, in another form.
//!
//! `cargo run --no-default-features --example export -- html tagged.json note.txt > report.html`

use std::process::ExitCode;

use clinlite::export::json::Document;
use clinlite::export::{Format, Named, Options, write};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(written) => {
            print!("{written}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String, String> {
    let [format, document, note] = arguments else { return Err("export FORMAT DOCUMENT NOTE".into()) };
    let format = Format::of(format).ok_or("the format is not known")?;
    let read = |path: &String| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (document, text) = (read(document)?, read(note)?);
    let document = Document::read(&document, &text).map_err(|error| error.to_string())?;
    write(format, &document, &text, &Options::named(note)).map_err(|error| error.to_string())
}
