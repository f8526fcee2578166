//! The JavaScript border: thin wrappers, and nothing else. It is built twice: what reads texts, and what writes results in
//! other forms, which a page downloads only if it asks for it.
//!
//! A text enters as a JavaScript string, in which a lone surrogate becomes U+FFFD: one UTF-16 unit for another, so that
//! offsets stay those of the caller. Results leave as the JSON of [`crate::export`] with UTF-16 offsets. Every failure is a
//! JavaScript `Error` with a `code`; a panic aborts the instance and is the worker's business.

#[cfg(feature = "wasm-export")]
mod export;
#[cfg(feature = "wasm")]
mod models;

use wasm_bindgen::prelude::*;

use crate::error::Error;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = Error)]
    type JsError;
    #[wasm_bindgen(constructor, js_class = "Error")]
    fn new(message: &str) -> JsError;
    #[wasm_bindgen(method, setter)]
    fn set_code(this: &JsError, code: &str);
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let thrown = JsError::new(&error.to_string());
        thrown.set_code(error.kind().code());
        thrown.into()
    }
}
