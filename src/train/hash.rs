//! The sha256 of files, as `sha256sum` prints it.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Of what is left of a reader, whose length does not matter.
pub(super) fn of(reader: &mut impl Read) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(hash)),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// As it is written.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
