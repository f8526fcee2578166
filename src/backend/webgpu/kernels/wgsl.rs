//! The text of a kernel as a browser gets it.

/// The code of a WGSL file: what [`code`] leaves of it, made when this crate is compiled, because a page downloads it.
macro_rules! wgsl {
    ($file:literal) => {{
        const SOURCE: &str = include_str!($file);
        const CODE: ([u8; SOURCE.len()], usize) = $crate::backend::webgpu::kernels::wgsl::code(SOURCE.as_bytes());
        const {
            match CODE.0.first_chunk::<{ CODE.1 }>() {
                Some(code) => match std::str::from_utf8(code) {
                    Ok(code) => code,
                    Err(_) => panic!("not UTF-8"),
                },
                None => panic!("longer than its source"),
            }
        }
    }};
}
pub(super) use wgsl;

/// The lines without indentation and comments, those that are empty left out, and how many bytes that is.
pub(super) const fn code<const N: usize>(source: &[u8]) -> ([u8; N], usize) {
    let (mut code, mut length, mut at) = ([0; N], 0, 0);
    while at < source.len() {
        if source[at] == b'/' && at + 1 < source.len() && source[at + 1] == b'/' {
            while at < source.len() && source[at] != b'\n' {
                at += 1;
            }
            continue;
        }
        let starts_line = length == 0 || code[length - 1] == b'\n';
        if !(starts_line && matches!(source[at], b' ' | b'\n')) {
            code[length] = source[at];
            length += 1;
        }
        at += 1;
    }
    (code, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        let source = b"// A kernel.\n\nfn f() {\n    // Sums.\n    let x = 1 / 2; // half\n\n    return x;\n}\n";
        let (code, length) = code::<100>(source);
        assert_eq!(&code[..length], b"fn f() {\nlet x = 1 / 2; \nreturn x;\n}\n");
    }
}
