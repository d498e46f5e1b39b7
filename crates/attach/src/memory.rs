//! The memory of another process, through its file in `/proc`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The memory, to be read and written.
#[derive(Debug)]
pub(crate) struct Memory(File);

/// The longest C string that is read.
const LONGEST: usize = 1024;

impl Memory {
    /// Fails where the kernel would not let this process trace that one, too.
    pub(crate) fn of(pid: u32) -> io::Result<Memory> {
        let file = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        Ok(Memory(file))
    }

    pub(crate) fn read(&self, address: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        self.0.read_exact_at(&mut read, address)?;
        Ok(read)
    }

    /// As many bytes as can be read, up to so many.
    pub(crate) fn read_some(&self, address: u64, most: usize) -> Vec<u8> {
        let mut read = vec![0; most];
        let bytes = self.0.read_at(&mut read, address).unwrap_or(0);
        read.truncate(bytes);
        read
    }

    /// Fills the bytes with what lies there; `false` where that cannot be read.
    pub(crate) fn read_into(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.0.read_exact_at(bytes, address).is_ok()
    }

    pub(crate) fn word(&self, address: u64) -> io::Result<u64> {
        let mut word = [0; 8];
        self.0.read_exact_at(&mut word, address)?;
        Ok(u64::from_le_bytes(word))
    }

    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, address)
    }

    pub(crate) fn text(&self, address: u64) -> String {
        let bytes = self.read_some(address, LONGEST);
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}
