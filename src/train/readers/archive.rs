//! The parts of a zip archive: small on disk, of any size once unpacked, so what comes out is counted as it comes.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::broken;
use crate::error::Result;

/// What is read at most. The largest archive of the corpora has ten entries and not a megabyte in them.
const MAX_ENTRIES: usize = 256;
/// Of all entries together, unpacked.
const MAX_BYTES: u64 = 64 << 20;
/// Of an entry above [`SMALL`], unpacked by packed. Deflate reaches 1,032; sheets reach 30.
const MAX_RATIO: u64 = 200;
const SMALL: u64 = 1 << 20;

/// The parts of an archive by name. Neither the number of entries nor what they declare is believed: an entry that unpacks
/// to more than the limits is refused where it crosses them.
pub(super) fn parts(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| broken("not a zip archive, expected xlsx"))?;
    if archive.len() > MAX_ENTRIES {
        return Err(broken(format!("{} entries in the archive, expected at most {MAX_ENTRIES}", archive.len())));
    }
    let (mut parts, mut left) = (BTreeMap::new(), MAX_BYTES);
    for index in 0..archive.len() {
        let unreadable = || broken(format!("entry {index} of the archive cannot be unpacked"));
        let entry = archive.by_index(index).map_err(|_| unreadable())?;
        let name = entry.name().map_err(|_| unreadable())?.into_owned();
        let most = entry.compressed_size().saturating_mul(MAX_RATIO).max(SMALL);
        let too_large = || broken(format!("the archive unpacks to more than {} MiB", MAX_BYTES >> 20));
        if entry.size() > left {
            return Err(too_large());
        }
        let mut part = Vec::new();
        let read = entry.take(most.min(left) + 1).read_to_end(&mut part).map_err(|_| unreadable())? as u64;
        if read > left {
            return Err(too_large());
        }
        if read > most {
            return Err(broken(format!(
                "entry {index} of the archive unpacks to more than {MAX_RATIO} times its size"
            )));
        }
        left -= read;
        parts.insert(name, part);
    }
    Ok(parts)
}
