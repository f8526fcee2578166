//! Identifiers that are the same for the same question.

use sha2::{Digest, Sha256};

/// Identifiers of the resources of one bundle.
pub(super) struct Ids(Sha256);

impl Ids {
    /// Of a bundle about something: a note and its patient must not share identifiers with others.
    pub(super) fn new<const N: usize>(about: [&str; N]) -> Self {
        let mut hash = Sha256::new();
        for part in about {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash)
    }

    /// A UUID of version 8 (RFC 9562: made as its maker likes, here from a SHA-256).
    pub(super) fn of(&self, what: &str) -> String {
        let hash = self.0.clone().chain_update(what).finalize();
        let mut bytes: [u8; 16] = std::array::from_fn(|i| hash[i]);
        bytes[6] = bytes[6] & 0x0F | 0x80;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

/// The name of a resource in its bundle.
pub(super) fn urn(id: &str) -> String {
    ["urn:uuid:", id].concat()
}

/// Base64 with `=` at the end (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xFF, 0xEF, 0xBE]), "/+++");
    }

    #[test]
    fn what_is_different_is_called_differently() {
        let id = Ids::new(["a", "bc"]).of("T1");
        assert_eq!(id, Ids::new(["a", "bc"]).of("T1"));
        for other in [Ids::new(["ab", "c"]).of("T1"), Ids::new(["a", "bc"]).of("T2"), Ids::new(["", "abc"]).of("T1")] {
            assert_ne!(id, other);
        }
        assert_eq!((id.len(), &id[14..15]), (36, "8"));
    }
}
