//! Events in memory: whole lines, packed, so that a million tiny ones are few allocations.

use bytes::Bytes;

/// Lines are packed up to this size. Small against the tail's bound, so that little is given
/// up at a time, and large enough to be worth a frame of an answer.
const CHUNK_BYTES: usize = 16 << 10;

/// Lines that follow each other.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Number of the first event.
    pub first_event: u64,
    /// Where it begins, in bytes from the start of the log.
    pub first_byte: u64,
    /// How many events.
    pub events: u64,
    bytes: Packed,
}

#[derive(Debug, Clone)]
enum Packed {
    Open(Vec<u8>),
    Sealed(Bytes),
}

impl Chunk {
    /// A chunk of one line.
    pub fn new(first_event: u64, first_byte: u64, line: Vec<u8>) -> Self {
        let bytes = if line.len() >= CHUNK_BYTES {
            Packed::Sealed(line.into())
        } else {
            Packed::Open(line)
        };
        Self {
            first_event,
            first_byte,
            events: 1,
            bytes,
        }
    }

    /// Adds a line. Gives it back when there is no room.
    pub fn add(&mut self, line: Vec<u8>) -> Result<(), Vec<u8>> {
        match &mut self.bytes {
            Packed::Open(bytes) if bytes.len() + line.len() <= CHUNK_BYTES => {
                bytes.extend_from_slice(&line);
                self.events += 1;
                Ok(())
            }
            _ => {
                self.seal();
                Err(line)
            }
        }
    }

    /// Takes no further lines from here on.
    pub fn seal(&mut self) {
        if let Packed::Open(bytes) = &mut self.bytes {
            self.bytes = Packed::Sealed(std::mem::take(bytes).into_boxed_slice().into());
        }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        match &self.bytes {
            Packed::Open(bytes) => bytes.len(),
            Packed::Sealed(bytes) => bytes.len(),
        }
    }

    /// Number after that of the last event.
    pub fn end_event(&self) -> u64 {
        self.first_event + self.events
    }

    /// Where the next chunk begins.
    pub fn end_byte(&self) -> u64 {
        self.first_byte + self.len() as u64
    }

    /// The bytes from an offset on. Copied only while the chunk is open.
    pub fn from(&self, offset: usize) -> Bytes {
        match &self.bytes {
            Packed::Open(bytes) => Bytes::copy_from_slice(&bytes[offset..]),
            Packed::Sealed(bytes) => bytes.slice(offset..),
        }
    }
}
