//! Names and seeds from the host's random source.

use std::io;

/// `N` random bytes as hexadecimal digits.
///
/// # Errors
/// When the system has no random source.
pub fn hex<const N: usize>() -> io::Result<String> {
    let mut bytes = [0u8; N];
    let mut filled = 0;
    while filled < N {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
