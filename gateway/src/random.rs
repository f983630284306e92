//! Random bytes from the operating system, and their text form.

use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

/// Bytes from the operating system's random source.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            // Nothing that needs a secret may go on without one.
            Err(error) => panic!("the operating system has no random numbers: {error}"),
        }
    }
    bytes
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
