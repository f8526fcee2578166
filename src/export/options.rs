//! What is said besides document and note.

use super::assertion::{Named, named};
use super::fhir::{FhirOptions, Resource};
use super::input;
use crate::error::{ErrorKind, Result};
use crate::json::{Json, Node, Path, string, truth};

/// What is said besides document and note.
#[derive(Clone, Default)]
pub struct Options {
    /// What the note is called, where the form has a place for it. May be empty.
    pub name: String,
    /// For [`super::Format::Fhir`].
    pub fhir: FhirOptions,
}

impl Options {
    /// Nothing but a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// From a JSON object of `name`, `subject`, `withoutNote`, `recorded` and `resources` (label to [`Resource`]), each of
    /// which may be left out.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] for JSON of another form, by the path of the field, and for any other field.
    pub fn read(json: &str) -> Result<Self> {
        const OPTIONS: Path<'static> = Path::Field(&Path::Root, "options");
        let json = Json::parse(json.as_bytes()).map_err(|_| input("options: expected a JSON object".into()))?;
        options(json.at(&OPTIONS)).map_err(|e| e.of_kind(ErrorKind::Input))
    }
}

fn options(node: Node<'_>) -> Result<Options> {
    const FIELDS: [&str; 5] = ["name", "subject", "withoutNote", "recorded", "resources"];
    if !node.fields(|name, _| Ok(FIELDS.contains(&name)))?.into_iter().all(|is_known| is_known) {
        return node.expected(format_args!("none but {}", FIELDS.join(", ")));
    }
    let fhir = FhirOptions {
        subject: node.optional("subject", string)?,
        without_note: node.optional("withoutNote", truth)?.unwrap_or_default(),
        recorded: node.optional("recorded", string)?,
        resources: node.optional("resources", resources)?.unwrap_or_default(),
    };
    Ok(Options { name: node.optional("name", string)?.unwrap_or_default(), fhir })
}

fn resources(node: Node<'_>) -> Result<Vec<(String, Resource)>> {
    node.fields(|label, resource| Ok((label.to_owned(), named(resource)?)))
}

/// `LABEL=Condition`, as a command line says it.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a resource of another name.
pub fn mapping(text: &str) -> Result<(String, Resource)> {
    let names = || Resource::ALL.iter().map(|resource| resource.name()).collect::<Vec<_>>().join(", ");
    let found = text.split_once('=').and_then(|(label, resource)| Some((label.into(), Resource::of(resource)?)));
    found.ok_or_else(|| input(format!("expected LABEL=RESOURCE with one of {}", names())))
}
