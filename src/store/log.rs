//! The write-ahead log beside a store, looked at before SQLite plays it: SQLite stops at the first frame that is not whole
//! and forgets what comes after it without a word. After a power cut that is a torn end and right; with whole
//! transactions behind it, it is damage. Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Whether whole transactions stand behind a frame that is not what was written: the number of that frame.
pub(super) fn damaged_frame(store: &Path) -> Option<usize> {
    let log = std::fs::read(super::beside(store, "-wal")).ok()?;
    damaged_in(&log)
}

fn damaged_in(log: &[u8]) -> Option<usize> {
    let header = log.get(..HEADER)?;
    let big_endian = match word(header, 0)? {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return None,
    };
    let page = usize::try_from(word(header, 8)?).ok().filter(|page| (512..=65_536).contains(page))?;
    let salts = header.get(16..24)?;
    let mut sum = sums(header, 24)?;
    let mut bad = None;
    let mut commits_behind = 0;
    for (number, frame) in log.get(HEADER..)?.chunks_exact(FRAME_HEADER + page).enumerate() {
        let seed = sum;
        // The next frame counts on from what this one says, whether or not that is right.
        sum = sums(frame, 16)?;
        let ours = frame.get(8..16)? == salts;
        let whole = ours && {
            let first = checksum(seed, frame.get(..8)?, big_endian);
            checksum(first, frame.get(FRAME_HEADER..)?, big_endian) == sum
        };
        match bad {
            None if !whole => bad = Some(number),
            Some(_) if whole && word(frame, 4)? != 0 => commits_behind += 1,
            _ => {}
        }
    }
    // The last transaction may be torn anywhere before its own commit; nothing was promised of it.
    bad.filter(|_| commits_behind >= 2)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn sums(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    Some((word(bytes, at)?, word(bytes, at + 4)?))
}

fn checksum(seed: (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let read = |part: &[u8]| {
        let part: [u8; 4] = part.try_into().unwrap_or_default();
        if big_endian { u32::from_be_bytes(part) } else { u32::from_le_bytes(part) }
    };
    bytes.chunks_exact(8).fold(seed, |(first, second), pair| {
        let (low, high) = pair.split_at(4);
        let first = first.wrapping_add(read(low)).wrapping_add(second);
        (first, second.wrapping_add(read(high)).wrapping_add(first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Nature, Store};

    /// A store with a log of many transactions, as after `kill -9`.
    async fn killed() -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("banggia.db");
        let store = Store::open(&format!("sqlite:{}", file.display()), Nature::Live).await.unwrap();
        for version in 1..20 {
            let at = jiff::Timestamp::from_second(1_790_000_000 + version).unwrap();
            let published = crate::store::Published { version, generated_at: at, hash: version.to_string() };
            store.push_published(vec![("board".to_owned(), published)]);
            store.flush().await;
        }
        let log = std::fs::read(folder.path().join("banggia.db-wal")).unwrap();
        store.close().await;
        (folder, log)
    }

    #[tokio::test]
    async fn p04_a_damaged_frame_with_transactions_behind_it_is_seen_and_a_torn_end_is_none() {
        let (_folder, log) = killed().await;
        assert_eq!(damaged_in(&log), None, "as it was written");
        let frame = FRAME_HEADER + 4096;
        let frames = (log.len() - HEADER) / frame;
        assert!(frames > 10, "{frames}");
        for nth in 0..frames - 8 {
            for at in [100, 2, 9, 17] {
                let mut flipped = log.clone();
                flipped[HEADER + nth * frame + at] ^= 4;
                assert!(damaged_in(&flipped).is_some(), "frame {nth}, byte {at}");
            }
        }
        for cut in (0..log.len()).step_by(997) {
            assert_eq!(damaged_in(&log[..cut]), None, "cut at {cut}");
        }
        let mut torn = log.clone();
        let last = torn.len() - 100;
        torn[last] ^= 4;
        assert_eq!(damaged_in(&torn), None, "the last transaction was not promised");
    }
}
