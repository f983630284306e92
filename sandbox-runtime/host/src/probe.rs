//! The smallest sandbox there is, for probes: a root file system without a file, and a
//! program of 200 bytes that says one word on its channel and waits for the channel's end.
//!
//! A probe that only looks for files and flags would believe machines that can't do it; this
//! one starts a cell through the tier's own code. It needs no template.

use crate::error::{HostError, Step};
use soulbox_runtime::{CellId, CellSpec, Limits, StartedCell};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{io::AsyncReadExt, time::timeout};

/// What the program says.
const WORD: &[u8; 3] = b"ok\n";
/// Where it is seen from inside.
const COMMAND: &str = "/opt/soulbox/bin/probe";
/// Bounds of the probe's cell: enough for every tier's own needs.
const LIMITS: Limits = Limits {
    memory_mib: 256,
    cpu_millis: 1000,
    disk_mib: 16,
    pids: 64,
};

/// Makes the specification of a probe's cell below `directory`, which is made anew.
///
/// # Errors
/// When files can't be written there.
pub fn spec(id: CellId, directory: &Path, first_host_id: u32) -> Result<CellSpec, HostError> {
    let step = "prepare a probe";
    let layer = directory.join("layer");
    let guest_files = directory.join("guest");
    let scratch = directory.join("cell");
    for dir in [&layer, &guest_files.join("bin"), &scratch] {
        fs::create_dir_all(dir).step(step)?;
    }
    let passable = fs::Permissions::from_mode(0o755);
    for dir in [directory, &layer, &guest_files, &guest_files.join("bin")] {
        fs::set_permissions(dir, passable.clone()).step(step)?;
    }
    let program: PathBuf = guest_files.join("bin/probe");
    fs::write(&program, program_bytes()).step(step)?;
    fs::set_permissions(&program, passable).step(step)?;
    Ok(CellSpec {
        id,
        layers: vec![layer],
        scratch,
        guest_files,
        command: vec![COMMAND.to_owned()],
        hostname: "probe".to_owned(),
        limits: LIMITS,
        first_host_id,
    })
}

/// Waits for the program's word, then ends and clears the cell.
///
/// # Errors
/// What went wrong, in words.
pub async fn check(started: StartedCell, within: Duration) -> Result<(), String> {
    let StartedCell { cell, mut channel } = started;
    let mut word = [0; WORD.len()];
    let heard = timeout(within, channel.read_exact(&mut word)).await;
    cell.kill().await;
    let end = cell.ended().await;
    let cleared = cell.clear().await;
    match heard {
        Err(_) => Err(format!("no answer within {within:?}")),
        Ok(Ok(_)) if word == *WORD => cleared.map_err(|error| error.to_string()),
        Ok(_) => Err(match end.evidence.console {
            Some(line) => format!("the cell ended without an answer: {line}"),
            None => "the cell ended without an answer".to_owned(),
        }),
    }
}

/// A static executable: write the word to descriptor 1, read descriptor 0 until its end, exit
/// with 0. Whatever else the read says, it is tried again: gVisor leaves the descriptor
/// non-blocking, and a program that is gone before the tier has looked at it fails the probe.
fn program_bytes() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let code = code();
    let size = HEADERS + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    elf.extend([0; 8]);
    let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
    let long = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
    half(&mut elf, 2); // an executable at a fixed address
    half(&mut elf, MACHINE);
    word(&mut elf, 1);
    long(&mut elf, BASE + HEADERS); // entry
    long(&mut elf, 64); // program headers
    long(&mut elf, 0); // no sections
    word(&mut elf, 0);
    for value in [64, 56, 1, 0, 0, 0] {
        half(&mut elf, value);
    }
    word(&mut elf, 1); // load
    word(&mut elf, 5); // read and execute
    long(&mut elf, 0);
    long(&mut elf, BASE);
    long(&mut elf, BASE);
    long(&mut elf, size);
    long(&mut elf, size);
    long(&mut elf, 0x1_0000); // alignment, as large as any page
    elf.extend(code);
    elf
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;

#[cfg(target_arch = "x86_64")]
fn code() -> Vec<u8> {
    let mut code = vec![
        0xb8, 1, 0, 0, 0, // mov eax, write
        0xbf, 1, 0, 0, 0, // mov edi, 1
        0x48, 0x8d, 0x35, 34, 0, 0, 0, // lea rsi, [rip + 34], the word
        0xba, 3, 0, 0, 0, // mov edx, 3
        0x0f, 0x05, // syscall
        0x31, 0xc0, // xor eax, eax, read
        0x31, 0xff, // xor edi, edi
        0x48, 0x89, 0xe6, // mov rsi, rsp
        0xba, 1, 0, 0, 0, // mov edx, 1
        0x0f, 0x05, // syscall
        0x85, 0xc0, // test eax, eax
        0x75, 0xee, // jne, 18 back, to the read
        0xb8, 60, 0, 0, 0, // mov eax, exit
        0x31, 0xff, // xor edi, edi
        0x0f, 0x05, // syscall
    ];
    code.extend(WORD);
    code
}

#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

#[cfg(target_arch = "aarch64")]
fn code() -> Vec<u8> {
    let instructions: [u32; 14] = [
        0xd280_0020, // mov x0, 1
        0x1000_01a1, // adr x1, . + 52, the word
        0xd280_0062, // mov x2, 3
        0xd280_0808, // mov x8, write
        0xd400_0001, // svc 0
        0xd280_0000, // mov x0, 0
        0x9100_03e1, // mov x1, sp
        0xd280_0022, // mov x2, 1
        0xd280_07e8, // mov x8, read
        0xd400_0001, // svc 0
        0xb5ff_ff60, // cbnz x0, . - 20, to the read
        0xd280_0000, // mov x0, 0
        0xd280_0ba8, // mov x8, exit
        0xd400_0001, // svc 0
    ];
    let mut code: Vec<u8> = instructions.iter().flat_map(|i| i.to_le_bytes()).collect();
    code.extend(WORD);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_runs_and_says_its_word() {
        let dir = tempfile::tempdir().expect("a directory");
        let id = CellId::new("probe").expect("an id");
        spec(id, dir.path(), 0).expect("written");
        let program = dir.path().join("guest/bin/probe");
        let output = std::process::Command::new(program)
            .output()
            .expect("it runs");
        assert_eq!(output.stdout, WORD);
        assert!(output.status.success());
    }
}
